//! What is measured of statements and units of work.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use brownie_metrics::{DB_CONNECTION_WAIT, DB_ERRORS, DB_QUERY_DURATION, DB_TRANSACTION_DURATION};
use metrics::{Histogram, counter, histogram};

use super::{Cause, statement::name_of};
use crate::{Error, Result};

/// The tables that statements are counted for. What else a statement may read from is `other`: a label
/// has a bound.
const TABLES: [&str; 17] = [
    "agent_configs",
    "api_key_uses",
    "api_keys",
    "audit_log",
    "configs",
    "idempotency_keys",
    "incidents",
    "memberships",
    "organizations",
    "outbox",
    "refresh_tokens",
    "seaql_migrations",
    "sessions",
    "stats",
    "teams",
    "users",
    "other",
];
/// What is none of the others counts as the first: it asks something.
const OPERATIONS: [&str; 4] = ["select", "insert", "update", "delete"];

/// Measures for one engine. Where each number goes is looked up once.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    wait: Histogram,
    /// By operation, then by table. None where nobody wants it.
    statements: Option<Arc<[Vec<Histogram>]>>,
}

/// Where the time of a statement is to be noted.
#[derive(Debug, Clone)]
pub(super) struct Timer(Option<(Histogram, Instant)>);

impl Timer {
    /// Notes that the answer is here, or why it is not.
    pub(super) fn stop<T>(self, outcome: &Result<T>) {
        if let Some((histogram, began)) = self.0 {
            histogram.record(began.elapsed());
        }
        if let Err(error) = outcome {
            failed(error);
        }
    }
}

impl Meter {
    pub(super) fn new(statements: bool) -> Self {
        let of = |operation: &'static str| {
            let each = TABLES.iter();
            each.map(
                |table| histogram!(DB_QUERY_DURATION, "operation" => operation, "table" => *table),
            )
            .collect()
        };
        // There from the start: the first of a series that begins at 1 is no increase to Prometheus.
        for kind in KINDS {
            counter!(DB_ERRORS, "kind" => kind).increment(0);
        }
        Cause::register();
        Self {
            wait: histogram!(DB_CONNECTION_WAIT),
            statements: statements.then(|| OPERATIONS.map(of).into()),
        }
    }

    /// Begins to measure a statement.
    pub(super) fn start(&self, sql: &str) -> Timer {
        let histogram = self.statements.as_ref().and_then(|statements| {
            let (operation, table) = place_of(sql);
            statements.get(operation)?.get(table)
        });
        Timer(histogram.map(|histogram| (histogram.clone(), Instant::now())))
    }

    /// Notes how long a connection was waited for.
    pub(super) fn waited<T>(&self, took: Duration, outcome: &Result<T>) {
        self.wait.record(took);
        if let Err(error) = outcome {
            failed(error);
        }
    }
}

/// Returns where a statement counts: the places of its operation and of its table.
fn place_of(sql: &str) -> (usize, usize) {
    let (operation, table) = name_of(sql);
    let operation = OPERATIONS.iter().position(|name| *name == operation).unwrap_or_default();
    let table = TABLES.iter().position(|name| *name == table).unwrap_or(TABLES.len() - 1);
    (operation, table)
}

/// What may go wrong.
const KINDS: [&str; 7] =
    ["conflict", "rejected", "contention", "lock", "timeout", "unavailable", "other"];

/// Counts what went wrong.
fn failed(error: &Error) {
    let kind = match error {
        Error::AlreadyExists { .. } | Error::InvalidReference { .. } => "conflict",
        Error::Rejected { .. } => "rejected",
        Error::Contended => "contention",
        Error::Locked => "lock",
        Error::Timeout => "timeout",
        Error::Unavailable(_) => "unavailable",
        _ => "other",
    };
    counter!(DB_ERRORS, "kind" => kind).increment(1);
}

/// The time of a unit of work: noted when this is dropped.
#[derive(Debug)]
pub(super) struct UnitTimer {
    began: Instant,
    /// None if nothing was ever sent.
    pub(super) outcome: Option<&'static str>,
}

impl UnitTimer {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), outcome: None }
    }

    /// Notes that it has reached the database. Unless it is committed, it is rolled back.
    pub(super) fn has_begun(&mut self) {
        self.outcome.get_or_insert("rolled_back");
    }

    pub(super) fn ends<T>(&mut self, outcome: &Result<T>) {
        self.outcome = Some(if outcome.is_ok() { "committed" } else { "failed" });
    }
}

impl Drop for UnitTimer {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            histogram!(DB_TRANSACTION_DURATION, "outcome" => outcome).record(self.began.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_counts_for_what_it_does_to_which_table() {
        for (sql, expected) in [
            (
                r#"SELECT "teams"."id", "teams"."name" FROM "teams" WHERE "teams"."org_id" = $1"#,
                ("select", "teams"),
            ),
            (r#"INSERT INTO "users" ("id") VALUES ($1) RETURNING *"#, ("insert", "users")),
            (r#"UPDATE "incidents" SET "version" = $1"#, ("update", "incidents")),
            ("DELETE FROM sessions WHERE org_id = $1", ("delete", "sessions")),
            ("SELECT id FROM login_accounts($1, $2, $3)", ("select", "other")),
            ("SELECT 1 AS one", ("select", "other")),
            (
                "\n WITH done AS (SELECT * FROM x), audited AS (\n INSERT INTO audit_log (org_id) SELECT",
                ("insert", "audit_log"),
            ),
            ("WITH t AS (SELECT 1 FROM stats) SELECT * FROM t", ("select", "stats")),
            ("", ("select", "other")),
        ] {
            let (operation, table) = place_of(sql);
            assert_eq!((OPERATIONS[operation], TABLES[table]), expected, "{sql}");
        }
    }
}
