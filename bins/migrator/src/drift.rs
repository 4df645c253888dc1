//! `brownie-migrator drift`.

use std::process::ExitCode;

use brownie_migration::{Database, Difference, Standing, drift};
use serde_json::{Value, json};

/// Says how the database differs from what the migrations make. Exits with 3 when it does.
pub(crate) async fn run(database: &Database, json: bool) -> anyhow::Result<ExitCode> {
    let drift = drift(database).await?;
    let standing = drift.standing.as_ref().map(Standing::to_string);
    if json {
        let differences: Vec<Value> = drift.differences.iter().map(told).collect();
        println!("{}", json!({"standing": standing, "differences": differences}));
    } else {
        for difference in &drift.differences {
            println!("{difference}");
        }
        if drift.standing.is_some_and(|standing| standing != Standing::Current) {
            println!("{}; that may explain differences", standing.unwrap_or_default());
        }
        match drift.differences.len() {
            0 => println!("the database is as the migrations make it"),
            count => println!("{count} difference(s)"),
        }
    }
    Ok(if drift.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// A difference with the sentence that says it.
fn told(difference: &Difference) -> Value {
    let mut value = json!(difference);
    if let Some(members) = value.as_object_mut() {
        members.insert("sentence".to_owned(), difference.to_string().into());
    }
    value
}
