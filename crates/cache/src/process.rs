//! State of this process alone: all there is without Redis, and what answers while it is away.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    rule::{Decision, Rule},
    table::Table,
};

/// The most rows of each kind.
const MOST_ROWS: usize = 50_000;

/// The most bytes of values.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// State of this process.
#[derive(Debug)]
pub(crate) struct Process {
    /// What the times in the tables are counted from. The system's clock may be set; this one not.
    began: Instant,
    /// When each limit will have been worked off.
    limits: Mutex<Table<u64>>,
    /// Values, each with the turn of its organization in which it was asked for.
    values: Mutex<Table<(u64, Bytes)>>,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            limits: Mutex::new(Table::new(MOST_ROWS, usize::MAX)),
            values: Mutex::new(Table::new(MOST_ROWS, MOST_BYTES)),
        }
    }

    /// Decides whether `cost` is allowed, and charges it if so; a cost below 0 is given back.
    pub(crate) fn limit(&self, now: u64, key: &str, rule: Rule, cost: i64) -> Decision {
        let mut limits = lock(&self.limits);
        let owed = limits.get(key, now).map_or(0, |until| until.saturating_sub(now));
        let decision = rule.decide(owed, cost);
        if decision.allowed && cost != 0 {
            let until = now.saturating_add(micros(decision.reset_after));
            limits.put(key, until, until, 0, now);
        }
        decision
    }

    /// Returns a value, if it was asked for in this turn.
    pub(crate) fn get(&self, now: u64, key: &str, turn: u64) -> Option<Bytes> {
        let values = lock(&self.values);
        let (asked_in, value) = values.get(key, now)?;
        (*asked_in == turn).then(|| value.clone())
    }

    /// Keeps a value for a time.
    pub(crate) fn put(&self, now: u64, key: &str, turn: u64, value: Bytes, ttl: Duration) {
        let mut values = lock(&self.values);
        let weight = key.len() + value.len();
        values.put(key, (turn, value), now.saturating_add(micros(ttl)), weight, now);
    }

    /// Forgets a value.
    pub(crate) fn forget(&self, key: &str) {
        lock(&self.values).remove(key);
    }

    /// Returns what time it is in this process, in microseconds. All else here is told the time.
    pub(crate) fn now(&self) -> u64 {
        micros(self.began.elapsed())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_threads_are_allowed_exactly_what_one_would_be() {
        let process = Process::new();
        let rule = Rule::per(1_000, Duration::from_hours(1));
        let allowed: usize = std::thread::scope(|scope| {
            let one = || (0..500).filter(|_| process.limit(0, "key", rule, 1).allowed).count();
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(allowed, 1_000);
    }

    #[test]
    fn what_is_given_back_was_never_charged() {
        let (process, rule) = (Process::new(), Rule::per(3, Duration::from_hours(1)));
        for now in 0..100 {
            assert!(process.limit(now, "key", rule, 1).allowed);
            assert!(process.limit(now, "key", rule, -1).allowed);
        }
        assert_eq!(process.limit(100, "key", rule, 0).remaining, 3);
        process.limit(100, "key", rule, -1);
        assert_eq!(process.limit(100, "key", rule, 0).remaining, 3, "no more than there was");
    }

    #[test]
    fn a_value_is_served_in_its_turn_and_until_its_end() {
        let process = Process::new();
        process.put(0, "key", 1, Bytes::from_static(b"value"), Duration::from_micros(10));
        assert!(process.get(9, "key", 1).is_some());
        assert!(process.get(9, "key", 2).is_none());
        assert!(process.get(10, "key", 1).is_none());
    }
}
