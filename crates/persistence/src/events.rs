//! What happened in an organization, in an order that a reader can trust.
//!
//! Events come from the outbox, written in the transactions that they tell of. A reader who goes on
//! from the last event it has seen misses none and gets none twice, whatever commits meanwhile: the
//! schema's `outbox_horizon()` tells how far the order is settled.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use brownie_domain::{EventId, OrganizationId, Timestamp};
use sea_orm::{DbBackend, Statement};
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    Error, OrgScope, Resource, Result, Store, engine::Engine, entity::outbox, patch::Stored,
    scope::models,
};

/// Something that happened to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which event. Whoever has seen it asks for what came after it.
    pub id: EventId,
    /// When, by the clock of the service that did it. The order is not by this.
    pub occurred_at: Timestamp,
    /// What, such as `incident.created`.
    pub event: String,
    /// The kind of thing.
    pub resource: String,
    /// Which one.
    pub resource_id: Uuid,
    /// Its version afterwards.
    pub version: brownie_domain::Version,
}

/// A place in the order of events: between two of them, before the first, or after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCursor(i64);

/// The events of an organization: what [`OrgScope::events`] gives out.
#[derive(Debug)]
pub struct Events<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// What happened in the organization.
    pub fn events(&self) -> Events<'_, Mode> {
        Events { scope: self }
    }
}

impl<Mode> Events<'_, Mode> {
    /// The place before the oldest event that is kept.
    pub const fn beginning(&self) -> EventCursor {
        EventCursor(0)
    }

    /// Returns the place after an event.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the organization has no such event, or has it no longer: what came
    /// after it may be gone, too.
    pub async fn after(&self, id: EventId) -> Result<EventCursor> {
        let sql = "SELECT position FROM outbox WHERE org_id = $1 AND id = $2";
        let org_id = self.scope.org_id().as_uuid();
        let rows = self.scope.rows(query(sql, [org_id.into(), id.as_uuid().into()])).await?;
        let row = rows.first().ok_or(Error::NotFound { resource: Resource::Event })?;
        Ok(EventCursor(row.try_get("position")?))
    }

    /// Returns up to `limit` events after a place, in order, and the place after the last of them.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(&self, after: EventCursor, limit: u64) -> Result<(Vec<Event>, EventCursor)> {
        let sql = "SELECT * FROM events_after($1, $2, $3)";
        let org_id = self.scope.org_id().as_uuid();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let statement = query(sql, [org_id.into(), after.0.into(), limit.into()]);
        let rows = models::<outbox::Entity>(&self.scope.rows(statement).await?)?;
        let end = rows.last().map_or(after, |row| EventCursor(row.position));
        let events = rows.into_iter().map(Event::try_from).collect::<Result<_>>()?;
        Ok((events, end))
    }
}

fn query<const N: usize>(sql: &'static str, values: [sea_orm::Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

impl TryFrom<outbox::Model> for Event {
    type Error = Error;

    fn try_from(row: outbox::Model) -> Result<Self> {
        let stored = Stored { resource: Resource::Event, id: row.id };
        Ok(Self {
            id: EventId::from_uuid(row.id),
            occurred_at: row.occurred_at,
            event: row.event,
            resource: row.resource,
            resource_id: row.resource_id,
            version: stored.read("version", row.version)?,
        })
    }
}

/// How often the database is asked whether there is something new, while anybody waits: once for
/// the whole process, however many wait. LISTEN and NOTIFY would tell sooner, but NOTIFY makes all
/// commits of a database queue for one lock.
const PULSE: Duration = Duration::from_millis(100);

/// Wakes those who wait for events. Clones share one heart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heart(Arc<Mutex<Readers>>);

/// Who waits, by organization.
#[derive(Debug, Default)]
struct Readers {
    waiting: HashMap<OrganizationId, Reader>,
    /// Whether somebody asks for them.
    beats: bool,
}

/// The readers of one organization.
#[derive(Debug)]
struct Reader {
    wake: watch::Sender<i64>,
    /// Up to where they have been told. They have looked further than the beginning, perhaps: then the first
    /// beat wakes them for nothing.
    seen: i64,
}

/// Tells that there may be new events of an organization. It beats as long as somebody holds one.
#[derive(Debug)]
pub struct Pulse(watch::Receiver<i64>);

impl Pulse {
    /// Makes [`Pulse::changed`] wait for what is settled from now on. Call it before looking for
    /// events, and nothing falls in between.
    pub fn look(&mut self) {
        self.0.mark_unchanged();
    }

    /// Waits until there may be something new. If the store is gone, waits for ever.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Heart {
    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Returns what tells that there may be new events of an organization.
    pub fn pulse(&self, org_id: OrganizationId) -> Pulse {
        let mut readers = self.heart().readers();
        let reader = readers
            .waiting
            .entry(org_id)
            .or_insert_with(|| Reader { wake: watch::channel(0).0, seen: 0 });
        let pulse = Pulse(reader.wake.subscribe());
        if !std::mem::replace(&mut readers.beats, true) {
            let (engine, heart) = (self.engine().clone(), self.heart().clone());
            self.engine().spawn_aside(beat(engine, heart));
        }
        pulse
    }
}

/// Asks until nobody waits.
async fn beat(engine: Engine, heart: Heart) {
    let mut ticks = tokio::time::interval(PULSE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked: Vec<(OrganizationId, i64)> = {
            let mut readers = heart.readers();
            readers.waiting.retain(|_, reader| reader.wake.receiver_count() > 0);
            if readers.waiting.is_empty() {
                readers.beats = false;
                return;
            }
            readers.waiting.iter().map(|(org_id, reader)| (*org_id, reader.seen)).collect()
        };
        match settled(&engine, &asked).await {
            Ok((horizon, news)) => {
                let mut readers = heart.readers();
                for (org_id, _) in asked {
                    let Some(reader) = readers.waiting.get_mut(&org_id) else { continue };
                    reader.seen = horizon;
                    if news.contains(&org_id) {
                        reader.wake.send_replace(horizon);
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "no pulse"),
        }
    }
}

/// Returns how far the order of events is settled, and which of these organizations have new ones.
async fn settled(
    engine: &Engine,
    asked: &[(OrganizationId, i64)],
) -> Result<(i64, HashSet<OrganizationId>)> {
    let sql = "SELECT horizon, organization FROM events_settled($1)";
    let asked = asked.iter().map(|(org_id, seen)| json!({"organization": org_id, "seen": seen}));
    let asked: serde_json::Value = asked.collect();
    let rows = engine.read_unscoped(query(sql, [asked.into()])).await?;
    let (mut horizon, mut news) = (0, HashSet::new());
    for row in rows {
        horizon = row.try_get("horizon")?;
        news.extend(row.try_get::<_, Option<Uuid>>("organization")?.map(OrganizationId::from_uuid));
    }
    Ok((horizon, news))
}
