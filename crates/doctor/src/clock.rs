//! Our clock against another's.

use chrono::TimeDelta;

use crate::Finding;

/// From here on events and audit rows of several machines are in no order that people believe.
const NOTICEABLE: TimeDelta = TimeDelta::seconds(1);

/// From here on tokens and one-time codes are refused that are good.
const HARMFUL: TimeDelta = TimeDelta::seconds(30);

/// Judges how far another's clock is ahead of ours. `unsure` is how long the question was under way:
/// so much of the difference may be no difference.
pub fn judge_clock(
    name: &'static str,
    whose: &str,
    ahead: TimeDelta,
    unsure: TimeDelta,
) -> Finding {
    let surely = (ahead.abs() - unsure.abs()).max(TimeDelta::zero());
    #[expect(clippy::cast_precision_loss, reason = "for people, to a hundredth of a second")]
    let seconds = ahead.num_milliseconds().abs() as f64 / 1000.0;
    let direction = if ahead < TimeDelta::zero() { "behind" } else { "ahead of" };
    let found = format!("{whose} is {seconds:.2} s {direction} ours");
    let remedy = "set the clock that is wrong, and have NTP (chrony, systemd-timesyncd) keep both";
    if surely > HARMFUL {
        Finding::failed(name, found, remedy)
    } else if surely > NOTICEABLE {
        Finding::warning(name, found, remedy)
    } else {
        Finding::ok(name, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn a_second_is_noticed_and_half_a_minute_fails_in_either_direction() {
        let judge = |ahead, unsure| {
            judge_clock(
                "clock",
                "x",
                TimeDelta::milliseconds(ahead),
                TimeDelta::milliseconds(unsure),
            )
            .state()
        };
        for sign in [1, -1] {
            assert_eq!(judge(sign * 900, 0), State::Ok);
            assert_eq!(judge(sign * 1_100, 0), State::Warning);
            assert_eq!(judge(sign * 29_000, 0), State::Warning);
            assert_eq!(judge(sign * 31_000, 0), State::Failed);
            assert_eq!(judge(sign * 1_400, 500), State::Ok, "the answer took half a second");
        }
    }
}
