//! Values that are never out of date where they were changed, and nowhere for longer than they live.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use brownie_cache::{Cache, Key};
use brownie_domain::OrganizationId;
use brownie_test_servers::{Redis, pass, until};
use bytes::Bytes;
use uuid::Uuid;

use crate::{cache_with, instance_of, instance_within, wait_until};

const MINUTE: Duration = Duration::from_mins(1);

fn org(n: u128) -> OrganizationId {
    OrganizationId::from_uuid(Uuid::from_u128(n))
}

fn config(n: u128) -> Key {
    Key::new("config").of(org(n)).id(Uuid::from_u128(7))
}

/// Keeps a value as a reader does who finds none.
async fn keep(cache: &Cache, key: &Key, value: &'static str, ttl: Duration) {
    let asked = cache.get(key).await.unwrap_err();
    cache.put(asked, Bytes::from_static(value.as_bytes()), ttl).await;
}

async fn found(cache: &Cache, key: &Key) -> Option<Bytes> {
    cache.get(key).await.ok()
}

#[tokio::test]
async fn a_value_is_served_until_it_ends_or_its_organization_is_bumped() {
    let redis = Redis::start().unwrap();
    for cache in [instance_of(&redis), cache_with(&[])] {
        keep(&cache, &config(1), "one", MINUTE).await;
        keep(&cache, &config(2), "two", MINUTE).await;
        assert_eq!(found(&cache, &config(1)).await.unwrap(), "one");
        cache.bump(org(1)).await;
        assert_eq!(found(&cache, &config(1)).await, None);
        assert_eq!(found(&cache, &config(2)).await.unwrap(), "two");

        keep(&cache, &config(1), "brief", Duration::from_secs(1)).await;
        assert_eq!(found(&cache, &config(1)).await.unwrap(), "brief");
        until("the value ends", Duration::from_secs(3), async || {
            found(&cache, &config(1)).await.is_none()
        })
        .await;

        cache.forget(&config(2)).await;
        assert_eq!(found(&cache, &config(2)).await, None);
        let find = async || cache.remember(&config(2), MINUTE, async { Err("asked") }).await;
        assert_eq!(find().await, Err("asked"));
        keep(&cache, &config(2), "two", MINUTE).await;
        assert_eq!(find().await.unwrap(), "two");
    }
}

#[tokio::test]
async fn instances_share_values_and_bumps() {
    let redis = Redis::start().unwrap();
    let (one, other) = (instance_of(&redis), instance_of(&redis));
    keep(&one, &config(1), "old", MINUTE).await;
    assert_eq!(found(&other, &config(1)).await.unwrap(), "old");
    other.bump(org(1)).await;
    assert_eq!(found(&one, &config(1)).await, None);
    assert_eq!(found(&other, &config(1)).await, None);
}

#[tokio::test]
async fn what_was_read_before_a_bump_is_not_served_after_it() {
    let redis = Redis::start().unwrap();
    let (one, other) = (instance_of(&redis), instance_of(&redis));
    let alone = cache_with(&[]);
    for (reader, writer) in [(&one, &one), (&one, &other), (&alone, &alone)] {
        // Asks; somebody changes it; and only then does the old value come to be kept.
        let asked = reader.get(&config(1)).await.unwrap_err();
        writer.bump(org(1)).await;
        reader.put(asked, Bytes::from_static(b"old"), MINUTE).await;
        assert_eq!(found(reader, &config(1)).await, None);
        assert_eq!(found(writer, &config(1)).await, None);
    }
}

#[tokio::test]
async fn a_value_lives_from_when_it_was_asked_for() {
    let redis = Redis::start().unwrap();
    for cache in [instance_of(&redis), cache_with(&[])] {
        let asked = cache.get(&config(1)).await.unwrap_err();
        pass(Duration::from_millis(60), "longer than the value will live").await;
        cache.put(asked, Bytes::from_static(b"late"), Duration::from_millis(50)).await;
        assert_eq!(found(&cache, &config(1)).await, None);
    }
}

#[tokio::test]
async fn what_is_too_long_is_not_kept_and_what_is_not_is() {
    let redis = Redis::start().unwrap();
    for cache in [instance_of(&redis), cache_with(&[])] {
        for (length, is_kept) in [(256 * 1024, true), (256 * 1024 + 1, false), (0, true)] {
            let asked = cache.get(&config(1)).await.unwrap_err();
            cache.put(asked, Bytes::from(vec![b'x'; length]), MINUTE).await;
            assert_eq!(found(&cache, &config(1)).await.is_some(), is_kept, "{length}");
            cache.forget(&config(1)).await;
        }
    }
}

#[tokio::test]
async fn a_bump_that_redis_did_not_hear_of_counts_where_it_was_made() {
    let redis = Redis::start().unwrap();
    let cache = instance_within(&redis, "1000");
    keep(&cache, &config(1), "old", MINUTE).await;
    redis.freeze().unwrap();
    cache.bump(org(1)).await;
    assert_eq!(found(&cache, &config(1)).await, None);
    keep(&cache, &config(1), "new", MINUTE).await;
    assert_eq!(found(&cache, &config(1)).await.unwrap(), "new");
    redis.thaw().unwrap();
    wait_until(&cache, true).await;
    // Redis still has the old one; an instance that just started would be given it.
    assert_ne!(found(&cache, &config(1)).await, Some(Bytes::from_static(b"old")));
    // Having come back here, it knows of the bump, and so do all.
    assert_eq!(found(&instance_of(&redis), &config(1)).await, None);
}

#[tokio::test]
async fn a_redis_that_lost_its_last_moments_does_not_bring_back_what_was_bumped() {
    let mut redis = Redis::start().unwrap();
    let cache = instance_of(&redis);
    keep(&cache, &config(1), "old", MINUTE).await;
    assert_eq!(redis.cli("SAVE").unwrap(), "OK");
    cache.bump(org(1)).await;
    keep(&cache, &config(1), "new", MINUTE).await;
    redis.kill().unwrap();
    redis.restart().unwrap();
    // An instance that knows nothing finds the old one: the test would notice.
    assert_eq!(found(&instance_of(&redis), &config(1)).await.unwrap(), "old");
    wait_until(&cache, true).await;
    assert_eq!(found(&cache, &config(1)).await, None);
    assert_eq!(found(&instance_of(&redis), &config(1)).await, None);
}

#[tokio::test]
async fn what_redis_evicts_is_asked_for_again_and_never_older() {
    let redis = Redis::start().unwrap();
    let cache = instance_of(&redis);
    keep(&cache, &config(1), "old", MINUTE).await;
    cache.bump(org(1)).await;
    // The generation goes, the value of before stays.
    let generation = format!("brownie:{}:#generation", org(1));
    assert_eq!(redis.cli(&format!("DEL {generation}")).unwrap(), "1");
    assert_eq!(found(&cache, &config(1)).await, None);
    assert_eq!(found(&instance_of(&redis), &config(1)).await, None);
    keep(&cache, &config(1), "new", MINUTE).await;
    assert_eq!(redis.cli("FLUSHALL").unwrap(), "OK");
    assert_eq!(found(&cache, &config(1)).await, None);
}

/// One writes and bumps, others read through the cache; Redis freezes, dies and comes back meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_on_the_instance_sees_less_than_was_acknowledged_whatever_becomes_of_redis() {
    let mut redis = Redis::start().unwrap();
    let cache = cache_with(&[("REDIS_URL", &redis.url()), ("REDIS_TIMEOUT_MS", "50")]);
    let (truth, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (cache, truth) = (cache.clone(), Arc::clone(&truth));
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut reads = 0;
                while stop.load(Ordering::SeqCst) == 0 {
                    let least = acknowledged.load(Ordering::SeqCst);
                    let read = async {
                        let value = truth.load(Ordering::SeqCst);
                        tokio::task::yield_now().await;
                        Ok::<_, ()>(Bytes::copy_from_slice(&value.to_be_bytes()))
                    };
                    let value = cache.remember(&config(1), MINUTE, read).await.unwrap();
                    let value = u64::from_be_bytes(value.as_ref().try_into().unwrap());
                    assert!(value >= least, "{value} was served after {least} was acknowledged");
                    reads += 1;
                    tokio::task::yield_now().await;
                }
                reads
            })
        })
        .collect();
    let writer = {
        let (cache, stop) = (cache.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            while stop.load(Ordering::SeqCst) == 0 {
                let value = truth.fetch_add(1, Ordering::SeqCst) + 1;
                cache.bump(org(1)).await;
                acknowledged.store(value, Ordering::SeqCst);
                pass(Duration::from_millis(2), "a few hundred changes a second").await;
            }
            acknowledged.load(Ordering::SeqCst)
        })
    };
    for _ in 0..2 {
        pass(Duration::from_millis(300), "reads and changes in this state").await;
        redis.freeze().unwrap();
        pass(Duration::from_millis(300), "reads and changes in this state").await;
        redis.thaw().unwrap();
        wait_until(&cache, true).await;
        pass(Duration::from_millis(300), "reads and changes in this state").await;
        redis.cli("SAVE").unwrap();
        pass(Duration::from_millis(100), "changes that the snapshot does not have").await;
        redis.kill().unwrap();
        redis.restart().unwrap();
        wait_until(&cache, true).await;
    }
    stop.store(1, Ordering::SeqCst);
    let last = writer.await.unwrap();
    assert!(last > 100, "{last} writes");
    for reader in readers {
        let reads: u64 = reader.await.unwrap();
        assert!(reads > 100, "{reads} reads");
    }
}
