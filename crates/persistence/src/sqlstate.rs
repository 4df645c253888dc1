//! What PostgreSQL's SQLSTATE codes mean to us (manual, appendix A). The only place that reads them.

use tokio_postgres::error::{DbError, SqlState};

use crate::{Error, Resource};

/// The names of constraints, and what they say to a caller. Those of foreign keys and unique keys
/// that a request can violate; a test compares them with the schema.
const FIELDS: &[(&str, Resource, &str)] = &[
    ("agent_configs_org_id_team_id_fkey", Resource::AgentConfig, "team_id"),
    ("agent_configs_org_id_team_id_name_key", Resource::AgentConfig, "name"),
    ("api_keys_org_id_name_key", Resource::ApiKey, "name"),
    ("api_keys_org_id_team_id_fkey", Resource::ApiKey, "team_id"),
    ("configs_org_id_team_id_fkey", Resource::Config, "team_id"),
    ("incidents_org_id_assigned_to_fkey", Resource::Incident, "assigned_to"),
    ("incidents_org_id_idempotency_key_key", Resource::Incident, "idempotency_key"),
    ("incidents_org_id_team_id_fkey", Resource::Incident, "team_id"),
    ("memberships_org_id_team_id_fkey", Resource::Membership, "team_id"),
    ("memberships_org_id_team_id_user_id_key", Resource::Membership, "user_id"),
    ("memberships_org_id_user_id_fkey", Resource::Membership, "user_id"),
    ("organizations_slug_key", Resource::Organization, "slug"),
    ("stats_org_id_team_id_fkey", Resource::Stat, "team_id"),
    ("teams_org_id_name_key", Resource::Team, "name"),
    ("teams_org_id_slug_key", Resource::Team, "slug"),
    ("users_org_id_email_key", Resource::User, "email"),
    ("users_org_id_oidc_subject_key", Resource::User, "oidc_subject"),
    ("users_org_id_team_id_fkey", Resource::User, "team_id"),
    ("users_org_id_username_key", Resource::User, "username"),
];

fn field_of(constraint: Option<&str>) -> Option<(Resource, &'static str)> {
    FIELDS
        .iter()
        .find(|(name, ..)| Some(*name) == constraint)
        .map(|(_, resource, field)| (*resource, *field))
}

/// Returns the constraints that this crate knows by name, for a test that compares them with the
/// schema.
pub fn known_constraints() -> Vec<&'static str> {
    FIELDS.iter().map(|(name, ..)| *name).collect()
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(reported) => classify(reported).unwrap_or_else(|| Self::Database(Box::new(error))),
            None if is_conversion(&error) => Self::Database(Box::new(error)),
            // The server said nothing: the connection broke, or was never made.
            None => Self::Unavailable(Some(Box::new(error))),
        }
    }
}

/// Tells whether a value could not be converted on our side, with the connection in good order.
fn is_conversion(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| {
        source.is::<tokio_postgres::types::WrongType>()
            || source.is::<tokio_postgres::types::WasNull>()
            || source.is::<serde_json::Error>()
    })
}

/// The routine of PostgreSQL that says "cached plan must not change result type": a migration changed a column.
const OUTDATED_PLAN: &str = "RevalidateCachedQuery";

/// Tells whether a statement failed because a migration has outdated its plan.
pub(crate) fn is_outdated_plan(error: &Error) -> bool {
    let Error::Unavailable(Some(source)) = error else { return false };
    let reported = source.downcast_ref::<DbError>();
    reported.is_some_and(|reported| reported.routine() == Some(OUTDATED_PLAN))
}

/// Tells whether a server refuses whatever would be written: it is a standby, or has no room left.
pub(crate) fn refuses_writes(error: &Error) -> bool {
    let Error::Unavailable(Some(source)) = error else { return false };
    let reported = source.downcast_ref::<DbError>();
    reported.is_some_and(|reported| {
        [SqlState::READ_ONLY_SQL_TRANSACTION, SqlState::DISK_FULL].contains(reported.code())
            || reported.routine() == Some(RECOVERY)
    })
}

/// The routine that says "cannot set transaction read-write mode during recovery".
const RECOVERY: &str = "call_bool_check_hook";

/// Returns the meaning of what the server reported, or none if it is a defect of ours.
fn classify(reported: &DbError) -> Option<Error> {
    let code = reported.code();
    let field = field_of(reported.constraint());
    Some(match (code, field) {
        (&SqlState::UNIQUE_VIOLATION, Some((resource, field))) => {
            Error::AlreadyExists { resource, field }
        }
        (&SqlState::FOREIGN_KEY_VIOLATION, Some((_, field))) => Error::InvalidReference { field },
        (
            &SqlState::UNIQUE_VIOLATION
            | &SqlState::FOREIGN_KEY_VIOLATION
            | &SqlState::CHECK_VIOLATION
            | &SqlState::NOT_NULL_VIOLATION,
            _,
        ) => Error::Rejected { constraint: reported.constraint().map(str::to_owned) },
        (&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED, _) => {
            Error::Contended
        }
        (&SqlState::LOCK_NOT_AVAILABLE, _) => Error::Locked,
        (&SqlState::QUERY_CANCELED | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT, _) => {
            Error::Timeout
        }
        // A switchover left this connection on a server that only reads: another one will do. Or the schema was
        // taken back under a server that runs, which readiness tells; or an object is not ready yet.
        (
            &SqlState::READ_ONLY_SQL_TRANSACTION
            | &SqlState::INVALID_SQL_STATEMENT_NAME
            | &SqlState::UNDEFINED_TABLE
            | &SqlState::UNDEFINED_COLUMN
            | &SqlState::UNDEFINED_FUNCTION
            | &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            _,
        ) => Error::Unavailable(Some(Box::new(reported.clone()))),
        // What this connection has prepared no longer fits; or it leads to a standby, which refuses to begin a
        // transaction that writes ("cannot set transaction read-write mode during recovery").
        (&SqlState::FEATURE_NOT_SUPPORTED, _)
            if matches!(reported.routine(), Some(OUTDATED_PLAN | RECOVERY)) =>
        {
            Error::Unavailable(Some(Box::new(reported.clone())))
        }
        _ => match &code.code()[..2] {
            // Data exceptions: a value that the column cannot hold. Limits of a program (54): one that is too
            // long or too deep for it.
            "22" | "54" => Error::Rejected { constraint: None },
            // Connection exceptions, insufficient resources, operator intervention, the system's own errors.
            "08" | "53" | "57" | "58" => Error::Unavailable(Some(Box::new(reported.clone()))),
            _ => return None,
        },
    })
}
