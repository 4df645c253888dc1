//! Who may do what: the one table. `docs/permissions.md` is generated from it.

use crate::{Invalid, kinds::kinds, schema::described};

/// What a person is in an organization, or in one team of it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and writes.
    Member,
    /// Reads, writes, deletes, and manages people.
    Admin,
}

impl Role {
    /// All roles, from the least to the most.
    pub const ALL: &'static [Self] = &[Self::Viewer, Self::Member, Self::Admin];

    /// Returns the spelling on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// Tells whether this role may do `action`.
    pub const fn may(self, action: Action) -> bool {
        (self as u8) >= (action.least_role() as u8)
    }
}

described!(Role, "What a person is in an organization, or in one team of it.", {
    "type": "string",
    "enum": ["viewer", "member", "admin"],
    "examples": ["member"],
});

impl From<Role> for &'static str {
    fn from(role: Role) -> Self {
        role.as_str()
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Role {
    type Err = Invalid;

    /// Reads a role. `editor`, which the original spoke of and never had, is a member.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "member" | "editor" => Ok(Self::Member),
            "admin" => Ok(Self::Admin),
            _ => Err(Invalid::new("role", "must be one of: admin member viewer")),
        }
    }
}

impl TryFrom<String> for Role {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

kinds! {
    /// Something that can be allowed. Those of organization scope are decided by the role in the
    /// organization, the others by the role in the team that the thing belongs to.
    Action("action") {
        /// See, create, rotate and revoke API keys.
        ApiKeysManage = "api_keys.manage",
        /// See who did what in the organization.
        AuditRead = "audit.read",
        /// See the organization.
        OrganizationRead = "organization.read",
        /// Change the organization.
        OrganizationWrite = "organization.write",
        /// See teams and who is in them.
        TeamsRead = "teams.read",
        /// Create, delete and restore teams.
        TeamsManage = "teams.manage",
        /// Change a team.
        TeamsWrite = "teams.write",
        /// Add people to a team, change their role in it, remove them from it.
        MembersWrite = "members.write",
        /// See the organization's users.
        UsersRead = "users.read",
        /// Create, change, delete and restore users. Everybody may change their own profile.
        UsersWrite = "users.write",
        /// See a team's incidents.
        IncidentsRead = "incidents.read",
        /// Create and change incidents.
        IncidentsWrite = "incidents.write",
        /// Delete and restore incidents.
        IncidentsDelete = "incidents.delete",
        /// See a team's agent configurations.
        AgentConfigsRead = "agent_configs.read",
        /// Create and change agent configurations.
        AgentConfigsWrite = "agent_configs.write",
        /// Delete and restore agent configurations.
        AgentConfigsDelete = "agent_configs.delete",
        /// See configurations, and ask what applies.
        ConfigsRead = "configs.read",
        /// Create, change, delete and restore configurations.
        ConfigsWrite = "configs.write",
        /// See statistics.
        StatsRead = "stats.read",
        /// Record statistics.
        StatsWrite = "stats.write",
        /// Delete and restore statistics.
        StatsDelete = "stats.delete",
        /// Follow what happens in the organization, in all of its teams.
        EventsRead = "events.read",
    }
}

/// Whose role decides about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The role in the organization.
    Organization,
    /// The role in one team.
    Team,
}

impl Action {
    /// Returns the least role that may do it.
    pub const fn least_role(self) -> Role {
        match self {
            Self::OrganizationRead
            | Self::TeamsRead
            | Self::UsersRead
            | Self::IncidentsRead
            | Self::AgentConfigsRead
            | Self::ConfigsRead
            | Self::StatsRead => Role::Viewer,
            Self::IncidentsWrite | Self::AgentConfigsWrite | Self::StatsWrite => Role::Member,
            Self::OrganizationWrite
            | Self::TeamsManage
            | Self::TeamsWrite
            | Self::MembersWrite
            | Self::UsersWrite
            | Self::IncidentsDelete
            | Self::AgentConfigsDelete
            | Self::StatsDelete
            | Self::ApiKeysManage
            | Self::AuditRead
            | Self::ConfigsWrite
            | Self::EventsRead => Role::Admin,
        }
    }

    /// Returns whose role decides.
    pub const fn reach(self) -> Reach {
        match self {
            Self::OrganizationRead
            | Self::OrganizationWrite
            | Self::TeamsRead
            | Self::TeamsManage
            | Self::UsersRead
            | Self::UsersWrite
            | Self::ApiKeysManage
            | Self::AuditRead
            | Self::ConfigsRead
            | Self::ConfigsWrite
            | Self::EventsRead => Reach::Organization,
            Self::TeamsWrite
            | Self::MembersWrite
            | Self::IncidentsRead
            | Self::IncidentsWrite
            | Self::IncidentsDelete
            | Self::AgentConfigsRead
            | Self::AgentConfigsWrite
            | Self::AgentConfigsDelete
            | Self::StatsRead
            | Self::StatsWrite
            | Self::StatsDelete => Reach::Team,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editor_is_a_member() {
        assert_eq!("editor".parse(), Ok(Role::Member));
    }

    #[test]
    fn no_role_may_less_than_a_lower_one() {
        for action in Action::ALL {
            assert!(!Role::Viewer.may(*action) || Role::Member.may(*action));
            assert!(!Role::Member.may(*action) || Role::Admin.may(*action));
        }
    }
}
