//! The closed vocabularies. Their wire and storage form is lower-case text, the same in JSON, in
//! the tables' CHECKs and in `Display`.

/// Declares an enum whose members have one lower-case spelling each.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident($what:literal) { $($(#[doc = $member_doc:literal])* $member:ident = $text:literal,)+ })+) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(into = "&'static str", try_from = "String")]
        pub enum $name {
            $($(#[doc = $member_doc])* $member,)+
        }

        impl $name {
            /// All members, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$member,)+];

            /// Returns the spelling on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$member => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl From<$name> for &'static str {
            fn from(kind: $name) -> Self {
                kind.as_str()
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Invalid;

            fn from_str(text: &str) -> Result<Self, $crate::Invalid> {
                match text {
                    $($text => Ok(Self::$member),)+
                    _ => Err($crate::Invalid::new(
                        $what,
                        concat!("must be one of:" $(, " ", $text)+),
                    )),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::Invalid;

            fn try_from(text: String) -> Result<Self, $crate::Invalid> {
                text.parse()
            }
        }

        $crate::schema::described!(
            $name,
            concat!($($doc,)* "\n" $(, "\n- `", $text, "`:" $(, $member_doc)*)+),
            { "type": "string", "enum": [$($text),+] }
        );
    )+};
}

pub(crate) use kinds;

kinds! {
    /// How soon somebody must look at an incident.
    Priority("priority") {
        /// When there is time.
        Low = "low",
        /// In working hours.
        Medium = "medium",
        /// Today.
        High = "high",
        /// Now.
        Critical = "critical",
    }

    /// How bad an incident is, in the words of the monitoring hub.
    Severity("severity") {
        /// Hardly noticed.
        Low = "low",
        /// Noticed by some.
        Medium = "medium",
        /// Noticed by many.
        High = "high",
        /// Everybody is affected.
        Critical = "critical",
    }

    /// What an agent is for.
    AgentType("agent type") {
        /// Helps to resolve incidents.
        IncidentResponse = "incident_response",
        /// Watches systems.
        Monitoring = "monitoring",
        /// Finds causes.
        Analysis = "analysis",
        /// Tells people.
        Notification = "notification",
        /// Anything else.
        Custom = "custom",
    }

    /// The layer that a configuration belongs to.
    ConfigType("config type") {
        /// The whole organization.
        Organization = "organization",
        /// One team.
        Team = "team",
        /// One kind of alert.
        Alert = "alert",
        /// One agent.
        Agent = "agent",
        /// Everything, below all other layers.
        Global = "global",
    }

    /// Where a configuration stands in its life.
    ConfigStatus("config status") {
        /// Being written; not used yet.
        Draft = "draft",
        /// In use.
        Active = "active",
        /// Still in use, about to go.
        Deprecated = "deprecated",
        /// Kept for the record.
        Archived = "archived",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_read_back() {
        for priority in Priority::ALL {
            assert_eq!(priority.as_str().parse(), Ok(*priority));
        }
    }

    #[test]
    fn upper_case_is_refused_and_the_choice_is_named() {
        let error = "HIGH".parse::<Priority>().unwrap_err();
        assert_eq!(error.to_string(), "priority must be one of: low medium high critical");
    }
}
