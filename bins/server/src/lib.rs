//! `brownie-server` as a library: the HTTP API on a PostgreSQL server, put together of its settings. The
//! program adds arguments, logs and exit codes; tests serve it inside their own process.

pub mod doctor;

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use brownie_api::{Certificates, Deps, Listen, Schema, SchemaRule, Service, Settings, Tls};
use brownie_certs::{Keeper, Role, peers};
use brownie_config::{CertSettings, DatabaseSettings, PoolerKind, Reader};
use brownie_domain::{Clock, RequestId, SystemClock};
use brownie_metrics::Exporter;
use brownie_migration::{LEDGER, Standing};
use brownie_persistence::{PoolOptions, Pooler, Store, SystemContext};
use tokio::time::{Instant, sleep};

/// What the server reads from its environment, besides how it logs.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The database, and how to log in.
    pub database: DatabaseSettings,
    /// Where certificates come from.
    pub certs: CertSettings,
    /// The service itself.
    pub service: Settings,
}

impl ServerSettings {
    /// Reads the settings. What is wrong is a problem of `reader`'s.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            database: DatabaseSettings::read(reader, "brownie-server"),
            certs: CertSettings::read(reader, "brownie-server"),
            service: Settings::read(reader, true),
        }
    }
}

/// Puts the service together: binds its sockets, waits up to `wait` for a database with a schema that can
/// be served, and makes sure that row-level security holds there. Statements that take longer than
/// `slow_statement` are logged.
///
/// # Errors
/// What is missing or refused, and what to do.
pub async fn prepare(
    settings: ServerSettings,
    slow_statement: Option<Duration>,
    wait: Duration,
) -> Result<Service> {
    let ServerSettings { database, certs, service: settings } = settings;
    // Before anything else: a port in use is said at once, not after the wait for a database.
    let mut listen = Listen::on(&settings.service)?;

    let exporter =
        if settings.service.metrics_enabled { Exporter::install()? } else { Exporter::off() };
    let mut certificates = Certificates::default();
    let keeper = Keeper::for_database(&database, &certs, Arc::new(SystemClock)).await?;
    let keeper = keeper.map(Arc::new);
    if let Some(keeper) = &keeper {
        certificates.add(standing(Role::Client, keeper));
    }
    if let Some((keeper, acceptor)) =
        Keeper::for_listener(settings.service.tls, &certs, Arc::new(SystemClock)).await?
    {
        let peer = Box::new(peers(keeper.subscribe(), Arc::new(SystemClock)));
        certificates.add(standing(Role::Server, &Arc::new(keeper)));
        listen.tls = Some(Tls { acceptor, peer });
    }
    let store = Store::new(&PoolOptions {
        tls: keeper.map(by_certificates),
        max_connections: database.pool_size,
        share: database.pool_share,
        max_lifetime: database.pool_max_lifetime,
        max_idle: database.pool_idle_timeout,
        pooler: pooler(database.pooler),
        read_timeout: database.read_timeout,
        acquire_timeout: database.pool_timeout,
        statement_timeout: database.statement_timeout,
        lock_timeout: database.lock_timeout,
        slow_statement,
        track_statements: settings.service.metrics_track_queries,
        ..PoolOptions::new(database.url.expose())
    })?;
    wait_for_schema(&store, wait).await?;
    check_footing(&store, database.allow_unwalled_role).await?;

    let schema = SchemaRule { ledger: LEDGER, judge };
    let deps = Deps { certificates, ..Deps::of(store, &settings, exporter, schema).await? };
    Ok(Service::new(listen, deps))
}

/// Returns what is known of a pooler, as the store has it.
fn pooler(kind: PoolerKind) -> Pooler {
    match kind {
        PoolerKind::Auto => Pooler::Unknown,
        PoolerKind::Session => Pooler::Session,
        PoolerKind::Transaction => Pooler::Transaction,
    }
}

/// Connections follow the certificates as they are replaced.
fn by_certificates(keeper: Arc<Keeper>) -> brownie_persistence::Tls {
    brownie_persistence::Tls::new(move || {
        let current = keeper.current();
        (current.generation(), current.connector().clone())
    })
}

/// Tells how the certificates of something are. Holds them: they are kept as long as somebody asks.
fn standing(
    role: Role,
    keeper: &Arc<Keeper>,
) -> impl Fn() -> Result<String, String> + Send + Sync + 'static {
    let keeper = Arc::clone(keeper);
    let what = if role == Role::Server { "the API" } else { "the database" };
    move || match (keeper.refused(), keeper.current().expiry(role, SystemClock.now())) {
        (Some(faults), _) => Err(format!("new certificates for {what} are refused: {faults}")),
        (None, Some(end)) => Ok(format!("for {what}: until {}", end.to_rfc3339())),
        (None, None) => Ok(format!("for {what}: authorities only")),
    }
}

/// Makes sure that nothing between us and the rows takes the walls down.
async fn check_footing(store: &Store, allow_unwalled_role: bool) -> Result<()> {
    let footing = store.system(&visitor()).footing().await?;
    if footing.pooled {
        tracing::info!("a pooler in transaction mode is in between");
    }
    match footing.unwalled {
        Some(why) if !allow_unwalled_role => bail!(
            "{why}, so row-level security would not keep organizations apart; log in as brownie-server (DATABASE_URL or DB_USER), or set DB_ALLOW_UNWALLED_ROLE=true for development"
        ),
        Some(why) => tracing::warn!(why, "row-level security does not hold; not for production"),
        None => {}
    }
    Ok(())
}

fn visitor() -> SystemContext {
    SystemContext::for_visitor(RequestId::from_uuid(uuid::Uuid::nil()))
}

fn judge(applied: &[String]) -> Schema {
    let standing = Standing::of(applied);
    Schema {
        servable: standing.can_serve(),
        detail: standing.to_string(),
        pending: standing.pending(),
    }
}

/// Waits until the database answers with a schema that can be served, as it does while init
/// containers are still at work.
async fn wait_for_schema(store: &Store, wait: Duration) -> Result<()> {
    let deadline = Instant::now() + wait;
    loop {
        let obstacle = match store.system(&visitor()).applied_migrations(LEDGER).await {
            Ok(applied) => match judge(&applied) {
                Schema { servable: true, detail, .. } => {
                    tracing::info!(detail, "the database is there");
                    return Ok(());
                }
                Schema { servable: false, detail, .. } => detail,
            },
            Err(error) => format!(
                "the database cannot be reached ({}); is it there, and is DATABASE_URL right?",
                brownie_logging::chain(&error)
            ),
        };
        if Instant::now() >= deadline {
            bail!("{obstacle}");
        }
        tracing::info!(obstacle, "waiting");
        #[expect(clippy::disallowed_methods, reason = "a schema says nothing when it is complete")]
        sleep(Duration::from_millis(500)).await;
    }
}
