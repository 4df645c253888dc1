//! A store that fails at any moment, and a run that dies at any moment: there is a whole backup, or
//! none.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::ensure;
use brownie_backup::{Create, Error, Policy, Provider, Store, cleanup, list, verify};
use brownie_domain::{Clock, ManualClock, SystemClock};
use brownie_test_servers::{PATIENCE, pass, poll};
use chrono::TimeDelta;
use futures_util::TryStreamExt;
use object_store::{ObjectStore, memory::InMemory, path::Path};

use crate::{
    faulty::{Fault, Faulty},
    postgres::Postgres,
    world::{Place, back_up, encrypted, named, patiently, reading},
};

fn store(objects: impl ObjectStore) -> Store {
    Store::new(Arc::new(objects), Path::default(), Provider::S3)
}

fn how() -> Create {
    Create { part_bytes: 64 << 10, ..encrypted("one") }
}

async fn objects(inner: &InMemory) -> Vec<String> {
    let found: Vec<_> = inner.list(None).try_collect().await.unwrap();
    found.into_iter().map(|meta| meta.location.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_request_fails_there_is_a_whole_backup_or_nothing() {
    let pg = Postgres::debian();
    let database = pg.filled(2, 2).await;
    let good = Faulty::new(Arc::default(), u64::MAX, Fault::Once);
    back_up(pg, &database, &store(good.clone()), how()).await.unwrap();
    let all = good.asked();
    assert!(all > 15, "{all}");
    for fault in [Fault::Once, Fault::LostAnswer] {
        for at in 0..all {
            let inner = Arc::new(InMemory::new());
            let faulty = Faulty::new(Arc::clone(&inner), at, fault);
            // The server may not have noticed yet that the connection of the run before, which held the lock, is gone.
            // Nothing is asked of the store by whoever finds it locked.
            let run = async || back_up(pg, &database, &store(faulty.clone()), how()).await;
            let outcome = patiently(run).await;
            let whole = store(Arc::clone(&inner));
            match outcome {
                Ok(_) => {
                    verify(&whole, &named("one"), &SystemClock, &reading()).await.unwrap();
                }
                Err(error) => {
                    assert!(
                        error.to_string().starts_with("the store failed while"),
                        "{at}: {error}"
                    );
                    assert_eq!(objects(&inner).await, [""; 0], "{fault:?} at {at}");
                }
            }
            assert_eq!(faulty.open.load(Ordering::SeqCst), 0, "{fault:?} at {at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_at_any_moment_is_in_no_list_and_is_swept_a_day_later() {
    let pg = Postgres::debian();
    let database = pg.filled(2, 2).await;
    let good = Faulty::new(Arc::default(), u64::MAX, Fault::Death);
    back_up(pg, &database, &store(good.clone()), how()).await.unwrap();
    let inner = Arc::new(InMemory::new());
    let whole = store(Arc::clone(&inner));
    let mut first = None;
    for at in 0..good.asked() {
        let faulty = store(Faulty::new(Arc::clone(&inner), at, Fault::Death));
        assert!(back_up(pg, &database, &faulty, how()).await.is_err(), "{at}");
        // The manifest is the last thing that is stored.
        assert!(list(&whole, None).await.unwrap().is_empty(), "{at}");
        first.get_or_insert(objects(&inner).await.len());
    }
    // The next one is not minded.
    let manifest = back_up(pg, &database, &whole, how()).await.unwrap();
    verify(&whole, &named("one"), &SystemClock, &reading()).await.unwrap();
    let sealed = 2 + manifest.parts().count() + 1;
    assert!(objects(&inner).await.len() > sealed + 20);
    let policy = Policy { days: 30, last: 3, daily: 0, weekly: 0, monthly: 0 };
    let dial = pg.server("brownie-backup", &database);
    let swept = async |clock: &dyn Clock, dry_run| {
        let sweep = async || cleanup(dial.as_ref(), &whole, clock, &policy, None, dry_run).await;
        patiently(sweep).await
    };
    // What is of today may be of a run that goes on.
    assert_eq!(swept(&SystemClock, false).await.unwrap().orphans, [""; 0]);
    let tomorrow = ManualClock::at(SystemClock.now() + TimeDelta::hours(25));
    let would = swept(&tomorrow, true).await.unwrap();
    assert!(would.orphans.len() > 20);
    // The store's clock says that it is not tomorrow.
    let error = swept(&tomorrow, false).await.unwrap_err();
    assert!(matches!(error, Error::Clock { .. }), "{error}");
    assert!(objects(&inner).await.len() > sealed + 20);
    for orphan in &would.orphans {
        assert!(!orphan.contains(&manifest.id.to_string()), "{orphan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_called_off_or_dropped_leaves_nothing() {
    let pg = Postgres::debian();
    let database = pg.filled(20, 2).await;
    for dropped in [false, true] {
        for pause in [1, 10, 30, 80, 200] {
            let faulty = Faulty::new(Arc::default(), u64::MAX, Fault::Once);
            let whole = store(faulty.clone());
            let how = how();
            let cancel = how.cancel.clone();
            let pause = pass(Duration::from_millis(pause), "the moment at which it is called off");
            let run = back_up(pg, &database, &whole, how);
            if dropped {
                tokio::select! { outcome = run => { outcome.unwrap(); }, () = pause => {} }
            } else {
                let off = async {
                    pause.await;
                    cancel.cancel();
                };
                let (outcome, ()) = tokio::join!(run, off);
                assert!(matches!(outcome, Ok(_) | Err(Error::Cancelled)), "{outcome:?}");
            }
            // A dropped one ends by itself, and lets the next one in.
            let next = Create { name: Some(named("next")), ..encrypted("one") };
            patiently(async || back_up(pg, &database, &whole, next.clone()).await).await.unwrap();
            poll("all of it is there, or nothing", PATIENCE, async || {
                let sealed = list(&whole, None).await?;
                let is_sealed = sealed.iter().any(|entry| entry.name.as_str() == "one");
                let objects = objects(&faulty.inner).await;
                let left = objects.iter().any(|key| key.starts_with("one/"));
                let is_over = faulty.open.load(Ordering::SeqCst) == 0;
                ensure!(left == is_sealed && is_over, "{objects:?}");
                Ok(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_given_up() {
    let pg = Postgres::debian();
    let database = pg.filled(20, 2).await;
    let place = Place::new();
    let how = Create { timeout: Duration::from_millis(30), ..encrypted("one") };
    let error = back_up(pg, &database, &place.store, how).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert_eq!(place.files(), [""; 0]);
}
