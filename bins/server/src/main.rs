//! `brownie-server`: the HTTP API on a PostgreSQL server.
//!
//! Exit codes: 0 stopped as told, 1 failed, 2 settings that cannot be used; of `doctor`, 3 when a
//! check found something.

#[cfg(feature = "count-allocations")]
mod allocations;
use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use brownie_api::stop_signal;
use brownie_config::{LogFileSettings, LogSettings, Reader, Secret, TraceSettings};
use brownie_logging::{LogFile, Options, Otlp};
use brownie_server::{ServerSettings, doctor, prepare};
use clap::{Parser, Subcommand};

/// Serves the Brownie Metadata Database over HTTP. Settings come from the environment; env.example
/// lists them.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print what the settings amount to, secrets hidden, and stop.
    #[arg(long)]
    print_config: bool,
    /// How many seconds to wait for the database and its migrations.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at what the server needs, and say what is wrong and what to do. Changes nothing. Exits
    /// with 0 when all is well, though there may be warnings; 2 when the settings cannot be used; 3
    /// when something failed.
    Doctor {
        #[command(flatten)]
        how: brownie_doctor::How,
        /// Print one JSON object instead of lines.
        #[arg(long)]
        json: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Command::Doctor { how, json }) = args.command {
        doctor::run(how, json).await;
    }
    #[cfg(feature = "count-allocations")]
    allocations::tell_on_signal();
    let mut reader = Reader::from_process();
    let settings = ServerSettings::read(&mut reader);
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
    let outcome = run(settings, slow_statement, wait).await;
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
    settings: ServerSettings,
    slow_statement: Option<Duration>,
    wait: Duration,
) -> Result<()> {
    let service = prepare(settings, slow_statement, wait).await?;
    tracing::info!(address = %service.address()?, "serving");
    service.run(stop_signal()).await.context("the service stopped")
}
