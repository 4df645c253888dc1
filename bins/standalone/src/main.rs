//! `brownie-standalone`: the whole service in one process, on an embedded PostgreSQL.
//!
//! To try it, to develop against it, to demonstrate it. Exit codes: 0 stopped as told, 1 failed,
//! 2 settings that cannot be used.

mod backups;
mod embedded;
mod supervisor;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use brownie_api::{Deps, Engine, Listen, Schema, SchemaRule, Service, Settings, Tls, stop_signal};
use brownie_backup::BackupName;
use brownie_certs::{Keeper, peers};
use brownie_config::{
    BackupSettings, CertSettings, DatabaseSettings, LogFileSettings, LogSettings, Reader, Secret,
};
use brownie_domain::SystemClock;
use brownie_logging::{LogFile, Options};
use brownie_metrics::Exporter;
use brownie_migration::{Database, LEDGER, Standing, apply};
use brownie_persistence::{PoolOptions, Store};
use clap::{Parser, Subcommand};
use rustix::fs::Mode;
use tokio::time::Instant;

use backups::Backups;
use embedded::{DataDir, Embedded};
use supervisor::Supervisor;

/// The Brownie Metadata Database in one process: nothing to install, nothing to configure. Data is
/// kept in ./brownie-data (BROWNIE_DATA_DIR). Settings come from the environment; env.example lists
/// them.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print what the settings amount to, secrets hidden, and stop.
    #[arg(long)]
    print_config: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the database of a backup, which the service has made on `BACKUP_SCHEDULE`, or an operator
    /// asked for. The service must be stopped. The database that was there stays beside it.
    Restore {
        /// Which: a directory in `backups` of the data directory.
        name: BackupName,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    // The data directory holds hashes of passwords: what this program makes is for its user alone.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let args = Args::parse();
    let mut reader = Reader::from_process();
    let settings = Settings::read(&mut reader, false);
    let certs = CertSettings::read(&mut reader, "brownie-server");
    let place = settings.service.data_dir.join("backups");
    let backups = BackupSettings::read_beside(&mut reader, &place);
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
    let slow_statement = log.slow_statement;
    let logging = match brownie_logging::start(log_options(log)) {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("brownie-standalone: {error}");
            return ExitCode::from(2);
        }
    };
    let outcome = match args.command {
        None => run(settings, certs, backups, slow_statement).await,
        Some(Command::Restore { name }) => {
            backups::restore(backups, &settings.service.data_dir, &name).await
        }
    };
    // What waits to be written comes before the last word.
    drop(logging);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("brownie-standalone: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_options(log: LogSettings) -> Options {
    let LogSettings { level, json, file, audit, .. } = log;
    Options {
        audit,
        file: file.map(|LogFileSettings { path, max_bytes, keep }| LogFile {
            path,
            max_bytes,
            keep,
        }),
        ..Options::new(level, json)
    }
}

async fn run(
    mut settings: Settings,
    certs: CertSettings,
    mut backups: BackupSettings,
    slow_statement: Option<Duration>,
) -> Result<()> {
    let started = Instant::now();
    let mut listen = Listen::on(&settings.service)?;
    let listener = Keeper::for_listener(settings.service.tls, &certs, Arc::new(SystemClock));
    let (keeper, acceptor) = listener.await?.unzip();
    if let (Some(keeper), Some(acceptor)) = (&keeper, acceptor) {
        let peer = Box::new(peers(Keeper::subscribe(keeper), Arc::new(SystemClock)));
        listen.tls = Some(Tls { acceptor, peer });
    }
    let data_dir = DataDir::open(&settings.service.data_dir)?;
    if settings.tokens.secret.is_none() && settings.tokens.keys_dir.is_none() {
        settings.tokens.secret = Some(Secret::new(data_dir.key()?));
    }
    // Server and worker are one process here.
    let operations_key = match settings.service.operators.operations_key.take() {
        Some(key) => key,
        None => Secret::new(data_dir.key()?),
    };
    settings.service.operators.operations_key = Some(operations_key.clone());
    backups.operations_key = Some(operations_key);

    eprintln!("starting the embedded PostgreSQL in {} ...", settings.service.data_dir.display());
    let (database, data_dir) = tokio::task::spawn_blocking(move || {
        Embedded::start(&data_dir).map(|database| (database, data_dir))
    })
    .await??;
    let url = database.url();
    let applied = apply(&Database::new(&url, Duration::from_mins(2))).await?;
    if !applied.is_empty() {
        eprintln!("applied {} migrations", applied.len());
    }

    let patience = DatabaseSettings::embedded(Secret::new(&url));
    let exporter =
        if settings.service.metrics_enabled { Exporter::install()? } else { Exporter::off() };
    let store = Store::new(&PoolOptions {
        max_connections: patience.pool_size,
        acquire_timeout: patience.pool_timeout,
        statement_timeout: patience.statement_timeout,
        lock_timeout: patience.lock_timeout,
        slow_statement,
        // The one connection logs in as superuser, whom row-level security would not hold.
        role: Some("brownie-server".to_owned()),
        single_connection: true,
        track_statements: settings.service.metrics_track_queries,
        ..PoolOptions::new(&url)
    })?;
    let schema = SchemaRule { ledger: LEDGER, judge };
    let mut deps = Deps::of(store, &settings, exporter, schema).await?;
    deps.engine = Engine::supervised();
    let supervisor = Supervisor::over(database, deps.engine.clone());
    let backups = Backups::begin(backups, &url, deps.store.clone()).await?;
    let service = Service::new(listen, deps);
    welcome(service.address()?, started.elapsed());
    service.run(stop_signal()).await.context("the service stopped")?;
    backups.end().await;
    supervisor.end().await?;
    drop((data_dir, keeper));
    Ok(())
}

fn judge(applied: &[String]) -> Schema {
    let standing = Standing::of(applied);
    Schema {
        servable: standing.can_serve(),
        detail: standing.to_string(),
        pending: standing.pending(),
    }
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
