//! The names of backups.

use std::{fmt, str::FromStr};

use brownie_domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The name of a backup: the directory of its objects, so nothing that leads out of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupName(String);

impl BackupName {
    /// The longest name.
    pub const MAX_LENGTH: usize = 100;

    /// Returns the name of a backup that was given none: `backup-20261121-020000`, in UTC.
    pub fn at(now: Timestamp) -> Self {
        Self(now.format("backup-%Y%m%d-%H%M%S").to_string())
    }

    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BackupName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let good = (1..=Self::MAX_LENGTH).contains(&name.len())
            && name.chars().all(is_plain)
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !name.contains("..");
        if good {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::Name { name: name.chars().take(Self::MAX_LENGTH).collect() })
        }
    }
}

impl TryFrom<String> for BackupName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        name.parse()
    }
}

impl From<BackupName> for String {
    fn from(name: BackupName) -> Self {
        name.0
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for good in ["backup-20261121-020000", "a", "before_1.2", &"x".repeat(100)] {
            assert_eq!(good.parse::<BackupName>().unwrap().as_str(), good);
        }
        let long = "x".repeat(1000);
        for bad in [
            "", ".", "..", "../x", "a/b", "a\\b", "-rf", ".x", "a..b", "a b", "a\n", "\u{e4}",
            "a%2f", &long,
        ] {
            let error = bad.parse::<BackupName>().unwrap_err().to_string();
            assert!(error.contains("cannot be the name of a backup"), "{bad}: {error}");
            assert!(error.len() < 400, "{error}");
        }
    }

    #[test]
    fn the_default_name_is_the_time_in_utc() {
        let now = "2026-11-21T02:03:04.5Z".parse().unwrap();
        assert_eq!(BackupName::at(now).as_str(), "backup-20261121-020304");
    }

    #[test]
    fn a_name_in_a_manifest_is_judged_as_well() {
        assert!(serde_json::from_str::<BackupName>("\"../x\"").is_err());
    }
}
