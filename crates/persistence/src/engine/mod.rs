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
mod lead;
mod meter;
mod probe;
mod retry;
mod statement;
mod tally;
mod unit;
mod values;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use brownie_domain::OrganizationId;
use deadpool::managed::{Pool, PoolError};
use futures_util::future::{join, join3};
use sea_orm::Statement;
use tokio::{
    runtime::Handle,
    sync::{OwnedRwLockWriteGuard, RwLock},
    time::timeout,
};
use tokio_postgres::{Row, types::ToSql};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::{Error, PoolOptions, Result};
use aside::Aside;
use connection::{Connector, Maker, PING_LIMIT, timeouts};
use doubt::{Doubt, patiently};
pub(crate) use lead::Lead;
use meter::Meter;
pub use probe::Footing;
pub(crate) use retry::{Cause, Tries};
pub use tally::Tally;
pub(crate) use unit::Unit;
use values::Parameter;

/// A connection on loan from the pool.
type Object = deadpool::managed::Object<Maker>;

/// The pool, and the tasks that use it.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pool: Pool<Maker>,
    /// Where there is one connection: who may have it. Units read it, whoever borrows it writes.
    gate: Option<Arc<RwLock<()>>>,
    connector: Arc<Connector>,
    aside: Aside,
    doubt: Option<Doubt>,
    /// Whether a pooler in transaction mode is in between: then nothing belongs to a session.
    pooled: Arc<AtomicBool>,
    tasks: TaskTracker,
    /// Where connections and units live: the runtime that made the engine. A web server's workers
    /// have runtimes of their own, which end first when it stops; what lived there would be cut.
    runtime: Handle,
    acquire_timeout: Duration,
    statement_timeout: Duration,
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
        Ok(Self {
            pool,
            gate: options.single_connection.then(Arc::default),
            doubt: (!options.single_connection).then(|| Doubt::new(Arc::clone(&connector))),
            connector,
            aside: Aside::default(),
            pooled: Arc::default(),
            tasks: TaskTracker::new(),
            runtime,
            acquire_timeout: options.acquire_timeout,
            statement_timeout: options.statement_timeout,
            limits: timeouts(options).map(|limit| format!("; SET LOCAL {limit}")).concat().into(),
            meter: Meter::new(options.track_statements),
        })
    }

    /// Begins a unit of work that may write. Nothing is sent yet.
    pub(crate) async fn begin(&self, org: OrganizationId) -> Result<Unit> {
        let client = self.acquire().await?;
        Ok(Unit::new(client, self.bracket("READ WRITE", org), self.clone()))
    }

    /// Runs one reading statement for an organization.
    pub(crate) async fn read(&self, org: OrganizationId, statement: Statement) -> Result<Vec<Row>> {
        self.run(Some(org), statement).await
    }

    /// Runs one statement for no organization: those tables that belong to none, and the look-ups
    /// that must find the organization first.
    pub(crate) async fn read_unscoped(&self, statement: Statement) -> Result<Vec<Row>> {
        self.run(None, statement).await
    }

    /// Runs one statement that writes for no organization, in a transaction of its own: to its end,
    /// whatever becomes of the caller. It is not tried again when nobody knows whether it took effect.
    pub(crate) async fn write_unscoped(&self, statement: Statement) -> Result<Vec<Row>> {
        let engine = self.clone();
        self.spawn(async move {
            let client = engine.acquire().await?;
            let timer = engine.meter.start(&statement.sql);
            let bracket =
                format!("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE{}", engine.limits());
            let work = Box::pin(bracketed(&client, &bracket, statement));
            let outcome = patiently(engine.doubt(), client.backend, engine.limit(), work).await;
            timer.stop(&outcome);
            client.answered();
            if matches!(outcome, Err(Error::Unavailable(_) | Error::Timeout)) {
                discard(client);
            }
            outcome
        })
        .await
    }

    /// Runs where the caller is: a flight is sent whole or not at all, so a caller that is dropped
    /// leaves a connection that is clean once the answers are in ([`Lent`] waits for them).
    async fn run(&self, org: Option<OrganizationId>, statement: Statement) -> Result<Vec<Row>> {
        let mut tries = Tries::default();
        loop {
            let outcome = match self.acquire().await {
                Ok(client) => self.run_on(client, org, statement.clone()).await,
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
        client: Object,
        org: Option<OrganizationId>,
        statement: Statement,
    ) -> Result<Vec<Row>> {
        let mut lent = Lent { client: Some(client), engine: self };
        let Some(client) = &lent.client else { return Err(Error::UnitOver) };
        let timer = self.meter.start(&statement.sql);
        let work = Box::pin(async {
            match org.filter(|_| self.is_pooled()) {
                Some(org) => bracketed(client, &self.bracket("READ ONLY", org), statement).await,
                None => flight(client, org, statement).await,
            }
        });
        let outcome = patiently(self.doubt(), client.backend, self.limit(), work).await;
        timer.stop(&outcome);
        client.answered();
        if let Some(client) = lent.client.take()
            && matches!(outcome, Err(Error::Unavailable(_) | Error::Timeout))
        {
            discard(client);
        }
        outcome
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
                discard(client);
                answered?;
            }
            Ok(guard)
        };
        timeout(self.limit() + self.acquire_timeout, work).await.unwrap_or(Err(Error::Timeout))
    }

    async fn acquire(&self) -> Result<Object> {
        let began = Instant::now();
        // The pool's own limits are for each step; this one is for all.
        let get = Box::pin(async {
            let _gate = match &self.gate {
                Some(gate) => Some(gate.read().await),
                None => None,
            };
            self.pool.get().await
        });
        let outcome = match timeout(self.acquire_timeout * 2, get).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Timeout(_))) | Err(_) => Err(Error::Unavailable(None)),
            Ok(Err(other)) => Err(Error::Unavailable(Some(Box::new(other)))),
        };
        self.meter.waited(began.elapsed(), &outcome);
        outcome
    }

    /// Begins a transaction for `org`. The id is a UUID, which needs no quoting. The isolation level
    /// is named, whatever the server's default: who counts under a lock, and who reads up to the
    /// horizon, needs a new snapshot for each statement.
    fn bracket(&self, access: &str, org: OrganizationId) -> String {
        let limits = self.limits();
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED {access}; SET LOCAL app.org_id = '{org}'{limits}"
        )
    }

    /// What a bracket says of limits: where no session is ours, all of them.
    fn limits(&self) -> &str {
        if self.is_pooled() { &self.limits } else { "" }
    }

    /// The server ends a statement by itself; this ends the wait for a server that does not.
    fn limit(&self) -> Duration {
        self.statement_timeout + Duration::from_secs(2)
    }

    fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    fn set_pooled(&self, pooled: bool) {
        self.pooled.store(pooled, Ordering::Relaxed);
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

    /// Returns how the pool stands.
    pub(crate) fn pool_state(&self) -> PoolState {
        let status = self.pool.status();
        let (open, idle) = (status.size, status.available);
        PoolState { open, idle, waiting: status.waiting, max: status.max_size }
    }
}

/// A statement made ready on a connection.
struct Ready {
    sql: String,
    statement: tokio_postgres::Statement,
    parameters: Vec<Parameter>,
}

impl Ready {
    /// Prepares `statement`, or finds it prepared.
    async fn on(client: &Object, statement: Statement) -> Result<Self> {
        let parameters = Parameter::all(statement.values);
        let types = parameters.iter().map(Parameter::declared_type).collect::<Result<Vec<_>>>()?;
        let sql = statement.sql;
        let statement = client.prepare_typed_cached(&sql, &types).await?;
        Ok(Self { sql, statement, parameters })
    }

    async fn run(&self, client: &Object) -> Result<Vec<Row>> {
        let parameters: Vec<&(dyn ToSql + Sync)> =
            self.parameters.iter().map(|parameter| parameter as _).collect();
        let started = Instant::now();
        let outcome = client.query(&self.statement, &parameters).await;
        let (took, rows) = (started.elapsed(), outcome.as_ref().ok().map(Vec::len));
        Tally::note_rows(rows.unwrap_or_default());
        if client.slow_after.is_some_and(|limit| took > limit) {
            statement::report_slow(&self.sql, took, rows);
        }
        Ok(outcome?)
    }
}

/// Runs a statement in a session whose tenant is `org`: one message each way when it has been before,
/// two messages without waiting in between when not. `join` polls its futures in order, and
/// tokio-postgres sends when first polled.
async fn flight(
    client: &Object,
    org: Option<OrganizationId>,
    statement: Statement,
) -> Result<Vec<Row>> {
    let ready = Ready::on(client, statement).await?;
    let (turned, rows) = join(client.turn_to(org), ready.run(client)).await;
    turned?;
    rows
}

/// The same behind a pooler, where no session is ours: the tenant holds for a transaction, and
/// bracket, statement and COMMIT are on their way before the first answer is back. If the statement
/// fails, the COMMIT rolls back.
async fn bracketed(client: &Object, bracket: &str, statement: Statement) -> Result<Vec<Row>> {
    let ready = Ready::on(client, statement).await?;
    let (begun, rows, ended) =
        join3(client.batch_execute(bracket), ready.run(client), client.batch_execute("COMMIT"))
            .await;
    begun?;
    let rows = rows?;
    ended?;
    Ok(rows)
}

/// A connection with a flight under way. If the caller is dropped, it is given back once all answers
/// are in: the next to use it would wait for them.
struct Lent<'a> {
    client: Option<Object>,
    engine: &'a Engine,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let limit = self.engine.limit();
        drop(self.engine.runtime.spawn(async move {
            if !matches!(timeout(limit, client.simple_query("")).await, Ok(Ok(_))) {
                discard(client);
            }
        }));
    }
}

/// Closes a connection instead of giving it back.
fn discard(client: Object) {
    drop(Object::take(client));
}
