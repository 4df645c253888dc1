//! `brownie-server`: the HTTP API on a PostgreSQL server.
//!
//! Exit codes: 0 stopped as told, 1 failed, 2 settings that cannot be used.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use brownie_api::{Certificates, Deps, Listen, Schema, SchemaRule, Service, Settings, Tls};
use brownie_certs::{Keeper, Role, peer_name};
use brownie_config::{
    CertSettings, DatabaseSettings, LogFileSettings, LogSettings, Reader, Secret, TraceSettings,
};
use brownie_domain::{Clock, RequestId, SystemClock};
use brownie_logging::{LogFile, Options, Otlp};
use brownie_metrics::Exporter;
use brownie_migration::{LEDGER, Standing};
use brownie_persistence::{PoolOptions, Store, SystemContext};
use clap::Parser;
use tokio::time::{Instant, sleep};

/// Serves the Brownie Metadata Database over HTTP. Settings come from the environment; env.example
/// lists them.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Print what the settings amount to, secrets hidden, and stop.
    #[arg(long)]
    print_config: bool,
    /// How many seconds to wait for the database and its migrations.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut reader = Reader::from_process();
    let database = DatabaseSettings::read(&mut reader, "brownie-server");
    let certs = CertSettings::read(&mut reader, "brownie-server");
    let settings = Settings::read(&mut reader, true);
    let log = LogSettings::read(&mut reader, true);
    if args.print_config {
        for (name, value) in reader.effective() {
            println!("{name}={value}");
        }
    }
    let unknown = reader.unknown();
    if let Err(problems) = reader.finish() {
        eprintln!("brownie-server: {problems}");
        return ExitCode::from(2);
    }
    if args.print_config {
        return ExitCode::SUCCESS;
    }
    let slow_statement = log.slow_statement;
    let logging = match brownie_logging::start(log_options(log)) {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("brownie-server: {error}");
            return ExitCode::from(2);
        }
    };
    for name in unknown {
        tracing::warn!(name, "nothing reads this variable; is it misspelt?");
    }
    let wait = Duration::from_secs(args.wait);
    let outcome = run(database, certs, settings, slow_statement, wait).await;
    // What waits to be written comes before the last word.
    drop(logging);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("brownie-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_options(log: LogSettings) -> Options {
    let LogSettings { level, json, file, audit, traces, .. } = log;
    let own = |(name, value): (String, Secret)| (name, value.expose().to_owned());
    Options {
        audit,
        file: file.map(|LogFileSettings { path, max_bytes, keep }| LogFile {
            path,
            max_bytes,
            keep,
        }),
        otlp: traces.map(|TraceSettings { endpoint, headers, ratio }| Otlp {
            endpoint,
            headers: headers.into_iter().map(own).collect(),
            ratio,
            service: "brownie-server",
        }),
        ..Options::new(level, json)
    }
}

async fn run(
    database: DatabaseSettings,
    certs: CertSettings,
    settings: Settings,
    slow_statement: Option<Duration>,
    wait: Duration,
) -> Result<()> {
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
        certificates.add(standing(Role::Server, &Arc::new(keeper)));
        listen.tls = Some(Tls { acceptor, peer: peer_name });
    }
    let store = Store::new(&PoolOptions {
        tls: keeper.map(by_certificates),
        max_connections: database.pool_size,
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
    let service = Service::new(listen, deps);
    tracing::info!(address = %service.address()?, "serving");
    service.run().await.context("the service stopped")
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
        sleep(Duration::from_millis(500)).await;
    }
}
