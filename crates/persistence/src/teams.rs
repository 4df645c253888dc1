//! Teams of an organization.

use brownie_domain::{
    Change, Description, Document, OrganizationId, Page, PageRequest, Position, Slug, TeamId,
    TeamName, Version,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, QueryFilter, QuerySelect, QueryTrait, sea_query::ExprTrait,
};

use crate::{
    Error, OrgScope, Resource, Result, Writing,
    entity::{agent_configs, configs, incidents, memberships, organizations, teams, users},
    patch::{Stamps, Stored, change, set, stamps},
};

/// A team.
#[derive(Debug, Clone, PartialEq)]
pub struct Team {
    /// Whose it is.
    pub org_id: OrganizationId,
    /// Which it is.
    pub id: TeamId,
    /// Unique in the organization.
    pub name: TeamName,
    /// Unique in the organization, for URLs.
    pub slug: Slug,
    /// What it does.
    pub description: Option<Description>,
    /// Whether it is in use; lists leave out those that are not.
    pub is_active: bool,
    /// Permissions by user id, kept for the original's clients. Nothing reads them.
    pub permissions: Document,
    /// Who wrote the row, when, and how often.
    pub stamps: Stamps,
}

/// A team to be created.
#[derive(Debug, Clone)]
pub struct NewTeam {
    /// Unique in the organization.
    pub name: TeamName,
    /// Unique in the organization.
    pub slug: Slug,
    /// What it does.
    pub description: Option<Description>,
    /// Whether it is in use.
    pub is_active: bool,
    /// See [`Team::permissions`].
    pub permissions: Document,
}

/// Changes to a team.
#[derive(Debug, Clone, Default)]
pub struct TeamPatch {
    /// Another name.
    pub name: Option<TeamName>,
    /// Another slug.
    pub slug: Option<Slug>,
    /// Another description, or none.
    pub description: Change<Description>,
    /// In use or not.
    pub is_active: Option<bool>,
    /// Other permissions.
    pub permissions: Option<Document>,
}

/// The teams of an organization: what [`OrgScope::teams`] gives out.
#[derive(Debug)]
pub struct Teams<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// The organization's teams.
    pub fn teams(&self) -> Teams<'_, Mode> {
        Teams { scope: self }
    }
}

impl<Mode> Teams<'_, Mode> {
    /// Returns a team.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this organization has no such team, or it is deleted.
    pub async fn get(&self, id: TeamId) -> Result<Team> {
        self.scope.get::<teams::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Returns a team by its slug.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this organization has no such team, or it is deleted.
    pub async fn by_slug(&self, slug: &Slug) -> Result<Team> {
        let select = self.scope.select::<teams::Entity>();
        let row = self.scope.one(select.filter(teams::Column::Slug.eq(slug.as_str()))).await?;
        row.ok_or(Error::NotFound { resource: Resource::Team })?.try_into()
    }

    /// Returns the active teams, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(&self, page: PageRequest) -> Result<Page<Team>> {
        let select = self.scope.select::<teams::Entity>().filter(teams::Column::IsActive.eq(true));
        let rows = self
            .scope
            .page(select, teams::Column::CreatedAt, page, |row| Position {
                at: row.created_at,
                id: row.id,
            })
            .await?;
        rows.try_map(Team::try_from)
    }
}

impl Teams<'_, Writing> {
    /// Creates a team.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the name or the slug is taken; [`Error::LimitReached`] when
    /// the organization has as many teams as it may.
    pub async fn create(&self, new: NewTeam) -> Result<Team> {
        self.make_room().await?;
        let NewTeam { name, slug, description, is_active, permissions } = new;
        let row = teams::ActiveModel {
            name: Set(name.into()),
            slug: Set(slug.into()),
            description: Set(description.map(Into::into)),
            is_active: Set(is_active),
            permissions: Set(permissions.into()),
            ..Default::default()
        };
        self.scope.insert::<teams::Entity>(row).await?.try_into()
    }

    /// Changes a team that is still at version `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`], or [`Error::AlreadyExists`] when another
    /// team has the new name or slug.
    pub async fn update(&self, id: TeamId, expected: Version, patch: TeamPatch) -> Result<Team> {
        let TeamPatch { name, slug, description, is_active, permissions } = patch;
        let changes = teams::ActiveModel {
            name: set(name),
            slug: set(slug),
            description: change(description),
            is_active: set(is_active),
            permissions: set(permissions),
            ..Default::default()
        };
        self.scope.update::<teams::Entity>(id.as_uuid(), expected, changes).await?.try_into()
    }

    /// Deletes a team that is still at version `expected`, and what is in it: its incidents, its
    /// agent configurations, its memberships. Measured values stay: they are the organization's
    /// history. [`Teams::restore`] brings all of it back; the API keys of the team are over for good.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::VersionConflict`]; [`Error::InUse`] when it is somebody's
    /// home.
    pub async fn delete(&self, id: TeamId, expected: Version) -> Result<Team> {
        // Nobody moves in meanwhile: whoever does takes this lock first.
        self.scope.lock::<organizations::Entity>(self.scope.org_id().as_uuid()).await?;
        // Nor puts anything into it: whoever does holds it.
        self.scope.lock_out::<teams::Entity>(id.as_uuid()).await?;
        let at_home =
            self.scope.select::<users::Entity>().filter(users::Column::TeamId.eq(id.as_uuid()));
        if self.scope.one(at_home).await?.is_some() {
            return Err(Error::InUse { resource: Resource::Team, what: "users" });
        }
        let row = self.scope.delete::<teams::Entity>(id.as_uuid(), expected).await?;
        if let Some(at) = row.deleted_at {
            let scope = self.scope;
            scope.delete_all::<incidents::Entity>(incidents::Column::TeamId.eq(row.id), at).await?;
            scope
                .delete_all::<agent_configs::Entity>(agent_configs::Column::TeamId.eq(row.id), at)
                .await?;
            scope.delete_all::<configs::Entity>(configs::Column::TeamId.eq(row.id), at).await?;
            scope
                .delete_all::<memberships::Entity>(memberships::Column::TeamId.eq(row.id), at)
                .await?;
            scope.api_keys().revoke_of_team(id).await?;
        }
        row.try_into()
    }

    /// Brings a deleted team back, with what was deleted together with it. What had been deleted
    /// before stays so, and so do the memberships of users who have been deleted since.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such deleted team, [`Error::VersionConflict`],
    /// [`Error::LimitReached`], or [`Error::AlreadyExists`] when another team has taken its name or
    /// slug, or another incident the idempotency key of one of its own.
    pub async fn restore(&self, id: TeamId, expected: Version) -> Result<Team> {
        self.make_room().await?;
        let deleted_at = self.scope.deleted::<teams::Entity>(id.as_uuid()).await?.deleted_at;
        let row = self.scope.restore::<teams::Entity>(id.as_uuid(), expected).await?;
        if let Some(at) = deleted_at {
            let scope = self.scope;
            scope
                .restore_all::<incidents::Entity>(incidents::Column::TeamId.eq(row.id), at)
                .await?;
            scope
                .restore_all::<agent_configs::Entity>(agent_configs::Column::TeamId.eq(row.id), at)
                .await?;
            scope.restore_all::<configs::Entity>(configs::Column::TeamId.eq(row.id), at).await?;
            let live = scope.select::<users::Entity>().select_only().column(users::Column::Id);
            let of_the_living = memberships::Column::TeamId
                .eq(row.id)
                .and(memberships::Column::UserId.in_subquery(live.into_query()));
            scope.restore_all::<memberships::Entity>(of_the_living, at).await?;
        }
        row.try_into()
    }

    /// Makes sure that the organization may have one more team. The lock makes the count exact.
    async fn make_room(&self) -> Result<()> {
        let org_id = self.scope.org_id().as_uuid();
        let organization = self.scope.lock::<organizations::Entity>(org_id).await?;
        let teams = self.scope.count(self.scope.select::<teams::Entity>()).await?;
        if teams >= i64::from(organization.max_teams) {
            return Err(Error::LimitReached { what: "teams", max: organization.max_teams });
        }
        Ok(())
    }
}

impl TryFrom<teams::Model> for Team {
    type Error = Error;

    fn try_from(row: teams::Model) -> Result<Self> {
        let stored = Stored { resource: Resource::Team, id: row.id };
        Ok(Self {
            org_id: OrganizationId::from_uuid(row.org_id),
            id: TeamId::from_uuid(row.id),
            name: stored.read("name", row.name)?,
            slug: stored.read("slug", row.slug)?,
            description: stored.read_optional("description", row.description)?,
            is_active: row.is_active,
            permissions: stored.read("permissions", row.permissions)?,
            stamps: stamps!(row, stored),
        })
    }
}
