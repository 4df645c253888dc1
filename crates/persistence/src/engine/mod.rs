//! The engine behind the door: what runs a statement, and in what bracket.
//!
//! A statement never runs alone. With it goes which organization it is for (`app.org_id`, which
//! row-level security compares with). A read is one flight on a connection held exclusively: the
//! tenant, if the session's is another, and the SELECT; a unit of work begins with its first
//! statement, says its tenant for itself alone, and ends with its last.
//!
//! A client that goes away cannot cut a unit. Units run in tasks of their own; a unit that is
//! dropped half-way is rolled back behind the caller's back; one that takes too long, or whose
//! connection fell silent, loses it. Why tokio-postgres and not sqlx:
//! `docs/decisions/0001-the-engine.md`.

mod aside;
mod connect;
mod connection;
mod doubt;
mod flight;
mod lead;
mod meter;
mod pooler;
mod probe;
mod retry;
mod session;
mod statement;
mod tally;
mod unit;
mod values;
mod writes;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use brownie_bulkhead::{Bulkhead, Division};
use brownie_domain::OrganizationId;
use deadpool::managed::{Pool, PoolError};
use sea_orm::Statement;
use tokio::{
    runtime::Handle,
    sync::{OwnedRwLockWriteGuard, RwLock},
    time::timeout,
};
use tokio_postgres::Row;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::{Error, PoolOptions, Result};
use aside::Aside;
use connection::{Connector, Maker, PING_LIMIT};
use doubt::{Doubt, patiently};
use flight::{Lease, Lent, Ready};
pub(crate) use lead::Lead;
use meter::Meter;
pub use pooler::Pooler;
pub use probe::Footing;
pub(crate) use retry::{Cause, Tries};
pub use tally::Tally;
pub(crate) use unit::Unit;

/// The pool, and the tasks that use it.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pool: Pool<Maker>,
    /// Who may have how many of its connections, and whose turn it is. What is of no organization shares one
    /// place.
    bulkhead: Bulkhead<Option<OrganizationId>>,
    /// Where there is one connection: who may have it. Units read it, whoever borrows it writes.
    gate: Option<Arc<RwLock<()>>>,
    connector: Arc<Connector>,
    aside: Aside,
    doubt: Option<Doubt>,
    tasks: TaskTracker,
    /// Where connections and units live: the runtime that made the engine. A web server's workers
    /// have runtimes of their own, which end first when it stops; what lived there would be cut.
    runtime: Handle,
    acquire_timeout: Duration,
    statement_timeout: Duration,
    read_timeout: Duration,
    /// The limits, as a bracket says them where a session cannot.
    limits: Arc<str>,
    meter: Meter,
}

/// How a pool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Connections that are open.
    pub open: usize,
    /// Those of them that are idle.
    pub idle: usize,
    /// Pieces of work that wait for one.
    pub waiting: usize,
    /// The most there may be.
    pub max: usize,
}

impl Engine {
    /// Sets the pool up. Connects when first asked to.
    pub(crate) fn new(options: &PoolOptions) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|_| {
            Error::Settings("a store is made inside a tokio runtime that outlives it".to_owned())
        })?;
        let target = connect::target(options)?;
        let connector = Arc::new(Connector::new(target, options, runtime.clone()));
        let pool = Pool::builder(Maker(Arc::clone(&connector)))
            .max_size(options.max_connections)
            .wait_timeout(Some(options.acquire_timeout))
            .create_timeout(Some(options.acquire_timeout))
            .recycle_timeout(Some(PING_LIMIT * 2))
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Settings(error.to_string()))?;
        keep_fresh(&runtime, &pool, options);
        let limits = session::limits(options).map(|limit| format!("; SET LOCAL {limit}"));
        let division = Division::halves(options.max_connections, WAITING);
        let share = options.share.unwrap_or(division.share).clamp(1, options.max_connections);
        Ok(Self {
            pool,
            bulkhead: Bulkhead::new(Division { share, waiting: share * WAITING, ..division }),
            gate: options.single_connection.then(Arc::default),
            doubt: (!options.single_connection).then(|| Doubt::new(Arc::clone(&connector))),
            connector,
            aside: Aside::default(),
            tasks: TaskTracker::new(),
            runtime,
            acquire_timeout: options.acquire_timeout,
            statement_timeout: options.statement_timeout,
            // One that is cut on the only connection there is takes the embedded server along.
            read_timeout: if options.single_connection {
                options.statement_timeout + Duration::from_secs(2)
            } else {
                options.read_timeout.min(options.statement_timeout)
            },
            limits: limits.concat().into(),
            meter: Meter::new(options.track_statements),
        })
    }

    /// Begins a unit of work that may write. Nothing is sent yet.
    pub(crate) async fn begin(&self, org: OrganizationId) -> Result<Unit> {
        let client = self.acquire(Some(org)).await?;
        let bracket = self.bracket("READ WRITE", org, client.pooled);
        Ok(Unit::new(client, bracket, self.clone()))
    }

    /// Runs one reading statement for an organization.
    pub(crate) async fn read(&self, org: OrganizationId, statement: Statement) -> Result<Vec<Row>> {
        Ok(self.run(Some(org), Some(org), statement, usize::MAX).await?.0)
    }

    /// The same for somebody who says that they are of the organization, and has not proved it yet: its share is
    /// not theirs to use up.
    pub(crate) async fn read_unproven(
        &self,
        org: OrganizationId,
        statement: Statement,
    ) -> Result<Vec<Row>> {
        Ok(self.run(None, Some(org), statement, usize::MAX).await?.0)
    }

    /// The same, for as many rows as have `most` bytes together, one at least, and whether there are more.
    pub(crate) async fn read_within(
        &self,
        org: OrganizationId,
        statement: Statement,
        most: usize,
    ) -> Result<(Vec<Row>, bool)> {
        self.run(Some(org), Some(org), statement, most).await
    }

    /// Runs one statement for no organization: those tables that belong to none, and the look-ups
    /// that must find the organization first.
    pub(crate) async fn read_unscoped(&self, statement: Statement) -> Result<Vec<Row>> {
        Ok(self.run(None, None, statement, usize::MAX).await?.0)
    }

    /// Runs one statement that writes for no organization, in a transaction of its own: to its end,
    /// whatever becomes of the caller. It is not tried again when nobody knows whether it took effect.
    pub(crate) async fn write_unscoped(&self, statement: Statement) -> Result<Vec<Row>> {
        let engine = self.clone();
        self.spawn(async move {
            let client = engine.acquire(None).await?;
            let timer = engine.meter.start(&statement.sql);
            let limits = engine.limits(client.pooled);
            let bracket = format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE{limits}");
            let work = Box::pin(flight::bracketed(&client, &bracket, statement, usize::MAX));
            let outcome =
                patiently(engine.doubt(&client), client.backend, engine.limit(), work).await;
            timer.stop(&outcome);
            client.answered();
            engine.connector.note(&outcome);
            if matches!(outcome, Err(Error::Unavailable(_) | Error::Timeout)) {
                client.discard();
            }
            Ok(outcome?.rows)
        })
        .await
    }

    /// Runs where the caller is: a flight is sent whole or not at all, so a caller that is dropped
    /// leaves a connection that is clean once the answers are in ([`Lent`] waits for them, or cancels).
    /// `tenant` is whose share is used, `org` whose rows are read.
    async fn run(
        &self,
        tenant: Option<OrganizationId>,
        org: Option<OrganizationId>,
        statement: Statement,
        most: usize,
    ) -> Result<(Vec<Row>, bool)> {
        let mut tries = Tries::default();
        loop {
            let outcome = match self.acquire(tenant).await {
                Ok(client) => self.run_on(client, org, statement.clone(), most).await,
                Err(error) => Err(error),
            };
            match outcome.as_ref().err().and_then(Cause::of) {
                Some(cause) if tries.again(cause).await => {}
                _ => return outcome,
            }
        }
    }

    async fn run_on(
        &self,
        lease: Lease,
        org: Option<OrganizationId>,
        statement: Statement,
        most: usize,
    ) -> Result<(Vec<Row>, bool)> {
        let lent = Lent::new(lease, self);
        let Some(client) = lent.lease() else { return Err(Error::UnitOver) };
        let timer = self.meter.start(&statement.sql);
        let work = Box::pin(async {
            match org.filter(|_| client.pooled) {
                Some(org) => {
                    // A standby refuses to begin one that writes: behind a pooler, nothing else tells.
                    let bracket =
                        self.bracket("READ WRITE", org, true) + "; SET TRANSACTION READ ONLY";
                    flight::bracketed(client, &bracket, statement, most).await
                }
                None => flight::alone(client, org, statement, most).await,
            }
        });
        let outcome = patiently(self.doubt(client), client.backend, self.read_timeout, work).await;
        timer.stop(&outcome);
        lent.ends(outcome)
    }

    /// Runs `work` in a task of its own, which ends when it ends, whatever becomes of the caller. It
    /// belongs to the caller's span and tally all the same.
    pub(crate) async fn spawn<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        match self.tasks.spawn_on(Tally::current().of(work).in_current_span(), &self.runtime).await
        {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::Database(Box::new(error))),
        }
    }

    /// Runs `work` beside everything else, for as long as the runtime lives. Nobody waits for it.
    pub(crate) fn spawn_aside(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(work));
    }

    /// Closes the one connection, when nobody uses it, until what this returns is dropped.
    pub(crate) async fn lend(&self) -> Result<OwnedRwLockWriteGuard<()>> {
        let Some(gate) = &self.gate else {
            return Err(Error::Settings("this database has more than one connection".to_owned()));
        };
        let work = async {
            let guard = Arc::clone(gate).write_owned().await;
            // Nobody else gets one now; whoever has it gives it back. One that is not there is not opened:
            // the embedded server takes its time over each.
            if self.pool.status().size > 0 {
                let client = self.pool.get().await.map_err(|_| Error::Unavailable(None))?;
                // It ends when a connection is cut that has answers under way.
                let answered = client.simple_query("").await;
                drop(deadpool::managed::Object::take(client));
                answered?;
            }
            Ok(guard)
        };
        timeout(self.limit() + self.acquire_timeout, work).await.unwrap_or(Err(Error::Timeout))
    }

    /// Waits for a connection: in turn with other organizations, and then for the pool's.
    async fn acquire(&self, tenant: Option<OrganizationId>) -> Result<Lease> {
        let began = Instant::now();
        // The limits of each step are the pool's and the bulkhead's own; this one is for all.
        let get = Box::pin(async {
            let entering = timeout(self.acquire_timeout, self.bulkhead.enter(tenant)).await;
            let Ok(Ok(permit)) = entering else { return Err(self.why_full(tenant)) };
            let _gate = match &self.gate {
                Some(gate) => Some(gate.read().await),
                None => None,
            };
            match self.pool.get().await {
                Ok(connection) => Ok(Lease { connection, permit }),
                Err(PoolError::Backend(error)) => Err(error),
                Err(PoolError::Timeout(_)) => Err(Error::Unavailable(None)),
                Err(other) => Err(Error::Unavailable(Some(Box::new(other)))),
            }
        });
        let outcome =
            timeout(self.acquire_timeout * 2, get).await.unwrap_or(Err(Error::Unavailable(None)));
        self.meter.waited(began.elapsed(), &outcome);
        outcome
    }

    /// Nobody was let in: because all connections are used, or because the organization itself uses all that
    /// it may.
    fn why_full(&self, tenant: Option<OrganizationId>) -> Error {
        let Division { permits, share, .. } = self.bulkhead.division();
        if share < permits && tenant.is_some() && self.bulkhead.is_at_share(tenant) {
            Error::ShareUsed { connections: share }
        } else {
            Error::Unavailable(None)
        }
    }

    /// Begins a transaction for `org`. The id is a UUID, which needs no quoting. The isolation level
    /// is named, whatever the server's default: who counts under a lock, and who reads up to the
    /// horizon, needs a new snapshot for each statement.
    fn bracket(&self, access: &str, org: OrganizationId, pooled: bool) -> String {
        let limits = self.limits(pooled);
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED {access}; SET LOCAL app.org_id = '{org}'{limits}"
        )
    }

    /// What a bracket says of limits: where no session is ours, all of them.
    fn limits(&self, pooled: bool) -> &str {
        if pooled { &self.limits } else { "" }
    }

    /// The server ends a statement by itself; this ends the wait for a server that does not.
    fn limit(&self) -> Duration {
        self.statement_timeout + Duration::from_secs(2)
    }

    /// Tells whether any connection has led to a pooler in transaction mode.
    fn is_pooled(&self) -> bool {
        self.connector.is_pooled()
    }

    /// Waits for all units under way, then closes the connections.
    pub(crate) async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        // Where there is one connection, a read of somebody who was not told may be under way on it.
        let lent = if self.gate.is_some() { self.lend().await.ok() } else { None };
        self.pool.close();
        drop(lent);
    }

    /// Tells whether the server takes writes, as far as the last ones have shown.
    pub(crate) fn is_writable(&self) -> bool {
        self.connector.writes.are_taken()
    }

    /// Returns how the pool stands.
    pub(crate) fn pool_state(&self) -> PoolState {
        let status = self.pool.status();
        let (open, idle) = (status.size, status.available);
        let waiting = status.waiting + self.bulkhead.waiting();
        PoolState { open, idle, waiting, max: status.max_size }
    }
}

/// How many may wait for each connection of an organization's share. More would be answered too late.
const WAITING: usize = 256;
/// How many idle connections are kept however long they rest.
const KEPT_IDLE: usize = 2;

/// Closes what has rested for long or is too old, as long as there is a pool: others may need the places.
fn keep_fresh(runtime: &Handle, pool: &Pool<Maker>, options: &PoolOptions) {
    if options.single_connection {
        return;
    }
    let (pool, max_idle) = (pool.weak(), options.max_idle);
    let mut tick = tokio::time::interval((max_idle / 4).clamp(TICK.0, TICK.1));
    drop(runtime.spawn(async move {
        loop {
            tick.tick().await;
            let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else { return };
            let mut kept = 0;
            pool.retain(|connection, _| {
                let is_kept = connection.rested() < max_idle || kept < KEPT_IDLE;
                kept += usize::from(is_kept);
                is_kept
            });
        }
    }));
}

/// How often to look for connections that rest, at the most and at the least.
const TICK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
