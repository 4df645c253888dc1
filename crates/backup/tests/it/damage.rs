//! What was stored is not what is read: whatever happened to it, it is noticed and named.

use std::{fs, path::Path, sync::Arc};

use brownie_backup::{Create, Error, SigningKey, drill, list, verify};
use brownie_domain::{Clock, IdSource, ManualClock, SeededIds, SystemClock};

use crate::{
    postgres::Postgres,
    world::{Place, back_up, bring_back, encrypted, into, named, patiently, reading},
};

async fn verdict(place: &Place) -> Result<(), Error> {
    verify(&place.store, &named("one"), &SystemClock, &reading()).await.map(drop)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_byte_anywhere_is_found_and_its_object_named() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    for recipients in [true, false] {
        let place = Place::new();
        let mut how = encrypted("one");
        if !recipients {
            how.recipients = brownie_backup::Recipients::default();
        }
        back_up(pg, &database, &place.store, how).await.unwrap();
        verdict(&place).await.unwrap();
        let verified = list(&place.store, None).await.unwrap().remove(0).verified.unwrap();
        let mark = place.dir.path().join("one/verified.json");
        for file in place.files() {
            let path = place.dir.path().join(&file);
            if path == mark {
                continue;
            }
            let size = fs::read(&path).unwrap().len();
            for at in [0, 1, size / 3, size / 2, size - 20, size - 1] {
                flip(&path, at);
                let error = verdict(&place).await.unwrap_err();
                let text = error.to_string();
                assert!(text.contains(&file), "{file} at {at} of {size}: {text}");
                assert!(
                    matches!(error, Error::Damaged { .. } | Error::WrongKey { .. }),
                    "{error:?}"
                );
                flip(&path, at);
            }
        }
        // A mark does not move, and one that was changed does not count.
        let now = list(&place.store, None).await.unwrap().remove(0).verified.unwrap();
        assert_eq!(now, verified);
        flip(&mark, 60);
        assert_eq!(list(&place.store, None).await.unwrap().remove(0).verified, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_are_cut_lost_or_of_another_backup_are_found_before_anything_is_touched() {
    let pg = &Postgres::alone();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    back_up(pg, &database, &place.store, encrypted("two")).await.unwrap();
    let files = place.files();
    let of = |name: &str, what: &str| {
        let is_it = |file: &&String| file.starts_with(name) && file.contains(what);
        place.dir.path().join(files.iter().find(is_it).unwrap())
    };
    let (part, other) = (of("one", "incidents-"), of("two", "incidents-"));
    let whole = fs::read(&part).unwrap();
    let databases = pg.databases().await;
    let refusal = async |expected: &str| {
        let error = verdict(&place).await.unwrap_err().to_string();
        assert!(error.contains("incidents-00001") && error.contains(expected), "{error}");
        let error =
            bring_back(pg, &place.store, "one", into("never")).await.unwrap_err().to_string();
        assert!(error.contains("incidents-00001") && error.contains(expected), "{error}");
    };
    fs::write(&part, &whole[..whole.len() - 100]).unwrap();
    refusal("damaged").await;
    fs::write(&part, b"").unwrap();
    refusal("damaged").await;
    fs::write(&part, [whole.as_slice(), b"x"].concat()).unwrap();
    refusal("damaged").await;
    fs::copy(&other, &part).unwrap();
    refusal("damaged").await;
    fs::remove_file(&part).unwrap();
    refusal("missing").await;
    fs::write(&part, &whole).unwrap();
    verdict(&place).await.unwrap();
    // The manifest of one, and the key of one, are no good for the other.
    fs::copy(of("two", "key.age"), of("one", "key.age")).unwrap();
    let error = verdict(&place).await.unwrap_err().to_string();
    assert!(error.contains("key.age") && error.contains("another backup"), "{error}");
    fs::copy(of("two", "manifest.json"), of("one", "manifest.json")).unwrap();
    let error = verdict(&place).await.unwrap_err().to_string();
    assert!(error.contains("one/manifest.json") && error.contains("another backup"), "{error}");
    // It is shown, not passed over.
    let entries = list(&place.store, None).await.unwrap();
    assert!(entries.len() == 2 && entries[1].manifest.is_err());
    assert_eq!(pg.databases().await, databases);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_fails_on_a_flipped_byte_and_leaves_no_database() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let clock = Arc::new(ManualClock::at("2026-01-02T03:04:05Z".parse().unwrap()));
    let drilled = async || {
        let attempt = async || {
            // The same in every run, so that the name of the database is known.
            let (clock, ids) = (Arc::clone(&clock), Arc::new(SeededIds::default()));
            let name = named("one");
            drill(&pg.cluster("postgres"), &place.store, &name, clock, ids, reading()).await
        };
        patiently(attempt).await
    };
    let report = drilled().await.unwrap();
    assert!(!report.recovery_time.is_zero() && report.manifest.rows() > 1000);
    let verified = list(&place.store, None).await.unwrap().remove(0).verified.unwrap();
    assert!(verified.restored);
    let part = place.files().into_iter().find(|file| file.contains("audit_log-")).unwrap();
    flip(&place.dir.path().join(&part), 300);
    let error = drilled().await.unwrap_err().to_string();
    assert!(error.contains(&part), "{error}");
    assert_eq!(list(&place.store, None).await.unwrap().remove(0).verified, Some(verified));
    let id = SeededIds::default().next(clock.now());
    let scratch = format!("brownie_scratch_{}", id.simple());
    assert!(!pg.databases().await.contains(&scratch));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_signed_is_believed_where_there_is_a_key() {
    let pg = Postgres::debian();
    let database = pg.filled(1, 1).await;
    let place = Place::new();
    let key = SigningKey::new(&"k".repeat(32)).unwrap();
    let how = Create { signing_key: Some(key.clone()), ..encrypted("one") };
    back_up(pg, &database, &place.store, how).await.unwrap();
    back_up(pg, &database, &place.store, encrypted("unsigned")).await.unwrap();
    let reading = brownie_backup::Read { signing_key: Some(key), ..reading() };
    verify(&place.store, &named("one"), &SystemClock, &reading).await.unwrap();
    let error = verify(&place.store, &named("unsigned"), &SystemClock, &reading).await.unwrap_err();
    assert!(matches!(error, Error::Forged { .. }), "{error}");
    // Whoever can write to the store can compute a SHA-256.
    let path = place.dir.path().join("one/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    let (_, document) = text.split_once("\"document\":").unwrap();
    let document =
        document.strip_suffix('}').unwrap().replace("\"program\":\"0", "\"program\":\"9");
    let sha256 = brownie_backup::Hash::of(document.as_bytes());
    let hmac = &text[text.find("\"hmac").unwrap()..text.find("\"document").unwrap()];
    fs::write(&path, format!("{{\"sha256\":\"{sha256}\",{hmac}\"document\":{document}}}")).unwrap();
    verify(&place.store, &named("one"), &SystemClock, &crate::world::reading()).await.unwrap();
    let error = verify(&place.store, &named("one"), &SystemClock, &reading).await.unwrap_err();
    assert!(matches!(error, Error::Forged { .. }), "{error}");
}
