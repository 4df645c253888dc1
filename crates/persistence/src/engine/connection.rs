//! Connections: how one is made, and when one that has rested is used again.

use std::{
    mem,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use brownie_domain::OrganizationId;
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use postgres_native_tls::MakeTlsConnector;
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres::NoTls;

use super::connect::Target;
use crate::{Error, PoolOptions, Result, Tls};

/// How long an idle connection is trusted without asking.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// How long it may take to answer when asked.
pub(super) const PING_LIMIT: Duration = Duration::from_millis(500);

/// How long a log-in may take.
const OPENING_LIMIT: Duration = Duration::from_secs(5);

/// A connection, and the server process at its other end.
#[derive(Debug)]
pub(crate) struct Connection {
    client: ClientWrapper,
    /// As `pg_stat_activity` names it. Behind a pooler, whoever served us first.
    pub(super) backend: i32,
    /// When it last answered. The pool only knows when it was last lent.
    answered: Mutex<Instant>,
    tenant: Mutex<Tenant>,
    /// With which generation of certificates it was opened.
    generation: u64,
    /// How long a statement may take without a line in the log.
    pub(super) slow_after: Option<Duration>,
}

/// Whom a session reads for, as far as we were told by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tenant {
    /// Something was asked and not answered.
    Unknown,
    /// `app.org_id` is this, or empty: then no row of any organization is seen.
    Is(Option<OrganizationId>),
}

impl Connection {
    /// Notes that it is alive now.
    pub(super) fn answered(&self) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Makes `org` the session's tenant, unless it is so already. What is sent after this is first
    /// polled runs for it. The tenant is remembered only once the server has said yes: a caller that
    /// goes away leaves it unknown. Should the two ever differ all the same, a read finds nothing:
    /// each statement names its organization, too.
    pub(super) async fn turn_to(&self, org: Option<OrganizationId>) -> Result<()> {
        let before = mem::replace(&mut *self.tenant(), Tenant::Unknown);
        if before != Tenant::Is(org) {
            let id = org.map(|org| org.to_string()).unwrap_or_default();
            self.batch_execute(&format!("SET app.org_id = '{id}'")).await?;
        }
        *self.tenant() = Tenant::Is(org);
        Ok(())
    }

    fn tenant(&self) -> MutexGuard<'_, Tenant> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rested(&self) -> Duration {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Deref for Connection {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

/// Makes connections for the pool.
pub(crate) struct Connector {
    target: Target,
    session: String,
    slow_after: Option<Duration>,
    /// Where connections live. What is opened elsewhere ends when that does.
    runtime: Handle,
    /// When a connection that had rested was last found dead.
    silence: Mutex<Option<Instant>>,
}

/// The target may hold a password.
impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    pub(super) fn new(target: Target, options: &PoolOptions, runtime: Handle) -> Self {
        let (session, slow_after) = (session_settings(options), options.slow_statement);
        Self { target, session, slow_after, runtime, silence: Mutex::new(None) }
    }

    /// Opens a connection with nothing set.
    pub(super) async fn connect(&self) -> Result<ClientWrapper, tokio_postgres::Error> {
        Ok(self.connect_now().await?.0)
    }

    /// Tells whether certificates of that generation have been replaced.
    pub(super) fn is_outdated(&self, generation: u64) -> bool {
        self.target.tls.as_ref().is_some_and(|tls| tls.now().0 != generation)
    }

    /// The same as [`Connector::connect`], and tells with which generation of certificates.
    pub(super) async fn connect_now(&self) -> Result<(ClientWrapper, u64), tokio_postgres::Error> {
        let Target { config, tls } = &self.target;
        let tls = tls.as_ref().map(Tls::now);
        let generation = tls.as_ref().map_or(0, |(generation, _)| *generation);
        let (client, task) = match tls {
            Some((_, tls)) => {
                let (client, connection) = config.connect(MakeTlsConnector::new(tls)).await?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(async move { drop(connection.await) }))
            }
        };
        Ok((ClientWrapper::new(client, task), generation))
    }

    /// Tells whether others of its age have been found dead. Each of them would cost the wait
    /// again.
    fn is_suspect(&self, rested: Duration) -> bool {
        let silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.is_some_and(|at| at.elapsed() < rested)
    }
}

impl Connector {
    /// Opens a connection that is ready for work.
    pub(super) async fn open(&self) -> Result<Connection> {
        let (client, generation) = self.connect_now().await?;
        client.batch_execute(&self.session).await?;
        let backend = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        let (answered, tenant) = (Mutex::new(Instant::now()), Mutex::new(Tenant::Is(None)));
        let slow_after = self.slow_after;
        Ok(Connection { client, backend, answered, tenant, generation, slow_after })
    }

    /// Makes sure that a connection which has rested is still good.
    pub(super) async fn reuse(&self, connection: &Connection) -> RecycleResult<Error> {
        let rested = connection.rested();
        if connection.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        if self.is_outdated(connection.generation) {
            return Err(RecycleError::message("opened with certificates that were replaced since"));
        }
        if self.is_suspect(rested) {
            return Err(RecycleError::message("rested since before the network fell silent"));
        }
        if rested < TRUSTED_IDLE {
            return Ok(());
        }
        match timeout(PING_LIMIT, connection.simple_query("")).await {
            Ok(answer) => answer.map(drop).map_err(|error| RecycleError::Backend(error.into())),
            Err(_) => {
                *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                Err(RecycleError::message("an idle connection did not answer"))
            }
        }
    }
}

/// The pool's way to a [`Connector`].
#[derive(Debug)]
pub(crate) struct Maker(pub(super) Arc<Connector>);

impl Manager for Maker {
    type Type = Connection;
    type Error = Error;

    async fn create(&self) -> Result<Connection> {
        let connector = Arc::clone(&self.0);
        // In the task, which goes on when the pool has given up waiting for it.
        let opening = async move { timeout(OPENING_LIMIT, connector.open()).await };
        let opening = self
            .0
            .runtime
            .spawn(async move { opening.await.unwrap_or_else(|_| Err(Error::Unavailable(None))) });
        opening.await.map_err(|error| Error::Unavailable(Some(Box::new(error))))?
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Error> {
        self.0.reuse(connection).await
    }
}

/// What a session is told once: that a statement outside of a unit reads, and the limits. Through a
/// pooler in transaction mode this reaches only whatever server connection comes first, so there the
/// brackets say it, too.
fn session_settings(options: &PoolOptions) -> String {
    let role = match &options.role {
        // A quoted identifier (PostgreSQL manual, section 4.1.1).
        Some(role) => format!("SET ROLE \"{}\"; ", role.replace('"', "\"\"")),
        None => String::new(),
    };
    format!(
        "{role}SET default_transaction_isolation = 'read committed'; \
         SET default_transaction_read_only = on; SET {}",
        timeouts(options).join("; SET ")
    )
}

/// The limits that the server keeps, and how it prints times.
pub(super) fn timeouts(options: &PoolOptions) -> [String; 4] {
    let statement = options.statement_timeout.as_millis();
    [
        format!("statement_timeout = {statement}"),
        format!("lock_timeout = {}", options.lock_timeout.as_millis()),
        format!("idle_in_transaction_session_timeout = {statement}"),
        // Times inside of documents, as in the audit log, are printed by the server.
        "TimeZone = 'UTC'".to_owned(),
    ]
}
