//! The engine behind the door: what runs a statement, and in what bracket.
//!
//! A statement never runs alone. Its bracket says which organization it is for (`app.org_id`, for
//! row-level security to compare with) and ends with the transaction. Bracket and statement travel
//! together: a read is one flight of BEGIN, tenant, SELECT and COMMIT on a connection held
//! exclusively; a unit of work begins with its first statement and ends with its last.
//!
//! A client that goes away cannot cut a unit. Units run in tasks of their own; a unit that is
//! dropped half-way is rolled back behind the caller's back; one that takes too long loses its
//! connection. Why tokio-postgres and not sqlx: `docs/decisions/0001-the-engine.md`.

mod connect;
mod unit;
mod values;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use brownie_domain::OrganizationId;
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use futures_util::future::join3;
use sea_orm::{QueryResult, Statement};
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres::{NoTls, types::ToSql};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::{Error, PoolOptions, Result};
pub(crate) use unit::Unit;
use values::Parameter;

/// How long an idle connection is trusted without asking.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// How long it may take to answer when asked.
const PING_LIMIT: Duration = Duration::from_millis(500);

/// The pool, and the tasks that use it.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pool: Pool,
    tasks: TaskTracker,
    /// Where connections and units live: the runtime that made the engine. A web server's workers
    /// have runtimes of their own, which end first when it stops; what lived there would be cut.
    runtime: Handle,
    acquire_timeout: Duration,
    statement_timeout: Duration,
}

impl Engine {
    /// Sets the pool up. Connects when first asked to.
    pub(crate) fn new(options: &PoolOptions) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|_| {
            Error::Settings("a store is made inside a tokio runtime that outlives it".to_owned())
        })?;
        let target = connect::target(&options.url)?;
        let manager_config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match target.tls {
            Some(tls) => Manager::from_config(target.config, tls, manager_config),
            None => Manager::from_config(target.config, NoTls, manager_config),
        };
        let session = session_settings(options);
        let silence_noticed = Arc::new(Mutex::new(None::<Instant>));
        let pool = Pool::builder(manager)
            .max_size(options.max_connections)
            .wait_timeout(Some(options.acquire_timeout))
            .create_timeout(Some(options.acquire_timeout))
            .recycle_timeout(Some(PING_LIMIT * 2))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .post_create(Hook::async_fn(move |client, _| {
                let session = session.clone();
                Box::pin(
                    async move { client.batch_execute(&session).await.map_err(HookError::Backend) },
                )
            }))
            // A connection that has rested may be dead without knowing it. Where one is, the others
            // that rested as long are not asked one by one: each would cost the wait again.
            .pre_recycle(Hook::async_fn(move |client, metrics| {
                let rested = metrics.last_used();
                let silence = Arc::clone(&silence_noticed);
                Box::pin(async move {
                    if silence.lock().is_ok_and(|at| at.is_some_and(|at| at.elapsed() < rested)) {
                        return Err(HookError::message(
                            "rested since before the network fell silent",
                        ));
                    }
                    if rested < TRUSTED_IDLE {
                        return Ok(());
                    }
                    if let Ok(answer) = timeout(PING_LIMIT, client.simple_query("")).await {
                        return answer.map(drop).map_err(HookError::Backend);
                    }
                    if let Ok(mut at) = silence.lock() {
                        *at = Some(Instant::now());
                    }
                    Err(HookError::message("an idle connection did not answer"))
                })
            }))
            .build()
            .map_err(|error| Error::Settings(error.to_string()))?;
        Ok(Self {
            pool,
            tasks: TaskTracker::new(),
            runtime,
            acquire_timeout: options.acquire_timeout,
            statement_timeout: options.statement_timeout,
        })
    }

    /// Begins a unit of work that may write. Nothing is sent yet.
    pub(crate) async fn begin(&self, org: OrganizationId) -> Result<Unit> {
        let engine = self.clone();
        let client = self.spawn(async move { engine.acquire().await }).await?;
        Ok(Unit::new(client, bracket("BEGIN", org), self.limit(), self.runtime.clone()))
    }

    /// Runs one reading statement for an organization.
    pub(crate) async fn read(
        &self,
        org: OrganizationId,
        statement: Statement,
    ) -> Result<Vec<QueryResult>> {
        self.run(Some(bracket("BEGIN READ ONLY", org)), statement).await
    }

    /// Runs one statement for no organization: those tables that belong to none, and the look-ups
    /// that must find the organization first.
    pub(crate) async fn read_unscoped(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        self.run(None, statement).await
    }

    async fn run(&self, bracket: Option<String>, statement: Statement) -> Result<Vec<QueryResult>> {
        let engine = self.clone();
        self.spawn(async move {
            let bracket = bracket.as_deref();
            let client = engine.acquire().await?;
            match engine.run_on(client, bracket, statement.clone()).await {
                // A read may be repeated: the connection was dead, or what it had prepared was.
                Err(Error::Unavailable(_)) => {
                    let client = engine.acquire().await?;
                    engine.run_on(client, bracket, statement).await
                }
                outcome => outcome,
            }
        })
        .await
    }

    async fn run_on(
        &self,
        client: Object,
        bracket: Option<&str>,
        statement: Statement,
    ) -> Result<Vec<QueryResult>> {
        let outcome = timeout(self.limit(), flight(&client, bracket, statement)).await;
        let outcome = outcome.unwrap_or(Err(Error::Timeout));
        if matches!(outcome, Err(Error::Unavailable(_) | Error::Timeout)) {
            discard(client);
        }
        outcome
    }

    /// Runs `work` in a task of its own, which ends when it ends, whatever becomes of the caller.
    pub(crate) async fn spawn<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        match self.tasks.spawn_on(work.in_current_span(), &self.runtime).await {
            Ok(outcome) => outcome,
            Err(error) => Err(Error::Database(Box::new(error))),
        }
    }

    async fn acquire(&self) -> Result<Object> {
        use deadpool_postgres::PoolError;
        // The pool's own limits leave out the hooks: a server that lets us in and then says nothing
        // would hold a place in the pool for ever.
        match timeout(self.acquire_timeout * 2, self.pool.get()).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(PoolError::Backend(error))) => Err(error.into()),
            Ok(Err(other)) => Err(Error::Unavailable(Some(Box::new(other)))),
            Err(_) => Err(Error::Unavailable(None)),
        }
    }

    /// The server ends a statement by itself; this ends the wait for a server that does not.
    fn limit(&self) -> Duration {
        self.statement_timeout + Duration::from_secs(2)
    }

    /// Waits for all units under way, then closes the connections.
    pub(crate) async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.pool.close();
    }

    /// Returns how many connections are open, and how many of them are idle.
    pub(crate) fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.available)
    }
}

/// Begins a transaction for `org`. The id is a UUID, which needs no quoting.
fn bracket(begin: &str, org: OrganizationId) -> String {
    format!("{begin}; SET LOCAL app.org_id = '{org}'")
}

fn session_settings(options: &PoolOptions) -> String {
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; SET TimeZone = 'UTC'",
        options.statement_timeout.as_millis(),
        options.lock_timeout.as_millis(),
        options.statement_timeout.as_millis(),
    )
}

/// A statement made ready on a connection.
struct Ready {
    statement: tokio_postgres::Statement,
    parameters: Vec<Parameter>,
}

impl Ready {
    /// Prepares `statement`, or finds it prepared.
    async fn on(client: &Object, statement: Statement) -> Result<Self> {
        let parameters = Parameter::all(statement.values);
        let types = parameters.iter().map(Parameter::declared_type).collect::<Result<Vec<_>>>()?;
        let statement = client.prepare_typed_cached(&statement.sql, &types).await?;
        Ok(Self { statement, parameters })
    }

    async fn run(&self, client: &Object) -> Result<Vec<QueryResult>> {
        let parameters: Vec<&(dyn ToSql + Sync)> =
            self.parameters.iter().map(|parameter| parameter as _).collect();
        let rows = client.query(&self.statement, &parameters).await?;
        rows.iter().map(values::query_result).collect()
    }
}

/// Sends bracket, statement and COMMIT without waiting in between. `join3` polls its futures in
/// order, and tokio-postgres sends when first polled: all three are on their way, in this order,
/// before the first answer is back. If the statement fails, the COMMIT rolls back.
async fn flight(
    client: &Object,
    bracket: Option<&str>,
    statement: Statement,
) -> Result<Vec<QueryResult>> {
    let ready = Ready::on(client, statement).await?;
    let Some(bracket) = bracket else { return ready.run(client).await };
    let (begun, rows, ended) =
        join3(client.batch_execute(bracket), ready.run(client), client.batch_execute("COMMIT"))
            .await;
    begun?;
    let rows = rows?;
    ended?;
    Ok(rows)
}

/// Closes a connection instead of giving it back.
fn discard(client: Object) {
    drop(Object::take(client));
}
