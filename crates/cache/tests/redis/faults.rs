//! Redis away, in every way it can be.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::ensure;
use brownie_cache::{Cache, Key, Rule};
use brownie_domain::OrganizationId;
use brownie_test_servers::{PATIENCE, Redis, free_port, pass, poll};
use bytes::Bytes;
use uuid::Uuid;

use crate::{cache_with, instance_of, instance_within, wait_until};

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

fn org_id() -> OrganizationId {
    OrganizationId::from_uuid(Uuid::from_u128(1))
}

/// Returns an id that no other call returns.
fn next_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(NEXT.fetch_add(1, Ordering::Relaxed).into())
}

/// Does everything that a cache can, and checks that it answers as it should, wherever from.
async fn do_everything(cache: &Cache) {
    let (key, rule) = (Key::new("requests").id(next_id()), Rule::per(2, HOUR));
    assert!(cache.limit(&key, rule, 2).await.allowed);
    assert!(!cache.limit(&key, rule, 1).await.allowed);
    assert!(!cache.peek(&key, rule).await.allowed);
    cache.give_back(&key, rule, 1).await;
    assert!(cache.limit(&key, rule, 1).await.allowed);

    let config = Key::new("config").of(org_id());
    cache.bump(org_id()).await;
    let asked = cache.get(&config).await.unwrap_err();
    cache.put(asked, Bytes::from_static(b"value"), MINUTE).await;
    assert_eq!(cache.get(&config).await.unwrap(), "value");
    cache.forget(&config).await;
    assert!(cache.get(&config).await.is_err());
}

/// Checks that a Redis is found to be away, with a sentence that says why; that everything works all
/// the same; and that no password is in the sentence.
async fn is_away(cache: &Cache, expected: &str) {
    do_everything(cache).await;
    // The first to notice may have seen no more than a connection that broke.
    let standing = poll("the cache says why", PATIENCE, async || {
        let standing = cache.check().await;
        ensure!(standing.detail.contains(expected), "{standing:?}");
        Ok(standing)
    })
    .await;
    assert!(!standing.healthy, "{standing:?}");
    assert!(!standing.detail.contains("hunter2"), "{standing:?}");
    assert!(!format!("{cache:?}").contains("hunter2"));
    do_everything(cache).await;
}

#[tokio::test]
async fn nobody_listens() {
    let port = free_port().unwrap();
    let cache = cache_with(&[("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port.to_string())]);
    is_away(&cache, "Connection refused").await;
}

#[tokio::test]
async fn no_such_host() {
    let cache = cache_with(&[("REDIS_HOST", "no-such-host.invalid")]);
    do_everything(&cache).await;
    assert!(!cache.check().await.healthy);
}

#[tokio::test]
async fn a_wrong_password() {
    let redis = Redis::start().unwrap();
    let port = redis.port().to_string();
    let wrong = [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port), ("REDIS_PASSWORD", "guess")];
    is_away(&cache_with(&wrong), "refuses the user or the password").await;
    is_away(&cache_with(&wrong[..2]), "refuses the user or the password").await;
}

#[tokio::test]
async fn a_replica() {
    let primary = Redis::start().unwrap();
    let replica = Redis::start_with(&["masterauth hunter2"]).unwrap();
    replica.cli(&format!("REPLICAOF 127.0.0.1 {}", primary.port())).unwrap();
    replica.wait_until("INFO replication", "master_link_status:up");
    let cache = instance_of(&replica);
    is_away(&cache, "read-only replica").await;
    // It is made the primary.
    replica.cli("REPLICAOF NO ONE").unwrap();
    wait_until(&cache, true).await;
    do_everything(&cache).await;
}

#[tokio::test]
async fn a_full_one() {
    let redis = Redis::start_with(&["maxmemory 1"]).unwrap();
    let cache = instance_of(&redis);
    is_away(&cache, "is full").await;
    redis.cli("CONFIG SET maxmemory 0").unwrap();
    wait_until(&cache, true).await;
    do_everything(&cache).await;
}

#[tokio::test]
async fn one_that_evicts_is_not_full() {
    let redis = Redis::start_with(&["maxmemory 3mb", "maxmemory-policy allkeys-lru"]).unwrap();
    let cache = instance_of(&redis);
    for n in 0..100 {
        let asked = cache.get(&Key::new("config").id(Uuid::from_u128(n))).await.unwrap_err();
        cache.put(asked, Bytes::from(vec![b'x'; 100_000]), MINUTE).await;
    }
    assert!(cache.standing().healthy, "{:?}", cache.standing());
    do_everything(&cache).await;
}

#[tokio::test]
async fn one_that_is_still_loading() {
    // It answers between two keys, and takes some milliseconds for each.
    let slowly = ["key-load-delay 5000", "loading-process-events-interval-bytes 1024"];
    let options = [slowly[0], slowly[1], "enable-debug-command yes"];
    let mut redis = Redis::start_with(&options).unwrap();
    redis.cli("DEBUG POPULATE 1000 key 2048").unwrap();
    assert_eq!(redis.cli("SAVE").unwrap(), "OK");
    let cache = instance_of(&redis);
    assert!(cache.check().await.healthy);
    redis.kill().unwrap();
    redis.start_again().unwrap();
    redis.wait_until("GET x", "LOADING");
    is_away(&cache, "still loading").await;
    wait_until(&cache, true).await;
    do_everything(&cache).await;
}

#[tokio::test]
async fn a_user_with_the_documented_permissions_and_one_with_fewer() {
    let redis = Redis::start().unwrap();
    let documented = "~brownie:* +@connection +eval +evalsha +script|load +time +get +set +del";
    redis.cli(&format!("ACL SETUSER enough on >hunter2 {documented}")).unwrap();
    redis.cli(&format!("ACL SETUSER fewer on >hunter2 {documented} -set")).unwrap();
    let port = redis.port();
    let as_user =
        |name| cache_with(&[("REDIS_URL", &format!("redis://{name}:hunter2@127.0.0.1:{port}"))]);
    let enough = as_user("enough");
    do_everything(&enough).await;
    assert!(enough.check().await.healthy, "{:?}", enough.standing());
    is_away(&as_user("fewer"), "does not let this user").await;
}

#[tokio::test]
async fn scripts_that_are_lost_are_loaded_again() {
    let redis = Redis::start().unwrap();
    let cache = instance_of(&redis);
    do_everything(&cache).await;
    redis.cli("SCRIPT FLUSH").unwrap();
    redis.cli("FLUSHALL").unwrap();
    do_everything(&cache).await;
    assert!(cache.standing().healthy, "{:?}", cache.standing());
}

#[tokio::test]
async fn one_that_is_killed_and_started_again() {
    let mut redis = Redis::start().unwrap();
    let cache = instance_of(&redis);
    do_everything(&cache).await;
    redis.kill().unwrap();
    is_away(&cache, "127.0.0.1").await;
    redis.restart().unwrap();
    wait_until(&cache, true).await;
    do_everything(&cache).await;
    assert!(cache.standing().healthy, "{:?}", cache.standing());

    // While nobody looks, all connections die: they are found out before they are used.
    redis.kill().unwrap();
    redis.restart().unwrap();
    pass(Duration::from_millis(1_100), "connections that were idle are looked at before use").await;
    do_everything(&cache).await;
    assert!(cache.standing().healthy, "{:?}", cache.standing());
}

/// Whatever the first is that meets a Redis that hangs, it ends in time.
#[tokio::test]
async fn everything_ends_in_time_when_redis_hangs() {
    let redis = Redis::start().unwrap();
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = format!("redis://127.0.0.1:{}", deaf.local_addr().unwrap().port());
    for operation in 0..8 {
        for is_connected in [true, false] {
            let config = Key::new("config").of(org_id()).id(next_id());
            let url = if is_connected { redis.url() } else { deaf.clone() };
            let cache = cache_with(&[("REDIS_URL", &url), ("REDIS_TIMEOUT_MS", "300")]);
            let mut hand_in = None;
            if is_connected {
                hand_in = Some(cache.get(&config).await.unwrap_err());
                redis.freeze().unwrap();
            }
            let began = Instant::now();
            match (operation, hand_in) {
                (0, _) => drop(cache.limit(&config, Rule::per(1, HOUR), 1).await),
                (1, _) => drop(cache.peek(&config, Rule::per(1, HOUR)).await),
                (2, _) => cache.give_back(&config, Rule::per(1, HOUR), 1).await,
                (3, _) => drop(cache.get(&config).await),
                (4, _) => cache.forget(&config).await,
                (5, _) => cache.bump(org_id()).await,
                (6, Some(asked)) => cache.put(asked, Bytes::new(), MINUTE).await,
                (_, _) => drop(cache.check().await),
            }
            let took = began.elapsed();
            redis.thaw().unwrap();
            let in_time = Duration::from_millis(290)..Duration::from_secs(5);
            assert!(in_time.contains(&took), "{operation} took {took:?}");
            assert!(cache.standing().detail.contains("does not answer within 300ms"));
        }
    }
}

#[tokio::test]
async fn a_limit_that_was_used_up_stays_so_when_redis_goes_away() {
    let redis = Redis::start().unwrap();
    let cache = instance_within(&redis, "1000");
    let (key, rule) = (Key::new("requests"), Rule::per(10, HOUR));
    for _ in 0..10 {
        assert!(cache.limit(&key, rule, 1).await.allowed);
    }
    redis.freeze().unwrap();
    assert!(!cache.limit(&key, rule, 1).await.allowed);
    assert!(!cache.standing().healthy);
    redis.thaw().unwrap();
    wait_until(&cache, true).await;
    assert!(!cache.limit(&key, rule, 1).await.allowed);
}

/// Clients go away in the middle of it. Whoever has the connection next gets their own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_short_confuses_nobody() {
    let redis = Redis::start().unwrap();
    let cache = instance_of(&redis);
    let key = |n: u64| Key::new("config").of(org_id()).id(Uuid::from_u128(n.into()));
    for n in 0..20_u64 {
        let asked = cache.get(&key(n)).await.unwrap_err();
        cache.put(asked, Bytes::copy_from_slice(&n.to_be_bytes()), MINUTE).await;
    }
    let tasks: Vec<_> = (0..16_u64)
        .map(|task| {
            let cache = cache.clone();
            tokio::spawn(async move {
                for n in 0..500_u64 {
                    let n = (task + n) % 20;
                    let patience = Duration::from_micros(n * 20);
                    let question = key(n);
                    let answer = cache.get(&question);
                    if let Ok(found) = tokio::time::timeout(patience, answer).await {
                        assert_eq!(found.unwrap(), n.to_be_bytes().as_slice());
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(cache.standing().healthy, "{:?}", cache.standing());
}

/// FAULTS M-12: what others stored under our keys is removed when it is met, and is no outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m12_what_is_not_ours_is_no_outage() {
    let redis = Redis::start().unwrap();
    let cache = cache_with(&[("REDIS_URL", &redis.url()), ("REDIS_TIMEOUT_MS", "10000")]);
    let rule = Rule::per(3, Duration::from_mins(1));
    let key = Key::new("requests").address([192, 0, 2, 1].into());
    assert!(cache.limit(&key, rule, 1).await.allowed);
    let keys = redis.cli("KEYS *").unwrap();
    let name = keys.lines().find(|line| line.contains("requests")).unwrap().to_owned();
    for spoil in [
        format!("RPUSH {name} x"),
        format!("SADD {name} x"),
        format!("HSET {name} a b"),
        format!("SET {name} hello"),
        format!("SET {name} nan"),
        format!("SET {name} inf"),
        format!("SET {name} -inf"),
        format!("SET {name} 1e300"),
        format!("SET {name} \"\""),
    ] {
        redis.cli(&format!("DEL {name}")).unwrap();
        redis.cli(&spoil).unwrap();
        for asked in 1..=4 {
            let decision = cache.limit(&key, rule, 1).await;
            assert_eq!(decision.allowed, asked <= 3, "{spoil}, {asked}");
            assert!(cache.standing().healthy, "{spoil}: {:?}", cache.standing());
        }
        let end: i64 = redis.cli(&format!("PTTL {name}")).unwrap().trim().parse().unwrap();
        assert!(end > 0, "{spoil} has no end");
    }
}
