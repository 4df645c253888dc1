//! Keys for programs.

use brownie_domain::{
    Action, ApiKeyId, ConfigName, OrganizationId, Page, PageRequest, Position, Role, TeamId,
    Timestamp, UserId, Version,
};
use chrono::TimeDelta;
use sea_orm::{ActiveValue::Set, ColumnTrait, sea_query::ExprTrait};

use crate::{
    Error, OrgScope, Resource, Result, TokenHash, Writing,
    context::Actor,
    entity::{api_keys, teams},
    patch::{Stamps, Stored, stamps},
};

/// A key, without what is secret of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    /// Whose it is.
    pub org_id: OrganizationId,
    /// Which it is.
    pub id: ApiKeyId,
    /// The team it is for, if it is not for the whole organization.
    pub team_id: Option<TeamId>,
    /// Unique in the organization.
    pub name: ConfigName,
    /// Its role there.
    pub role: Role,
    /// What it may do of what the role may; nothing said is all of it.
    pub scopes: Vec<Action>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Until when the secret before this one is good, too.
    pub previous_until: Option<Timestamp>,
    /// Who wrote the row, when, and how often.
    pub stamps: Stamps,
}

/// A key to be created.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The team it is for, if it is not for the whole organization.
    pub team_id: Option<TeamId>,
    /// Unique in the organization.
    pub name: ConfigName,
    /// Its role there.
    pub role: Role,
    /// What it may do of what the role may; nothing said is all of it.
    pub scopes: Vec<Action>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// The keys of an organization: what [`OrgScope::api_keys`] gives out.
#[derive(Debug)]
pub struct ApiKeys<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// The organization's keys for programs.
    pub fn api_keys(&self) -> ApiKeys<'_, Mode> {
        ApiKeys { scope: self }
    }
}

impl<Mode> ApiKeys<'_, Mode> {
    /// Returns a key.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this organization has no such key, or it is revoked.
    pub async fn get(&self, id: ApiKeyId) -> Result<ApiKey> {
        self.scope.get::<api_keys::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Returns the keys, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(&self, page: PageRequest) -> Result<Page<ApiKey>> {
        let position = |row: &api_keys::Model| Position { at: row.created_at, id: row.id };
        let select = self.scope.select::<api_keys::Entity>();
        self.scope
            .page(select, api_keys::Column::CreatedAt, page, position)
            .await?
            .try_map(ApiKey::try_from)
    }
}

impl ApiKeys<'_, Writing> {
    /// Returns an id for a key that is to be created: it is a part of the key's text.
    pub fn next_id(&self) -> ApiKeyId {
        ApiKeyId::from_uuid(self.scope.new_id(self.scope.now()))
    }

    /// Creates a key, of whose text `hash` is the SHA-256.
    ///
    /// # Errors
    /// [`Error::InvalidReference`] when there is no such team, [`Error::AlreadyExists`] when the
    /// organization has a key of that name.
    pub async fn create(&self, id: ApiKeyId, hash: TokenHash, new: NewApiKey) -> Result<ApiKey> {
        self.hold_maker(new.role).await?;
        if let Some(team) = new.team_id {
            let held = self.scope.hold::<teams::Entity>(team.as_uuid()).await;
            held.map_err(|error| error.of_reference("team_id"))?;
        }
        let row = api_keys::ActiveModel {
            team_id: Set(new.team_id.map(|id| id.as_uuid())),
            name: Set(new.name.into()),
            role: Set(new.role.as_str().to_owned()),
            scopes: Set(serde_json::json!(new.scopes)),
            hash: Set(hash.to_vec()),
            expires_at: Set(new.expires_at),
            ..Default::default()
        };
        self.scope.insert_as::<api_keys::Entity>(id.as_uuid(), row).await?.try_into()
    }

    /// Makes sure that whoever makes a key may still do so, and keeps it so until it is made: one that was made at
    /// the moment in which its maker lost the right would outlive it.
    async fn hold_maker(&self, role: Role) -> Result<()> {
        let Actor::User(maker) = self.scope.ctx().actor else { return Ok(()) };
        let org_id = self.scope.org_id().as_uuid();
        let organization = "SELECT 1 FROM organizations
            WHERE id = $1 AND is_active AND deleted_at IS NULL FOR SHARE";
        if self.scope.run(organization, [org_id.into()]).await?.is_empty() {
            return Err(Error::NotFound { resource: Resource::Organization });
        }
        let user = "SELECT role FROM users
            WHERE org_id = $1 AND id = $2 AND is_active AND deleted_at IS NULL FOR SHARE";
        let rows = self.scope.run(user, [org_id.into(), maker.as_uuid().into()]).await?;
        let gone = || Error::NotFound { resource: Resource::User };
        let now: String = rows.first().ok_or_else(gone)?.try_get("role")?;
        if now.parse::<Role>().is_ok_and(|now| now >= role) { Ok(()) } else { Err(gone()) }
    }

    /// Gives a key that is still at version `expected` another secret. The one before is good for
    /// `grace` longer, so that those who use it can be told.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::VersionConflict`].
    pub async fn rotate(
        &self,
        id: ApiKeyId,
        expected: Version,
        hash: TokenHash,
        grace: Option<TimeDelta>,
    ) -> Result<ApiKey> {
        let previous_until = grace.map(|grace| self.scope.now() + grace);
        let current = self.scope.get::<api_keys::Entity>(id.as_uuid()).await?;
        let changes = api_keys::ActiveModel {
            hash: Set(hash.to_vec()),
            previous_hash: Set(previous_until.map(|_| current.hash)),
            previous_until: Set(previous_until),
            ..Default::default()
        };
        let row = self.scope.update::<api_keys::Entity>(id.as_uuid(), expected, changes).await?;
        row.try_into()
    }

    /// Revokes the keys that a user made: those that may more than `role`, or all of them.
    pub(crate) async fn revoke_made_by(&self, maker: UserId, role: Option<Role>) -> Result<()> {
        let more = Role::ALL.iter().filter(|of_key| role.is_none_or(|role| **of_key > role));
        let which = api_keys::Column::CreatedBy
            .eq(maker.as_uuid())
            .and(api_keys::Column::Role.is_in(more.map(|role| role.as_str())));
        self.scope.delete_all::<api_keys::Entity>(which, self.scope.now()).await
    }

    /// Revokes the keys of a team.
    pub(crate) async fn revoke_of_team(&self, team: TeamId) -> Result<()> {
        let which = api_keys::Column::TeamId.eq(team.as_uuid());
        self.scope.delete_all::<api_keys::Entity>(which, self.scope.now()).await
    }

    /// Revokes a key that is still at version `expected`, for good.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::VersionConflict`].
    pub async fn revoke(&self, id: ApiKeyId, expected: Version) -> Result<ApiKey> {
        self.scope.delete::<api_keys::Entity>(id.as_uuid(), expected).await?.try_into()
    }
}

impl TryFrom<api_keys::Model> for ApiKey {
    type Error = Error;

    fn try_from(row: api_keys::Model) -> Result<Self> {
        let stored = Stored { resource: Resource::ApiKey, id: row.id };
        Ok(Self {
            org_id: OrganizationId::from_uuid(row.org_id),
            id: ApiKeyId::from_uuid(row.id),
            team_id: row.team_id.map(TeamId::from_uuid),
            name: stored.read("name", row.name)?,
            role: stored.read("role", row.role)?,
            scopes: stored.read_json("scopes", row.scopes)?,
            expires_at: row.expires_at,
            previous_until: row.previous_until,
            stamps: stamps!(row, stored),
        })
    }
}
