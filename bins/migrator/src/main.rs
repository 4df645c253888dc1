//! `brownie-migrator`: migrates a database, and removes what is old. Init containers run it, any
//! number at once; a cron job purges.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or settings that cannot be used, 3 a check found something.

mod adopt;
mod purge;

use std::{process::ExitCode, time::Duration};

use brownie_config::{DatabaseSettings, LogSettings, Reader};
use brownie_migration::{Database, Standing, apply, status};
use clap::{Parser, Subcommand};

/// Migrates the Brownie Metadata Database. Settings come from the environment; env.example lists
/// them. Connect directly, not through a pooler: the lock that keeps migrators apart belongs to a
/// session.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// How many seconds to wait for the database, and then for another migrator.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
    /// Print one JSON object instead of lines.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a database of Brownie 0.1 ours, in place.
    Adopt(adopt::Adopt),
    /// Apply what is pending. If another migrator is at work, wait for it.
    Up,
    /// Remove for good what is old: deleted rows, and months of the tables that grow with time.
    Purge(purge::Purge),
    /// Say what is applied and what is pending. Exits with 3 when anything is.
    Status,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut reader = Reader::from_process();
    let settings = DatabaseSettings::read(&mut reader, "brownie-migrator");
    let log = LogSettings::read(&mut reader, false);
    if let Err(problems) = reader.finish() {
        eprintln!("brownie-migrator: {problems}");
        return ExitCode::from(2);
    }
    brownie_logging::start(&log.level, log.json);
    let database =
        Database { url: settings.url.expose().to_owned(), wait: Duration::from_secs(args.wait) };
    let outcome = match args.command {
        Command::Adopt(adopt) => adopt.run(&database, args.json).await,
        Command::Up => up(&database, args.json).await,
        Command::Purge(purge) => purge.run(&database, args.json).await,
        Command::Status => report(&database, args.json).await,
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("brownie-migrator: {}", brownie_logging::chain(error.as_ref()));
        ExitCode::FAILURE
    })
}

async fn up(database: &Database, json: bool) -> anyhow::Result<ExitCode> {
    let applied = apply(database).await?;
    if json {
        println!("{}", serde_json::json!({"applied": applied}));
    } else if applied.is_empty() {
        println!("nothing to do");
    } else {
        for name in applied {
            println!("applied {name}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn report(database: &Database, json: bool) -> anyhow::Result<ExitCode> {
    let report = status(database).await?;
    let (pending, unknown) = match &report.standing {
        Standing::Current => (&[][..], &[][..]),
        Standing::Behind { pending } => (&pending[..], &[][..]),
        Standing::Ahead { unknown } => (&[][..], &unknown[..]),
    };
    if json {
        let report = serde_json::json!({
            "applied": report.applied, "pending": pending, "unknown": unknown,
        });
        println!("{report}");
    } else {
        for row in &report.applied {
            println!("applied  {}", row.name);
        }
        for name in pending {
            println!("pending  {name}");
        }
        println!("{}", report.standing);
    }
    Ok(if pending.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
