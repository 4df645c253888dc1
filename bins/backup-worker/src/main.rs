//! `brownie-backup`: backs the metadata database up, and proves that it can be restored.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or settings that cannot be used, 3 a check found something.

mod args;
mod commands;
mod doctor;
mod list;
mod organization;
mod progress;
mod schedule;
mod stop;
mod way;

use std::{process::ExitCode, sync::Arc};

use brownie_backup::provider;
use brownie_certs::Keeper;
use brownie_config::{BackupSettings, CertSettings, DatabaseSettings, LogSettings, Reader};
use brownie_domain::SystemClock;
use brownie_logging::Options;
use clap::Parser;
use rustix::fs::Mode;

use commands::{Command, Worker};
use way::Way;

/// Backs the Brownie Metadata Database up. Settings come from the environment; env.example lists them.
/// Backing up and exporting log in as brownie-backup, which only reads. Restore, drill and import take a
/// role that may make databases and for which `brownie-migrator up` works: name it in `DB_USER` or
/// `DATABASE_URL`.
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
    // Backups hold every organization's rows: what this program makes is for its user alone.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let args = Args::parse();
    if let Command::Doctor(doctor) = args.command {
        doctor.run(args.json).await;
    }
    let mut reader = Reader::from_process();
    // What looks at the store alone runs where no database is known.
    let database = args.command.needs_database().then(|| {
        let database = BackupSettings::database(&mut reader, "brownie-backup");
        (database, CertSettings::read(&mut reader, "brownie-backup"))
    });
    let settings = BackupSettings::read(&mut reader);
    let log = LogSettings::read(&mut reader, false);
    let unknown = reader.unknown();
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
    for name in unknown {
        tracing::warn!(name, "nothing reads this variable; is it misspelt?");
    }
    let outcome = async {
        let (mut way, mut restore_way) = (None, None);
        if let Some((database, certs)) = &database {
            way = Some(connect(database, certs).await?);
            if let Some(restore) = &settings.restore {
                restore_way = Some(connect(restore, certs).await?);
            }
        }
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

async fn connect(database: &DatabaseSettings, certs: &CertSettings) -> anyhow::Result<Arc<Way>> {
    let keeper = Keeper::for_database(database, certs, Arc::new(SystemClock)).await?;
    Ok(Arc::new(Way::new(database, keeper.map(Arc::new))?))
}
