//! The organization itself, seen from inside. Founding one is [`crate::SystemScope::sign_up`].

use brownie_domain::{Change, Description, OrganizationId, OrganizationName, Slug, Version};

use crate::{
    Error, OrgScope, Resource, Result, Writing,
    entity::organizations,
    patch::{Stamps, Stored, change, set, stamps},
};

/// An organization: a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Organization {
    /// Which it is.
    pub id: OrganizationId,
    /// What it is called.
    pub name: OrganizationName,
    /// Unique among all organizations, for URLs.
    pub slug: Slug,
    /// What it does.
    pub description: Option<Description>,
    /// Whether its users may come in.
    pub is_active: bool,
    /// How many teams it may have.
    pub max_teams: i32,
    /// How many users may have one team as their home.
    pub max_users_per_team: i32,
    /// Who wrote the row, when, and how often.
    pub stamps: Stamps,
}

/// Changes to an organization.
#[derive(Debug, Clone, Default)]
pub struct OrganizationPatch {
    /// Another name.
    pub name: Option<OrganizationName>,
    /// Another slug.
    pub slug: Option<Slug>,
    /// Another description, or none.
    pub description: Change<Description>,
    /// Users may come in or not.
    pub is_active: Option<bool>,
    /// Another limit, 1 or more. A lower one than there are teams stops new ones only.
    pub max_teams: Option<i32>,
    /// Another limit, 1 or more.
    pub max_users_per_team: Option<i32>,
}

/// The organization of a scope: what [`OrgScope::organization`] gives out.
#[derive(Debug)]
pub struct Organizations<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// The organization itself.
    pub fn organization(&self) -> Organizations<'_, Mode> {
        Organizations { scope: self }
    }
}

impl<Mode> Organizations<'_, Mode> {
    /// Returns the organization.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is deleted.
    pub async fn get(&self) -> Result<Organization> {
        self.scope.get::<organizations::Entity>(self.scope.org_id().as_uuid()).await?.try_into()
    }
}

impl Organizations<'_, Writing> {
    /// Changes the organization if it is still at version `expected`. One that is no longer active lets
    /// nobody in, and all of its sessions and API keys are over for good: the schema sees to that, since
    /// whoever does this works by SQL.
    ///
    /// # Errors
    /// [`Error::VersionConflict`], or [`Error::AlreadyExists`] when another has the new slug.
    pub async fn update(
        &self,
        expected: Version,
        patch: OrganizationPatch,
    ) -> Result<Organization> {
        let OrganizationPatch { name, slug, description, is_active, max_teams, max_users_per_team } =
            patch;
        let changes = organizations::ActiveModel {
            name: set(name),
            slug: set(slug),
            description: change(description),
            is_active: set(is_active),
            max_teams: set(max_teams),
            max_users_per_team: set(max_users_per_team),
            ..Default::default()
        };
        let id = self.scope.org_id().as_uuid();
        self.scope.update::<organizations::Entity>(id, expected, changes).await?.try_into()
    }
}

impl TryFrom<organizations::Model> for Organization {
    type Error = Error;

    fn try_from(row: organizations::Model) -> Result<Self> {
        let stored = Stored { resource: Resource::Organization, id: row.id };
        Ok(Self {
            id: OrganizationId::from_uuid(row.id),
            name: stored.read("name", row.name)?,
            slug: stored.read("slug", row.slug)?,
            description: stored.read_optional("description", row.description)?,
            is_active: row.is_active,
            max_teams: row.max_teams,
            max_users_per_team: row.max_users_per_team,
            stamps: stamps!(row, stored),
        })
    }
}
