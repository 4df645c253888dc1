//! `/organizations/{org_id}/teams` and `/teams/{team_id}`.

use brownie_domain::{
    Change, Description, Document, List, OrganizationId, Slug, TeamId, TeamName, Version,
};
use brownie_persistence::{NewTeam, Team, TeamPatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{InTeam, Org, perm},
    answer::{Addressed, Created, Deleted, One, PageOf, StampsView},
    body::{Body, Given, IfMatch, Path, same},
    query::{Paging, Query},
    repeat::{Key, Keyed, Once},
};

use super::yes;

/// A team to be created.
#[derive(Debug, Deserialize, JsonSchema)]
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
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TeamUpdate {
    name: Given<TeamName>,
    slug: Given<Slug>,
    description: Change<Description>,
    is_active: Given<bool>,
    permissions: Given<Document>,
}

/// A team as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Team")]
pub(crate) struct TeamView {
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

impl Addressed for TeamView {
    fn location(&self) -> String {
        format!("/api/v1/teams/{}", self.id)
    }

    fn version(&self) -> Version {
        self.stamps.version
    }
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

pub(crate) async fn list(
    access: Org<perm::TeamsRead>,
    Query(paging): Query<Paging>,
) -> Result<PageOf<TeamView>, Problem> {
    let page = Paging::of(paging.limit, paging.cursor.as_deref(), List::Teams)?;
    let teams = access.read().teams().list(page).await?;
    Ok(PageOf::of(List::Teams, teams, TeamView::from))
}

pub(crate) async fn create(
    access: Org<perm::TeamsManage>,
    Keyed(body, key): Keyed<TeamCreate>,
) -> Result<Once<Created<TeamView>>, Problem> {
    let TeamCreate { name, slug, description, is_active, permissions, organization_id } = body;
    same(organization_id, access.org_id(), "/organization_id")?;
    let new = NewTeam { name, slug, description, is_active, permissions };
    access
        .once(key, new, move |tx, new| async move {
            Ok(Created(TeamView::from(tx.teams().create(new).await?)))
        })
        .await
}

pub(crate) async fn get(
    access: Org<perm::TeamsRead>,
    Path(id): Path<TeamId>,
) -> Result<One<TeamView>, Problem> {
    Ok(One(TeamView::from(access.read().teams().get(id).await?)))
}

pub(crate) async fn update(
    access: InTeam<perm::TeamsWrite>,
    IfMatch(expected): IfMatch,
    Body(body): Body<TeamUpdate>,
) -> Result<One<TeamView>, Problem> {
    let id = access.team_id;
    let patch = TeamPatch {
        name: body.name.0,
        slug: body.slug.0,
        description: body.description,
        is_active: body.is_active.0,
        permissions: body.permissions.0,
    };
    let team = access
        .write(
            patch,
            move |tx, patch| async move { Ok(tx.teams().update(id, expected, patch).await?) },
        )
        .await?;
    access.changed().await;
    Ok(One(TeamView::from(team)))
}

pub(crate) async fn delete(
    access: Org<perm::TeamsManage>,
    Path(id): Path<TeamId>,
    IfMatch(expected): IfMatch,
) -> Result<Deleted, Problem> {
    let team = access
        .write((), move |tx, ()| async move { Ok(tx.teams().delete(id, expected).await?) })
        .await?;
    access.changed().await;
    Ok(Deleted::at("Team", team.stamps.version))
}

pub(crate) async fn restore(
    access: Org<perm::TeamsManage>,
    Path(id): Path<TeamId>,
    IfMatch(expected): IfMatch,
    key: Key,
) -> Result<Once<One<TeamView>>, Problem> {
    let restored = access
        .once(key, (), move |tx, ()| async move {
            Ok(One(TeamView::from(tx.teams().restore(id, expected).await?)))
        })
        .await?;
    access.changed().await;
    Ok(restored)
}
