//! From the errors of the layers below to problems: the one conversion at this boundary.

use brownie_domain::{Invalid, InvalidCursor};
use brownie_persistence::Error;

use super::{Code, Problem};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::NotFound { resource } => {
                Self::with(Code::NotFound, format!("{resource} not found"))
            }
            Error::AlreadyExists { resource, field } => Self {
                errors: vec![super::FieldError {
                    pointer: format!("/{field}"),
                    detail: "is taken".to_owned(),
                }],
                ..Self::with(
                    Code::AlreadyExists,
                    format!("{resource} already exists with this {field}"),
                )
            },
            Error::VersionConflict { resource, expected, actual } => Self::with(
                Code::Stale,
                format!("{resource} is at version {actual} by now, not {expected}"),
            ),
            Error::InvalidReference { field } => {
                Self::field(format!("/{field}"), "refers to nothing in your organization")
            }
            Error::IllegalTransition(illegal) => {
                Self::with(Code::IllegalTransition, illegal.to_string())
            }
            Error::LimitReached { .. } => Self::with(Code::LimitReached, error.to_string()),
            Error::InUse { .. } => Self::with(Code::InUse, error.to_string()),
            Error::TooLarge { .. } => Self::with(Code::Invalid, format!("{error}.")),
            Error::ShareUsed { connections } => Self::busy(format!(
                "Your organization already uses the {connections} database connections that one may use at a time."
            )),
            Error::LastAdmin => Self::new(Code::LastAdmin),
            Error::HomeTeam => Self::new(Code::HomeTeam),
            Error::Rejected { constraint } => {
                tracing::warn!(?constraint, "the database refused what the types let through");
                Self::with(Code::Invalid, "A value cannot be stored.")
            }
            Error::Contended | Error::Locked | Error::Timeout | Error::Unavailable(_) => {
                tracing::warn!(error = %chain(&error), "the database could not answer");
                Self::new(Code::Unavailable)
            }
            // A connection leads to what cannot be used, such as a pooler that mixes up statements.
            Error::Settings(_) => {
                tracing::error!(error = %chain(&error), "the database cannot be used as it is reached");
                Self::new(Code::Unavailable)
            }
            Error::Inconsistent { .. } | Error::UnitOver | Error::Database(_) => internal(&error),
            other => internal(other),
        }
    }
}

impl From<brownie_auth::Error> for Problem {
    fn from(error: brownie_auth::Error) -> Self {
        match error {
            brownie_auth::Error::Busy => Self::new(Code::Unavailable),
            other => internal(&other),
        }
    }
}

impl From<InvalidCursor> for Problem {
    fn from(_: InvalidCursor) -> Self {
        Self::new(Code::InvalidCursor)
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::field(invalid.what, invalid.reason)
    }
}

fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = %chain(error), "a request failed");
    Problem::new(Code::Internal)
}

/// An error and its causes on one line, for the log alone.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    brownie_logging::chain(error)
}
