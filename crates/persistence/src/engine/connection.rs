//! Connections: how one is made, and when one that has rested is used again.

use std::{
    mem,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use brownie_domain::OrganizationId;
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use postgres_native_tls::MakeTlsConnector;
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::{
    connect::Target,
    pooler::{self, Pooler},
    session,
    writes::Writes,
};
use crate::{Error, PoolOptions, Result, Tls};

/// How long an idle connection is trusted without asking.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);
/// How long it may take to answer when asked.
pub(super) const PING_LIMIT: Duration = Duration::from_millis(500);

/// How long a log-in may take.
const OPENING_LIMIT: Duration = Duration::from_secs(5);
/// How often to open another connection instead of one that leads to a pooler which cannot be used: behind
/// one address there may be others.
const OPENINGS: usize = 5;
/// How long asking the server to cancel something may take.
const CANCEL_LIMIT: Duration = Duration::from_secs(2);

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
    /// Whether a pooler in transaction mode is in between: then nothing belongs to the session.
    pub(super) pooled: bool,
    /// When it is replaced, however well it is; never, if that is beyond what can be counted.
    expires: Option<Instant>,
    /// How often plans had become outdated when its prepared statements were last thrown away.
    plans: AtomicU64,
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

    /// Returns how long it has not answered.
    pub(super) fn rested(&self) -> Duration {
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
    max_lifetime: Duration,
    pooler: Pooler,
    /// Whether any connection has led to a pooler in transaction mode.
    pooled: AtomicBool,
    /// How often a migration has outdated what sessions had prepared.
    plans: AtomicU64,
    /// Whether the server takes writes.
    pub(super) writes: Writes,
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
        Self {
            target,
            session: session::settings(options),
            slow_after: options.slow_statement,
            max_lifetime: options.max_lifetime,
            // The embedded server is ours alone.
            pooler: if options.single_connection { Pooler::Session } else { options.pooler },
            pooled: AtomicBool::new(options.pooler == Pooler::Transaction),
            plans: AtomicU64::new(0),
            writes: Writes::default(),
            runtime,
            silence: Mutex::new(None),
        }
    }

    /// Tells whether any connection has led to a pooler in transaction mode.
    pub(super) fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    /// Notes why something failed: after the first statement whose plan a migration has outdated, no
    /// connection uses what it had prepared before.
    pub(super) fn note<T>(&self, outcome: &Result<T>) {
        if matches!(outcome, Err(error) if crate::sqlstate::is_outdated_plan(error)) {
            self.plans.fetch_add(1, Ordering::Relaxed);
        }
        if let Err(error) = outcome {
            self.writes.failed(error);
        }
    }

    /// Asks the server to stop what a connection runs. It may come too late, and stop what runs next.
    pub(super) async fn cancel(&self, connection: &Connection) {
        let token = connection.cancel_token();
        let asking = async {
            match self.target.tls.as_ref().map(Tls::now) {
                Some((_, tls)) => token.cancel_query(MakeTlsConnector::new(tls)).await,
                None => token.cancel_query(NoTls).await,
            }
        };
        drop(timeout(CANCEL_LIMIT, asking).await);
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
        let standing = client.simple_query(&format!("{}; {STANDING}", self.session)).await?;
        let backend = backend_of_primary(&standing)?;
        let pooled = match self.pooler {
            Pooler::Session => false,
            Pooler::Transaction if pooler::hands_names_on(&client).await? => {
                return Err(pooler::bad_pooler());
            }
            Pooler::Transaction => true,
            Pooler::Unknown => pooler::is_between(self, &client, backend).await?,
        };
        if pooled && !self.pooled.swap(true, Ordering::Relaxed) {
            tracing::info!("a pooler in transaction mode is between us and the database");
        }
        let (answered, tenant) = (Mutex::new(Instant::now()), Mutex::new(Tenant::Is(None)));
        let (slow_after, expires) =
            (self.slow_after, Instant::now().checked_add(jittered(self.max_lifetime)));
        let plans = AtomicU64::new(self.plans.load(Ordering::Relaxed));
        Ok(Connection {
            client,
            backend,
            answered,
            tenant,
            generation,
            pooled,
            expires,
            plans,
            slow_after,
        })
    }

    /// The same, with another one instead of any that leads to a pooler which cannot be used.
    async fn open_usable(&self) -> Result<Connection> {
        for _ in 1..OPENINGS {
            match self.open().await {
                Err(Error::Settings(why)) => tracing::warn!(why, "a connection is not used"),
                outcome => return outcome,
            }
        }
        self.open().await
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
        if connection.expires.is_some_and(|at| at <= Instant::now()) {
            return Err(RecycleError::message("as old as a connection may become"));
        }
        let plans = self.plans.load(Ordering::Relaxed);
        if connection.plans.swap(plans, Ordering::Relaxed) != plans {
            connection.statement_cache.clear();
        }
        if rested < TRUSTED_IDLE {
            return Ok(());
        }
        match timeout(PING_LIMIT, connection.simple_query(STANDING)).await {
            Ok(Ok(standing)) => {
                backend_of_primary(&standing).map(drop).map_err(RecycleError::Backend)
            }
            Ok(Err(error)) => Err(RecycleError::Backend(error.into())),
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
        let opening = async move { timeout(OPENING_LIMIT, connector.open_usable()).await };
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

/// Who serves, and whether it is a standby.
const STANDING: &str = "SELECT pg_backend_pid(), pg_is_in_recovery()";

/// Reads the answer to [`STANDING`].
///
/// # Errors
/// When it is a standby's: it refuses writes and shows rows as they once were. Another connection may lead to
/// the primary.
fn backend_of_primary(answer: &[SimpleQueryMessage]) -> Result<i32> {
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let standing = row.and_then(|row| Some((row.get(0)?.parse().ok()?, row.get(1)?)));
    match standing {
        Some((backend, "f")) => Ok(backend),
        Some(_) => Err(Error::Unavailable(Some(
            "the server is a standby, which only reads; the address must lead to the primary"
                .into(),
        ))),
        None => Err(Error::Database("the server does not say who it is".into())),
    }
}

/// Ends somewhere in the last fifth of `limit`, so that what was opened together is not replaced together.
fn jittered(limit: Duration) -> Duration {
    let fifth = limit / 5;
    let part = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
    limit.saturating_sub(fifth.mul_f64(part))
}
