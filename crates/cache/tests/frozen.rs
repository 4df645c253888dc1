//! What a Redis that hangs costs. Alone in its program, so that nothing else costs anything.

#![expect(clippy::unwrap_used, reason = "in a test they are how a promise is found broken")]

use std::time::{Duration, Instant};

use brownie_cache::{Cache, Key, Rule};
use brownie_config::{CacheSettings, Reader, Secret};
use brownie_metrics::Exporter;
use brownie_test_servers::{PATIENCE, Redis, pass, until};

/// Asks a thousand times, on sixteen tasks, and returns how long each took, the shortest first.
async fn a_thousand(cache: &Cache) -> Vec<Duration> {
    let rule = Rule::per(1_000_000, Duration::from_mins(1));
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let cache = cache.clone();
            tokio::spawn(async move {
                let key = Key::new("requests").private([task]);
                let mut took = Vec::new();
                for _ in 0..63 {
                    let began = Instant::now();
                    assert!(cache.limit(&key, rule, 1).await.allowed);
                    took.push(began.elapsed());
                    // As requests come: over some seconds, in which Redis is tried again and again.
                    pass(Duration::from_millis(50), "requests that come over some seconds").await;
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    took.sort();
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_costs_nothing_once_that_is_known() {
    let redis = Redis::start().unwrap();
    let metrics = Exporter::install().unwrap();
    let values = [("REDIS_URL".to_owned(), redis.url())];
    let settings = CacheSettings::read(&mut Reader::from_values(values.into_iter().collect()));
    let cache = Cache::open(&settings, &Secret::new("pepper")).unwrap();
    assert!(cache.check().await.healthy);
    let percentile = |took: &[Duration]| (took[took.len() / 2], took[took.len() * 99 / 100]);
    let well = a_thousand(&cache).await;

    redis.freeze().unwrap();
    let began = Instant::now();
    assert!(cache.limit(&Key::new("first"), Rule::per(1, Duration::from_mins(1)), 1).await.allowed);
    let first = began.elapsed();
    let away = a_thousand(&cache).await;
    assert!(!cache.standing().healthy);
    let numbers = metrics.render().unwrap();
    assert!(numbers.contains("\nbrownie_cache_up 0\n"), "{numbers}");
    // Two thousand and sixteen, and the first.
    let limit = |outcome| format!("{{operation=\"limit\",outcome=\"{outcome}\"}}");
    for counted in [limit("allowed") + " 2017", limit("failed") + " 1"] {
        let line = format!("\nbrownie_cache_operations_total{counted}\n");
        assert!(numbers.contains(&line), "{line}{numbers}");
    }
    redis.thaw().unwrap();

    let (well, away) = (percentile(&well), (percentile(&away), away.last().unwrap()));
    println!("well: {well:?}; the first to meet it: {first:?}; away: {away:?}");
    assert!(first < Duration::from_secs(2), "{first:?}");
    assert!(away.0.1 < Duration::from_millis(50), "{away:?}");
    assert!(*away.1 < Duration::from_millis(1500), "somebody waited for Redis: {away:?}");

    until("Redis is found well again", PATIENCE, async || cache.check().await.healthy).await;
    assert!(metrics.render().unwrap().contains("\nbrownie_cache_up 1\n"));
}
