//! `/organizations/{org_id}/teams` and `/teams/{team_id}`.

use actix_web::{HttpRequest, HttpResponse};
use brownie_domain::{Change, Description, Document, List, OrganizationId, Slug, TeamId, TeamName};
use brownie_persistence::{NewTeam, Team, TeamPatch};
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{InTeam, Org, perm},
    body::{Body, IfMatch, Paging, Path, Query, same, some},
    view::{self, StampsView},
};

use super::yes;

/// A team to be created.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamCreate {
    name: TeamName,
    slug: Slug,
    #[serde(default)]
    description: Option<Description>,
    #[serde(default = "yes")]
    is_active: bool,
    #[serde(default)]
    permissions: Document,
    #[serde(default)]
    organization_id: Option<OrganizationId>,
}

/// Changes to a team.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamUpdate {
    #[serde(default, deserialize_with = "some")]
    name: Option<TeamName>,
    #[serde(default, deserialize_with = "some")]
    slug: Option<Slug>,
    #[serde(default)]
    description: Change<Description>,
    #[serde(default, deserialize_with = "some")]
    is_active: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    permissions: Option<Document>,
}

/// A team as clients see it.
#[derive(Serialize)]
struct TeamView {
    id: TeamId,
    org_id: OrganizationId,
    organization_id: OrganizationId,
    name: TeamName,
    slug: Slug,
    description: Option<Description>,
    is_active: bool,
    permissions: Document,
    #[serde(flatten)]
    stamps: StampsView,
}

impl From<Team> for TeamView {
    fn from(team: Team) -> Self {
        let Team { org_id, id, name, slug, description, is_active, permissions, stamps } = team;
        Self {
            id,
            org_id,
            organization_id: org_id,
            name,
            slug,
            description,
            is_active,
            permissions,
            stamps: stamps.into(),
        }
    }
}

fn one(team: Team) -> HttpResponse {
    let version = team.stamps.version;
    view::one(&TeamView::from(team), version)
}

pub(crate) async fn list(
    access: Org<perm::TeamsRead>,
    request: HttpRequest,
    Query(paging): Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let page = Paging::of(paging.limit, paging.cursor.as_deref(), List::Teams)?;
    let teams = access.read().teams().list(page).await?;
    Ok(view::page(&request, List::Teams, teams, TeamView::from))
}

pub(crate) async fn create(
    access: Org<perm::TeamsManage>,
    Body(body): Body<TeamCreate>,
) -> Result<HttpResponse, Problem> {
    let TeamCreate { name, slug, description, is_active, permissions, organization_id } = body;
    same(organization_id, access.org_id(), "/organization_id")?;
    let new = NewTeam { name, slug, description, is_active, permissions };
    let team =
        access.write(new, move |tx, new| async move { Ok(tx.teams().create(new).await?) }).await?;
    let location = format!("/api/v1/teams/{}", team.id);
    let version = team.stamps.version;
    Ok(view::created(&TeamView::from(team), version, &location))
}

pub(crate) async fn get(
    access: Org<perm::TeamsRead>,
    Path(id): Path<TeamId>,
) -> Result<HttpResponse, Problem> {
    Ok(one(access.read().teams().get(id).await?))
}

pub(crate) async fn update(
    access: InTeam<perm::TeamsWrite>,
    IfMatch(expected): IfMatch,
    Body(body): Body<TeamUpdate>,
) -> Result<HttpResponse, Problem> {
    let id = access.team_id;
    let TeamUpdate { name, slug, description, is_active, permissions } = body;
    let patch = TeamPatch { name, slug, description, is_active, permissions };
    let team = access
        .write(
            patch,
            move |tx, patch| async move { Ok(tx.teams().update(id, expected, patch).await?) },
        )
        .await?;
    Ok(one(team))
}

pub(crate) async fn delete(
    access: Org<perm::TeamsManage>,
    Path(id): Path<TeamId>,
    IfMatch(expected): IfMatch,
) -> Result<HttpResponse, Problem> {
    let team = access
        .write((), move |tx, ()| async move { Ok(tx.teams().delete(id, expected).await?) })
        .await?;
    Ok(view::deleted("Team", team.stamps.version))
}

pub(crate) async fn restore(
    access: Org<perm::TeamsManage>,
    Path(id): Path<TeamId>,
    IfMatch(expected): IfMatch,
) -> Result<HttpResponse, Problem> {
    let team = access
        .write((), move |tx, ()| async move { Ok(tx.teams().restore(id, expected).await?) })
        .await?;
    Ok(one(team))
}
