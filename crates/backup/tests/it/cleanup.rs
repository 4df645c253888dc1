//! What may go goes, and nothing else.

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use brownie_backup::{Error, Fate, Policy, cleanup, delete, drill, list, verify};
use brownie_domain::{Clock, IdSource, RandomIds, SystemClock};
use brownie_test_servers::pass;

use crate::{
    postgres::Postgres,
    world::{Place, back_up, bring_back, encrypted, into, named, patiently, reading},
};

const NEWEST: Policy = Policy { days: 0, last: 1, daily: 0, weekly: 0, monthly: 0 };

async fn names(place: &Place) -> Vec<String> {
    let entries = list(&place.store, None).await.unwrap();
    entries.iter().map(|entry| entry.name.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_does_not_want_goes_when_something_newer_was_verified() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    let dial = pg.server("brownie-backup", &database);
    let clean = async |dry_run| {
        let clean = async || {
            cleanup(dial.as_ref(), &place.store, &SystemClock, &NEWEST, None, dry_run).await
        };
        patiently(clean).await.unwrap()
    };
    for name in ["one", "two", "three"] {
        back_up(pg, &database, &place.store, encrypted(name)).await.unwrap();
    }
    // None was verified: none goes.
    clean(false).await;
    assert_eq!(names(&place).await, ["three", "two", "one"]);
    verify(&place.store, &named("two"), &SystemClock, &reading()).await.unwrap();
    let before = place.files();
    let would = clean(true).await;
    assert_eq!(place.files(), before);
    let fates: Vec<_> = would.decisions.iter().map(|decision| decision.fate).collect();
    assert_eq!(fates, [Fate::Last, Fate::NewestVerified, Fate::Removed]);
    assert_eq!(clean(false).await, would);
    assert_eq!(names(&place).await, ["three", "two"]);
    assert!(!place.files().iter().any(|file| file.starts_with("one")));
    // One that cannot be read is left alone, with all that it has.
    fs::write(place.dir.path().join("three/manifest.json"), "{}").unwrap();
    let kept = clean(false).await;
    assert_eq!(kept.unreadable, [named("three")]);
    assert!(place.files().iter().filter(|file| file.starts_with("three")).count() > 10);
    // By name, anything goes but the only one that is known to be good.
    let error = delete(dial.as_ref(), &place.store, &named("two"), None).await.unwrap_err();
    assert!(matches!(error, Error::LastVerified { .. }), "{error}");
    assert!(place.files().iter().any(|file| file.starts_with("two")));
    back_up(pg, &database, &place.store, encrypted("four")).await.unwrap();
    verify(&place.store, &named("four"), &SystemClock, &reading()).await.unwrap();
    delete(dial.as_ref(), &place.store, &named("two"), None).await.unwrap();
    assert!(!place.files().iter().any(|file| file.starts_with("two")));
    let error = delete(dial.as_ref(), &place.store, &named("two"), None).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dead_runs_left_in_a_directory_goes_a_day_later() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let whole = place.files();
    // A run that died before its manifest, one that died while writing a file, and one of today.
    let old = "00000000-0000-7000-8000-000000000001";
    let young = RandomIds.next(SystemClock.now());
    let left = [
        (format!("two/{old}/teams-00001.copy.zst.age"), true),
        (format!("one/{old}/teams-00001.copy.zst.age"), true),
        (format!("two/{old}/users-00001.copy.zst.age#1"), true),
        (format!("two/{young}/users-00001.copy.zst.age"), false),
        ("elsewhere/notes.txt".to_owned(), false),
        ("notes.txt".to_owned(), false),
    ];
    for (file, _) in &left {
        let path = place.dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        let yesterday = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        fs::File::open(&path).unwrap().set_modified(yesterday).unwrap();
    }
    let dial = pg.server("brownie-backup", &database);
    let clean =
        async || cleanup(dial.as_ref(), &place.store, &SystemClock, &NEWEST, None, false).await;
    let cleaned = patiently(clean).await.unwrap();
    assert_eq!(cleaned.orphans.len(), 2, "{:?}", cleaned.orphans);
    let stays = left.iter().filter(|(_, goes)| !goes).map(|(file, _)| file.clone());
    let mut expected: Vec<String> = whole.into_iter().chain(stays).collect();
    expected.sort();
    assert_eq!(place.files(), expected);
    verify(&place.store, &named("one"), &SystemClock, &reading()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_called_off_leaves_no_database() {
    let pg = Postgres::newest();
    let database = pg.filled(10, 2).await;
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    for pause in [50, 300, 700] {
        let how = into("called_off");
        let cancel = how.read.cancel.clone();
        let off = async {
            pass(Duration::from_millis(pause), "the moment at which it is called off").await;
            cancel.cancel();
        };
        let (outcome, ()) = tokio::join!(bring_back(pg, &place.store, "one", how), off);
        assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
        assert!(!pg.databases().await.contains(&"called_off".to_owned()));
    }
    // The next one is not minded.
    let name = named("one");
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
    let attempt = async || {
        let (clock, ids) = (Arc::clone(&clock), Arc::clone(&ids));
        drill(&pg.cluster("postgres"), &place.store, &name, clock, ids, reading()).await
    };
    patiently(attempt).await.unwrap();
}
