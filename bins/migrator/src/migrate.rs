//! `brownie-migrator up` and `down`.

use std::process::ExitCode;

use brownie_migration::{Back, Database, apply_to, pending, revert};
use clap::{ArgGroup, Args};

use crate::progress::Progress;

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Stop after this migration: its name, or a part that no other has.
    #[arg(long, value_name = "REV")]
    to: Option<String>,
    /// Only say what would be applied.
    #[arg(long)]
    dry_run: bool,
    /// Print the SQL of what is pending instead of running it.
    #[arg(long, conflicts_with = "dry_run")]
    sql: bool,
}

impl Up {
    pub(crate) async fn run(&self, database: &Database, json: bool) -> anyhow::Result<ExitCode> {
        let to = self.to.as_deref();
        if self.dry_run || self.sql {
            let pending = pending(database, to).await?;
            let names: Vec<&str> = pending.iter().map(|source| source.name).collect();
            if json {
                let sql: Vec<&str> = pending.iter().map(|source| source.up).collect();
                let sql = self.sql.then_some(sql);
                println!("{}", serde_json::json!({"pending": names, "sql": sql}));
            } else if self.sql {
                for source in pending {
                    println!("-- {}\n{}", source.name, source.up);
                }
            } else if names.is_empty() {
                println!("nothing to do");
            } else {
                for name in names {
                    println!("would apply {name}");
                }
            }
            return Ok(ExitCode::SUCCESS);
        }
        let progress = Progress::new();
        let applied = apply_to(database, to, |step| progress.tell(step)).await;
        progress.end();
        report(json, "applied", &applied?);
        Ok(ExitCode::SUCCESS)
    }
}

/// Takes migrations back, and what they made with all its rows.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("how far").required(true))]
pub(crate) struct Down {
    /// How many migrations to take back.
    #[arg(long, value_name = "N", group = "how far")]
    steps: Option<usize>,
    /// The migration that is to be the newest then: its name, a part of it, or `base` for none.
    #[arg(long, value_name = "REV", group = "how far")]
    to: Option<String>,
    /// Yes: the tables that these migrations made are lost, with all their rows.
    #[arg(long, required = true)]
    yes: bool,
}

impl Down {
    pub(crate) async fn run(&self, database: &Database, json: bool) -> anyhow::Result<ExitCode> {
        let back = match (self.steps, self.to.as_deref()) {
            (Some(steps), _) => Back::Steps(steps),
            (None, Some("base") | None) => Back::Base,
            (None, Some(revision)) => Back::To(revision.to_owned()),
        };
        let progress = Progress::new();
        let reverted = revert(database, &back, |step| progress.tell(step)).await;
        progress.end();
        report(json, "reverted", &reverted?);
        Ok(ExitCode::SUCCESS)
    }
}

fn report(json: bool, verb: &str, names: &[String]) {
    if json {
        println!("{}", serde_json::json!({verb: names}));
    } else if names.is_empty() {
        println!("nothing to do");
    } else {
        for name in names {
            println!("{verb} {name}");
        }
    }
}
