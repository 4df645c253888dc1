//! `brownie-migrator selftest`.

use std::process::ExitCode;

use brownie_domain::{Clock, IdSource, RandomIds, SystemClock};
use brownie_migration::{Database, selftest};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// Tries every migration in both directions on a database of its own, and drops it. Exits with 3 when
/// one of them leaves something behind.
pub(crate) async fn run(server: &Database, json: bool) -> anyhow::Result<ExitCode> {
    // Both from here on: whatever comes while the database is made is not missed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let name = format!("brownie_selftest_{}", RandomIds.next(SystemClock.now()).simple());
    let tested = selftest(server, &name, stop).await?;
    if json {
        println!("{}", json!(tested));
    } else {
        for finding in &tested.findings {
            println!("after {}: {}", finding.after, finding.difference);
        }
        match tested.findings.len() {
            0 => println!("every migration can be taken back and applied again"),
            count => println!("{count} difference(s)"),
        }
    }
    Ok(if tested.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
