//! How much is allowed, and the arithmetic of it.
//!
//! It is the generic cell rate algorithm (ITU-T I.371): one number says how much is owed, as the time
//! that it takes to work it off. It shrinks as time passes and grows by an interval with each unit of
//! cost; what would make it grow beyond the rule's depth is denied. So between any two moments `t`
//! apart, no more is allowed than the burst and what `t` has room for. `limit.lua` computes the same.

use std::time::Duration;

/// The longest time that it may take to work a burst off. It keeps all numbers below 2^53, which is
/// where Lua's end, microseconds since 1970 included.
const DEEPEST: u64 = 366 * 24 * 60 * 60 * 1_000_000;

/// So many in such a time, evenly, and a burst of so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Microseconds that a unit of cost takes to work off.
    interval: u64,
    burst: u32,
}

impl Rule {
    /// Allows `limit` in any `window` on average, and all of them at once to somebody rested; nothing
    /// if `limit` is 0. The window ends at a year, and a unit takes no less than a microsecond.
    #[expect(clippy::cast_possible_truncation, reason = "it is less than DEEPEST")]
    pub const fn per(limit: u32, window: Duration) -> Self {
        let window = window.as_micros();
        let window = if window < DEEPEST as u128 { window as u64 } else { DEEPEST };
        // Rounded up: rather a little less than a little more.
        let interval = if limit == 0 { window } else { window.div_ceil(limit as u64) };
        Self { interval: if interval == 0 { 1 } else { interval }, burst: limit }
    }

    /// Allows another number at once. It ends where it would take a year to work it off.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "it is less than a u32")]
    pub const fn with_burst(self, burst: u32) -> Self {
        let most = DEEPEST / self.interval;
        let burst = if (burst as u64) < most { burst } else { most as u32 };
        Self { burst, ..self }
    }

    /// How many are allowed at once.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// Microseconds that a unit of cost takes to work off.
    pub(crate) fn interval(&self) -> u64 {
        self.interval
    }

    /// The most that may be owed, in microseconds.
    pub(crate) fn depth(&self) -> u64 {
        self.interval.saturating_mul(u64::from(self.burst))
    }

    /// Decides whether `cost` is allowed to somebody who owes `owed`; a cost below 0 is given back. What they
    /// owe afterwards is [`Decision::reset_after`].
    pub(crate) fn decide(&self, owed: u64, cost: i64) -> Decision {
        // More cannot be owed, unless the rule was another or a clock was set back.
        let owed = owed.min(self.depth());
        let Ok(cost) = u32::try_from(cost) else {
            return self
                .allowed(owed.saturating_sub(self.interval.saturating_mul(cost.unsigned_abs())));
        };
        let then = owed.saturating_add(self.interval.saturating_mul(u64::from(cost)));
        if then > self.depth() { self.denied(owed, cost) } else { self.allowed(then) }
    }

    /// Tells whether one more would be allowed to somebody who owes `owed`.
    pub(crate) fn look(&self, owed: Duration) -> Decision {
        let owed = u64::try_from(owed.as_micros()).unwrap_or(u64::MAX);
        if self.decide(owed, 1).allowed { self.allowed(owed) } else { self.denied(owed, 1) }
    }

    /// Returns the decision that left somebody owing `owed`.
    pub(crate) fn allowed(&self, owed: u64) -> Decision {
        let remaining = self.depth().saturating_sub(owed) / self.interval;
        Decision {
            allowed: true,
            limit: self.burst,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset_after: Duration::from_micros(owed),
            retry_after: None,
        }
    }

    /// Returns the decision that denied `cost` to somebody owing `owed`.
    pub(crate) fn denied(&self, owed: u64, cost: u32) -> Decision {
        let then = owed.saturating_add(self.interval.saturating_mul(u64::from(cost)));
        let wait = Duration::from_micros(then.saturating_sub(self.depth()));
        Decision {
            allowed: false,
            retry_after: (cost <= self.burst).then_some(wait),
            ..self.allowed(owed)
        }
    }
}

/// Whether something is allowed, and what to tell whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is.
    pub allowed: bool,
    /// How many are allowed at once.
    pub limit: u32,
    /// How many are left now.
    pub remaining: u32,
    /// When all of them will be left again.
    pub reset_after: Duration,
    /// When this would be allowed. None if it is, or if it costs more than is ever allowed at once.
    pub retry_after: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn micros(duration: Duration) -> u64 {
        u64::try_from(duration.as_micros()).unwrap()
    }

    proptest! {
        #[test]
        fn no_window_ever_has_more_than_the_burst_and_what_it_has_room_for(
            limit in 1_u32..50,
            window in 1_u64..1_000_000,
            burst in 1_u32..100,
            steps in vec((0_u64..200_000, 0_u32..20), 1..80),
        ) {
            let rule = Rule::per(limit, Duration::from_micros(window)).with_burst(burst);
            let (mut now, mut until, mut allowed) = (0_u64, 0_u64, Vec::new());
            for (gap, cost) in steps {
                now += gap;
                let decision = rule.decide(until.saturating_sub(now), cost.into());
                if decision.allowed {
                    until = now + micros(decision.reset_after);
                    allowed.push((now, u64::from(cost)));
                }
            }
            for (i, (begin, _)) in allowed.iter().enumerate() {
                let mut sum = 0;
                for (end, cost) in &allowed[i..] {
                    sum += cost;
                    // interval * limit >= window, so this is the stricter of the two.
                    let room = u64::from(burst) + (end - begin) * u64::from(limit) / window;
                    prop_assert!(sum <= room, "{sum} > {room} in {} us", end - begin);
                }
            }
        }

        #[test]
        fn what_is_denied_is_allowed_after_the_wait_that_was_named_and_not_before(
            limit in 1_u32..1_000,
            window in 1_u64..10_000_000,
            owed in 0_u64..20_000_000,
            cost in 1_u32..1_500,
        ) {
            let rule = Rule::per(limit, Duration::from_micros(window));
            let owed = owed.min(rule.depth());
            let decision = rule.decide(owed, cost.into());
            match decision.retry_after.map(micros) {
                None => prop_assert!(decision.allowed || cost > rule.burst()),
                Some(wait) => {
                    prop_assert!(!decision.allowed && wait > 0);
                    prop_assert!(rule.decide(owed.saturating_sub(wait), cost.into()).allowed);
                    prop_assert!(!rule.decide(owed.saturating_sub(wait - 1), cost.into()).allowed);
                }
            }
        }

        #[test]
        fn what_remains_is_exactly_what_would_be_allowed(
            limit in 1_u32..1_000, window in 1_u64..10_000_000, owed in 0_u64..20_000_000,
        ) {
            let rule = Rule::per(limit, Duration::from_micros(window));
            let remaining = rule.decide(owed, 0).remaining;
            prop_assert!(rule.decide(owed, remaining.into()).allowed);
            prop_assert!(!rule.decide(owed, i64::from(remaining) + 1).allowed);
        }
    }

    #[test]
    fn nothing_overflows_and_zero_allows_nothing() {
        let widest = Rule::per(1, Duration::MAX).with_burst(u32::MAX);
        assert_eq!(widest.depth(), DEEPEST);
        assert!(!widest.decide(u64::MAX, u32::MAX.into()).allowed);
        let fastest = Rule::per(u32::MAX, Duration::from_nanos(1));
        assert!(fastest.decide(0, u32::MAX.into()).allowed);
        assert!(fastest.depth() <= DEEPEST);
        let nothing = Rule::per(0, Duration::from_secs(1)).decide(0, 1);
        assert!(!nothing.allowed && nothing.remaining == 0 && nothing.retry_after.is_none());
    }
}
