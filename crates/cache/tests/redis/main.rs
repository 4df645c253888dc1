//! Against a real Redis, and several instances of the service.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "in a test they are how a promise is found broken"
)]

mod faults;
mod limits;
mod network;
mod tls;
mod values;

use std::collections::BTreeMap;

use anyhow::ensure;
use brownie_cache::{Cache, Standing};
use brownie_config::{CacheSettings, Reader, Secret};
use brownie_test_servers::{PATIENCE, Redis, poll};

/// Opens a cache as an instance does, with settings by name.
pub fn cache_with(settings: &[(&str, &str)]) -> Cache {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut reader = Reader::from_values(settings.iter().map(own).collect::<BTreeMap<_, _>>());
    let settings = CacheSettings::read(&mut reader);
    reader.finish().unwrap();
    Cache::open(&settings, &Secret::new("pepper")).unwrap()
}

/// Opens a cache as one of the instances that share a Redis. An answer that comes late, on a machine that does
/// something else, too, is no Redis that is away.
pub fn instance_of(redis: &Redis) -> Cache {
    instance_within(redis, "10000")
}

/// As [`instance_of`], with a Redis that is away when it has not answered within so many milliseconds.
pub fn instance_within(redis: &Redis, millis: &str) -> Cache {
    cache_with(&[("REDIS_URL", &redis.url()), ("REDIS_TIMEOUT_MS", millis)])
}

/// Waits until a cache finds Redis well, or away.
pub async fn wait_until(cache: &Cache, healthy: bool) -> Standing {
    poll("the cache has noticed", PATIENCE, async || {
        let standing = cache.check().await;
        ensure!(standing.healthy == healthy, "{standing:?}");
        Ok(standing)
    })
    .await
}
