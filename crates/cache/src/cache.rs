//! The one type that callers hold.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use brownie_config::{CacheSettings, Secret};
use brownie_domain::OrganizationId;
use brownie_metrics::{CACHE_OPERATIONS, CACHE_UP};
use bytes::Bytes;
use metrics::{counter, gauge};

use crate::{
    breaker::Standing,
    key::{Key, Scribe},
    process::Process,
    redis::{CacheError, Redis, del, set},
    rule::{Decision, Rule},
    turns::{Floor, LONGEST, Turn, Turns},
};

/// The longest value that is kept, in bytes. A longer one is asked for each time.
const LONGEST_VALUE: usize = 256 * 1024;

/// How long an organization's generation is kept. When it ends, its values are asked for once more.
const KEEP_GENERATION: Duration = Duration::from_hours(24);

/// Short-lived state that instances share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    scribe: Scribe,
    turns: Turns,
    process: Process,
    redis: Option<Arc<Redis>>,
    opened: Instant,
}

/// When a value was asked for, and in which turn: what to hand in with it.
#[derive(Debug, Clone)]
pub struct Asked {
    key: Key,
    at: Instant,
    turn: u64,
    shared: Option<Shared>,
}

/// When a value was asked for, as Redis sees it.
#[derive(Debug, Clone, Copy)]
struct Shared {
    generation: u64,
    /// By its clock, in milliseconds.
    at: u64,
}

impl Cache {
    /// Makes ready; the first operation connects. Instances that share a Redis have the same
    /// `pepper`, which keys the digests of what is private; what signs their tokens will do.
    ///
    /// # Errors
    /// When a file that is named in the settings, or what is in it, cannot be used.
    pub fn open(settings: &CacheSettings, pepper: &Secret) -> Result<Self, CacheError> {
        let prefix = settings.redis.as_ref().map_or("", |redis| &redis.key_prefix);
        let scribe = Scribe::new(prefix, pepper);
        let redis = match &settings.redis {
            Some(redis) => Some(Arc::new(Redis::open(redis, scribe.of(None, "#try"))?)),
            None => {
                gauge!(CACHE_UP).set(1.0);
                None
            }
        };
        Ok(Self(Arc::new(Inner {
            scribe,
            turns: Turns::default(),
            process: Process::new(),
            redis,
            opened: Instant::now(),
        })))
    }

    /// Decides whether `cost` is allowed by a rule, and charges it if so. A key goes with one rule.
    pub async fn limit(&self, key: &Key, rule: Rule, cost: u32) -> Decision {
        let decision = self.charge("limit", key, rule, cost.into()).await;
        count("limit", if decision.allowed { "allowed" } else { "denied" });
        decision
    }

    /// Tells whether one more would be allowed by a rule, and charges nothing.
    pub async fn peek(&self, key: &Key, rule: Rule) -> Decision {
        let decision = self.charge("peek", key, rule, 0).await;
        count("peek", "done");
        rule.look(decision.reset_after)
    }

    /// Gives back what was charged for something that turned out to be free.
    pub async fn give_back(&self, key: &Key, rule: Rule, cost: u32) {
        self.charge("give_back", key, rule, -i64::from(cost)).await;
        count("give_back", "done");
    }

    async fn charge(&self, operation: &'static str, key: &Key, rule: Rule, cost: i64) -> Decision {
        let Inner { scribe, process, redis, .. } = &*self.0;
        let key = scribe.write(key);
        let Some(redis) = redis else { return process.limit(process.now(), &key, rule, cost) };
        let mut script = redis.scripts.limit.key(&key);
        script.arg(rule.interval()).arg(rule.burst()).arg(cost);
        match redis.script::<(u8, u64)>(operation, &script).await {
            Some((1, owed)) => {
                // The process counts along, so that it knows what to deny when Redis goes away.
                process.limit(process.now(), &key, rule, cost);
                rule.allowed(owed)
            }
            Some((_, owed)) => rule.denied(owed, u32::try_from(cost).unwrap_or_default()),
            None => process.limit(process.now(), &key, rule, cost),
        }
    }

    /// Returns a value that was put under a key, no longer ago than it said, and since when nobody
    /// bumped its organization; or else what to hand in with the value once it is found.
    ///
    /// # Errors
    /// When there is none, which is no failure: what to hand in to [`Cache::put`].
    pub async fn get(&self, key: &Key) -> Result<Bytes, Asked> {
        let Inner { scribe, turns, process, redis, .. } = &*self.0;
        let at = Instant::now();
        let turn = turns.of(key.org_id());
        let name = scribe.write(key);
        let answer = match redis {
            Some(redis) => self.read(redis, "get", key.org_id(), Some(&name), turn).await,
            None => None,
        };
        let (value, shared) = match answer {
            Some((shared, value)) => (value, Some(shared)),
            None => (process.get(process.now(), &name, turn.number), None),
        };
        count("get", if value.is_some() { "hit" } else { "miss" });
        value.ok_or_else(|| Asked { key: key.clone(), at, turn: turn.number, shared })
    }

    /// Keeps a value for `ttl` from the moment it was asked for, an hour at the most. It is not served
    /// if its organization was bumped since that moment, so what was read before a change cannot hide
    /// it. A value of more than 256 KiB is not kept.
    pub async fn put(&self, asked: Asked, value: Bytes, ttl: Duration) {
        let Inner { scribe, process, redis, .. } = &*self.0;
        let Asked { key, at, turn, shared } = asked;
        let ttl = ttl.min(LONGEST);
        count("put", "done");
        if value.len() > LONGEST_VALUE {
            return;
        }
        let name = scribe.write(&key);
        if let (Some(redis), Some(shared)) = (redis, shared) {
            let stamped = [&shared.generation.to_be_bytes(), &*value].concat();
            // By Redis' own clock: what it carries out late must not live longer.
            let until = shared.at + u64::try_from(ttl.as_millis()).unwrap_or_default();
            if redis.command::<()>("put", &set(&name, &stamped, "PXAT", until)).await.is_some() {
                return;
            }
        }
        process.put(process.now(), &name, turn, value, ttl.saturating_sub(at.elapsed()));
    }

    /// Returns a value that is kept, or else finds it and keeps it, as [`Cache::get`] and
    /// [`Cache::put`] do.
    ///
    /// # Errors
    /// What `find` failed with.
    pub async fn remember<E>(
        &self,
        key: &Key,
        ttl: Duration,
        find: impl Future<Output = Result<Bytes, E>>,
    ) -> Result<Bytes, E> {
        match self.get(key).await {
            Ok(value) => Ok(value),
            Err(asked) => {
                let value = find.await?;
                self.put(asked, value.clone(), ttl).await;
                Ok(value)
            }
        }
    }

    /// Forgets one value, to save room. It may come back if it is being put just now: after a change
    /// [`Cache::bump`] its organization.
    pub async fn forget(&self, key: &Key) {
        let Inner { scribe, process, redis, .. } = &*self.0;
        let key = scribe.write(key);
        process.forget(&key);
        if let Some(redis) = redis {
            redis.command::<u64>("forget", &del(&key)).await;
        }
        count("forget", "done");
    }

    /// Says that something of an organization changed: none of its values that were asked for before
    /// is served any more. On this instance that holds from the first moment, whatever becomes of
    /// Redis; on others as soon as Redis was told, or when the values end.
    ///
    /// To be called when a change has taken effect, in the task that made it, before it is
    /// acknowledged.
    pub async fn bump(&self, org_id: OrganizationId) {
        let Inner { turns, redis, .. } = &*self.0;
        let turn = turns.bump(Some(org_id));
        if let Some(redis) = redis {
            self.read(redis, "bump", Some(org_id), None, turn).await;
        }
        count("bump", "done");
    }

    /// Asks Redis for a value that may be served, and for the generation of its organization.
    async fn read(
        &self,
        redis: &Arc<Redis>,
        operation: &'static str,
        org_id: Option<OrganizationId>,
        name: Option<&str>,
        turn: Turn,
    ) -> Option<(Shared, Option<Bytes>)> {
        let Inner { scribe, turns, .. } = &*self.0;
        let (earliest, bump) = match turn.shared {
            Floor::From(generation) => (generation, 0),
            Floor::NotYet => (0, 1),
        };
        let mut script = redis.scripts.read.key(scribe.of(org_id, "#generation"));
        if let Some(name) = name {
            script.key(name);
        }
        script.arg(earliest).arg(bump).arg(KEEP_GENERATION.as_millis().to_string());
        let (generation, at, value) =
            redis.script::<(u64, u64, Option<Vec<u8>>)>(operation, &script).await?;
        if bump == 1 {
            turns.settle(org_id, turn.number, generation);
        }
        let value = value.map(Bytes::from).and_then(|stamped| {
            let value = stamped.strip_prefix(&generation.to_be_bytes())?;
            Some(stamped.slice_ref(value))
        });
        Some((Shared { generation, at }, value))
    }

    /// Tells where state is kept, as far as is known: by operations that failed, and by tries since.
    pub fn standing(&self) -> Standing {
        match &self.0.redis {
            Some(redis) => redis.standing(),
            None => Standing {
                backend: "process",
                healthy: true,
                detail: "each instance keeps its own; REDIS_URL would share it".to_owned(),
                since: self.0.opened,
            },
        }
    }

    /// Finds out where state is kept, asking Redis now unless it was found away a moment ago. It takes
    /// no longer than `REDIS_TIMEOUT_MS`.
    pub async fn check(&self) -> Standing {
        match &self.0.redis {
            Some(redis) => redis.check().await,
            None => self.standing(),
        }
    }
}

fn count(operation: &'static str, outcome: &'static str) {
    counter!(CACHE_OPERATIONS, "operation" => operation, "outcome" => outcome).increment(1);
}
