//! Short-lived state that instances of the service share: limits and cached values. In Redis when one
//! is set, otherwise in this process. Nothing true lives here: whatever is in it may be
//! lost at any moment, and only room and time are lost with it.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use brownie_cache::{Cache, Key, Rule};
//! # use brownie_config::{CacheSettings, Secret};
//! # use brownie_domain::{OrganizationId, UserId};
//! # async fn f(settings: CacheSettings, signing_key: Secret, org_id: OrganizationId, user_id: UserId)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let cache = Cache::open(&settings, &signing_key)?;
//! println!("{}", cache.check().await.detail);
//!
//! // A limit.
//! let key = Key::new("requests").of(org_id).id(user_id.as_uuid());
//! let decision = cache.limit(&key, Rule::per(100, Duration::from_mins(1)), 1).await;
//! if !decision.allowed {
//!     println!("429, Retry-After: {:?}", decision.retry_after);
//! }
//!
//! // A value, and what to do after a change of the organization.
//! let key = Key::new("config").of(org_id).id(user_id.as_uuid());
//! let read = async { Ok::<_, std::io::Error>(b"read from the database".to_vec().into()) };
//! let value = cache.remember(&key, Duration::from_mins(1), read).await?;
//! cache.bump(org_id).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is shared
//!
//! With Redis, all of it: a limit of 100 is exactly 100 over all instances, by Redis' clock. A value is
//! served to all; a bump is seen by all at once. Without Redis, nothing is: each instance has its own,
//! so that a limit is that many times the number of instances. Never in here: revoked tokens,
//! idempotency keys, locks, guesses at passwords. They are true, and live in the database.
//!
//! # When Redis is away
//!
//! Away means: refusing, hanging, slow, loading, full, a replica, or not letting us do what we need.
//! Every operation ends within `REDIS_TIMEOUT_MS`, connecting included, and is then answered by the
//! process. After one failure nobody asks Redis any more; a task tries about once a second, doing what
//! operations do, and when it succeeds all go back. So a hanging Redis costs its timeout to those who
//! were asking, and to nobody after them. [`Cache::standing`] says which it is, and
//! `brownie_cache_up`; each change is one log line.
//!
//! - Limits hold on each instance: the process counts along while Redis is well, and knows what it has
//!   allowed. When Redis comes back it does not know what was allowed meanwhile: a burst more, at most.
//! - Values are kept in the process, for as long as they say. What was bumped here is never served
//!   here, not even when the bump did not get through, or when Redis comes back without its last
//!   moments: an instance remembers its bumps for an hour, which is the longest that a value lives,
//!   and tells Redis which generation it must not go back behind. Other instances may serve what they
//!   have for as long as it lives.
//!
//! Tables of the process are bounded (50,000 rows of a kind, 32 MiB of values); what would end soonest
//! goes first.
//!
//! # What Redis needs
//!
//! Version 6.2 or newer, one primary (no cluster: scripts touch two keys). `maxmemory` with
//! `maxmemory-policy allkeys-lru`; every key has an end. A user needs
//! `~brownie:* +@connection +eval +evalsha +script|load +time +get +set +del`. Keys are
//! `prefix:organization:kind:...`; e-mail addresses and network addresses are in them as digests, keyed
//! with the pepper, so a copy of Redis does not tell whose they are.

#[cfg(test)]
mod agreement;
mod breaker;
mod cache;
mod key;
mod look;
mod process;
mod redis;
mod rule;
mod scripts;
mod table;
mod turns;

pub use breaker::Standing;
pub use cache::{Asked, Cache};
pub use key::Key;
pub use look::{About, LookError, Seen, look};
pub use redis::CacheError;
pub use rule::{Decision, Rule};
