//! The rule by which a service decides whether it can serve a database.

use std::fmt;

use crate::History;

/// The table in which sea-orm records what was applied.
pub const LEDGER: &str = "seaql_migrations";

/// How many migrations a database may be ahead and still be served. Nothing is taken away before as
/// many migrations have passed since it fell out of use (docs/migrations.md).
pub const WINDOW: usize = 20;

/// How a database's schema stands to the one that this program was built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The same: serve.
    Current,
    /// Older: these are to be applied first. Do not serve.
    Behind {
        /// Names of the pending migrations, the oldest first.
        pending: Vec<String>,
    },
    /// Newer: everything this program knows is there, and these besides. Serve, as far as
    /// [`WINDOW`]: migrations only expand until no running release needs what they take away, and a
    /// release that is rolled back must be able to start.
    Ahead {
        /// Names of the migrations that this program does not know.
        unknown: Vec<String>,
    },
}

impl Standing {
    /// Judges a database for this release, by the names in its ledger, in any order.
    pub fn of(applied: &[String]) -> Self {
        History::shipped().standing(applied)
    }

    /// Returns how many migrations are to be applied first.
    pub fn pending(&self) -> usize {
        match self {
            Self::Behind { pending } => pending.len(),
            Self::Current | Self::Ahead { .. } => 0,
        }
    }

    /// Tells whether this program can serve such a database.
    pub fn can_serve(&self) -> bool {
        match self {
            Self::Current => true,
            Self::Behind { .. } => false,
            Self::Ahead { unknown } => unknown.len() <= WINDOW,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => write!(f, "the schema is current"),
            Self::Behind { pending } => write!(
                f,
                "the schema is behind by {} migration(s), the first being {}; run `brownie-migrator up`",
                pending.len(),
                pending.first().map_or("none", String::as_str)
            ),
            Self::Ahead { unknown } if unknown.len() > WINDOW => write!(
                f,
                "the schema is ahead of this program by {} migrations, more than the {WINDOW} that it is served with; use a newer release",
                unknown.len()
            ),
            Self::Ahead { unknown } => write!(
                f,
                "the schema is ahead of this program by {} migration(s), the last being {}; it is served as it is",
                unknown.len(),
                unknown.last().map_or("none", String::as_str)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn an_empty_database_is_behind() {
        assert_eq!(Standing::of(&[]), Standing::Behind { pending: names() });
        assert!(!Standing::of(&[]).can_serve());
    }

    #[test]
    fn a_rolled_back_service_can_start_on_a_newer_schema() {
        let mut applied = names();
        applied.push("m29990101_000001_later".to_owned());
        let standing = Standing::of(&applied);
        assert_eq!(
            standing,
            Standing::Ahead { unknown: vec!["m29990101_000001_later".to_owned()] }
        );
        assert!(standing.can_serve());
    }

    #[test]
    fn behind_and_ahead_at_once_is_behind() {
        let applied = ["m29990101_000001_later".to_owned()];
        assert!(!Standing::of(&applied).can_serve());
    }
}
