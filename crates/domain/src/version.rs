//! The version of a row, for optimistic concurrency.

use std::fmt;

use serde::Serialize;

use crate::{Invalid, schema::described};

/// How often a row has been written: 1 when it is created, one more with each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Version(i64);

impl Version {
    /// The version of a row that was just created.
    pub const FIRST: Self = Self(1);

    /// Returns the number, for storage.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Version {
    type Error = Invalid;

    fn try_from(number: i64) -> Result<Self, Invalid> {
        if number < 1 {
            return Err(Invalid::new("version", format!("must be 1 or more, not {number}")));
        }
        Ok(Self(number))
    }
}

described!(Version, "How often the row was written; the number in its ETag.", {
    "type": "integer",
    "format": "int64",
    "minimum": 1,
    "examples": [1],
});

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
