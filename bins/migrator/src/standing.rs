//! `brownie-migrator status`, `history` and `test`: they change nothing.

use std::process::ExitCode;

use brownie_migration::{Database, Standing, check, sources, status};
use chrono::DateTime;

/// What a check that found something exits with.
const FOUND: u8 = 3;

fn when(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).map(|at| at.to_rfc3339()).unwrap_or_default()
}

/// Says what is applied, since when and in how long, and what is not.
pub(crate) async fn report(database: &Database, json: bool) -> anyhow::Result<ExitCode> {
    let report = status(database).await?;
    let (pending, unknown) = match &report.standing {
        Standing::Current => (&[][..], &[][..]),
        Standing::Behind { pending } => (&pending[..], &[][..]),
        Standing::Ahead { unknown } => (&[][..], &unknown[..]),
    };
    let is_good = pending.is_empty() && report.changed.is_empty() && report.standing.can_serve();
    if json {
        let report = serde_json::json!({
            "applied": report.applied, "pending": pending, "unknown": unknown,
            "changed": report.changed, "standing": report.standing.to_string(),
        });
        println!("{report}");
    } else {
        for row in &report.applied {
            let took = row.duration_ms.map(|took| format!(" in {took} ms")).unwrap_or_default();
            let mark = match (unknown.contains(&row.name), report.changed.contains(&row.name)) {
                (true, _) => "unknown",
                (_, true) => "changed",
                _ => "applied",
            };
            println!("{mark}  {}  {}{took}", row.name, when(row.applied_at));
        }
        for name in pending {
            println!("pending  {name}");
        }
        println!("{}", report.standing);
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// Lists the migrations of this program, the oldest first; needs no database.
pub(crate) fn history(verbose: bool, json: bool) -> ExitCode {
    if json {
        let all: Vec<_> = sources()
            .map(|source| serde_json::json!({"name": source.name, "about": about(source.up)}))
            .collect();
        println!("{}", serde_json::json!({"migrations": all}));
        return ExitCode::SUCCESS;
    }
    for source in sources() {
        println!("{}", source.name);
        if verbose {
            println!("    {}", about(source.up));
        }
    }
    ExitCode::SUCCESS
}

/// Returns the comment that a migration begins with.
fn about(sql: &str) -> String {
    let lines = sql.lines().take_while(|line| line.starts_with("--"));
    let words: Vec<&str> = lines
        .map(|line| line.trim_start_matches('-').trim())
        .filter(|line| !line.is_empty())
        .collect();
    words.join(" ")
}

/// Says whether the database can be migrated, and what to do where not.
pub(crate) async fn test(database: &Database, json: bool) -> anyhow::Result<ExitCode> {
    let checks = check(database).await?;
    let is_good = checks.iter().all(|check| check.good);
    if json {
        println!("{}", serde_json::json!({"good": is_good, "checks": checks}));
    } else {
        for check in &checks {
            println!(
                "{}  {}: {}",
                if check.good { "good" } else { "BAD " },
                check.name,
                check.found
            );
            if let Some(remedy) = check.remedy {
                println!("      {remedy}");
            }
        }
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}
