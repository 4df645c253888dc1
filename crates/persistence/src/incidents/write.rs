//! Incidents that are created and changed.

use std::collections::{BTreeSet, HashMap};

use brownie_domain::{
    Change, Description, Document, IncidentId, IncidentStatus, IncidentTitle, Priority, Progress,
    Severity, SourceName, Tags, TeamId, Timestamp, UserId, Version,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DbBackend, QueryFilter, Statement,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use super::{Incident, Incidents};
use crate::{
    Error, Resource, Result, Writing,
    entity::{incidents, teams, users},
    patch::{change, set},
};

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

/// One of many incidents that were created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatedId {
    /// Which it is.
    pub id: IncidentId,
    /// False if one with its idempotency key was there.
    pub is_new: bool,
}

impl Incidents<'_, Writing> {
    /// Creates an incident, unless one with its idempotency key is there.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such team, [`Error::InvalidReference`] when there is no such
    /// assignee; [`Error::AlreadyExists`] when another team has used the key.
    pub async fn create(&self, team_id: TeamId, new: NewIncident) -> Result<Created> {
        if let Some(assignee) = new.assigned_to {
            let found = self.scope.get::<users::Entity>(assignee.as_uuid()).await;
            found.map_err(|error| error.of_reference("assigned_to"))?;
        }
        let key = new.idempotency_key.clone();
        let row = row_of(team_id, new, self.scope.now())?;
        let Some(key) = key else {
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

    /// Creates many incidents. Those with an idempotency key that is there already are left alone. A
    /// row that cannot be created has its error in the place of its id; whether the others are to be
    /// kept then is for the caller to say.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such team.
    pub async fn create_all(
        &self,
        team_id: TeamId,
        new: Vec<NewIncident>,
    ) -> Result<Vec<Result<CreatedId>>> {
        self.scope.hold::<teams::Entity>(team_id.as_uuid()).await?;
        let now = self.scope.now();
        let assignees: BTreeSet<UserId> = new.iter().filter_map(|new| new.assigned_to).collect();
        let mut strangers = BTreeSet::new();
        for assignee in assignees {
            match self.scope.get::<users::Entity>(assignee.as_uuid()).await {
                Ok(_) => {}
                Err(Error::NotFound { .. }) => drop(strangers.insert(assignee)),
                Err(error) => return Err(error),
            }
        }
        let keys: Vec<Option<String>> = new.iter().map(|new| new.idempotency_key.clone()).collect();
        let rows: Vec<Result<incidents::ActiveModel>> = new
            .into_iter()
            .map(|new| match new.assigned_to {
                Some(id) if strangers.contains(&id) => {
                    Err(Error::InvalidReference { field: "assigned_to" })
                }
                _ => row_of(team_id, new, now),
            })
            .collect();
        let good = rows.iter().filter_map(|row| row.as_ref().ok().cloned()).collect();
        let mut written =
            self.scope.insert_all::<incidents::Entity>(good, KEY_CONFLICT).await?.into_iter();
        let before = self.with_keys(&keys).await?;
        Ok(rows
            .into_iter()
            .zip(keys)
            .map(|(row, key)| {
                row?;
                if let Some(Some(id)) = written.next() {
                    return Ok(CreatedId { id: IncidentId::from_uuid(id), is_new: true });
                }
                match key.and_then(|key| before.get(&key)) {
                    Some((id, team)) if *team == team_id => {
                        Ok(CreatedId { id: *id, is_new: false })
                    }
                    Some(_) => Err(Error::AlreadyExists {
                        resource: Resource::Incident,
                        field: "idempotency_key",
                    }),
                    None => Err(Error::Contended),
                }
            })
            .collect())
    }

    /// Returns the incidents that have one of these keys, and whose they are.
    async fn with_keys(
        &self,
        keys: &[Option<String>],
    ) -> Result<HashMap<String, (IncidentId, TeamId)>> {
        let keys: Vec<&String> = keys.iter().flatten().collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT id, team_id, idempotency_key FROM incidents WHERE org_id = $1 \
             AND deleted_at IS NULL AND idempotency_key IS NOT NULL \
             AND idempotency_key IN (SELECT jsonb_array_elements_text($2))",
            [self.scope.org_id().as_uuid().into(), serde_json::json!(keys).into()],
        );
        let rows = self.scope.rows(statement).await?;
        rows.iter()
            .map(|row| {
                let id = IncidentId::from_uuid(row.try_get("id")?);
                let team_id = TeamId::from_uuid(row.try_get("team_id")?);
                Ok((row.try_get("idempotency_key")?, (id, team_id)))
            })
            .collect()
    }

    /// Changes an incident that is still at version `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::InvalidReference`] to an assignee; [`Error::VersionConflict`];
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
        let before = progress.resolution_time_minutes;
        if let Some(status) = patch.status {
            progress = progress.transition(status, now)?;
        }
        if let Change::Set(assignee) = patch.assigned_to {
            let found = self.scope.get::<users::Entity>(assignee.as_uuid()).await;
            found.map_err(|error| error.of_reference("assigned_to"))?;
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
        let incident =
            self.scope.update::<incidents::Entity>(id.as_uuid(), expected, changes).await?;
        let incident: Incident = incident.try_into()?;
        if before.is_none()
            && let Some(minutes) = incident.progress.resolution_time_minutes
        {
            self.scope.records().resolved(incident.priority, minutes);
        }
        Ok(incident)
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
const KEY_CONFLICT: &str = "ON CONFLICT (org_id, idempotency_key) \
    WHERE deleted_at IS NULL AND idempotency_key IS NOT NULL DO NOTHING";

/// What is written of a new incident. Whether its assignee is there was asked before.
fn row_of(team_id: TeamId, new: NewIncident, now: Timestamp) -> Result<incidents::ActiveModel> {
    let mut progress = Progress::NEW.transition(new.status, now)?;
    if new.status != IncidentStatus::Open {
        progress.started_at.get_or_insert(now);
    }
    if new.assigned_to.is_some() {
        progress = progress.assigned(now, now);
    }
    Ok(incidents::ActiveModel {
        team_id: Set(team_id.as_uuid()),
        title: Set(new.title.into()),
        description: Set(new.description.map(Into::into)),
        priority: Set(new.priority.as_str().to_owned()),
        severity: Set(new.severity.as_str().to_owned()),
        source: Set(new.source.map(Into::into)),
        assigned_to: Set(new.assigned_to.map(|id| id.as_uuid())),
        tags: Set(serde_json::json!(new.tags)),
        incident_metadata: Set(new.metadata.into()),
        idempotency_key: Set(new.idempotency_key),
        ..columns(progress)
    })
}

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
