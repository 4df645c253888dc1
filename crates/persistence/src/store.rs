//! The way in: a [`Store`] gives out scopes, and scopes give out rows.

use std::{ops::Deref, sync::Arc, time::Duration};

use brownie_domain::{Clock, IdSource, RandomIds, SystemClock};
use tokio::sync::OwnedRwLockWriteGuard;

use crate::{
    Error, OrgContext, OrgScope, PoolState, Reading, Result, SystemContext, SystemScope, Writing,
    engine::{Cause, Engine, Pooler, Tries},
    events::Heart,
    principals::Principals,
    scope::Sources,
    tls::Tls,
};

/// How to reach the database, and how long to be patient with it.
#[derive(Clone)]
pub struct PoolOptions {
    /// A PostgreSQL URL. `sslmode` is `verify-full` unless it says `disable`; `sslrootcert`,
    /// `sslcert` and `sslkey` name PEM files, which are read once.
    pub url: String,
    /// What encrypts, instead of the files that the URL names, unless that says `disable`.
    pub tls: Option<Tls>,
    /// The most connections to hold. Embedded PostgreSQL has one.
    pub max_connections: usize,
    /// The most connections that one organization uses at a time, and what belongs to no organization; half of
    /// all, rounded up, unless said. What comes beyond waits in turn with other organizations.
    pub share: Option<usize>,
    /// How long a connection is used before it is replaced. Each ends a little earlier, so that not all are
    /// replaced at once.
    pub max_lifetime: Duration,
    /// How long more than two connections may rest before they are closed.
    pub max_idle: Duration,
    /// What is known to stand between us and the server.
    pub pooler: Pooler,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// How long a statement may run.
    pub statement_timeout: Duration,
    /// How long one that reads outside of a unit of work may; the shorter of the two counts.
    pub read_timeout: Duration,
    /// How long a statement may wait for another's lock.
    pub lock_timeout: Duration,
    /// How long a statement may take without a line in the log; none for any time.
    pub slow_statement: Option<Duration>,
    /// The role to become after logging in, for a log-in role that row-level security would not
    /// hold.
    pub role: Option<String>,
    /// Whether the server takes one connection and no second, as embedded PostgreSQL does.
    pub single_connection: bool,
    /// Whether to measure each statement, by operation and table.
    pub track_statements: bool,
}

impl PoolOptions {
    /// Options for the database at `url`, the rest as is good for a web service.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tls: None,
            max_connections: 10,
            share: None,
            max_lifetime: Duration::from_mins(30),
            max_idle: Duration::from_mins(5),
            pooler: Pooler::Unknown,
            acquire_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(3),
            slow_statement: Some(Duration::from_secs(1)),
            role: None,
            single_connection: false,
            track_statements: true,
        }
    }
}

/// The URL may hold a password.
impl std::fmt::Debug for PoolOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolOptions")
            .field("max_connections", &self.max_connections)
            .field("acquire_timeout", &self.acquire_timeout)
            .field("share", &self.share)
            .field("max_lifetime", &self.max_lifetime)
            .field("max_idle", &self.max_idle)
            .field("pooler", &self.pooler)
            .field("statement_timeout", &self.statement_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field("slow_statement", &self.slow_statement)
            .field("role", &self.role)
            .field("single_connection", &self.single_connection)
            .field("track_statements", &self.track_statements)
            .finish_non_exhaustive()
    }
}

/// The metadata database. Cheap to clone; all clones share one pool.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Engine,
    sources: Sources,
    heart: Heart,
    principals: Arc<Principals>,
}

impl Store {
    /// Sets up a store. It connects when it is first asked for something, so that a service can
    /// start before its database.
    ///
    /// # Errors
    /// [`Error::Settings`] when the URL or the certificates it names cannot be used.
    pub fn new(options: &PoolOptions) -> Result<Self> {
        Self::with_sources(options, Arc::new(SystemClock), Arc::new(RandomIds))
    }

    /// Sets up a store with another clock and other ids, for tests.
    ///
    /// # Errors
    /// As [`Store::new`].
    pub fn with_sources(
        options: &PoolOptions,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self> {
        let engine = Engine::new(options)?;
        Ok(Self {
            engine,
            sources: Sources { clock, ids },
            heart: Heart::default(),
            principals: Arc::default(),
        })
    }

    /// Returns what `ctx` may read.
    pub fn org(&self, ctx: &OrgContext) -> OrgScope<Reading> {
        OrgScope::reading(self.engine.clone(), *ctx, self.sources.clone())
    }

    /// Does what belongs to no single organization.
    pub fn system(&self, ctx: &SystemContext) -> SystemScope {
        SystemScope::new(self.clone(), *ctx)
    }

    /// Begins a unit of work, for callers that nobody cuts short. A request handler wants
    /// [`Store::write`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no connection is to be had.
    pub async fn begin(&self, ctx: &OrgContext) -> Result<OrgTx> {
        let unit = self.engine.begin(ctx.org_id).await?;
        Ok(OrgTx(Arc::new(OrgScope::writing(
            unit,
            *ctx,
            self.sources.clone(),
            Arc::clone(&self.principals),
        ))))
    }

    /// Runs a unit of work to its end in a task of its own: commits if `work` returns `Ok`, rolls
    /// back otherwise. A caller that is dropped meanwhile, as actix drops the handler of a client
    /// that went away, does not cut it.
    ///
    /// `work` is called again, up to two times, if the database says that it was rolled back because
    /// of others, or if the connection was lost before the end: nothing has happened then. So what
    /// it does besides its transaction, it may do more than once.
    ///
    /// # Errors
    /// What `work` returned, or why the commit failed; after [`Error::Timeout`] and
    /// [`Error::Unavailable`] from the commit nobody knows whether it took effect.
    pub async fn write<T, E, F, Fut>(&self, ctx: &OrgContext, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: Fn(OrgTx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (store, ctx) = (self.clone(), *ctx);
        // Boxed: handlers' futures contain this one, and would be moved about with all of it.
        let unit = Box::pin(async move {
            let mut tries = Tries::default();
            loop {
                let tx = match store.begin(&ctx).await {
                    Ok(tx) => tx,
                    Err(error) => match Cause::of(&error) {
                        Some(cause) if tries.again(cause).await => continue,
                        _ => return Err(error),
                    },
                };
                let outcome = match work(tx.clone()).await {
                    Ok(value) => tx.0.commit().await.map(|()| value).map_err(E::from),
                    Err(error) => {
                        tx.0.roll_back().await;
                        Err(error)
                    }
                };
                match tx.0.repeatable().await {
                    Some(cause) if outcome.is_err() && tries.again(cause).await => {}
                    _ => return Ok(outcome),
                }
            }
        });
        self.engine.spawn(unit).await.map_err(E::from)?
    }

    /// Waits for the units of work under way, then closes all connections.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// Returns how many connections are open, and how many of those are idle.
    pub fn connections(&self) -> (usize, usize) {
        let PoolState { open, idle, .. } = self.pool_state();
        (open, idle)
    }

    /// Closes the one connection of an embedded database when what is under way is done, and opens none
    /// as long as what this returns lives: for whoever else needs it. Requests wait meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when what is under way does not end; [`Error::Settings`] where there may be
    /// a second connection, which whoever needs one should open.
    pub async fn lend(&self) -> Result<Lent> {
        self.engine.lend().await.map(Lent)
    }

    /// Tells whether the server takes writes, as far as the last ones have shown: one that has no room left refuses
    /// them for as long, and answers reads.
    pub fn is_writable(&self) -> bool {
        self.engine.is_writable()
    }

    /// Returns how the pool stands.
    pub fn pool_state(&self) -> PoolState {
        self.engine.pool_state()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn heart(&self) -> &Heart {
        &self.heart
    }

    pub(crate) fn principals(&self) -> &Principals {
        &self.principals
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }
}

/// That the connection of an embedded database is somebody else's.
#[derive(Debug)]
pub struct Lent(#[expect(dead_code, reason = "it is held")] OwnedRwLockWriteGuard<()>);

/// A unit of work: everything done through it takes effect together or not at all. Dropped without
/// [`OrgTx::commit`], nothing does.
#[derive(Debug, Clone)]
pub struct OrgTx(Arc<OrgScope<Writing>>);

impl OrgTx {
    /// Makes everything done through it last.
    ///
    /// # Errors
    /// [`Error::UnitOver`] when a statement of the unit failed before; nothing takes effect then.
    pub async fn commit(self) -> Result<()> {
        self.0.commit().await
    }
}

impl Deref for OrgTx {
    type Target = OrgScope<Writing>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
