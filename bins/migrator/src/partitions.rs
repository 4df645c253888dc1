//! `brownie-migrator partitions`.

use std::{process::ExitCode, time::Duration};

use brownie_migration::{Database, End, TimeTable, maintain};
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
    Drop(Old),
    /// Make them tables of their own, called as before: to be copied to an archive, and dropped by
    /// hand. Nobody reads them through the service any more; `drift` names them.
    Detach(Old),
}

#[derive(Debug, Args)]
struct Old {
    /// Which table: `audit_log`, `outbox` or `stats`.
    #[arg(value_parser = table)]
    table: TimeTable,
    /// How old: a whole number and d, h or m, such as 90d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Duration,
    /// Only say which they are.
    #[arg(long)]
    dry_run: bool,
}

fn table(text: &str) -> Result<TimeTable, String> {
    let found = TimeTable::ALL.iter().copied().find(|table| table.as_str() == text);
    let names: Vec<&str> = TimeTable::ALL.iter().map(|table| table.as_str()).collect();
    found.ok_or_else(|| format!("no table that grows with time; these are: {}", names.join(", ")))
}

impl Partitions {
    pub(crate) async fn run(&self, database: &Database, json: bool) -> anyhow::Result<ExitCode> {
        let (old, end, verb) = match &self.command {
            Command::Create => (None, End::Drop, "dropped"),
            Command::Drop(old) => (Some(old), End::Drop, "dropped"),
            Command::Detach(old) => (Some(old), End::Detach, "detached"),
        };
        let retention: Vec<_> = old.iter().map(|old| (old.table, old.older_than)).collect();
        let dry_run = old.is_some_and(|old| old.dry_run);
        let done = maintain(database, &retention, end, dry_run).await?;
        if json {
            let report = serde_json::json!({
                "dry_run": dry_run, "made": done.made, verb: done.ended,
            });
            println!("{report}");
            return Ok(ExitCode::SUCCESS);
        }
        let would = if dry_run { "would be " } else { "" };
        done.made.iter().for_each(|name| println!("made {name}"));
        done.ended.iter().for_each(|name| println!("{would}{verb} {name}"));
        if done.made.is_empty() && done.ended.is_empty() {
            println!("nothing to do");
        }
        Ok(ExitCode::SUCCESS)
    }
}
