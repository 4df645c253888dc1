//! `brownie-backup`: backs the metadata database up, and proves that it can be restored.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or settings that cannot be used, 3 a check found something.

mod commands;
mod progress;
mod schedule;
mod way;

use std::{process::ExitCode, sync::Arc};

use brownie_backup::provider;
use brownie_certs::Keeper;
use brownie_config::{BackupSettings, CertSettings, DatabaseSettings, LogSettings, Reader};
use brownie_domain::SystemClock;
use brownie_logging::Options;
use clap::Parser;

use commands::{Command, Worker};
use way::Way;

/// Backs the Brownie Metadata Database up. Settings come from the environment; env.example lists them.
/// Backing up logs in as brownie-backup, which only reads. Restore and drill take a role that may make
/// databases and for which `brownie-migrator up` works: name it in `DB_USER` or `DATABASE_URL`.
///
/// Exit codes: 0 done, 1 failed, 2 usage or settings that cannot be used, 3 a check found something.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object instead of lines.
    #[arg(long, global = true)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut reader = Reader::from_process();
    let database = DatabaseSettings::read(&mut reader, "brownie-backup");
    let certs = CertSettings::read(&mut reader, "brownie-backup");
    let settings = BackupSettings::read(&mut reader);
    let log = LogSettings::read(&mut reader, false);
    if let Err(problems) = reader.finish() {
        eprintln!("brownie-backup: {problems}");
        return ExitCode::from(2);
    }
    // On standard error always: whoever runs this looks there, and LOG_FILE is a service's.
    let logging = match brownie_logging::start(Options::new(log.level, log.json)) {
        Ok(logging) => logging,
        Err(error) => {
            eprintln!("brownie-backup: {error}");
            return ExitCode::from(2);
        }
    };
    let outcome = async {
        let keeper = Keeper::for_database(&database, &certs, Arc::new(SystemClock)).await?;
        let way = Arc::new(Way::new(&database, keeper)?);
        let restore_way = match &settings.restore {
            Some(database) => {
                let clock = Arc::new(SystemClock);
                let keeper = Keeper::for_database(database, &certs, clock).await?;
                Some(Arc::new(Way::new(database, keeper)?))
            }
            None => None,
        };
        let store = provider::open(&settings.provider).await?;
        Worker { way, restore_way, store, settings, json: args.json }.run(args.command).await
    };
    let outcome = outcome.await;
    // What waits to be written comes before the last word.
    drop(logging);
    outcome.unwrap_or_else(|error: anyhow::Error| {
        eprintln!("brownie-backup: {}", brownie_logging::chain(error.as_ref()));
        ExitCode::FAILURE
    })
}
