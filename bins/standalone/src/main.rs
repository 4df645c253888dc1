//! `brownie-standalone`: the whole service in one process, on an embedded PostgreSQL.
//!
//! To try it, to develop against it, to demonstrate it. Exit codes: 0 stopped as told, 1 failed,
//! 2 settings that cannot be used.

mod embedded;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use brownie_api::{Deps, Limits, Listen, Schema, SchemaRule, Service};
use brownie_auth::{Passwords, TokenKey, Tokens};
use brownie_cache::{Cache, Delays, Throttle};
use brownie_config::{
    CacheSettings, DatabaseSettings, LogSettings, Reader, Secret, ServiceSettings,
};
use brownie_domain::{RandomIds, SystemClock};
use brownie_metrics::Exporter;
use brownie_migration::{Database, LEDGER, Standing, apply};
use brownie_persistence::{PoolOptions, Store};
use clap::Parser;
use tokio::time::Instant;

use embedded::{DataDir, Embedded};

/// The Brownie Metadata Database in one process: nothing to install, nothing to configure. Data is
/// kept in ./brownie-data (BROWNIE_DATA_DIR). Settings come from the environment; env.example lists
/// them.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Print what the settings amount to, secrets hidden, and stop.
    #[arg(long)]
    print_config: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut reader = Reader::from_process();
    let settings = ServiceSettings::read(&mut reader, false);
    let log = LogSettings::read(&mut reader, false);
    if args.print_config {
        for (name, value) in reader.effective() {
            println!("{name}={value}");
        }
    }
    if let Err(problems) = reader.finish() {
        eprintln!("brownie-standalone: {problems}");
        return ExitCode::from(2);
    }
    if args.print_config {
        return ExitCode::SUCCESS;
    }
    brownie_logging::start(&log.level, log.json);
    match run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("brownie-standalone: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: ServiceSettings) -> Result<()> {
    let started = Instant::now();
    let listen = Listen::on(&settings)?;
    let data_dir = DataDir::open(&settings.data_dir)?;
    let key = match &settings.jwt_secret {
        Some(secret) => secret.clone(),
        None => Secret::new(data_dir.key()?),
    };

    eprintln!("starting the embedded PostgreSQL in {} ...", settings.data_dir.display());
    let (database, data_dir) = tokio::task::spawn_blocking(move || {
        Embedded::start(&data_dir).map(|database| (database, data_dir))
    })
    .await??;
    let url = database.url();
    let applied = apply(&Database { url: url.clone(), wait: Duration::from_secs(30) }).await?;
    if !applied.is_empty() {
        eprintln!("applied {} migrations", applied.len());
    }

    let patience = DatabaseSettings::embedded(Secret::new(&url));
    let store = Store::new(&PoolOptions {
        max_connections: patience.pool_size,
        acquire_timeout: patience.pool_timeout,
        statement_timeout: patience.statement_timeout,
        lock_timeout: patience.lock_timeout,
        // The one connection logs in as superuser, whom row-level security would not hold.
        role: Some("brownie-server".to_owned()),
        single_connection: true,
        ..PoolOptions::new(url)
    })?;
    let exporter = Exporter::install().context("metrics cannot be recorded")?;
    // One process shares with no other.
    let cache = Cache::open(&CacheSettings::default(), &key)?;
    let deps = Deps {
        store,
        tokens: Tokens::new(&TokenKey::from_secret(key.expose()), settings.jwt_lifetime),
        passwords: Passwords::new(std::thread::available_parallelism().map_or(1, usize::from)),
        throttle: Throttle::new(cache.clone(), Delays::ACCOUNT, Delays::ADDRESS),
        cache,
        limits: Limits::of(&settings),
        exporter,
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        schema: SchemaRule { ledger: LEDGER, judge },
    };
    let service = Service::new(listen, deps);
    welcome(service.address()?, started.elapsed());
    service.run().await.context("the service stopped")?;
    tokio::task::spawn_blocking(move || database.stop()).await??;
    drop(data_dir);
    Ok(())
}

fn judge(applied: &[String]) -> Schema {
    let standing = Standing::of(applied);
    Schema { servable: standing.can_serve(), detail: standing.to_string() }
}

fn welcome(address: SocketAddr, took: Duration) {
    println!(
        "ready in {:.1} s: http://{address}\n\
         sign up:\n  \
         curl http://{address}/api/v1/auth/signup -H 'Content-Type: application/json' -d '{{\n    \
         \"email\": \"ada@example.com\", \"password\": \"correct horse\", \"username\": \"ada\",\n    \
         \"organization_name\": \"Acme\", \"team_name\": \"SRE\"}}'",
        took.as_secs_f64()
    );
}
