//! Limits that are shared.

use std::time::Duration;

use brownie_cache::{Cache, Decision, Key, Rule};
use brownie_test_servers::{Redis, pass};

use crate::{cache_with, instance_of};

const HOUR: Duration = Duration::from_hours(1);

/// Asks `times` times on each of `tasks` tasks, and returns how often it was allowed.
async fn hammer(cache: &Cache, key: &Key, rule: Rule, tasks: usize, times: usize) -> usize {
    let mut running = Vec::new();
    for _ in 0..tasks {
        let (cache, key) = (cache.clone(), key.clone());
        running.push(tokio::spawn(async move {
            let mut allowed = 0;
            for _ in 0..times {
                allowed += usize::from(cache.limit(&key, rule, 1).await.allowed);
            }
            allowed
        }));
    }
    let mut allowed = 0;
    for task in running {
        allowed += task.await.unwrap();
    }
    allowed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_a_hundred_is_exactly_a_hundred_over_two_instances() {
    let redis = Redis::start().unwrap();
    let (one, other) = (instance_of(&redis), instance_of(&redis));
    let (key, rule) = (Key::new("requests"), Rule::per(100, HOUR));
    let (a, b) = tokio::join!(hammer(&one, &key, rule, 8, 50), hammer(&other, &key, rule, 8, 50));
    assert_eq!(a + b, 100);
    assert!(a > 0 && b > 0, "{a} and {b}");
    assert!(one.standing().healthy && other.standing().healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_limit_is_exact_on_each_instance() {
    let cache = cache_with(&[]);
    assert_eq!(cache.check().await.backend, "process");
    let (key, rule) = (Key::new("requests"), Rule::per(100, HOUR));
    assert_eq!(hammer(&cache, &key, rule, 16, 50).await, 100);
}

#[tokio::test]
async fn both_backends_tell_the_same_and_fill_up_again() {
    let redis = Redis::start().unwrap();
    for cache in [instance_of(&redis), cache_with(&[])] {
        let (key, rule) = (Key::new("requests"), Rule::per(5, Duration::from_secs(2)));
        for left in (0..5).rev() {
            let Decision { allowed, limit, remaining, reset_after, retry_after } =
                cache.limit(&key, rule, 1).await;
            assert!(allowed && retry_after.is_none());
            assert_eq!((limit, remaining), (5, left));
            assert!(reset_after <= Duration::from_secs(2));
        }
        let looked = cache.peek(&key, rule).await;
        assert!(!looked.allowed && looked.remaining == 0);
        let denied = cache.limit(&key, rule, 1).await;
        assert!(!denied.allowed);
        let wait = denied.retry_after.unwrap();
        assert!(wait <= Duration::from_millis(400), "{wait:?}");
        pass(wait + Duration::from_millis(2), "the answer said how long to wait").await;
        assert!(cache.peek(&key, rule).await.allowed);
        assert!(cache.limit(&key, rule, 1).await.allowed);
        assert_eq!(cache.limit(&key, rule, 6).await.retry_after, None);
        // It owed one more or less by then, and gives all of it back.
        cache.give_back(&key, rule, 5).await;
        assert_eq!(cache.peek(&key, rule).await.remaining, 5);
        assert!(cache.limit(&key, rule, 5).await.allowed);
    }
    assert_eq!(redis.cli("EXISTS brownie:-:requests").unwrap(), "1");
    let ends = redis.cli("PTTL brownie:-:requests").unwrap();
    assert!((1..=2_000).contains(&ends.parse().unwrap()), "{ends}");
}

#[tokio::test]
async fn the_limits_of_another_prefix_are_others() {
    let redis = Redis::start().unwrap();
    let (key, rule) = (Key::new("requests"), Rule::per(1, HOUR));
    assert!(instance_of(&redis).limit(&key, rule, 1).await.allowed);
    assert!(!instance_of(&redis).limit(&key, rule, 1).await.allowed);
    let staging = cache_with(&[("REDIS_URL", &redis.url()), ("REDIS_KEY_PREFIX", "staging")]);
    assert!(staging.limit(&key, rule, 1).await.allowed);
}
