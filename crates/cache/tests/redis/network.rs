//! What a network between an instance and Redis does.

use std::time::{Duration, Instant};

use brownie_cache::{Cache, Key, Rule};
use brownie_test_servers::{ChaosProxy, Mode, Redis};
use bytes::Bytes;
use uuid::Uuid;

use crate::{cache_with, wait_until};

fn through(proxy: &ChaosProxy) -> Cache {
    let port = proxy.port().to_string();
    let place = [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port), ("REDIS_PASSWORD", "hunter2")];
    cache_with(&place)
}

/// Asks on many tasks at once, so that there are many connections.
async fn ask_at_once(cache: &Cache) {
    let rule = Rule::per(1_000_000, Duration::from_mins(1));
    let ask = |cache: Cache| async move { cache.limit(&Key::new("requests"), rule, 1).await };
    let tasks: Vec<_> = (0..32).map(|_| tokio::spawn(ask(cache.clone()))).collect();
    for task in tasks {
        assert!(task.await.unwrap().allowed);
    }
}

/// A firewall forgets connections, a host is gone: nothing says so, but new connections would work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_fell_silent_are_all_let_go_of_at_once() {
    let redis = Redis::start().unwrap();
    let proxy = ChaosProxy::to(redis.port()).await.unwrap();
    let cache = through(&proxy);
    ask_at_once(&cache).await;
    let clients = redis.cli("CLIENT LIST").unwrap().lines().count();
    assert!(clients > 4, "{clients} connections are too few for this test");
    proxy.set(Mode::Silence);
    let began = Instant::now();
    ask_at_once(&cache).await;
    assert!(!cache.standing().healthy);
    wait_until(&cache, true).await;
    // One timeout to notice, one pause before it is tried.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// Connections break at any byte of a question or of an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_at_any_byte_is_never_another_answer() {
    let redis = Redis::start().unwrap();
    let key = |n: u8| Key::new("config").id(Uuid::from_u128(n.into()));
    let rule = Rule::per(100, Duration::from_hours(1));
    let (mut hits, mut failures) = (0, 0);
    for seed in 0..60 {
        let proxy = ChaosProxy::cutting(redis.port(), seed, 3_000).await.unwrap();
        let cache = through(&proxy);
        for n in 0..20 {
            match cache.get(&key(n)).await {
                Ok(value) => {
                    assert_eq!(value, Bytes::from(vec![n; 50]));
                    hits += 1;
                }
                Err(asked) => {
                    let value = Bytes::from(vec![n; 50]);
                    cache.put(asked, value, Duration::from_mins(1)).await;
                }
            }
        }
        let _ = cache.limit(&Key::new("requests"), rule, 1).await;
        failures += usize::from(!cache.standing().healthy);
    }
    assert!(hits > 100 && failures > 10, "{hits} hits, {failures} of 60 were cut");
    // However often it was cut, Redis has never allowed more than it should.
    let remaining = through(&ChaosProxy::to(redis.port()).await.unwrap())
        .peek(&Key::new("requests"), rule)
        .await
        .remaining;
    assert!((40..=100).contains(&remaining), "{remaining}");
}
