//! What can go wrong between a caller and its rows.

use brownie_domain::{IllegalTransition, Version};
use uuid::Uuid;

/// A kind of thing that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// An agent configuration.
    AgentConfig,
    /// A key for programs.
    ApiKey,
    /// A hierarchical configuration.
    Config,
    /// An event.
    Event,
    /// An incident.
    Incident,
    /// A user's role in a team.
    Membership,
    /// Long work on the whole database.
    Operation,
    /// An organization.
    Organization,
    /// A measured value.
    Stat,
    /// A team.
    Team,
    /// A user.
    User,
}

impl Resource {
    /// Returns its name, as in events (`team.created`) and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentConfig => "agent_config",
            Self::ApiKey => "api_key",
            Self::Config => "config",
            Self::Event => "event",
            Self::Incident => "incident",
            Self::Membership => "membership",
            Self::Operation => "operation",
            Self::Organization => "organization",
            Self::Stat => "stat",
            Self::Team => "team",
            Self::User => "user",
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The result of everything that touches rows.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a row could not be read or written. After an error nothing of the unit of work is kept,
/// except where a variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such row in this organization, or it is deleted.
    #[error("{resource} not found")]
    NotFound {
        /// What was looked for.
        resource: Resource,
    },
    /// Another live row has what must be unique.
    #[error("{resource} already exists with this {field}")]
    AlreadyExists {
        /// What was to be written.
        resource: Resource,
        /// What it shares with the other row.
        field: &'static str,
    },
    /// The row is no longer at the version that the caller saw.
    #[error("{resource} is at version {actual}, not {expected}")]
    VersionConflict {
        /// What was to be written.
        resource: Resource,
        /// What the caller saw.
        expected: Version,
        /// What it is now.
        actual: Version,
    },
    /// The row refers to another one that is not there.
    #[error("the {field} refers to nothing in this organization")]
    InvalidReference {
        /// The referring field.
        field: &'static str,
    },
    /// The incident cannot move there from where it stands.
    #[error(transparent)]
    IllegalTransition(#[from] IllegalTransition),
    /// The organization may have no more of these.
    #[error("the organization's limit of {max} {what} is reached")]
    LimitReached {
        /// What is limited, in the plural.
        what: &'static str,
        /// How many there may be.
        max: i32,
    },
    /// The organization would be left without anybody to administer it.
    #[error("the last admin of the organization cannot be removed or demoted")]
    LastAdmin,
    /// It cannot be deleted while something needs it.
    #[error("the {resource} still has {what}; move or delete them first")]
    InUse {
        /// What was to be deleted.
        resource: Resource,
        /// What needs it, in the plural.
        what: &'static str,
    },
    /// A user cannot be taken out of their home team.
    #[error("this is the user's home team; give them another one, or delete the user")]
    HomeTeam,
    /// The database refused a value that the types let through.
    #[error("the database refused a value{}", constraint.as_deref().map(|name| format!(" ({name})")).unwrap_or_default())]
    Rejected {
        /// The constraint, if it was one.
        constraint: Option<String>,
    },
    /// Lost a race with another transaction more than once; the same call may succeed if repeated.
    #[error("another transaction was in the way; try again")]
    Contended,
    /// Somebody else kept a lock for too long; the same call may succeed if repeated.
    #[error("somebody else has locked what this needs; try again")]
    Locked,
    /// Took longer than it may. Whether a write took effect is unknown.
    #[error("the database did not answer in time")]
    Timeout,
    /// The database cannot be reached, or has no connection free. Whether a write that was under
    /// way took effect is unknown.
    #[error("the database is not available")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The organization already uses as many connections as it may, and has for some time.
    #[error(
        "the organization already uses all {connections} database connections that it may use at a time"
    )]
    ShareUsed {
        /// How many that is.
        connections: usize,
    },
    /// What was asked for is more than is read at a time.
    #[error("the {what} have more than {bytes} bytes together; make them smaller")]
    TooLarge {
        /// What, in the plural.
        what: &'static str,
        /// How many they may have.
        bytes: usize,
    },
    /// A stored row makes no sense.
    #[error("{resource} {id} has a {column} that cannot be read")]
    Inconsistent {
        /// What the row is.
        resource: Resource,
        /// Which.
        id: Uuid,
        /// Where.
        column: &'static str,
    },
    /// The unit of work is over: committed, rolled back, or cut short by an earlier error.
    #[error("the unit of work is over")]
    UnitOver,
    /// Settings that cannot work.
    #[error("{0}")]
    Settings(String),
    /// Anything else. A defect of ours.
    #[error("the database refused a statement")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// What is not there was named by a field of what is to be written.
    pub(crate) fn of_reference(self, field: &'static str) -> Self {
        match self {
            Self::NotFound { .. } => Self::InvalidReference { field },
            other => other,
        }
    }

    /// Tells whether the same call may succeed if it is repeated unchanged.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Contended
                | Self::Locked
                | Self::Timeout
                | Self::Unavailable(_)
                | Self::ShareUsed { .. }
        )
    }
}
