//! What a unit of work leaves behind besides its rows: an audit row and an event for each change,
//! written in the same transaction.

#![expect(
    clippy::disallowed_methods,
    reason = "audit and outbox rows have no door of their own: scope.rs calls this"
)]

use std::sync::{Mutex, PoisonError};

use brownie_domain::{Timestamp, Version};
use sea_orm::{ActiveValue::Set, DbBackend, EntityTrait, QueryTrait, Statement};
use uuid::Uuid;

use crate::{
    OrgContext, Resource,
    entity::{audit_log, outbox},
    scope::Sources,
};

/// What happened to a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verb {
    Created,
    Updated,
    Deleted,
    Restored,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Restored => "restored",
        }
    }
}

#[derive(Debug)]
struct Record {
    audit_id: Uuid,
    event_id: Uuid,
    at: Timestamp,
    resource: Resource,
    verb: Verb,
    id: Uuid,
    version: Version,
}

/// The changes of a unit of work so far.
#[derive(Debug, Default)]
pub(crate) struct Records(Mutex<Vec<Record>>);

impl Records {
    pub(crate) fn add(
        &self,
        resource: Resource,
        verb: Verb,
        id: Uuid,
        version: Version,
        at: Timestamp,
        sources: &Sources,
    ) {
        let (audit_id, event_id) = (sources.ids.next(at), sources.ids.next(at));
        let record = Record { audit_id, event_id, at, resource, verb, id, version };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// Returns the statements that write the audit rows and the events, or none if nothing changed.
    pub(crate) fn statements(&self, ctx: &OrgContext) -> Option<[Statement; 2]> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.is_empty() {
            return None;
        }
        let org_id = ctx.org_id.as_uuid();
        let audit_rows = records.iter().map(|record| audit_log::ActiveModel {
            org_id: Set(org_id),
            id: Set(record.audit_id),
            occurred_at: Set(record.at),
            actor_kind: Set(ctx.actor.kind().to_owned()),
            actor_id: Set(ctx.actor.user_id().map(|id| id.as_uuid())),
            actor_name: Set(ctx.actor.name().map(str::to_owned)),
            request_id: Set(ctx.request_id.as_uuid()),
            action: Set(format!("{}.{}", record.resource, record.verb.as_str())),
            resource: Set(record.resource.as_str().to_owned()),
            resource_id: Set(record.id),
            version: Set(record.version.get()),
        });
        let events = records.iter().map(|record| outbox::ActiveModel {
            org_id: Set(org_id),
            id: Set(record.event_id),
            occurred_at: Set(record.at),
            event: Set(format!("{}.{}", record.resource, record.verb.as_str())),
            resource: Set(record.resource.as_str().to_owned()),
            resource_id: Set(record.id),
            version: Set(record.version.get()),
        });
        Some([
            audit_log::Entity::insert_many(audit_rows).build(DbBackend::Postgres),
            outbox::Entity::insert_many(events).build(DbBackend::Postgres),
        ])
    }
}
