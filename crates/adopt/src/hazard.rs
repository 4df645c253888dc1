//! What may stand in the way of a row, and what can be done about it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::Serialize;

/// Declares the hazards: name, what it is, and the ways to resolve it with what each does, the
/// suggested one first.
macro_rules! hazards {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal { $($way:literal => $does:literal,)+ })+) => {
        /// A kind of row that cannot become ours as it is, or that somebody should know of first.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Hazard {
            $($(#[doc = $doc])* $name,)+
        }

        impl Hazard {
            /// All of them, in the order in which they are looked for.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name on the command line and in reports.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it is, in a sentence.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*),)+ }
            }

            /// The ways to resolve it and what each does; the suggested one comes first.
            pub const fn ways(self) -> &'static [(&'static str, &'static str)] {
                match self { $(Self::$name => &[$(($way, $does)),+],)+ }
            }
        }
    };
}

hazards! {
    /// `org_id` and `organization_id` of one row differ.
    OrgMismatch = "org-mismatch" {
        "organization-id" => "the row goes where its foreign key says (organization_id)",
        "org-id" => "the row goes where the application saw it (org_id), if there is such an organization",
    }
    /// The row is of an organization that is not there.
    OrphanOrganization = "orphan-organization" {
        "recreate" => "the organization is made again under its id, inactive",
    }
    /// The row names a team that is not there.
    OrphanTeam = "orphan-team" {
        "recreate" => "the team is made again under its id, inactive, in the row's organization",
    }
    /// The row names a team of another organization.
    ForeignTeam = "foreign-team" {
        "own-team" => "the row stays in its organization and gets that organization's oldest team; without one it follows its team",
        "follow-team" => "the row goes to the team's organization",
    }
    /// The incident is assigned to somebody who is not there.
    OrphanAssignee = "orphan-assignee" {
        "clear" => "the incident is assigned to nobody",
    }
    /// The incident is assigned to somebody of another organization.
    ForeignAssignee = "foreign-assignee" {
        "clear" => "the incident is assigned to nobody",
    }
    /// A column says NULL, or JSON's null, where ours says something.
    Null = "null" {
        "default" => "it becomes {} or []",
    }
    /// A time has no zone.
    NaiveTime = "naive-time" {
        "utc" => "it is read as UTC, as the original's API writes it",
    }
    /// A time is infinite.
    Time = "time" {
        "clear" => "it becomes none; where there must be one, the time the row was created, or 1970",
    }
    /// A number is below the least that ours can be.
    Number = "number" {
        "least" => "it becomes the least",
    }
    /// The role is `editor`, which only parts of the original knew.
    Editor = "editor" {
        "member" => "it becomes member, which may do the same",
        "viewer" => "it becomes viewer",
    }
    /// An enum has a label that nobody knows.
    Label = "label" {
        "default" => "it becomes the default: open, medium, custom, organization, draft, or the role viewer",
    }
    /// An e-mail address has capitals: two spellings of one mailbox are one account here.
    EmailCase = "email-case" {
        "lower" => "it is written in lower case",
    }
    /// What stands for an e-mail address is none that ours could show.
    Email = "email" {
        "placeholder" => "it becomes <id>@adopted.invalid",
    }
    /// A user name has other characters than letters, digits, _ and -, or fewer than 3.
    Username = "username" {
        "rewrite" => "other characters become -, and what is too short gets the beginning of the id",
    }
    /// A slug has other characters than lower-case letters, digits and -.
    Slug = "slug" {
        "rewrite" => "it is written in lower case, and other characters become -",
    }
    /// A text is empty, has control characters, or is none of its kind (a URL, a pattern).
    Text = "text" {
        "repair" => "control characters become blanks; what is then still refused becomes none, or `unnamed` where there must be one",
    }
    /// A text is longer than ours may be.
    LongText = "long-text" {
        "cut" => "it is cut; the whole is kept in brownie_original",
    }
    /// A document is no JSON object.
    DocumentShape = "document-shape" {
        "wrap" => "it becomes {\"value\": ...}",
    }
    /// A document is too large, or has what jsonb cannot hold (U+0000).
    Document = "document" {
        "empty" => "it becomes {}, or none; the whole is kept in brownie_original",
    }
    /// Tags are no list of 1 to 100 short texts.
    Tags = "tags" {
        "repair" => "what is no tag is left out, what is too long is cut",
    }
    /// A configuration's YAML cannot be read, or says otherwise than its JSON.
    ConfigBody = "config-body" {
        "json" => "what the JSON says is true; the YAML is kept in brownie_original",
        "yaml" => "what the YAML says is true if it can be read",
    }
    /// Two organizations or two teams of one organization have the same slug (in lower case).
    DuplicateSlug = "duplicate-slug" {
        "suffix" => "all but the oldest get - and the beginning of their id",
    }
    /// Two teams of one organization have the same name.
    DuplicateName = "duplicate-name" {
        "suffix" => "all but the oldest get - and the beginning of their id",
    }
    /// Two users of one organization have the same e-mail address (in lower case).
    DuplicateEmail = "duplicate-email" {
        "tag" => "all but the oldest get + and the beginning of their id before the @",
    }
    /// Two users of one organization have the same user name (in lower case).
    DuplicateUsername = "duplicate-username" {
        "suffix" => "all but the oldest get - and the beginning of their id",
    }
    /// Two agent configurations of one team have the same name.
    DuplicateAgentName = "duplicate-agent-name" {
        "suffix" => "all but the oldest get - and the beginning of their id",
    }
    /// A user is marked deleted.
    DeletedUser = "deleted-user" {
        "keep" => "they come over as deleted: their e-mail address and user name are free again",
    }
    /// The organization has no active admin who can log in.
    LastAdmin = "last-admin" {
        "promote" => "its oldest active user who can log in becomes admin, if there is one",
        "accept" => "it stays without",
    }
    /// A table has a column that the original does not have.
    ExtraColumn = "extra-column" {
        "leave" => "it stays in brownie_original alone",
    }
}

impl Hazard {
    /// Where it stands in [`Hazard::ALL`]: a later one sees what an earlier one made of a value.
    pub(crate) fn turn(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Hazard {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How one kind of hazard is to be resolved: `HAZARD=WAY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolve {
    /// Which kind.
    pub hazard: Hazard,
    /// In which way; one of [`Hazard::ways`].
    pub way: &'static str,
}

impl FromStr for Resolve {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, way) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is not HAZARD=WAY"))?;
        let hazard =
            Hazard::ALL.iter().copied().find(|hazard| hazard.as_str() == name).ok_or_else(
                || {
                    let all: Vec<_> = Hazard::ALL.iter().map(|hazard| hazard.as_str()).collect();
                    format!("there is no hazard {name:?}; there are: {}", all.join(" "))
                },
            )?;
        let ways = hazard.ways();
        let way =
            ways.iter().map(|(way, _)| *way).find(|known| *known == way).ok_or_else(|| {
                let all: Vec<_> = ways.iter().map(|(way, _)| *way).collect();
                format!("{name} cannot be resolved by {way:?}; it can by: {}", all.join(" "))
            })?;
        Ok(Self { hazard, way })
    }
}

/// What the operator decided.
#[derive(Debug, Clone, Default)]
pub struct Choices(BTreeMap<Hazard, &'static str>);

impl Choices {
    /// The way that was told, if one was.
    pub fn told(&self, hazard: Hazard) -> Option<&'static str> {
        self.0.get(&hazard).copied()
    }

    /// The way that was told, or the suggested one.
    pub(crate) fn way(&self, hazard: Hazard) -> &'static str {
        let suggested = hazard.ways().first().map_or("", |(way, _)| *way);
        self.told(hazard).unwrap_or(suggested)
    }
}

impl FromIterator<Resolve> for Choices {
    fn from_iter<I: IntoIterator<Item = Resolve>>(all: I) -> Self {
        Self(all.into_iter().map(|resolve| (resolve.hazard, resolve.way)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_is_answered_with_the_right_ones() {
        assert!("slug".parse::<Resolve>().unwrap_err().contains("HAZARD=WAY"));
        assert!("slag=rewrite".parse::<Resolve>().unwrap_err().contains("org-mismatch"));
        assert!("slug=keep".parse::<Resolve>().unwrap_err().ends_with("rewrite"));
    }

    #[test]
    fn every_hazard_reads_back() {
        for hazard in Hazard::ALL {
            for (way, _) in hazard.ways() {
                let resolve: Resolve = format!("{hazard}={way}").parse().unwrap();
                assert_eq!(resolve, Resolve { hazard: *hazard, way });
            }
        }
    }
}
