//! Whole numbers with a least value.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A whole number of `MIN` or more that fits PostgreSQL's `integer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "i32", try_from = "i64")]
pub struct AtLeast<const MIN: i32>(i32);

impl<const MIN: i32> AtLeast<MIN> {
    /// Returns the number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl<const MIN: i32> TryFrom<i64> for AtLeast<MIN> {
    type Error = Invalid;

    fn try_from(number: i64) -> Result<Self, Invalid> {
        match i32::try_from(number) {
            Ok(number) if number >= MIN => Ok(Self(number)),
            _ => Err(Invalid::new(
                "the number",
                format!("must be {MIN} to {}, not {number}", i32::MAX),
            )),
        }
    }
}

impl<const MIN: i32> From<AtLeast<MIN>> for i32 {
    fn from(number: AtLeast<MIN>) -> Self {
        number.0
    }
}

impl<const MIN: i32> schemars::JsonSchema for AtLeast<MIN> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("AtLeast{MIN}").into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer",
            "format": "int32",
            "minimum": MIN,
            "maximum": i32::MAX,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_less_or_does_not_fit_is_refused() {
        assert_eq!(AtLeast::<1>::try_from(1).map(AtLeast::get), Ok(1));
        assert!(AtLeast::<1>::try_from(0).is_err());
        assert!(AtLeast::<1>::try_from(1 << 40).is_err());
    }
}
