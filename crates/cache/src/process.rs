//! State of this process alone: all there is without Redis, and what answers while it is away.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    delays::{Count, Numbers},
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
    log_ins: Mutex<LogIns>,
    /// Values, each with the turn of its organization in which it was asked for.
    values: Mutex<Table<(u64, Bytes)>>,
}

#[derive(Debug)]
struct LogIns {
    counts: Table<Count>,
    /// Accounts that were logged in to from an address.
    known: Table<()>,
}

/// The keys that a log-in is counted under.
#[derive(Debug, Clone)]
pub(crate) struct AttemptKeys {
    pub(crate) account: String,
    pub(crate) address: String,
    /// The account from that address.
    pub(crate) pair: String,
    /// Whether the account was logged in to from that address.
    pub(crate) known: String,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            limits: Mutex::new(Table::new(MOST_ROWS, usize::MAX)),
            log_ins: Mutex::new(LogIns {
                counts: Table::new(MOST_ROWS, usize::MAX),
                known: Table::new(MOST_ROWS, usize::MAX),
            }),
            values: Mutex::new(Table::new(MOST_ROWS, MOST_BYTES)),
        }
    }

    /// Decides whether `cost` is allowed, and charges it if so.
    pub(crate) fn limit(&self, now: u64, key: &str, rule: Rule, cost: u32) -> Decision {
        let mut limits = lock(&self.limits);
        let owed = limits.get(key, now).map_or(0, |until| until.saturating_sub(now));
        let decision = rule.decide(owed, cost);
        if decision.allowed && cost > 0 {
            let until = now.saturating_add(micros(decision.reset_after));
            limits.put(key, until, until, 0, now);
        }
        decision
    }

    /// Forgets what is owed.
    pub(crate) fn forgive(&self, key: &str) {
        lock(&self.limits).remove(key);
        lock(&self.log_ins).counts.remove(key);
    }

    /// Returns how many microseconds to wait before a log-in may be tried; if none, counts it as failed.
    pub(crate) fn attempt(
        &self,
        now: u64,
        keys: &AttemptKeys,
        account: &Numbers,
        address: &Numbers,
    ) -> u64 {
        let mut log_ins = lock(&self.log_ins);
        let is_known = log_ins.known.get(&keys.known, now).is_some();
        let account_key = if is_known { &keys.pair } else { &keys.account };
        let counted = [(account_key, account), (&keys.address, address)]
            .map(|(key, numbers)| (key, numbers, log_ins.counts.get(key, now).copied()));
        let waits = counted.map(|(_, numbers, count)| numbers.wait(count, now));
        let wait = waits.into_iter().max().unwrap_or_default();
        if wait == 0 {
            for (key, numbers, count) in counted {
                let count = numbers.one_more(count, now);
                log_ins.counts.put(key, count, numbers.until(count), 0, now);
            }
        }
        wait
    }

    /// Takes back what an attempt counted, and remembers for a time from where it came.
    pub(crate) fn succeed(
        &self,
        now: u64,
        keys: &AttemptKeys,
        address: &Numbers,
        remember: Duration,
    ) {
        let mut log_ins = lock(&self.log_ins);
        log_ins.counts.remove(&keys.account);
        log_ins.counts.remove(&keys.pair);
        log_ins.known.put(&keys.known, (), now.saturating_add(micros(remember)), 0, now);
        let count = log_ins.counts.remove(&keys.address);
        if let Some(count) = count.and_then(|count| address.one_less(count)) {
            log_ins.counts.put(&keys.address, count, address.until(count), 0, now);
        }
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
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::delays::Delays;

    const SECOND: u64 = 1_000_000;

    fn keys(account: u8, address: u8) -> AttemptKeys {
        AttemptKeys {
            account: format!("account {account}"),
            address: format!("address {address}"),
            pair: format!("pair {account} {address}"),
            known: format!("known {account} {address}"),
        }
    }

    fn try_at(process: &Process, now: u64, keys: &AttemptKeys) -> u64 {
        process.attempt(now, keys, &Delays::ACCOUNT.numbers(), &Delays::ADDRESS.numbers())
    }

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

    proptest! {
        #[test]
        fn whoever_tries_an_account_it_is_slowed_down_and_never_locked(
            steps in vec((0..400 * SECOND, 0_u8..40), 1..200),
        ) {
            let process = Process::new();
            let (mut now, mut tries) = (0, Vec::new());
            for (gap, address) in steps {
                now += gap;
                if try_at(&process, now, &keys(0, address)) == 0 {
                    tries.push(now);
                } else {
                    prop_assert!(now - tries.last().unwrap() < 300 * SECOND);
                }
            }
            // In an hour: fifteen that are counted, six that are forgotten, twelve of the slowest.
            for (i, begin) in tries.iter().enumerate() {
                let hour = tries[i..].iter().take_while(|at| *at - begin < 3_600 * SECOND);
                prop_assert!(hour.count() <= 15 + 6 + 12 + 2);
            }
        }

        #[test]
        fn an_attempt_that_waits_changes_nothing(impatience in vec(0..SECOND, 1..50)) {
            let process = Process::new();
            for _ in 0..6 {
                prop_assert_eq!(try_at(&process, 0, &keys(0, 0)), 0);
            }
            for early in impatience {
                prop_assert_eq!(try_at(&process, early, &keys(0, 0)), SECOND - early);
            }
            prop_assert_eq!(try_at(&process, SECOND, &keys(0, 0)), 0);
        }
    }

    fn succeed_at(process: &Process, now: u64, keys: &AttemptKeys) {
        process.succeed(now, keys, &Delays::ADDRESS.numbers(), Duration::from_hours(1));
    }

    #[test]
    fn success_clears_the_account() {
        let process = Process::new();
        for _ in 0..6 {
            assert_eq!(try_at(&process, 0, &keys(7, 0)), 0);
        }
        assert_eq!(try_at(&process, 0, &keys(7, 2)), SECOND);
        assert_eq!(try_at(&process, SECOND, &keys(7, 0)), 0);
        succeed_at(&process, SECOND, &keys(7, 0));
        assert_eq!(try_at(&process, SECOND, &keys(7, 2)), 0);
    }

    #[test]
    fn an_office_where_many_mistype_behind_one_address_is_not_slowed_down() {
        let process = Process::new();
        for second in 0_u8..100 {
            // One a minute fails once; everybody logs in.
            let now = u64::from(second) * 60 * SECOND;
            assert_eq!(try_at(&process, now, &keys(second, 0)), 0);
            for _ in 0..30 {
                assert_eq!(try_at(&process, now, &keys(second, 0)), 0);
                succeed_at(&process, now, &keys(second, 0));
            }
        }
    }

    #[test]
    fn the_owner_gets_in_from_a_known_address_while_others_guess() {
        let process = Process::new();
        assert_eq!(try_at(&process, 0, &keys(0, 0)), 0);
        succeed_at(&process, 0, &keys(0, 0));
        for guesser in 1..=50 {
            let _ = try_at(&process, SECOND, &keys(0, guesser));
        }
        assert!(try_at(&process, SECOND, &keys(0, 51)) > 0);
        assert_eq!(try_at(&process, SECOND, &keys(0, 0)), 0);
    }

    #[test]
    fn an_address_that_tries_many_accounts_is_slowed_down() {
        let process = Process::new();
        for account in 0..21 {
            assert_eq!(try_at(&process, 0, &keys(account, 0)), 0);
        }
        assert_eq!(try_at(&process, 0, &keys(22, 0)), SECOND);
        assert_eq!(try_at(&process, 0, &keys(22, 1)), 0);
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
