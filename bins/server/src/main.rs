//! `brownie-server`: the HTTP API on a PostgreSQL server.
//!
//! Exit codes: 0 stopped as told, 1 failed, 2 settings that cannot be used.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use brownie_api::{Deps, Limits, Listen, Schema, SchemaRule, Service};
use brownie_auth::{Passwords, TokenKey, Tokens};
use brownie_cache::{Cache, Delays, Throttle};
use brownie_config::{
    CacheSettings, DatabaseSettings, LogSettings, Reader, Secret, ServiceSettings,
};
use brownie_domain::{RandomIds, RequestId, SystemClock};
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

struct Settings {
    database: DatabaseSettings,
    service: ServiceSettings,
    cache: CacheSettings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut reader = Reader::from_process();
    let settings = Settings {
        database: DatabaseSettings::read(&mut reader, "brownie-server"),
        service: ServiceSettings::read(&mut reader, true),
        cache: CacheSettings::read(&mut reader),
    };
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
    brownie_logging::start(&log.level, log.json);
    for name in unknown {
        tracing::warn!(name, "nothing reads this variable; is it misspelt?");
    }
    match run(settings, Duration::from_secs(args.wait)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("brownie-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings, wait: Duration) -> Result<()> {
    let Settings { database, service, cache } = settings;
    // Before anything else: a port in use is said at once, not after the wait for a database.
    let listen = Listen::on(&service)?;

    let store = Store::new(&PoolOptions {
        max_connections: database.pool_size,
        acquire_timeout: database.pool_timeout,
        statement_timeout: database.statement_timeout,
        lock_timeout: database.lock_timeout,
        ..PoolOptions::new(database.url.expose())
    })?;
    wait_for_schema(&store, wait).await?;
    check_footing(&store, database.allow_unwalled_role).await?;

    let exporter = Exporter::install().context("metrics cannot be recorded")?;
    let secret = service.jwt_secret.clone().unwrap_or_else(|| Secret::new(""));
    let cache = Cache::open(&cache, &secret)?;
    tracing::info!(cache = %cache.check().await.detail, "what instances share");
    let key = TokenKey::from_secret(secret.expose());
    let deps = Deps {
        store,
        tokens: Tokens::new(&key, service.jwt_lifetime),
        passwords: Passwords::new(std::thread::available_parallelism().map_or(1, usize::from)),
        throttle: Throttle::new(cache.clone(), Delays::ACCOUNT, Delays::ADDRESS),
        cache,
        limits: Limits::of(&service),
        exporter,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        schema: SchemaRule { ledger: LEDGER, judge },
    };
    let service = Service::new(listen, deps);
    tracing::info!(address = %service.address()?, "serving");
    service.run().await.context("the service stopped")
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
    Schema { servable: standing.can_serve(), detail: standing.to_string() }
}

/// Waits until the database answers with a schema that can be served, as it does while init
/// containers are still at work.
async fn wait_for_schema(store: &Store, wait: Duration) -> Result<()> {
    let deadline = Instant::now() + wait;
    loop {
        let obstacle = match store.system(&visitor()).applied_migrations(LEDGER).await {
            Ok(applied) => match judge(&applied) {
                Schema { servable: true, detail } => {
                    tracing::info!(detail, "the database is there");
                    return Ok(());
                }
                Schema { servable: false, detail } => detail,
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
