//! The words of the metadata database: ids, names, states, roles and pages.
//!
//! Everything here is pure: no I/O, no clock but the one handed in, no database, no HTTP. A value
//! that exists is valid: constructors refuse what the rest of the house could not store or show.

mod change;
mod clock;
pub mod config;
mod document;
mod ids;
mod incident;
mod kinds;
mod number;
mod operation;
mod page;
mod permission;
mod schema;
mod search;
mod text;
mod version;

pub use change::Change;
pub use clock::{Clock, IdSource, ManualClock, RandomIds, SeededIds, SystemClock, Timestamp};
pub use document::{Document, Tags};
pub use ids::{
    AgentConfigId, ApiKeyId, AuditId, ConfigId, EventId, IncidentId, OperationId, OrganizationId,
    RequestId, SessionId, StatId, TeamId, UserId,
};
pub use incident::{IllegalTransition, IncidentStatus, Progress};
pub use kinds::{AgentType, ConfigStatus, ConfigType, Priority, Severity};
pub use number::AtLeast;
pub use operation::{
    AskedOperation, BackupEntry, BackupRuns, BackupStore, BackupTimes, OperationKind,
    OperationRequest, OperationState, OperationsKey,
};
pub use page::{Cursor, InvalidCursor, List, Page, PageRequest, Position};
pub use permission::{Action, Reach, Role};
pub use search::Search;
pub use text::{
    AvatarUrl, ConfigName, Description, EmailAddress, FullName, IdempotencyKey, IncidentTitle,
    MetricName, MetricType, OrganizationName, SearchText, ShortLabel, Slug, SourceName, TeamName,
    Username,
};
pub use version::Version;

/// A value that was refused, and why, in words for the person who sent it.
///
/// The message names the limit, never the whole input: input may be long or secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {reason}")]
pub struct Invalid {
    /// What was being read, such as `team name`.
    pub what: &'static str,
    /// What is wrong with it, such as `must have 1 to 255 characters, not 300`.
    pub reason: String,
}

impl Invalid {
    pub(crate) fn new(what: &'static str, reason: impl Into<String>) -> Self {
        Self { what, reason: reason.into() }
    }
}
