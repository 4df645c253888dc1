//! Where the time and the ids come from. Everything that needs either is handed one of these, so
//! that a test decides what time it is. Nothing else in the workspace may ask the system.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::{Builder, NoContext, Uuid};

/// A moment in UTC, of microsecond precision: what PostgreSQL's `timestamptz` keeps.
pub type Timestamp = DateTime<Utc>;

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the current moment, cut to whole microseconds so that it survives a round trip
    /// through the database unchanged.
    fn now(&self) -> Timestamp;
}

/// Makes new identifiers.
pub trait IdSource: Send + Sync + fmt::Debug {
    /// Returns a new UUID of version 7 whose time part is `at`.
    fn next(&self, at: Timestamp) -> Uuid;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that all others use")]
    fn now(&self) -> Timestamp {
        to_micros(Utc::now())
    }
}

/// A clock that stands still until it is told to move, for tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Returns a clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.timestamp_micros()))
    }

    /// Moves the clock by `step`, which may be negative.
    pub fn advance(&self, step: TimeDelta) {
        self.0.fetch_add(step.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).unwrap_or_default()
    }
}

/// Ids that nobody can guess, from the system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next(&self, at: Timestamp) -> Uuid {
        let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
        Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, at.timestamp_subsec_nanos()))
    }
}

/// Ids that are the same in every run, for tests.
#[derive(Debug, Default)]
pub struct SeededIds(AtomicU64);

impl IdSource for SeededIds {
    fn next(&self, at: Timestamp) -> Uuid {
        let mut counter = [0; 10];
        counter[2..].copy_from_slice(&self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        Builder::from_unix_timestamp_millis(millis(at), &counter).into_uuid()
    }
}

fn to_micros(time: Timestamp) -> Timestamp {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

/// A time before 1970 counts as 1970: a UUID cannot say it otherwise.
fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_7_and_sort_by_time() {
        let clock =
            ManualClock::at(DateTime::from_timestamp_micros(1_790_000_000_000_000).unwrap());
        let first = RandomIds.next(clock.now());
        clock.advance(TimeDelta::milliseconds(1));
        let second = RandomIds.next(clock.now());
        assert_eq!(first.get_version_num(), 7);
        assert!(first < second);
    }

    #[test]
    fn ids_of_one_moment_differ() {
        let now = SystemClock.now();
        assert_ne!(RandomIds.next(now), RandomIds.next(now));
    }

    #[test]
    fn the_system_clock_shows_whole_microseconds() {
        assert_eq!(SystemClock.now().timestamp_subsec_nanos() % 1_000, 0);
    }
}
