//! What a unit of work leaves behind besides its rows: an audit row and an event for each change,
//! written in the same transaction.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use brownie_domain::{Priority, Timestamp, Version};
use brownie_metrics::{AUDIT_RECORDS, INCIDENT_RESOLUTION};
use metrics::{counter, histogram};
use sea_orm::{DbBackend, Statement};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::{Error, OrgContext, Resource, Result, entity::JsonText, scope::Sources};

/// What happened to a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Created,
    Updated,
    Deleted,
    Restored,
    /// Removed for good.
    Purged,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
            Self::Purged => "purged",
        }
    }
}

/// A change, as [`WRITE`] reads it.
#[derive(Debug, Serialize)]
struct Record {
    #[serde(skip)]
    kind: Resource,
    #[serde(skip)]
    verb: Verb,
    audit_id: Uuid,
    event_id: Uuid,
    at: Timestamp,
    resource: &'static str,
    event: String,
    id: Uuid,
    version: i64,
    changes: Option<Box<RawValue>>,
}

/// One text for any number of changes, so that it is prepared once. The rows of a CTE that is read
/// twice keep their order (it is materialized, PostgreSQL manual, section 7.8.3), and events get
/// their positions in it.
const WRITE: &str = "
    WITH done AS (
        SELECT * FROM jsonb_to_recordset($1) AS done(audit_id uuid, event_id uuid, at timestamptz,
            resource text, event text, id uuid, version bigint, changes jsonb)
    ), audited AS (
        INSERT INTO audit_log (org_id, id, occurred_at, actor_kind, actor_id, actor_name,
            request_id, action, resource, resource_id, version, changes)
        SELECT $2, audit_id, at, $3, $4, $5, $6, event, resource, id, version, changes FROM done
    )
    INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
    SELECT $2, event_id, at, event, resource, id, version FROM done";

/// How many changes one statement records at most.
const BATCH: usize = 5000;

/// The changes of a unit of work so far.
#[derive(Debug, Default)]
pub(crate) struct Records {
    changes: Mutex<Vec<Record>>,
    /// Whether somebody may be let in, or not, who was not, or was.
    admissions: AtomicBool,
    /// Incidents that are resolved by it: how long that took, in minutes.
    resolutions: Mutex<Vec<(Priority, i32)>>,
}

impl Records {
    #[expect(clippy::too_many_arguments, reason = "each is one column, and there is one caller")]
    pub(crate) fn add(
        &self,
        resource: Resource,
        verb: Verb,
        id: Uuid,
        version: Version,
        changes: Option<Box<RawValue>>,
        at: Timestamp,
        sources: &Sources,
    ) {
        let record = Record {
            audit_id: sources.ids.next(at),
            event_id: sources.ids.next(at),
            at,
            kind: resource,
            verb,
            resource: resource.as_str(),
            event: format!("{resource}.{}", verb.as_str()),
            id,
            version: version.get(),
            changes,
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Says that it resolves an incident, and how many minutes that took.
    pub(crate) fn resolved(&self, priority: Priority, minutes: i32) {
        let mut resolutions = self.resolutions.lock().unwrap_or_else(PoisonError::into_inner);
        resolutions.push((priority, minutes));
    }

    /// Counts all that was recorded: it has taken effect.
    pub(crate) fn count(&self) {
        for Record { kind, verb, .. } in
            self.changes.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let (action, resource) = (verb.as_str(), kind.as_str());
            counter!(AUDIT_RECORDS, "action" => action, "resource" => resource).increment(1);
        }
        for (priority, minutes) in
            self.resolutions.lock().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let seconds = f64::from(*minutes) * 60.0;
            histogram!(INCIDENT_RESOLUTION, "priority" => priority.as_str()).record(seconds);
        }
    }

    /// Says that it changes who is let in, though no record tells so.
    pub(crate) fn concerns_admissions(&self) {
        self.admissions.store(true, Ordering::Relaxed);
    }

    /// Tells whether it may have changed who may do what.
    pub(crate) fn change_roles(&self) -> bool {
        if self.admissions.load(Ordering::Relaxed) {
            return true;
        }
        let records = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        records.iter().any(|record| {
            matches!(
                record.kind,
                Resource::ApiKey
                    | Resource::Membership
                    | Resource::Organization
                    | Resource::Team
                    | Resource::User
            )
        })
    }

    /// Tells the log of changes that have taken effect: what, and nothing of what is in it.
    pub(crate) fn tell(&self, ctx: &OrgContext) {
        if !tracing::enabled!(target: "brownie::audit", tracing::Level::INFO) {
            return;
        }
        let actor_id = ctx.actor.id().map(tracing::field::display);
        for record in self.changes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            tracing::info!(
                target: "brownie::audit",
                event = record.event,
                resource = record.resource,
                resource_id = %record.id,
                version = record.version,
                audit_id = %record.audit_id,
                org_id = %ctx.org_id,
                actor_kind = ctx.actor.kind(),
                actor_id,
                actor_name = ctx.actor.name(),
                request_id = %ctx.request_id,
                "changed"
            );
        }
    }

    /// Returns the statements that write the audit rows and the events: one for most units, none if
    /// nothing changed.
    ///
    /// # Errors
    /// None that is known: all that is in a record can be written.
    pub(crate) fn statements(&self, ctx: &OrgContext) -> Result<Vec<Statement>> {
        let records = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let of_batch = |batch| {
            let batch = to_raw_value(batch).map_err(|error| Error::Database(Box::new(error)))?;
            Ok(Statement::from_sql_and_values(
                DbBackend::Postgres,
                WRITE,
                [
                    JsonText::from(batch).into(),
                    ctx.org_id.as_uuid().into(),
                    ctx.actor.kind().into(),
                    ctx.actor.id().into(),
                    ctx.actor.name().into(),
                    ctx.request_id.as_uuid().into(),
                ],
            ))
        };
        records.chunks(BATCH).map(of_batch).collect()
    }
}
