//! Who is asking, for whom, and why: what every access to rows begins with.

use brownie_domain::{
    Action, ApiKeyId, OrganizationId, Reach, RequestId, Role, SessionId, TeamId, UserId,
};
use uuid::Uuid;

/// Who did something, as the audit log names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Actor {
    /// A person.
    User(UserId),
    /// A program, by its key.
    ApiKey(ApiKeyId),
    /// A piece of our own software that works without being asked, by name.
    Job(&'static str),
}

impl Actor {
    /// Returns `user`, `api_key` or `job`.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::ApiKey(_) => "api_key",
            Self::Job(_) => "job",
        }
    }

    /// The job, which has no id.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::User(_) | Self::ApiKey(_) => None,
            Self::Job(name) => Some(name),
        }
    }

    /// Whoever it is, if it has an id.
    pub const fn id(self) -> Option<Uuid> {
        match self {
            Self::User(id) => Some(id.as_uuid()),
            Self::ApiKey(id) => Some(id.as_uuid()),
            Self::Job(_) => None,
        }
    }

    /// The user, for the columns that say who wrote a row.
    pub(crate) const fn user_id(self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(id),
            Self::ApiKey(_) | Self::Job(_) => None,
        }
    }
}

/// The right to touch the rows of one organization, and whose it is.
///
/// There is no way to make one from an id that came with a request: it comes from a [`Principal`],
/// which only the database gives out, or from a named reason.
#[derive(Debug, Clone, Copy)]
pub struct OrgContext {
    pub(crate) org_id: OrganizationId,
    pub(crate) actor: Actor,
    pub(crate) request_id: RequestId,
}

impl OrgContext {
    /// The context of our own software working for an organization. `job` names it in the audit
    /// log; each call is a decision to be reviewed.
    pub const fn for_job(org_id: OrganizationId, job: &'static str, request_id: RequestId) -> Self {
        Self { org_id, actor: Actor::Job(job), request_id }
    }

    /// Returns the organization.
    pub const fn org_id(&self) -> OrganizationId {
        self.org_id
    }

    /// Returns who is acting.
    pub const fn actor(&self) -> Actor {
        self.actor
    }

    /// Returns the request this is about.
    pub const fn request_id(&self) -> RequestId {
        self.request_id
    }
}

/// The right to do what belongs to no single organization, such as signing up or logging in.
#[derive(Debug, Clone, Copy)]
pub struct SystemContext {
    pub(crate) request_id: RequestId,
}

impl SystemContext {
    /// Somebody who is not known yet asks to come in.
    pub const fn for_visitor(request_id: RequestId) -> Self {
        Self { request_id }
    }
}

/// Who a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A person, and the team they are at home in.
    User { id: UserId, home: TeamId, session: Option<SessionId> },
    /// A program, and the one team that it is for, if there is one.
    ApiKey { id: ApiKeyId, team: Option<TeamId> },
}

/// Somebody whom the database knows, with the roles it knows them to have now.
///
/// Only [`crate::SystemScope`] makes one: what a token says about roles is not believed.
#[derive(Debug, Clone)]
pub struct Principal {
    pub(crate) org_id: OrganizationId,
    pub(crate) subject: Subject,
    pub(crate) role: Role,
    pub(crate) memberships: Vec<(TeamId, Role)>,
    /// What may be done of what the roles allow; nothing said is all of it.
    pub(crate) scopes: Vec<Action>,
}

impl Principal {
    /// Returns the organization, of which there is exactly one.
    pub fn org_id(&self) -> OrganizationId {
        self.org_id
    }

    /// Returns the user, if it is one.
    pub fn user_id(&self) -> Option<UserId> {
        match self.subject {
            Subject::User { id, .. } => Some(id),
            Subject::ApiKey { .. } => None,
        }
    }

    /// Returns the session that a user came by, if they came by one.
    pub fn session_id(&self) -> Option<SessionId> {
        match self.subject {
            Subject::User { session, .. } => session,
            Subject::ApiKey { .. } => None,
        }
    }

    /// Returns who it is, as the audit log names them.
    pub fn actor(&self) -> Actor {
        match self.subject {
            Subject::User { id, .. } => Actor::User(id),
            Subject::ApiKey { id, .. } => Actor::ApiKey(id),
        }
    }

    /// Returns the home team of a user, or the one team that an API key is for.
    pub fn home_team(&self) -> Option<TeamId> {
        match self.subject {
            Subject::User { home, .. } => Some(home),
            Subject::ApiKey { team, .. } => team,
        }
    }

    /// Returns the role in the organization, or none for what is for one team alone.
    pub fn role(&self) -> Option<Role> {
        match self.subject {
            Subject::ApiKey { team: Some(_), .. } => None,
            _ => Some(self.role),
        }
    }

    /// Returns the role in a team, or none for a stranger to it. An admin of the organization is
    /// admin of each of its teams. In the home team the role is the one in the organization.
    pub fn role_in(&self, team: TeamId) -> Option<Role> {
        match self.subject {
            Subject::ApiKey { team: Some(only), .. } => (team == only).then_some(self.role),
            Subject::ApiKey { team: None, .. } => Some(self.role),
            Subject::User { home, .. } if self.role == Role::Admin || team == home => {
                Some(self.role)
            }
            Subject::User { .. } => {
                self.memberships.iter().find(|(id, _)| *id == team).map(|(_, role)| *role)
            }
        }
    }

    /// Tells whether somebody with this role may do something, by the role and by the scopes.
    pub fn may(&self, action: Action, role: Option<Role>) -> bool {
        role.is_some_and(|role| role.may(action)) && self.has_scope(action)
    }

    /// Tells whether this may give somebody a role, or take one away: all that the role permits, within its
    /// reach, it may do itself. So an API key of few scopes makes nobody who may more than it.
    pub fn may_give(&self, role: Role, reach: Reach) -> bool {
        let permitted = Action::ALL.iter().filter(|action| role.may(**action));
        let mut within =
            permitted.filter(|action| reach == Reach::Organization || action.reach() == reach);
        within.all(|action| self.has_scope(*action))
    }

    /// Tells whether the scopes, if there are any, name an action.
    pub fn has_scope(&self, action: Action) -> bool {
        self.scopes.is_empty() || self.scopes.contains(&action)
    }

    /// Returns the teams in which there is a role, or none if there is one in all.
    pub fn teams(&self) -> Option<Vec<TeamId>> {
        match self.subject {
            Subject::ApiKey { team, .. } => team.map(|team| vec![team]),
            Subject::User { .. } if self.role == Role::Admin => None,
            Subject::User { home, .. } => {
                let joined = self.memberships.iter().map(|(id, _)| *id);
                Some(joined.chain([home]).collect())
            }
        }
    }

    /// Tells whether a team is the home, or one that a membership names: whether it is known to be
    /// a team of the organization.
    pub fn belongs_to(&self, team: TeamId) -> bool {
        self.home_team() == Some(team) || self.memberships.iter().any(|(id, _)| *id == team)
    }

    /// Returns the right to act in the organization.
    pub fn context(&self, request_id: RequestId) -> OrgContext {
        OrgContext { org_id: self.org_id, actor: self.actor(), request_id }
    }
}
