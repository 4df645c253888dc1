//! The people of an organization.

use brownie_domain::{
    AvatarUrl, Change, Document, EmailAddress, FullName, OrganizationId, Page, PageRequest,
    Position, Role, TeamId, UserId, Username, Version,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, QueryFilter};

use crate::{
    Error, OrgScope, Resource, Result, Writing,
    entity::{memberships, organizations, teams, users},
    patch::{Stamps, Stored, change, set, stamps},
};

/// A user. The hash of their password never leaves the crate with it.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Whose organization.
    pub org_id: OrganizationId,
    /// Which user.
    pub id: UserId,
    /// Unique in the organization.
    pub email: EmailAddress,
    /// Unique in the organization, in any case.
    pub username: Username,
    /// As they write it.
    pub full_name: Option<FullName>,
    /// Where their picture is.
    pub avatar_url: Option<AvatarUrl>,
    /// Whether they may come in.
    pub is_active: bool,
    /// Whether their mailbox is known to be theirs.
    pub is_verified: bool,
    /// The home team.
    pub team_id: TeamId,
    /// The role in the organization and in the home team.
    pub role: Role,
    /// Their own settings.
    pub preferences: Document,
    /// Who wrote the row, when, and how often.
    pub stamps: Stamps,
}

/// A user to be created.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Unique in the organization.
    pub email: EmailAddress,
    /// Unique in the organization.
    pub username: Username,
    /// As they write it.
    pub full_name: Option<FullName>,
    /// Where their picture is.
    pub avatar_url: Option<AvatarUrl>,
    /// A PHC string; without one they cannot log in with a password.
    pub password_hash: Option<String>,
    /// Whether they may come in.
    pub is_active: bool,
    /// Whether their mailbox is known to be theirs.
    pub is_verified: bool,
    /// The home team.
    pub team_id: TeamId,
    /// The role in the organization and in the home team.
    pub role: Role,
    /// Their own settings.
    pub preferences: Document,
}

/// Changes to a user.
#[derive(Debug, Clone, Default)]
pub struct UserPatch {
    /// Another mailbox.
    pub email: Option<EmailAddress>,
    /// Another name to mention them by.
    pub username: Option<Username>,
    /// Another full name, or none.
    pub full_name: Change<FullName>,
    /// Another picture, or none.
    pub avatar_url: Change<AvatarUrl>,
    /// May come in or not.
    pub is_active: Option<bool>,
    /// Verified or not.
    pub is_verified: Option<bool>,
    /// Another home team.
    pub team_id: Option<TeamId>,
    /// Another role.
    pub role: Option<Role>,
    /// Other settings.
    pub preferences: Option<Document>,
}

impl UserPatch {
    /// Tells whether it changes what only an administrator may change: everything but the profile.
    pub fn is_administrative(&self) -> bool {
        let Self { email, is_active, is_verified, team_id, role, .. } = self;
        email.is_some()
            || is_active.is_some()
            || is_verified.is_some()
            || team_id.is_some()
            || role.is_some()
    }
}

/// The users of an organization: what [`OrgScope::users`] gives out.
#[derive(Debug)]
pub struct Users<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// The organization's users.
    pub fn users(&self) -> Users<'_, Mode> {
        Users { scope: self }
    }
}

impl<Mode> Users<'_, Mode> {
    /// Returns a user.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this organization has no such user, or they are deleted.
    pub async fn get(&self, id: UserId) -> Result<User> {
        self.scope.get::<users::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Returns the users, newest first, the inactive ones included.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(&self, page: PageRequest) -> Result<Page<User>> {
        self.scope
            .page(self.scope.select::<users::Entity>(), users::Column::CreatedAt, page, position)
            .await?
            .try_map(User::try_from)
    }
}

impl Users<'_, Writing> {
    /// Creates a user.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when e-mail or username is taken, [`Error::NotFound`] when there is
    /// no such team, [`Error::LimitReached`] when the team has as many users as it may.
    pub async fn create(&self, new: NewUser) -> Result<User> {
        self.make_room(new.team_id).await?;
        let NewUser {
            email,
            username,
            full_name,
            avatar_url,
            password_hash,
            is_active,
            is_verified,
            team_id,
            role,
            preferences,
        } = new;
        let row = users::ActiveModel {
            email: Set(email.into()),
            username: Set(username.into()),
            full_name: Set(full_name.map(Into::into)),
            avatar_url: Set(avatar_url.map(Into::into)),
            password_hash: Set(password_hash),
            is_active: Set(is_active),
            is_verified: Set(is_verified),
            team_id: Set(team_id.as_uuid()),
            role: Set(role.as_str().to_owned()),
            preferences: Set(preferences.into()),
            ..Default::default()
        };
        self.scope.insert::<users::Entity>(row).await?.try_into()
    }

    /// Changes a user who is still at version `expected`. Who is no longer active loses all sessions and the
    /// API keys that they made, for good; who has a lesser role, those keys that may more.
    ///
    /// # Errors
    /// As [`Users::create`]; [`Error::VersionConflict`]; [`Error::LastAdmin`] when nobody would be
    /// left to administer the organization.
    pub async fn update(&self, id: UserId, expected: Version, patch: UserPatch) -> Result<User> {
        if let Some(team_id) = patch.team_id
            && self.get(id).await?.team_id != team_id
        {
            self.make_room(team_id).await?;
            // A home needs no membership, and one left behind would count again after the next move.
            self.scope.memberships().end_all(id, Some(team_id)).await?;
        }
        if patch.is_active == Some(false) || patch.role.is_some_and(|role| role != Role::Admin) {
            self.keep_an_admin_besides(id).await?;
        }
        // What ends by this does so for good, and does not return when the right to it does.
        let (is_out, role_now) = (patch.is_active == Some(false), patch.role);
        let UserPatch {
            email,
            username,
            full_name,
            avatar_url,
            is_active,
            is_verified,
            team_id,
            role,
            preferences,
        } = patch;
        let changes = users::ActiveModel {
            email: set(email),
            username: set(username),
            full_name: change(full_name),
            avatar_url: change(avatar_url),
            is_active: set(is_active),
            is_verified: set(is_verified),
            team_id: set(team_id.map(|id| id.as_uuid())),
            role: set(role.map(Role::as_str)),
            preferences: set(preferences),
            ..Default::default()
        };
        let user = self.scope.update::<users::Entity>(id.as_uuid(), expected, changes).await?;
        if is_out {
            self.end_access(id).await?;
        } else if let Some(role) = role_now {
            self.scope.api_keys().revoke_made_by(id, Some(role)).await?;
        }
        user.try_into()
    }

    /// Ends what somebody comes in by: their sessions, and the keys that they made. After the write that
    /// takes the right away, which whoever begins a session waits for.
    async fn end_access(&self, id: UserId) -> Result<()> {
        self.scope.revoke_sessions(id).await?;
        self.scope.api_keys().revoke_made_by(id, None).await
    }

    /// Returns the stored hash of a user's password, if they have one.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such user.
    pub async fn password_hash(&self, id: UserId) -> Result<Option<String>> {
        Ok(self.scope.lock::<users::Entity>(id.as_uuid()).await?.password_hash)
    }

    /// Gives a user another password. What they had is not asked for.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such user.
    pub async fn set_password(&self, id: UserId, password_hash: String) -> Result<User> {
        let changes =
            users::ActiveModel { password_hash: Set(Some(password_hash)), ..Default::default() };
        self.write_credentials(id, changes).await
    }

    /// Links a user to somebody at an issuer of OpenID Connect.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::AlreadyExists`] when another user is linked to them, or this
    /// one to somebody else.
    pub async fn link(&self, id: UserId, issuer: String, subject: String) -> Result<User> {
        let row = self.scope.lock::<users::Entity>(id.as_uuid()).await?;
        if row.oidc_subject.is_some_and(|linked| linked != subject) {
            return Err(Error::AlreadyExists { resource: Resource::User, field: "oidc_subject" });
        }
        let changes = users::ActiveModel {
            oidc_provider: Set(Some(issuer)),
            oidc_subject: Set(Some(subject)),
            ..Default::default()
        };
        self.write_credentials(id, changes).await
    }

    /// Whoever is here may not have seen the version: what somebody comes in by is no part of what
    /// is shown of them.
    async fn write_credentials(&self, id: UserId, changes: users::ActiveModel) -> Result<User> {
        let row = self.scope.lock::<users::Entity>(id.as_uuid()).await?;
        let expected =
            Stored { resource: Resource::User, id: row.id }.read("version", row.version)?;
        self.scope.update::<users::Entity>(id.as_uuid(), expected, changes).await?.try_into()
    }

    /// Deletes a user who is still at version `expected`. Their e-mail and username are free again; their
    /// sessions and the API keys that they made are over for good.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`] or [`Error::LastAdmin`].
    pub async fn delete(&self, id: UserId, expected: Version) -> Result<User> {
        self.keep_an_admin_besides(id).await?;
        let user = self.scope.delete::<users::Entity>(id.as_uuid(), expected).await?;
        self.scope.memberships().end_all(id, None).await?;
        self.end_access(id).await?;
        user.try_into()
    }

    /// Brings a deleted user back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such deleted user, [`Error::VersionConflict`], or
    /// [`Error::AlreadyExists`] when somebody has taken their e-mail or username.
    pub async fn restore(&self, id: UserId, expected: Version) -> Result<User> {
        let team_id = self.scope.deleted::<users::Entity>(id.as_uuid()).await?.team_id;
        self.make_room(TeamId::from_uuid(team_id)).await?;
        self.scope.restore::<users::Entity>(id.as_uuid(), expected).await?.try_into()
    }

    /// Makes sure that a team is there and may have one more user. The lock on the organization
    /// makes the count exact: nobody else adds a user meanwhile.
    pub(crate) async fn make_room(&self, team_id: TeamId) -> Result<()> {
        let org_id = self.scope.org_id().as_uuid();
        let organization = self.scope.lock::<organizations::Entity>(org_id).await?;
        self.scope.get::<teams::Entity>(team_id.as_uuid()).await?;
        let at_home = self
            .scope
            .select::<users::Entity>()
            .filter(users::Column::TeamId.eq(team_id.as_uuid()));
        let joined = self
            .scope
            .select::<memberships::Entity>()
            .filter(memberships::Column::TeamId.eq(team_id.as_uuid()));
        let people = self.scope.count(at_home).await? + self.scope.count(joined).await?;
        let max = organization.max_users_per_team;
        if people >= i64::from(max) {
            return Err(Error::LimitReached { what: "users per team", max });
        }
        Ok(())
    }

    /// Makes sure that the organization has an active admin other than `id`, if `id` is one.
    async fn keep_an_admin_besides(&self, id: UserId) -> Result<()> {
        self.scope.lock::<organizations::Entity>(self.scope.org_id().as_uuid()).await?;
        let admins = || {
            self.scope
                .select::<users::Entity>()
                .filter(users::Column::Role.eq(Role::Admin.as_str()))
                .filter(users::Column::IsActive.eq(true))
                // Whoever cannot log in administers nothing.
                .filter(
                    Condition::any()
                        .add(users::Column::PasswordHash.is_not_null())
                        .add(users::Column::OidcSubject.is_not_null()),
                )
        };
        let this = users::Column::Id.eq(id.as_uuid());
        if self.scope.one(admins().filter(this)).await?.is_none() {
            return Ok(());
        }
        let others = users::Column::Id.ne(id.as_uuid());
        match self.scope.one(admins().filter(others)).await? {
            Some(_) => Ok(()),
            None => Err(Error::LastAdmin),
        }
    }
}

pub(crate) fn position(row: &users::Model) -> Position {
    Position { at: row.created_at, id: row.id }
}

impl TryFrom<users::Model> for User {
    type Error = Error;

    fn try_from(row: users::Model) -> Result<Self> {
        let stored = Stored { resource: Resource::User, id: row.id };
        Ok(Self {
            org_id: OrganizationId::from_uuid(row.org_id),
            id: UserId::from_uuid(row.id),
            email: stored.read("email", row.email)?,
            username: stored.read("username", row.username)?,
            full_name: stored.read_optional("full_name", row.full_name)?,
            avatar_url: stored.read_optional("avatar_url", row.avatar_url)?,
            is_active: row.is_active,
            is_verified: row.is_verified,
            team_id: TeamId::from_uuid(row.team_id),
            role: stored.read("role", row.role)?,
            preferences: stored.read("preferences", row.preferences)?,
            stamps: stamps!(row, stored),
        })
    }
}
