//! Incidents of a team.

mod search;
mod write;

use brownie_domain::{
    Description, Document, IncidentId, IncidentStatus, IncidentTitle, OrganizationId, Page,
    PageRequest, Position, Priority, Progress, Search, SearchText, Severity, SourceName, Tags,
    TeamId, Timestamp, UserId,
};
use sea_orm::{ColumnTrait, Condition, QueryFilter};

pub use write::{Created, CreatedId, IncidentPatch, NewIncident};

use crate::{
    Error, OrgScope, Resource, Result,
    entity::incidents,
    patch::{Stamps, Stored, stamps},
};

/// Something that went wrong and that somebody should look at.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Whose it is.
    pub org_id: OrganizationId,
    /// Which it is.
    pub id: IncidentId,
    /// The team that it concerns.
    pub team_id: TeamId,
    /// What it is about.
    pub title: IncidentTitle,
    /// What is known.
    pub description: Option<Description>,
    /// Where it stands, and the times that follow from it.
    pub progress: Progress,
    /// How soon somebody must look.
    pub priority: Priority,
    /// How bad it is.
    pub severity: Severity,
    /// What reported it, if not a person.
    pub source: Option<SourceName>,
    /// Who works on it.
    pub assigned_to: Option<UserId>,
    /// Words to find it by.
    pub tags: Tags,
    /// Whatever the sender wants kept with it.
    pub metadata: Document,
    /// The sender's own key: the same key makes no second incident.
    pub idempotency_key: Option<String>,
    /// Who wrote the row, when, and how often.
    pub stamps: Stamps,
}

/// Which incidents of a team are wanted. What is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct IncidentFilter {
    /// Where they stand.
    pub status: Option<IncidentStatus>,
    /// How soon somebody must look.
    pub priority: Option<Priority>,
    /// Created at or after.
    pub since: Option<Timestamp>,
    /// A part of title or description, in any case.
    pub text: Option<SearchText>,
    /// Words that title and description have, as a search engine reads them: all of them, unless
    /// said otherwise with `or`, `-` and quotes.
    pub words: Option<SearchText>,
}

impl IncidentFilter {
    fn condition(self) -> Condition {
        let Self { status, priority, since, .. } = self;
        Condition::all()
            .add_option(status.map(|status| incidents::Column::Status.eq(status.as_str())))
            .add_option(priority.map(|priority| incidents::Column::Priority.eq(priority.as_str())))
            .add_option(since.map(|since| incidents::Column::CreatedAt.gte(since)))
    }
}

/// The incidents of an organization: what [`OrgScope::incidents`] gives out.
#[derive(Debug)]
pub struct Incidents<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// The organization's incidents.
    pub fn incidents(&self) -> Incidents<'_, Mode> {
        Incidents { scope: self }
    }
}

impl<Mode> Incidents<'_, Mode> {
    /// Returns an incident.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this organization has no such incident, or it is deleted.
    pub async fn get(&self, id: IncidentId) -> Result<Incident> {
        self.scope.get::<incidents::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Returns the incidents of a team that match, newest first. Where texts are looked for, a page may end
    /// before it is full, because of the time that it may take; it says where to go on.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(
        &self,
        team_id: TeamId,
        filter: IncidentFilter,
        page: PageRequest,
    ) -> Result<Page<Incident>> {
        if let Some(search) = Search::new(filter.words.as_ref(), filter.text.as_ref()) {
            return self.search(team_id, filter, search, page).await;
        }
        let select = self
            .scope
            .select::<incidents::Entity>()
            .filter(incidents::Column::TeamId.eq(team_id.as_uuid()))
            .filter(filter.condition());
        let position = |row: &incidents::Model| Position { at: row.created_at, id: row.id };
        self.scope
            .page(select, incidents::Column::CreatedAt, page, position)
            .await?
            .try_map(Incident::try_from)
    }
}

impl TryFrom<incidents::Model> for Incident {
    type Error = Error;

    fn try_from(row: incidents::Model) -> Result<Self> {
        let stored = Stored { resource: Resource::Incident, id: row.id };
        Ok(Self {
            org_id: OrganizationId::from_uuid(row.org_id),
            id: IncidentId::from_uuid(row.id),
            team_id: TeamId::from_uuid(row.team_id),
            title: stored.read("title", row.title)?,
            description: stored.read_optional("description", row.description)?,
            progress: Progress {
                status: stored.read("status", row.status)?,
                started_at: row.started_at,
                resolved_at: row.resolved_at,
                closed_at: row.closed_at,
                response_time_minutes: row.response_time_minutes,
                resolution_time_minutes: row.resolution_time_minutes,
            },
            priority: stored.read("priority", row.priority)?,
            severity: stored.read("severity", row.severity)?,
            source: stored.read_optional("source", row.source)?,
            assigned_to: row.assigned_to.map(UserId::from_uuid),
            tags: stored.read_json("tags", row.tags)?,
            metadata: stored.read("incident_metadata", row.incident_metadata)?,
            idempotency_key: row.idempotency_key,
            stamps: stamps!(row, stored),
        })
    }
}
