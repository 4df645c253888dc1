//! `/organizations`: a caller has exactly one.

use brownie_domain::{
    AtLeast, Change, Description, List, OrganizationId, OrganizationName, Page, Slug, Version,
};
use brownie_persistence::{Organization, OrganizationPatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{Org, perm},
    answer::{Addressed, One, PageOf, StampsView},
    body::{Body, Given, IfMatch},
};

/// Changes to an organization.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OrganizationUpdate {
    name: Given<OrganizationName>,
    slug: Given<Slug>,
    description: Change<Description>,
    is_active: Given<bool>,
    max_teams: Given<AtLeast<1>>,
    max_users_per_team: Given<AtLeast<1>>,
}

/// An organization as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Organization")]
pub(crate) struct OrganizationView {
    id: OrganizationId,
    name: OrganizationName,
    slug: Slug,
    description: Option<Description>,
    is_active: bool,
    max_teams: i32,
    max_users_per_team: i32,
    #[serde(flatten)]
    stamps: StampsView,
}

impl Addressed for OrganizationView {
    fn location(&self) -> String {
        format!("/api/v1/organizations/{}", self.id)
    }

    fn version(&self) -> Version {
        self.stamps.version
    }
}

impl From<Organization> for OrganizationView {
    fn from(organization: Organization) -> Self {
        let Organization {
            id,
            name,
            slug,
            description,
            is_active,
            max_teams,
            max_users_per_team,
            stamps,
        } = organization;
        Self {
            id,
            name,
            slug,
            description,
            is_active,
            max_teams,
            max_users_per_team,
            stamps: stamps.into(),
        }
    }
}

pub(crate) async fn list(
    access: Org<perm::OrganizationRead>,
) -> Result<PageOf<OrganizationView>, Problem> {
    let own = access.read().organization().get().await?;
    let page = Page { items: vec![own], next: None };
    Ok(PageOf::of(List::Organizations, page, OrganizationView::from))
}

pub(crate) async fn get(
    access: Org<perm::OrganizationRead>,
) -> Result<One<OrganizationView>, Problem> {
    Ok(One(OrganizationView::from(access.read().organization().get().await?)))
}

pub(crate) async fn update(
    access: Org<perm::OrganizationWrite>,
    IfMatch(expected): IfMatch,
    Body(body): Body<OrganizationUpdate>,
) -> Result<One<OrganizationView>, Problem> {
    if body.is_active.0 == Some(false) {
        let why = "cannot be false: nobody of the organization could undo it";
        return Err(Problem::field("/is_active", why));
    }
    let patch = OrganizationPatch {
        name: body.name.0,
        slug: body.slug.0,
        description: body.description,
        is_active: body.is_active.0,
        max_teams: body.max_teams.0.map(AtLeast::get),
        max_users_per_team: body.max_users_per_team.0.map(AtLeast::get),
    };
    let organization = access
        .write(patch, move |tx, patch| async move {
            Ok(tx.organization().update(expected, patch).await?)
        })
        .await?;
    Ok(One(OrganizationView::from(organization)))
}
