//! Identifiers. One type for each kind of thing, so that a team's id cannot be passed for a user's.
//!
//! All are UUIDs of version 7 (RFC 9562 section 5.7): time-ordered, so that new rows are neighbours
//! in every index. Ids of adopted 0.1 databases are of version 4 and work the same.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Invalid, schema::described};

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident = $what:literal;)+) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID that is known to identify such a thing.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the bare UUID, for storage.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Uuid::parse_str(text).map(Self).map_err(|_| Invalid::new($what, "must be a UUID"))
            }
        }

        described!($name, concat!($($doc),*), {
            "type": "string",
            "format": "uuid",
            "examples": ["019aa5d3-7c00-7b1e-9c5e-3f4f8a1d2b6c"],
        });
    )+};
}

// Alphabetical.
ids! {
    /// An agent configuration.
    AgentConfigId = "agent config id";
    /// An API key, by which a service comes in.
    ApiKeyId = "API key id";
    /// A row of the audit log.
    AuditId = "audit id";
    /// A configuration.
    ConfigId = "config id";
    /// An event of the outbox.
    EventId = "event id";
    /// An incident.
    IncidentId = "incident id";
    /// Long work on the whole database.
    OperationId = "operation id";
    /// An organization, which is a tenant.
    OrganizationId = "organization id";
    /// One request, from its log lines to its audit rows.
    RequestId = "request id";
    /// A log-in, from its first token to its last.
    SessionId = "session id";
    /// A measured value.
    StatId = "stat id";
    /// A team.
    TeamId = "team id";
    /// A user.
    UserId = "user id";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = TeamId::from_uuid(Uuid::from_u128(7));
        assert_eq!(id.to_string().parse::<TeamId>(), Ok(id));
    }

    #[test]
    fn what_is_no_uuid_is_refused_by_name() {
        let error = "42".parse::<TeamId>().unwrap_err();
        assert_eq!(error.to_string(), "team id must be a UUID");
    }
}
