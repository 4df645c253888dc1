//! Why a configuration does not apply, for programs and for people.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::Pattern;
use crate::{ConfigStatus, ConfigType, TeamId};

/// A condition that a configuration makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The column `team_id`.
    TeamId,
    /// The column `team_pattern`.
    TeamPattern,
    /// The column `name_pattern`.
    NamePattern,
    /// The column `severity_pattern`.
    SeverityPattern,
    /// The layer: what is about a team, an alert or an agent needs one.
    Layer(ConfigType),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TeamId => f.write_str("team_id"),
            Self::TeamPattern => f.write_str("team_pattern"),
            Self::NamePattern => f.write_str("name_pattern"),
            Self::SeverityPattern => f.write_str("severity_pattern"),
            Self::Layer(layer) => write!(f, "the layer {layer}"),
        }
    }
}

/// A part of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aspect {
    /// `team`.
    Team,
    /// `name`.
    Name,
    /// `severity`.
    Severity,
    /// `name` or `severity`: either makes a question about an alert.
    Alert,
    /// `agent`.
    Agent,
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Team => "team",
            Self::Name => "name",
            Self::Severity => "severity",
            Self::Alert => "name or severity",
            Self::Agent => "agent",
        })
    }
}

/// Why a configuration does not apply. The first of its conditions that fails, in the order of this
/// list; serialized as `{code, message}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is switched off.
    Inactive,
    /// It is a draft, or archived.
    Status(ConfigStatus),
    /// Something is asked for that the question leaves out.
    NotAsked {
        /// By which condition.
        rule: Rule,
        /// What is left out.
        needs: Aspect,
    },
    /// It is for another team.
    OtherTeam(TeamId),
    /// A pattern does not match.
    NoMatch {
        /// Which.
        rule: Rule,
        /// What it says.
        pattern: Pattern,
        /// What it does not match; of a team the slug and the name.
        texts: Vec<String>,
    },
}

impl Reason {
    /// Returns the word that programs look for.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Status(_) => "status",
            Self::NotAsked { .. } => "not_asked",
            Self::OtherTeam(_) => "other_team",
            Self::NoMatch { .. } => "no_match",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive => f.write_str("is_active is false"),
            Self::Status(status) => {
                write!(f, "status is {status}; only active and deprecated ones apply")
            }
            Self::NotAsked { rule, needs } => {
                write!(f, "{rule} needs {needs}, which the question leaves out")
            }
            Self::OtherTeam(team) => write!(f, "team_id is {team}, another team"),
            Self::NoMatch { rule, pattern, texts } => {
                write!(f, "{rule} `{pattern}` does not match ")?;
                for (place, text) in texts.iter().enumerate() {
                    write!(f, "{}{text:?}", if place == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Reason", 2)?;
        object.serialize_field("code", self.code())?;
        object.serialize_field("message", &self.to_string())?;
        object.end()
    }
}
impl schemars::JsonSchema for Reason {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reason".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "description": "Why a configuration does not apply.",
            "required": ["code", "message"],
            "properties": {
                "code": { "type": "string", "examples": ["no_match"] },
                "message": { "type": "string" },
            },
        })
    }
}
