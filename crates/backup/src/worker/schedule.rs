//! When backups are made.
//!
//! Pure functions of a schedule and of what time it is. A time of day that a change of clocks leaves
//! out counts as the moment after the gap; one that it brings twice counts once, the first time. Of
//! runs that were missed one is made up for.

use std::str::FromStr;

use brownie_domain::{Clock, Timestamp};
use chrono::TimeDelta;
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use crate::{Error, Result};

/// How far the clock of whoever made a backup may be ahead of ours before it is not believed.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Of one occurrence to the next: no schedule that anybody means has more.
const LOOKS: usize = 4;

/// The word for no schedule.
const OFF: &str = "off";

/// When backups are made: a cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Never, if there is none.
    cron: Option<Cron>,
    text: String,
    zone: Tz,
}

impl Schedule {
    /// Reads five fields (minute, hour, day of the month, month, day of the week), or a name such as
    /// `@daily`, and the name of a time zone as IANA has it. `off` is never.
    ///
    /// # Errors
    /// [`Error::Settings`] when either cannot be read, or no date fits.
    pub fn new(schedule: &str, zone: &str, clock: &dyn Clock) -> Result<Self> {
        let zone = Tz::from_str(zone).map_err(|_| {
            Error::Settings(format!(
                "BACKUP_TIMEZONE must be a time zone such as UTC or Europe/Berlin, not {zone:?}"
            ))
        })?;
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let refused = |why: String| {
            Error::Settings(format!(
                "BACKUP_SCHEDULE must be minute, hour, day of the month, month and day of the week, such as \"0 2 * * *\", not {schedule:?}: {why}"
            ))
        };
        let text = schedule.trim().to_owned();
        if text == OFF {
            return Ok(Self { cron: None, text, zone });
        }
        let cron = parser.parse(schedule).map_err(|error| refused(error.to_string()))?;
        let schedule = Self { cron: Some(cron), text, zone };
        if schedule.next_after(clock.now()).is_none() {
            return Err(refused("there is no such date".to_owned()));
        }
        Ok(schedule)
    }

    /// Returns the expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the name of the time zone.
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// Returns the first time after a moment; none, when no date fits any more.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let mut from = moment.with_timezone(&self.zone);
        for _ in 0..LOOKS {
            let next = self.cron.as_ref()?.find_next_occurrence(&from, false).ok()?;
            // Where clocks change, what comes next by the clock on the wall may be no later.
            if next.to_utc() > moment {
                return Some(next.to_utc());
            }
            from = from.checked_add_signed(TimeDelta::hours(1))?;
        }
        None
    }

    /// Returns the first time after `since` that is over, if there is one: a backup is due then, one,
    /// however many times were missed. A `since` of a clock that runs ahead is not believed; without
    /// any, a backup is due at once.
    pub fn due(&self, since: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let since = since.filter(|since| *since <= now + SKEW).unwrap_or(Timestamp::UNIX_EPOCH);
        self.next_after(since).filter(|due| *due <= now)
    }
}

#[cfg(test)]
mod tests {
    use brownie_domain::ManualClock;
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(text: &str, zone: &str) -> Schedule {
        Schedule::new(text, zone, &ManualClock::at(at("2026-01-01T00:00:00Z"))).unwrap()
    }

    fn after(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
        let times =
            std::iter::successors(schedule.next_after(at(from)), |last| schedule.next_after(*last));
        let times = times.take_while(|time| *time < at(to));
        times.map(|time| time.format("%dT%H:%M").to_string()).collect()
    }

    #[test]
    fn a_time_that_a_change_of_clocks_leaves_out_comes_once() {
        // On 29 March 2026, 02:00 in Berlin is 03:00: 01:00 in UTC.
        let nightly = schedule("30 2 * * *", "Europe/Berlin");
        let times = after(&nightly, "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z");
        assert_eq!(times.len(), 3, "{times:?}");
        assert_eq!((times[0].as_str(), times[2].as_str()), ("28T01:30", "30T00:30"));
        assert!(times[1].starts_with("29T01:"), "{times:?}");
    }

    #[test]
    fn a_time_that_a_change_of_clocks_brings_twice_comes_once() {
        // On 25 October 2026, 03:00 in Berlin is 02:00 again: 01:00 in UTC.
        let nightly = schedule("30 2 * * *", "Europe/Berlin");
        let times = after(&nightly, "2026-10-24T12:00:00Z", "2026-10-27T00:00:00Z");
        assert_eq!(times, ["25T00:30", "26T01:30"]);
    }

    #[test]
    fn what_goes_on_by_the_minute_goes_on_through_a_change_of_clocks() {
        let often = schedule("*/20 * * * *", "Europe/Berlin");
        let times = after(&often, "2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z");
        assert_eq!(times.len(), 8, "{times:?}");
    }

    #[test]
    fn missed_runs_are_caught_up_once() {
        let nightly = schedule("@daily", "UTC");
        let now = at("2026-11-22T10:00:00Z");
        assert_eq!(nightly.due(Some(at("2026-11-22T00:00:30Z")), now), None, "made today");
        let missed = nightly.due(Some(at("2026-11-10T00:00:30Z")), now);
        assert_eq!(missed, Some(at("2026-11-11T00:00:00Z")), "twelve were missed");
        assert_eq!(nightly.due(Some(now), now), None, "and one made up for all");
        assert!(nightly.due(None, now).is_some(), "there is none at all");
        // Made by a machine that lived in 2031: who waited for it would have no backup till then.
        assert!(nightly.due(Some(at("2031-01-01T00:00:00Z")), now).is_some());
    }

    #[test]
    fn what_nobody_can_mean_is_refused() {
        let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
        for (text, zone) in [
            ("", "UTC"),
            ("0 2 * *", "UTC"),
            ("0 0 2 * * *", "UTC"),
            ("61 * * * *", "UTC"),
            ("0 2 30 2 *", "UTC"),
            ("never", "UTC"),
            ("0 2 * * *", "Mars/Olympus"),
        ] {
            let refused = Schedule::new(text, zone, &clock);
            assert!(matches!(refused, Err(Error::Settings(_))), "{text} {zone}: {refused:?}");
        }
        assert!(Schedule::new("0 2 29 2 *", "America/New_York", &clock).is_ok());
        assert_eq!(schedule("off", "UTC").due(None, clock.now()), None);
    }

    const ZONES: &[&str] =
        &["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];

    prop_compose! {
        fn schedules()(minute in 0_u32..60, hour in 0_u32..24, kind in 0_usize..4,
            zone in 0_usize..ZONES.len()) -> Schedule
        {
            let text = match kind {
                0 => format!("{minute} {hour} * * *"),
                1 => format!("{minute} * * * *"),
                2 => format!("*/{} * * * *", minute.max(1)),
                _ => format!("{minute} {hour} * * 1,4"),
            };
            schedule(&text, ZONES[zone])
        }
    }

    fn moment() -> impl Strategy<Value = Timestamp> {
        (1_700_000_000_i64..2_000_000_000)
            .prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
    }

    proptest! {
        #[test]
        fn the_next_time_is_later_and_none_lies_between(
            schedule in schedules(), moment in moment(), part in 0.0..1.0_f64
        ) {
            let next = schedule.next_after(moment).unwrap();
            prop_assert!(next > moment);
            prop_assert!(next - moment <= TimeDelta::days(8));
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a share of days")]
            let share = ((next - moment).num_seconds() as f64 * part) as i64;
            let between = moment + TimeDelta::seconds(share);
            if between < next {
                prop_assert_eq!(schedule.next_after(between), Some(next));
            }
        }

        #[test]
        fn what_was_made_is_not_due_again_before_its_next_time(
            schedule in schedules(), moment in moment(), late in 0_i64..1_000_000
        ) {
            let next = schedule.next_after(moment).unwrap();
            prop_assert_eq!(schedule.due(Some(moment), next - TimeDelta::seconds(1)), None);
            prop_assert_eq!(schedule.due(Some(moment), next), Some(next));
            // However late it is made: once.
            let made = next + TimeDelta::seconds(late);
            prop_assert_eq!(schedule.due(Some(made), made), None);
        }

        #[test]
        fn a_clock_that_goes_back_makes_nothing_due(
            schedule in schedules(), moment in moment(), back in 0_i64..300
        ) {
            let now = moment - TimeDelta::seconds(back);
            prop_assert_eq!(schedule.due(Some(moment), now), None);
        }
    }
}
