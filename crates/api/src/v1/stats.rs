//! `/teams/{team_id}/stats`, `/organizations/{org_id}/stats` and `/stats/{stat_id}`.

use brownie_domain::{
    Action, AtLeast, Description, Document, List, MetricName, MetricType, OrganizationId,
    ShortLabel, StatId, TeamId, Timestamp, Version,
};
use brownie_persistence::{NewStat, OrgTx, Stat, StatFilter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{Gate, InTeam, Item, Org, perm},
    answer::{Addressed, Created, Deleted, One, PageOf, StampsView},
    body::{IfMatch, Path, When, same},
    query::{Limit, Paging, Query},
    repeat::{Key, Keyed, Once},
};

/// A value to be recorded.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatCreate {
    metric_name: MetricName,
    metric_type: MetricType,
    value: f64,
    #[serde(default)]
    count: Option<AtLeast<0>>,
    timestamp: When,
    #[serde(default)]
    time_window: Option<ShortLabel>,
    #[serde(default)]
    labels: Document,
    #[serde(default)]
    description: Option<Description>,
    #[serde(default)]
    unit: Option<ShortLabel>,
    #[serde(default)]
    team_id: Option<TeamId>,
    /// The original's clients send it; the caller's organization is meant in any case.
    #[serde(default)]
    organization_id: Option<OrganizationId>,
}

/// Which values, and which part of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatQuery {
    /// How many at most.
    limit: Option<Limit>,
    /// Where the page before ended: its `next_cursor`.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
    /// Of this name.
    metric_name: Option<MetricName>,
    /// Of this type.
    metric_type: Option<MetricType>,
    /// Measured at or after.
    since: Option<When>,
    /// Measured at or before.
    until: Option<When>,
}

/// A value as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Stat")]
pub(crate) struct StatView {
    id: StatId,
    org_id: OrganizationId,
    organization_id: OrganizationId,
    team_id: Option<TeamId>,
    metric_name: MetricName,
    metric_type: MetricType,
    value: f64,
    count: Option<i32>,
    timestamp: Timestamp,
    time_window: Option<ShortLabel>,
    labels: Document,
    description: Option<Description>,
    unit: Option<ShortLabel>,
    #[serde(flatten)]
    stamps: StampsView,
}

impl Addressed for StatView {
    fn location(&self) -> String {
        format!("/api/v1/stats/{}", self.id)
    }

    fn version(&self) -> Version {
        self.stamps.version
    }
}

impl From<Stat> for StatView {
    fn from(stat: Stat) -> Self {
        let Stat {
            org_id,
            id,
            team_id,
            metric_name,
            metric_type,
            value,
            count,
            timestamp,
            time_window,
            labels,
            description,
            unit,
            stamps,
        } = stat;
        Self {
            id,
            org_id,
            organization_id: org_id,
            team_id,
            metric_name,
            metric_type,
            value,
            count,
            timestamp,
            time_window,
            labels,
            description,
            unit,
            stamps: stamps.into(),
        }
    }
}

impl StatQuery {
    fn filter(self, team_id: Option<TeamId>) -> StatFilter {
        let Self { limit: _, cursor: _, metric_name, metric_type, since, until } = self;
        let (since, until) = (since.map(|when| when.0), until.map(|when| when.0));
        StatFilter { team_id, visible_teams: None, metric_name, metric_type, since, until }
    }
}

pub(crate) async fn list_of_team(
    access: InTeam<perm::StatsRead>,
    Query(query): Query<StatQuery>,
) -> Result<PageOf<StatView>, Problem> {
    let page = Paging::of(query.limit, query.cursor.as_deref(), List::Stats)?;
    let filter = query.filter(Some(access.team_id));
    let stats = access.read().await?.stats().list(filter, page).await?;
    Ok(PageOf::of(List::Stats, stats, StatView::from))
}

/// What belongs to the organization, and to those of its teams in which the caller has a role.
pub(crate) async fn list(
    access: Org<perm::OrganizationRead>,
    Query(query): Query<StatQuery>,
) -> Result<PageOf<StatView>, Problem> {
    access.require(Action::StatsRead)?;
    let page = Paging::of(query.limit, query.cursor.as_deref(), List::Stats)?;
    let filter = StatFilter { visible_teams: access.principal().teams(), ..query.filter(None) };
    let stats = access.read().stats().list(filter, page).await?;
    Ok(PageOf::of(List::Stats, stats, StatView::from))
}

pub(crate) async fn create(
    access: InTeam<perm::StatsWrite>,
    Keyed(body, key): Keyed<StatCreate>,
) -> Result<Once<Created<StatView>>, Problem> {
    let team_id = access.team_id;
    same(body.team_id, team_id, "/team_id")?;
    same(body.organization_id, access.org_id(), "/organization_id")?;
    let new = NewStat {
        metric_name: body.metric_name,
        metric_type: body.metric_type,
        value: body.value,
        count: body.count.map(AtLeast::get),
        timestamp: body.timestamp.0,
        time_window: body.time_window,
        labels: body.labels,
        description: body.description,
        unit: body.unit,
    };
    access
        .once(key, new, move |tx, new| async move {
            Ok(Created(StatView::from(tx.stats().create(team_id, new).await?)))
        })
        .await
}

pub(crate) async fn get(
    access: Item<perm::StatsRead>,
    Path(id): Path<StatId>,
) -> Result<One<StatView>, Problem> {
    let stat = access
        .read(|scope, gate| async move {
            let stat = scope.stats().get(id).await?;
            Ok((gate.admit(stat.team_id)?, stat))
        })
        .await?;
    Ok(One(StatView::from(stat)))
}

pub(crate) async fn delete(
    access: Item<perm::StatsDelete>,
    Path(id): Path<StatId>,
    IfMatch(expected): IfMatch,
) -> Result<Deleted, Problem> {
    let stat = access
        .write((), move |tx, gate, ()| async move {
            let pass = gate.admit(tx.stats().get(id).await?.team_id)?;
            Ok((pass, tx.stats().delete(id, expected).await?))
        })
        .await?;
    Ok(Deleted::at("Stat", stat.stamps.version))
}

pub(crate) async fn restore(
    access: Item<perm::StatsDelete>,
    Path(id): Path<StatId>,
    IfMatch(expected): IfMatch,
    key: Key,
) -> Result<Once<One<StatView>>, Problem> {
    let find = move |tx: OrgTx, gate: Gate| async move {
        gate.admit(tx.stats().live_or_deleted(id).await?.team_id)
    };
    let work = move |tx: OrgTx| async move {
        Ok(One(StatView::from(tx.stats().restore(id, expected).await?)))
    };
    access.once(key, find, work).await
}
