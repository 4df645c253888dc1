//! What follows from what it was told to do.

use chrono::TimeDelta;

use crate::commands::Command;

impl Command {
    /// Tells whether it connects to a database.
    pub(crate) fn needs_database(&self) -> bool {
        !matches!(self, Self::List { .. } | Self::Status | Self::Verify { .. } | Self::Keys(_))
    }
}

/// Reads how old something must be.
pub(crate) fn age(text: &str) -> Result<TimeDelta, String> {
    let wrong = || format!("{text:?} is not a number with m, h or d, such as 24h");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let number: u32 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    match unit {
        'm' => Ok(TimeDelta::minutes(number.into())),
        'h' => Ok(TimeDelta::hours(number.into())),
        'd' => Ok(TimeDelta::days(number.into())),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_unit() {
        assert_eq!(age("24h"), Ok(TimeDelta::days(1)));
        assert_eq!(age("0m"), Ok(TimeDelta::zero()));
        for bad in ["", "h", "24", "-1h", "1y", "1.5h", "99999999999d"] {
            assert!(age(bad).is_err(), "{bad:?}");
        }
    }
}
