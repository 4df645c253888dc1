//! Which backups may go.
//!
//! A pure function of what there is, what time it is, and what is wanted. Whatever the clocks of those
//! who made the backups showed, and whatever ours shows: the newest verified one stays, and so do as
//! many newer verified ones as are wanted before anything older goes. So failed backups cannot push
//! good ones out, and neither can a clock that runs ahead.

use std::collections::BTreeSet;

use brownie_domain::Timestamp;
use chrono::{Datelike, TimeDelta};

use crate::BackupName;

/// A run takes less than this, so a manifest is stored at most so long after its snapshot.
const LONGEST_RUN: TimeDelta = TimeDelta::days(1);

/// How many backups are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// All of so many days.
    pub days: u32,
    /// The newest, and at least so many that are verified.
    pub last: u32,
    /// The last of so many days that have one, in UTC.
    pub daily: u32,
    /// The last of so many weeks that have one, by ISO 8601.
    pub weekly: u32,
    /// The last of so many months that have one.
    pub monthly: u32,
}

impl From<brownie_config::BackupRetention> for Policy {
    fn from(from: brownie_config::BackupRetention) -> Self {
        let brownie_config::BackupRetention { days, last, daily, weekly, monthly } = from;
        Self { days, last, daily, weekly, monthly }
    }
}

/// A sealed backup. Others do not count, and are not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: BackupName,
    /// When it was made, by the clock of who made it.
    pub created_at: Timestamp,
    /// When its manifest was stored, by the clock of the store.
    pub stored_at: Timestamp,
    /// The number of the run.
    pub fence: u64,
    /// Whether it was verified.
    pub verified: bool,
}

impl Known {
    /// Returns when it was made, as far as that clock agrees with the store's.
    fn made_at(&self) -> Timestamp {
        let earliest = self.stored_at.checked_sub_signed(LONGEST_RUN).unwrap_or(self.stored_at);
        self.created_at.clamp(earliest, self.stored_at)
    }
}

/// What is to become of a backup, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It stays: it is the newest that was verified.
    NewestVerified,
    /// It stays: it is one of the newest.
    Last,
    /// It stays: it is young.
    Young,
    /// It stays: it is the last of its day.
    Daily,
    /// It stays: it is the last of its week.
    Weekly,
    /// It stays: it is the last of its month.
    Monthly,
    /// It stays, though nobody wants it: too few that are newer were verified.
    TooFewVerified,
    /// It may go.
    Removed,
}

/// What is to become of which backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which.
    pub name: BackupName,
    /// What.
    pub fate: Fate,
}

/// Decides about all backups, the newest first.
pub fn plan(history: &[Known], now: Timestamp, policy: &Policy) -> Vec<Decision> {
    let mut backups: Vec<&Known> = history.iter().collect();
    backups.sort_by_key(|known| (known.made_at(), known.fence, &known.name));
    backups.reverse();
    let wanted = policy.last.max(1) as usize;
    let mut verified = 0;
    let mut days = Periods::new(policy.daily);
    let mut weeks = Periods::new(policy.weekly);
    let mut months = Periods::new(policy.monthly);
    let mut decisions = Vec::new();
    for (known, newer) in backups.into_iter().zip(0_usize..) {
        let made_at = known.made_at();
        let date = made_at.date_naive();
        // All three note what they see, whichever is the reason.
        let is_daily = days.is_first((date.year(), date.ordinal()));
        let is_weekly = weeks.is_first((date.iso_week().year(), date.iso_week().week()));
        let is_monthly = months.is_first((date.year(), date.month()));
        // One of the future is young.
        let is_young = now.signed_duration_since(made_at) < TimeDelta::days(policy.days.into());
        let fate = match known {
            Known { verified: true, .. } if verified == 0 => Fate::NewestVerified,
            _ if newer < policy.last as usize => Fate::Last,
            _ if is_young => Fate::Young,
            _ if is_daily => Fate::Daily,
            _ if is_weekly => Fate::Weekly,
            _ if is_monthly => Fate::Monthly,
            _ if verified < wanted => Fate::TooFewVerified,
            _ => Fate::Removed,
        };
        verified += usize::from(known.verified);
        decisions.push(Decision { name: known.name.clone(), fate });
    }
    decisions
}

/// The newest so many periods that have a backup.
struct Periods {
    wanted: usize,
    seen: BTreeSet<(i32, u32)>,
}

impl Periods {
    fn new(wanted: u32) -> Self {
        Self { wanted: wanted as usize, seen: BTreeSet::new() }
    }

    /// Tells whether this is the first, going back in time, of a period that is wanted.
    fn is_first(&mut self, period: (i32, u32)) -> bool {
        self.seen.len() < self.wanted && self.seen.insert(period)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    const NONE: Policy = Policy { days: 0, last: 0, daily: 0, weekly: 0, monthly: 0 };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn known(number: usize, made: Timestamp, verified: bool) -> Known {
        let name = format!("b{number:03}").parse().unwrap();
        Known { name, created_at: made, stored_at: made, fence: number as u64, verified }
    }

    fn left(history: &[Known], now: Timestamp, policy: &Policy) -> Vec<usize> {
        let kept = |decision: &Decision| decision.fate != Fate::Removed;
        let mut kept: Vec<usize> = plan(history, now, policy)
            .iter()
            .filter(|decision| kept(decision))
            .map(|decision| decision.name.as_str()[1..].parse().unwrap())
            .collect();
        kept.sort_unstable();
        kept
    }

    /// One at 02:00 of each day from 1 September 2026 on, all verified.
    fn nightly(days: i64) -> Vec<Known> {
        let first = at("2026-09-01T02:00:00Z");
        let night = |day| known(usize::try_from(day).unwrap(), first + TimeDelta::days(day), true);
        (0..days).map(night).collect()
    }

    #[test]
    fn a_policy_keeps_what_it_says() {
        let history = nightly(60);
        let now = at("2026-10-30T12:00:00Z");
        assert_eq!(left(&history, now, &Policy { days: 3, ..NONE }), [57, 58, 59]);
        assert_eq!(left(&history, now, &Policy { last: 4, ..NONE }), [56, 57, 58, 59]);
        // Mondays begin weeks: the last before them are Sundays, and the newest.
        assert_eq!(left(&history, now, &Policy { weekly: 3, ..NONE }), [47, 54, 59]);
        assert_eq!(left(&history, now, &Policy { monthly: 5, ..NONE }), [29, 59]);
        let both = Policy { daily: 2, monthly: 2, ..NONE };
        assert_eq!(left(&history, now, &both), [29, 58, 59]);
        assert_eq!(left(&history, now, &NONE), [59]);
    }

    #[test]
    fn backups_that_were_not_verified_do_not_push_good_ones_out() {
        let mut history = nightly(20);
        history.iter_mut().skip(5).for_each(|known| known.verified = false);
        let now = at("2026-12-24T00:00:00Z");
        assert_eq!(left(&history, now, &Policy { last: 1, ..NONE }), (4..20).collect::<Vec<_>>());
        assert_eq!(left(&history, now, &Policy { last: 3, ..NONE }), (2..20).collect::<Vec<_>>());
        for known in &mut history {
            known.verified = false;
        }
        assert_eq!(left(&history, now, &NONE).len(), 20);
    }

    #[test]
    fn a_date_that_was_wrong_is_bounded_by_the_stores() {
        let mut history = nightly(10);
        // Made by a machine that lived in 2031, and by one that lived in 1999.
        history[2].created_at = at("2031-01-01T00:00:00Z");
        history[8].created_at = at("1999-01-01T00:00:00Z");
        let now = at("2026-09-10T12:00:00Z");
        assert_eq!(left(&history, now, &Policy { days: 3, ..NONE }), [7, 8, 9]);
    }

    fn moment() -> impl Strategy<Value = Timestamp> {
        (0_i64..4_000_000_000).prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
    }

    prop_compose! {
        fn histories()(backups in prop::collection::vec((moment(), moment(), any::<bool>(), 0_u64..5), 0..40))
            -> Vec<Known>
        {
            let all = backups.into_iter().enumerate();
            all.map(|(number, (created_at, stored_at, verified, fence))| {
                let name = format!("b{number:03}").parse().unwrap();
                Known { name, created_at, stored_at, fence, verified }
            }).collect()
        }
    }

    prop_compose! {
        fn policies()(days in 0_u32..400, last in 0_u32..5, daily in 0_u32..9, weekly in 0_u32..9,
            monthly in 0_u32..9) -> Policy
        {
            Policy { days, last, daily, weekly, monthly }
        }
    }

    proptest! {
        #[test]
        fn the_newest_verified_one_always_stays(
            history in histories(), now in moment(), policy in policies()
        ) {
            let decisions = plan(&history, now, &policy);
            prop_assert_eq!(decisions.len(), history.len());
            let fate = |known: &Known| {
                decisions.iter().find(|decision| decision.name == known.name).unwrap().fate
            };
            let mut verified: Vec<&Known> = history.iter().filter(|known| known.verified).collect();
            verified.sort_by_key(|known| (known.made_at(), known.fence, known.name.clone()));
            // As many as are wanted, the newest; one in any case.
            for known in verified.iter().rev().take(policy.last.max(1) as usize) {
                prop_assert_ne!(fate(known), Fate::Removed);
            }
            // Whatever goes is older than all of these.
            for known in history.iter().filter(|known| fate(known) == Fate::Removed) {
                let newer = verified.iter().filter(|other| {
                    (other.made_at(), other.fence) >= (known.made_at(), known.fence)
                        && other.name != known.name
                });
                prop_assert!(newer.count() >= policy.last.max(1) as usize);
                prop_assert!(now - known.made_at() >= TimeDelta::days(policy.days.into()));
            }
        }

        #[test]
        fn done_twice_is_done_once(history in histories(), now in moment(), policy in policies()) {
            let kept = left(&history, now, &policy);
            let rest: Vec<Known> =
                kept.iter().map(|number| history[*number].clone()).collect();
            prop_assert_eq!(left(&rest, now, &policy), kept);
        }

        #[test]
        fn the_order_of_a_list_does_not_matter(
            history in histories(), now in moment(), policy in policies()
        ) {
            let mut reversed = history.clone();
            reversed.reverse();
            prop_assert_eq!(plan(&history, now, &policy), plan(&reversed, now, &policy));
        }
    }
}
