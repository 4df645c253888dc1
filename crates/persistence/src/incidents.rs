//! Incidents of a team.

use brownie_domain::{
    Change, Description, Document, IncidentId, IncidentStatus, IncidentTitle, OrganizationId, Page,
    PageRequest, Position, Priority, Progress, Severity, SourceName, Tags, TeamId, Timestamp,
    UserId, Version,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, QueryFilter,
    sea_query::{Expr, ExprTrait, OnConflict, extension::postgres::PgExpr},
};

use crate::{
    Error, OrgScope, Resource, Result, Writing,
    entity::{incidents, teams, users},
    patch::{Stamps, Stored, change, set, stamps},
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

/// An incident to be created.
#[derive(Debug, Clone)]
pub struct NewIncident {
    /// What it is about.
    pub title: IncidentTitle,
    /// What is known.
    pub description: Option<Description>,
    /// Where it stands already.
    pub status: IncidentStatus,
    /// How soon somebody must look.
    pub priority: Priority,
    /// How bad it is.
    pub severity: Severity,
    /// What reported it.
    pub source: Option<SourceName>,
    /// Who works on it.
    pub assigned_to: Option<UserId>,
    /// Words to find it by.
    pub tags: Tags,
    /// Whatever the sender wants kept with it.
    pub metadata: Document,
    /// At most 255 characters.
    pub idempotency_key: Option<String>,
}

/// What became of a create.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// The incident is new.
    New(Incident),
    /// One with this idempotency key was there; this is it, unchanged.
    Before(Incident),
}

/// Changes to an incident.
#[derive(Debug, Clone, Default)]
pub struct IncidentPatch {
    /// Another title.
    pub title: Option<IncidentTitle>,
    /// Another description, or none.
    pub description: Change<Description>,
    /// A move to another state.
    pub status: Option<IncidentStatus>,
    /// Another priority.
    pub priority: Option<Priority>,
    /// Another severity.
    pub severity: Option<Severity>,
    /// Another assignee, or none.
    pub assigned_to: Change<UserId>,
    /// Other tags.
    pub tags: Option<Tags>,
    /// Other metadata, as a whole.
    pub metadata: Option<Document>,
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
    pub text: Option<String>,
}

impl IncidentFilter {
    fn condition(self) -> Condition {
        let Self { status, priority, since, text } = self;
        let text = text.map(|text| {
            // What is typed is looked for as it is: % and _ mean nothing special.
            let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            let pattern = format!("%{escaped}%");
            Condition::any()
                .add(Expr::col(incidents::Column::Title).ilike(pattern.clone()))
                .add(Expr::col(incidents::Column::Description).ilike(pattern))
        });
        Condition::all()
            .add_option(status.map(|status| incidents::Column::Status.eq(status.as_str())))
            .add_option(priority.map(|priority| incidents::Column::Priority.eq(priority.as_str())))
            .add_option(since.map(|since| incidents::Column::CreatedAt.gte(since)))
            .add_option(text)
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

    /// Returns the incidents of a team that match, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(
        &self,
        team_id: TeamId,
        filter: IncidentFilter,
        page: PageRequest,
    ) -> Result<Page<Incident>> {
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

impl Incidents<'_, Writing> {
    /// Creates an incident, unless one with its idempotency key is there.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such team or assignee; [`Error::AlreadyExists`] when
    /// another team has used the key.
    pub async fn create(&self, team_id: TeamId, new: NewIncident) -> Result<Created> {
        let now = self.scope.now();
        let mut progress = Progress::NEW.transition(new.status, now)?;
        if new.status != IncidentStatus::Open {
            progress.started_at.get_or_insert(now);
        }
        if let Some(assignee) = new.assigned_to {
            self.scope.get::<users::Entity>(assignee.as_uuid()).await?;
            progress = progress.assigned(now, now);
        }
        let row = incidents::ActiveModel {
            team_id: Set(team_id.as_uuid()),
            title: Set(new.title.into()),
            description: Set(new.description.map(Into::into)),
            priority: Set(new.priority.as_str().to_owned()),
            severity: Set(new.severity.as_str().to_owned()),
            source: Set(new.source.map(Into::into)),
            assigned_to: Set(new.assigned_to.map(|id| id.as_uuid())),
            tags: Set(serde_json::json!(new.tags)),
            incident_metadata: Set(new.metadata.into()),
            idempotency_key: Set(new.idempotency_key.clone()),
            ..columns(progress)
        };
        let Some(key) = new.idempotency_key else {
            let row = self.put_in(team_id, row, None).await?.ok_or(Error::UnitOver)?;
            return Ok(Created::New(row.try_into()?));
        };
        let same_key =
            OnConflict::columns([incidents::Column::OrgId, incidents::Column::IdempotencyKey])
                .target_and_where(Expr::col(incidents::Column::DeletedAt).is_null())
                .target_and_where(Expr::col(incidents::Column::IdempotencyKey).is_not_null())
                .do_nothing()
                .to_owned();
        if let Some(row) = self.put_in(team_id, row, Some(same_key)).await? {
            return Ok(Created::New(row.try_into()?));
        }
        let with_key = self
            .scope
            .select::<incidents::Entity>()
            .filter(incidents::Column::IdempotencyKey.eq(key));
        // Deleted between the two statements: the next try will create it.
        let row = self.scope.one(with_key).await?.ok_or(Error::Contended)?;
        let before = Incident::try_from(row)?;
        if before.team_id != team_id {
            // Another team's: whether the caller may see it was not asked.
            let (resource, field) = (Resource::Incident, "idempotency_key");
            return Err(Error::AlreadyExists { resource, field });
        }
        Ok(Created::Before(before))
    }

    /// Nobody deletes the team meanwhile and leaves the incident behind.
    async fn put_in(
        &self,
        team_id: TeamId,
        row: incidents::ActiveModel,
        conflict: Option<OnConflict>,
    ) -> Result<Option<incidents::Model>> {
        let team_id = team_id.as_uuid();
        self.scope.insert_into::<teams::Entity, incidents::Entity>(team_id, row, conflict).await
    }

    /// Changes an incident that is still at version `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an assignee who is not there; [`Error::VersionConflict`];
    /// [`Error::IllegalTransition`].
    pub async fn update(
        &self,
        id: IncidentId,
        expected: Version,
        patch: IncidentPatch,
    ) -> Result<Incident> {
        let current = self.get(id).await?;
        let actual = current.stamps.version;
        if actual != expected {
            return Err(Error::VersionConflict { resource: Resource::Incident, expected, actual });
        }
        let now = self.scope.now();
        let mut progress = current.progress;
        if let Some(status) = patch.status {
            progress = progress.transition(status, now)?;
        }
        if let Change::Set(assignee) = patch.assigned_to {
            self.scope.get::<users::Entity>(assignee.as_uuid()).await?;
            progress = progress.assigned(current.stamps.created_at, now);
        }
        let IncidentPatch {
            title,
            description,
            status: _,
            priority,
            severity,
            assigned_to,
            tags,
            metadata,
        } = patch;
        let changes = incidents::ActiveModel {
            title: set(title),
            description: change(description),
            priority: set(priority.map(Priority::as_str)),
            severity: set(severity.map(Severity::as_str)),
            assigned_to: match assigned_to {
                Change::Keep => change::<uuid::Uuid, _>(Change::Keep),
                Change::Clear => Set(None),
                Change::Set(id) => Set(Some(id.as_uuid())),
            },
            tags: set(tags.map(|tags| serde_json::json!(tags))),
            incident_metadata: set(metadata),
            ..columns(progress)
        };
        self.scope.update::<incidents::Entity>(id.as_uuid(), expected, changes).await?.try_into()
    }

    /// Returns an incident, deleted or not.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such one.
    pub async fn live_or_deleted(&self, id: IncidentId) -> Result<Incident> {
        self.scope.live_or_deleted::<incidents::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Deletes an incident that is still at version `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::VersionConflict`].
    pub async fn delete(&self, id: IncidentId, expected: Version) -> Result<Incident> {
        self.scope.delete::<incidents::Entity>(id.as_uuid(), expected).await?.try_into()
    }

    /// Brings a deleted incident back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such deleted incident, or [`Error::VersionConflict`].
    pub async fn restore(&self, id: IncidentId, expected: Version) -> Result<Incident> {
        let team_id = self.scope.deleted::<incidents::Entity>(id.as_uuid()).await?.team_id;
        self.scope.hold::<teams::Entity>(team_id).await?;
        self.scope.restore::<incidents::Entity>(id.as_uuid(), expected).await?.try_into()
    }
}

/// The state and its times change together: whoever sets one column sets all.
fn columns(progress: Progress) -> incidents::ActiveModel {
    let Progress {
        status,
        started_at,
        resolved_at,
        closed_at,
        response_time_minutes,
        resolution_time_minutes,
    } = progress;
    incidents::ActiveModel {
        status: Set(status.as_str().to_owned()),
        started_at: Set(started_at),
        resolved_at: Set(resolved_at),
        closed_at: Set(closed_at),
        response_time_minutes: Set(response_time_minutes),
        resolution_time_minutes: Set(resolution_time_minutes),
        ..Default::default()
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
