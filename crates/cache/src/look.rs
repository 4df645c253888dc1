//! What Redis says of itself, for whoever looks into why it is not used as it should be.

use std::time::{Duration, Instant};

use brownie_config::RedisSettings;
use deadpool_redis::redis::cmd;

use crate::{CacheError, redis::Redis};

/// What was seen of a Redis. Asking changed nothing there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Host and port.
    pub place: String,
    /// How long a PING took, connecting not included.
    pub latency: Duration,
    /// What it says of itself; none where the user may not ask (`+info`).
    pub about: Option<About>,
}

/// What Redis says of itself (`INFO`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// Its version.
    pub version: String,
    /// `master`, or `slave` for a replica, which takes no writes.
    pub role: String,
    /// What it does when it is full, such as `allkeys-lru`.
    pub policy: String,
    /// How many bytes it may take; 0 for all there are.
    pub max_memory: u64,
}

/// Why nothing was seen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookError {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] CacheError),
    /// Redis is away, or refuses us. The sentence says which.
    #[error("{0}")]
    Away(String),
}

/// Connects to Redis once and asks it about itself. Whoever calls this sets a limit of time.
///
/// # Errors
/// When it cannot be reached, or does not let us in.
pub async fn look(settings: &RedisSettings) -> Result<Seen, LookError> {
    let redis = Redis::open(settings, String::new())?;
    // Connects; what a PING takes then is the latency.
    let ping = || redis.ask::<String>(cmd("PING"));
    ping().await.map_err(|refused| LookError::Away(refused.sentence))?;
    let began = Instant::now();
    ping().await.map_err(|refused| LookError::Away(refused.sentence))?;
    let latency = began.elapsed();
    let about = match redis.ask::<String>(cmd("INFO")).await {
        Ok(text) => Some(About::of(&text)),
        Err(refused) if refused.is_forbidden => None,
        Err(refused) => return Err(LookError::Away(refused.sentence)),
    };
    Ok(Seen { place: redis.place().to_owned(), latency, about })
}

impl About {
    fn of(info: &str) -> Self {
        let value = |name: &str| {
            let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            found.unwrap_or_default().trim().to_owned()
        };
        Self {
            version: value("redis_version"),
            role: value("role"),
            policy: value("maxmemory_policy"),
            max_memory: value("maxmemory").parse().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_by_whole_names() {
        let about = About::of(
            "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory_human:1M\r\nmaxmemory:1048576\r\nmaxmemory_policy:noeviction\r\n# Replication\r\nrole:master\r\n",
        );
        let expected = About {
            version: "7.0.15".to_owned(),
            role: "master".to_owned(),
            policy: "noeviction".to_owned(),
            max_memory: 1_048_576,
        };
        assert_eq!(about, expected);
    }
}
