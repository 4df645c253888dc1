//! `brownie-migrator partitions`.

use std::{process::ExitCode, time::Duration};

use brownie_migration::{Database, TimeTable, maintain};
use clap::{Args, Subcommand};

use crate::purge::age;

#[derive(Debug, Args)]
pub(crate) struct Partitions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the months to come, as far as they are missing; `up` does so, too.
    Create,
    /// Drop the months of a table that hold nothing younger, with all their rows.
    Drop {
        /// Which table: `audit_log`, `outbox` or `stats`.
        #[arg(value_parser = table)]
        table: TimeTable,
        /// How old: a whole number and d, h or m, such as 90d.
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Duration,
        /// Only say what would be dropped.
        #[arg(long)]
        dry_run: bool,
    },
}

fn table(text: &str) -> Result<TimeTable, String> {
    let found = TimeTable::ALL.iter().copied().find(|table| table.as_str() == text);
    let names: Vec<&str> = TimeTable::ALL.iter().map(|table| table.as_str()).collect();
    found.ok_or_else(|| format!("no table that grows with time; these are: {}", names.join(", ")))
}

impl Partitions {
    pub(crate) async fn run(&self, database: &Database, json: bool) -> anyhow::Result<ExitCode> {
        let (retention, dry_run) = match &self.command {
            Command::Create => (Vec::new(), false),
            Command::Drop { table, older_than, dry_run } => (vec![(*table, *older_than)], *dry_run),
        };
        let done = maintain(database, &retention, dry_run).await?;
        if json {
            let report = serde_json::json!({
                "dry_run": dry_run, "made": done.made, "dropped": done.dropped,
            });
            println!("{report}");
            return Ok(ExitCode::SUCCESS);
        }
        let verb = if dry_run { "would drop" } else { "dropped" };
        done.made.iter().for_each(|name| println!("made {name}"));
        done.dropped.iter().for_each(|name| println!("{verb} {name}"));
        if done.made.is_empty() && done.dropped.is_empty() {
            println!("nothing to do");
        }
        Ok(ExitCode::SUCCESS)
    }
}
