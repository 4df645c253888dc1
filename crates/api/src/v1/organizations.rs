//! `/organizations`: a caller has exactly one.

use actix_web::{HttpRequest, HttpResponse};
use brownie_domain::{
    AtLeast, Change, Description, List, OrganizationId, OrganizationName, Page, Slug,
};
use brownie_persistence::{Organization, OrganizationPatch};
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{Org, perm},
    body::{Body, IfMatch, some},
    view::{self, StampsView},
};

/// Changes to an organization.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrganizationUpdate {
    #[serde(default, deserialize_with = "some")]
    name: Option<OrganizationName>,
    #[serde(default, deserialize_with = "some")]
    slug: Option<Slug>,
    #[serde(default)]
    description: Change<Description>,
    #[serde(default, deserialize_with = "some")]
    is_active: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    max_teams: Option<AtLeast<1>>,
    #[serde(default, deserialize_with = "some")]
    max_users_per_team: Option<AtLeast<1>>,
}

/// An organization as clients see it.
#[derive(Serialize)]
struct OrganizationView {
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

fn one(organization: Organization) -> HttpResponse {
    let version = organization.stamps.version;
    view::one(&OrganizationView::from(organization), version)
}

pub(crate) async fn list(
    access: Org<perm::OrganizationRead>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let own = access.read().organization().get().await?;
    let page = Page { items: vec![own], next: None };
    Ok(view::page(&request, List::Organizations, page, OrganizationView::from))
}

pub(crate) async fn get(access: Org<perm::OrganizationRead>) -> Result<HttpResponse, Problem> {
    Ok(one(access.read().organization().get().await?))
}

pub(crate) async fn update(
    access: Org<perm::OrganizationWrite>,
    IfMatch(expected): IfMatch,
    Body(body): Body<OrganizationUpdate>,
) -> Result<HttpResponse, Problem> {
    let OrganizationUpdate { name, slug, description, is_active, max_teams, max_users_per_team } =
        body;
    if is_active == Some(false) {
        let why = "cannot be false: nobody of the organization could undo it";
        return Err(Problem::field("/is_active", why));
    }
    let patch = OrganizationPatch {
        name,
        slug,
        description,
        is_active,
        max_teams: max_teams.map(AtLeast::get),
        max_users_per_team: max_users_per_team.map(AtLeast::get),
    };
    let organization = access
        .write(patch, move |tx, patch| async move {
            Ok(tx.organization().update(expected, patch).await?)
        })
        .await?;
    Ok(one(organization))
}
