//! How long to wait after failures, and the arithmetic of it. `attempt.lua` computes the same.

use std::time::Duration;

/// The longest of any time here. With [`MOST_FREE`] it keeps all numbers below 2^53, where Lua's end.
const LONGEST: Duration = Duration::from_hours(24);

/// The most failures that can be free.
const MOST_FREE: u32 = 1_000;

/// How much longer each failure makes the next wait.
///
/// Some failures are free. After them each wait is twice the one before, up to the longest: a delay,
/// never a lock. Who waits the longest delay may always try again. No time is longer than a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// How many failures have no delay; a thousand at the most.
    pub free: u32,
    /// The wait after the next one.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// How long it takes until one failure is forgotten, and then the next.
    pub forgotten: Duration,
}

impl Delays {
    /// For an account: whoever mistypes six times waits a second, then two, up to five minutes. A
    /// guesser has 12 tries an hour.
    pub const ACCOUNT: Self = Self {
        free: 5,
        first: Duration::from_secs(1),
        longest: Duration::from_mins(5),
        forgotten: Duration::from_mins(10),
    };

    /// For an address, behind which a whole office may be: sixty failures an hour are nothing.
    pub const ADDRESS: Self = Self { free: 20, forgotten: Duration::from_mins(1), ..Self::ACCOUNT };

    /// The numbers by which all is computed, in microseconds where they are times.
    pub(crate) fn numbers(&self) -> Numbers {
        let (free, first) = (u64::from(self.free.min(MOST_FREE)), micros(self.first).max(1));
        let longest = micros(self.longest);
        // How often the first delay must be doubled to be the longest.
        let doublings = longest.div_ceil(first).max(1).next_power_of_two().ilog2();
        let forgotten = micros(self.forgotten).max(1);
        Numbers { free, first, longest, forgotten, most: free + 1 + u64::from(doublings) }
    }
}

/// No more than [`LONGEST`].
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.min(LONGEST).as_micros()).unwrap_or_default()
}

/// [`Delays`], as `attempt.lua` takes them, in this order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) free: u64,
    pub(crate) first: u64,
    pub(crate) longest: u64,
    pub(crate) forgotten: u64,
    /// How many failures have the longest delay. Counting goes no further, so that an attack is
    /// forgotten soon after it ends.
    pub(crate) most: u64,
}

impl Numbers {
    /// Returns for how many microseconds to wait at `now`.
    pub(crate) fn wait(&self, count: Option<Count>, now: u64) -> u64 {
        let Some(Count { owed, last }) = count else { return 0 };
        let failures = owed.div_ceil(self.forgotten);
        if failures <= self.free {
            return 0;
        }
        let doublings = (failures - self.free - 1).min(40);
        let delay = self.first.saturating_mul(1 << doublings).min(self.longest);
        last.saturating_add(delay).saturating_sub(now).min(delay)
    }

    /// Counts one more failure.
    pub(crate) fn one_more(&self, count: Option<Count>, now: u64) -> Count {
        let owed =
            count.map_or(0, |Count { owed, last }| owed.saturating_sub(now.saturating_sub(last)));
        Count { owed: (owed + self.forgotten).min(self.most * self.forgotten), last: now }
    }

    /// When a count has no meaning any more: all is forgotten, and the last delay is over.
    pub(crate) fn until(&self, count: Count) -> u64 {
        count.last.saturating_add(count.owed.max(self.longest))
    }

    /// Takes one failure back; none if there is no other.
    pub(crate) fn one_less(&self, count: Count) -> Option<Count> {
        let owed = count.owed.saturating_sub(self.forgotten);
        (owed > 0).then_some(Count { owed, ..count })
    }
}

/// Failures that are not forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// How long it took to forget all of them, when there was the last; in microseconds.
    owed: u64,
    /// When that was.
    last: u64,
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn numbers() -> impl Strategy<Value = Numbers> {
        let times = (0_u64..1_000, 0_u64..100_000, 0_u64..100_000);
        (0_u32..6, times).prop_map(|(free, (first, longest, forgotten))| {
            let [first, longest, forgotten] =
                [first, longest, forgotten].map(Duration::from_micros);
            Delays { free, first, longest, forgotten }.numbers()
        })
    }

    proptest! {
        #[test]
        fn no_window_has_more_tries_than_the_delays_let(
            numbers in numbers(), gaps in vec(0_u64..2_000, 1..150),
        ) {
            let (mut count, mut now, mut tries) = (None, 0, Vec::new());
            for gap in gaps {
                // As soon as it may be, or a little later.
                now += numbers.wait(count, now);
                prop_assert_eq!(numbers.wait(count, now), 0);
                now += gap;
                count = Some(numbers.one_more(count, now));
                prop_assert!(numbers.wait(count, now) <= numbers.longest);
                tries.push(now);
            }
            for (i, begin) in tries.iter().enumerate() {
                for (n, end) in (1_u64..).zip(&tries[i..]) {
                    // As many as can be counted, one for each that is forgotten, and one for each
                    // longest delay.
                    let slow = (end - begin).checked_div(numbers.longest).unwrap_or(u64::MAX / 2);
                    let most = numbers.most + (end - begin) / numbers.forgotten + slow + 2;
                    prop_assert!(n <= most, "{n} > {most} in {} us", end - begin);
                }
            }
        }

        #[test]
        fn nobody_waits_longer_than_the_longest_delay_whatever_was_counted(
            numbers in numbers(), owed in 0..u64::MAX / 4, last in 0..u64::MAX / 4, now in 0..u64::MAX / 4,
        ) {
            let count = Some(Count { owed, last });
            prop_assert!(numbers.wait(count, now) <= numbers.longest);
            prop_assert_eq!(numbers.wait(count, now.max(last) + numbers.longest), 0);
        }

        #[test]
        fn what_is_taken_back_was_never_there(
            numbers in numbers(), before in 0_u64..20, gap in 0_u64..1_000,
        ) {
            let mut count = None;
            for _ in 0..before.min(numbers.most - 1) {
                count = Some(numbers.one_more(count, 0));
            }
            let then = numbers.one_less(numbers.one_more(count, gap));
            // All that is forgotten meanwhile is what time has made so.
            prop_assert_eq!(
                then.map_or(0, |count| count.owed),
                count.map_or(0, |count| count.owed.saturating_sub(gap))
            );
        }
    }

    #[test]
    fn the_waits_of_an_account_are_these_and_end() {
        let numbers = Delays::ACCOUNT.numbers();
        let (mut count, mut now, mut waits) = (None, 0, Vec::new());
        for _ in 0..17 {
            count = Some(numbers.one_more(count, now));
            let wait = numbers.wait(count, now);
            waits.push(wait / 1_000_000);
            now += wait;
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        // Fifteen failures are counted at the most: two hours and a half, and all is forgotten.
        assert!(numbers.until(count.unwrap()) - now <= 150 * 60 * 1_000_000);
    }
}
