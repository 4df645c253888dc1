//! `brownie-migrator adopt`.

use std::process::ExitCode;

use brownie_adopt::{Outcome, Report, Resolve, apply, check, finish};
use brownie_migration::Database;
use clap::Args;

/// Makes a database of Brownie 0.1 ours, in place. Exits with 3 when there are hazards that it was
/// not told how to resolve; nothing is changed then.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Adopt {
    /// Only say what stands in the way and what would be done. This is what happens without --apply.
    #[arg(long, conflicts_with = "apply")]
    check: bool,
    /// Do it. Killed at any moment, it goes on from there when run again.
    #[arg(long)]
    apply: bool,
    /// Remove what was kept for the original's service: its views, and its tables with all rows as
    /// they were.
    #[arg(long, conflicts_with_all = ["apply", "check"], requires = "yes")]
    finish: bool,
    /// Yes: the original's service is gone for good, and its tables are in a backup.
    #[arg(long, requires = "finish")]
    yes: bool,
    /// How to resolve a kind of hazard. --check names them all.
    #[arg(long, value_name = "HAZARD=WAY")]
    resolve: Vec<Resolve>,
    /// How many rows to copy in one transaction.
    #[arg(long, value_name = "ROWS", default_value_t = 5000)]
    batch: u32,
}

impl Adopt {
    pub(crate) async fn run(self, database: &Database, json: bool) -> anyhow::Result<ExitCode> {
        if self.finish {
            let finished = finish(database).await?;
            let sentence = if finished { "finished" } else { "nothing to do" };
            if json {
                println!("{}", serde_json::json!({"finished": finished}));
            } else {
                println!("{sentence}");
            }
            return Ok(ExitCode::SUCCESS);
        }
        let choices = self.resolve.into_iter().collect();
        if !self.apply {
            let report = check(database, &choices).await?;
            print(&report, json);
            return Ok(verdict(&report));
        }
        match apply(database, &choices, self.batch).await? {
            Outcome::Done { already, compared } => {
                if json {
                    println!("{}", serde_json::json!({"already": already, "compared": compared}));
                } else if already {
                    println!("nothing to do: it is ours already");
                } else {
                    for table in compared {
                        println!("{}: {} rows, {}", table.table, table.rows, table.hash);
                    }
                    println!("adopted; the original's tables are kept in brownie_original");
                }
                Ok(ExitCode::SUCCESS)
            }
            Outcome::Refused(report) => {
                print(&report, json);
                Ok(verdict(&report))
            }
            _ => Ok(ExitCode::FAILURE),
        }
    }
}

fn verdict(report: &Report) -> ExitCode {
    if report.is_open() { ExitCode::from(3) } else { ExitCode::SUCCESS }
}

fn print(report: &Report, json: bool) {
    if json {
        println!("{}", serde_json::json!(report));
        return;
    }
    print!("{report}");
    let suggested: Vec<String> =
        report.suggestions().iter().map(|way| format!(" --resolve {way}")).collect();
    if !suggested.is_empty() {
        println!("as suggested: brownie-migrator adopt --apply{}", suggested.concat());
    }
}
