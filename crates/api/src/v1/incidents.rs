//! `/teams/{team_id}/incidents` and `/incidents/{incident_id}`.

use brownie_domain::{
    Change, Description, Document, IncidentId, IncidentStatus, IncidentTitle, List, OrganizationId,
    Priority, Progress, SearchText, Severity, SourceName, Tags, TeamId, Timestamp, UserId, Version,
};
use brownie_persistence::{Created, Incident, IncidentFilter, IncidentPatch, NewIncident, OrgTx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{Gate, InTeam, Item, perm},
    answer::{Addressed, Deleted, One, PageOf, StampsView, Stored},
    body::{Body, Given, IfMatch, Path, When, same},
    query::{Limit, Paging, Query},
    repeat::{Key, Keyed, Once},
};

/// An incident to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncidentCreate {
    title: IncidentTitle,
    #[serde(default)]
    description: Option<Description>,
    #[serde(default = "open")]
    status: IncidentStatus,
    #[serde(default = "medium_priority")]
    priority: Priority,
    #[serde(default = "medium_severity")]
    severity: Severity,
    #[serde(default)]
    source: Option<SourceName>,
    #[serde(default)]
    assigned_to: Option<UserId>,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    incident_metadata: Document,
    #[serde(default)]
    pub(super) team_id: Option<TeamId>,
    #[serde(default)]
    idempotency_key: Option<SourceName>,
}

fn open() -> IncidentStatus {
    IncidentStatus::Open
}

fn medium_priority() -> Priority {
    Priority::Medium
}

fn medium_severity() -> Severity {
    Severity::Medium
}

impl IncidentCreate {
    pub(super) fn into_new(self) -> NewIncident {
        NewIncident {
            title: self.title,
            description: self.description,
            status: self.status,
            priority: self.priority,
            severity: self.severity,
            source: self.source,
            assigned_to: self.assigned_to,
            tags: self.tags,
            metadata: self.incident_metadata,
            idempotency_key: self.idempotency_key.map(Into::into),
        }
    }
}

/// Changes to an incident.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IncidentUpdate {
    title: Given<IncidentTitle>,
    description: Change<Description>,
    status: Given<IncidentStatus>,
    priority: Given<Priority>,
    severity: Given<Severity>,
    assigned_to: Change<UserId>,
    tags: Given<Tags>,
    incident_metadata: Given<Document>,
}

/// Which incidents, and which part of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncidentQuery {
    /// How many at most.
    limit: Option<Limit>,
    /// Where the page before ended: its `next_cursor`.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
    /// That stand there.
    status: Option<IncidentStatus>,
    /// Of this priority.
    priority: Option<Priority>,
    /// Created at or after.
    since: Option<When>,
    /// A part of the title or the description, in any case.
    q: Option<SearchText>,
    /// Words of the title or the description: `disk -full`, `"primary database" or replica`.
    search: Option<SearchText>,
}

/// An incident as clients see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Incident")]
pub(crate) struct IncidentView {
    id: IncidentId,
    org_id: OrganizationId,
    organization_id: OrganizationId,
    team_id: TeamId,
    title: IncidentTitle,
    description: Option<Description>,
    status: IncidentStatus,
    priority: Priority,
    severity: Severity,
    source: Option<SourceName>,
    assigned_to: Option<UserId>,
    started_at: Option<Timestamp>,
    resolved_at: Option<Timestamp>,
    closed_at: Option<Timestamp>,
    response_time_minutes: Option<i32>,
    resolution_time_minutes: Option<i32>,
    tags: Tags,
    incident_metadata: Document,
    idempotency_key: Option<String>,
    #[serde(flatten)]
    stamps: StampsView,
}

impl Addressed for IncidentView {
    fn location(&self) -> String {
        format!("/api/v1/incidents/{}", self.id)
    }

    fn version(&self) -> Version {
        self.stamps.version
    }
}

impl From<Incident> for IncidentView {
    fn from(incident: Incident) -> Self {
        let Incident {
            org_id,
            id,
            team_id,
            title,
            description,
            progress,
            priority,
            severity,
            source,
            assigned_to,
            tags,
            metadata,
            idempotency_key,
            stamps,
        } = incident;
        let Progress {
            status,
            started_at,
            resolved_at,
            closed_at,
            response_time_minutes,
            resolution_time_minutes,
        } = progress;
        Self {
            id,
            org_id,
            organization_id: org_id,
            team_id,
            title,
            description,
            status,
            priority,
            severity,
            source,
            assigned_to,
            started_at,
            resolved_at,
            closed_at,
            response_time_minutes,
            resolution_time_minutes,
            tags,
            incident_metadata: metadata,
            idempotency_key,
            stamps: stamps.into(),
        }
    }
}

pub(crate) async fn list(
    access: InTeam<perm::IncidentsRead>,
    Query(query): Query<IncidentQuery>,
) -> Result<PageOf<IncidentView>, Problem> {
    let IncidentQuery { limit, cursor, status, priority, since, q, search } = query;
    let page = Paging::of(limit, cursor.as_deref(), List::Incidents)?;
    let filter = IncidentFilter {
        status,
        priority,
        since: since.map(|when| when.0),
        text: q,
        words: search,
    };
    let incidents = access.read().await?.incidents().list(access.team_id, filter, page).await?;
    Ok(PageOf::of(List::Incidents, incidents, IncidentView::from))
}

/// The same `idempotency_key` again answers 200 with the incident that is there, not 201.
pub(crate) async fn create(
    access: InTeam<perm::IncidentsWrite>,
    Keyed(body, key): Keyed<IncidentCreate>,
) -> Result<Once<Stored<IncidentView>>, Problem> {
    let team_id = access.team_id;
    same(body.team_id, team_id, "/team_id")?;
    let new = body.into_new();
    access
        .once(key, new, move |tx, new| async move {
            Ok(match tx.incidents().create(team_id, new).await? {
                Created::New(incident) => Stored::New(incident.into()),
                Created::Before(incident) => Stored::Before(incident.into()),
            })
        })
        .await
}

pub(crate) async fn get(
    access: Item<perm::IncidentsRead>,
    Path(id): Path<IncidentId>,
) -> Result<One<IncidentView>, Problem> {
    let incident = access
        .read(|scope, gate| async move {
            let incident = scope.incidents().get(id).await?;
            Ok((gate.admit(incident.team_id)?, incident))
        })
        .await?;
    Ok(One(IncidentView::from(incident)))
}

pub(crate) async fn update(
    access: Item<perm::IncidentsWrite>,
    Path(id): Path<IncidentId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<IncidentUpdate>,
) -> Result<One<IncidentView>, Problem> {
    let patch = IncidentPatch {
        title: body.title.0,
        description: body.description,
        status: body.status.0,
        priority: body.priority.0,
        severity: body.severity.0,
        assigned_to: body.assigned_to,
        tags: body.tags.0,
        metadata: body.incident_metadata.0,
    };
    let incident = access
        .write(patch, move |tx, gate, patch| async move {
            let pass = gate.admit(tx.incidents().get(id).await?.team_id)?;
            Ok((pass, tx.incidents().update(id, expected, patch).await?))
        })
        .await?;
    Ok(One(IncidentView::from(incident)))
}

pub(crate) async fn delete(
    access: Item<perm::IncidentsDelete>,
    Path(id): Path<IncidentId>,
    IfMatch(expected): IfMatch,
) -> Result<Deleted, Problem> {
    let incident = access
        .write((), move |tx, gate, ()| async move {
            let pass = gate.admit(tx.incidents().get(id).await?.team_id)?;
            Ok((pass, tx.incidents().delete(id, expected).await?))
        })
        .await?;
    Ok(Deleted::at("Incident", incident.stamps.version))
}

pub(crate) async fn restore(
    access: Item<perm::IncidentsDelete>,
    Path(id): Path<IncidentId>,
    IfMatch(expected): IfMatch,
    key: Key,
) -> Result<Once<One<IncidentView>>, Problem> {
    let find = move |tx: OrgTx, gate: Gate| async move {
        gate.admit(tx.incidents().live_or_deleted(id).await?.team_id)
    };
    let work = move |tx: OrgTx| async move {
        Ok(One(IncidentView::from(tx.incidents().restore(id, expected).await?)))
    };
    access.once(key, find, work).await
}
