//! What a statement is called in logs and metrics: what it does and to which table, and no value of it.

use std::time::Duration;

/// Says that a statement took `took`, which is long.
pub(super) fn report_slow(sql: &str, took: Duration, rows: Option<usize>) {
    let (operation, table) = name_of(sql);
    let duration_ms = (took.as_secs_f64() * 1_000_000.0).round() / 1000.0;
    let (rows, outcome) = (rows.unwrap_or_default(), if rows.is_some() { "ok" } else { "failed" });
    tracing::warn!(target: "brownie::performance", operation, table, duration_ms, rows, outcome, "slow statement");
}

/// What a statement does, and the word that its table follows.
type Operation = (&'static str, &'static str);

const SELECT: Operation = ("select", "from");
const OPERATIONS: [Operation; 4] =
    [SELECT, ("insert", "into"), ("update", "update"), ("delete", "from")];

/// Returns what a statement does, and to which table first; `-` where there is none. Behind WITH, what
/// is written first counts. This is asked of every statement, so it reads no further than it must.
pub(super) fn name_of(sql: &str) -> (&'static str, &str) {
    let words = sql.split_ascii_whitespace().map(|word| word.trim_start_matches('('));
    let first = words.clone().next().unwrap_or_default();
    let is_with = first.eq_ignore_ascii_case("with");
    let (operation, begin) = match is_with.then(|| first_write(words.clone())).flatten() {
        Some((operation, place)) => (Some(operation), place),
        None if is_with => (Some(SELECT), 0),
        None => (operation_of(first), 0),
    };
    let Some((operation, before)) = operation else { return ("other", "-") };
    let mut rest = words.skip(begin).skip_while(|word| !word.eq_ignore_ascii_case(before));
    let table = rest.nth(1).unwrap_or_default();
    let end = table.find(['(', ')', ',', ';']).unwrap_or(table.len());
    let name = table.get(..end).unwrap_or_default().rsplit('.').next().unwrap_or_default();
    let name = name.trim_matches('"');
    // What follows FROM may be another SELECT.
    (operation, if name.is_empty() || operation_of(name).is_some() { "-" } else { name })
}

fn operation_of(word: &str) -> Option<Operation> {
    OPERATIONS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name))
}

/// Returns the first operation that writes, and which word it is.
fn first_write<'a>(words: impl Iterator<Item = &'a str>) -> Option<(Operation, usize)> {
    let mut before = "";
    for (place, word) in words.enumerate() {
        // FOR UPDATE locks, and DO UPDATE belongs to an INSERT.
        let is_clause = ["for", "do"].iter().any(|known| before.eq_ignore_ascii_case(known));
        if let Some(operation) = operation_of(word).filter(|found| !is_clause && *found != SELECT) {
            return Some((operation, place));
        }
        before = word;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn a_statement_is_named_by_what_it_does_and_to_which_table() {
        for (sql, expected) in [
            (r#"SELECT "id" FROM "incidents" WHERE "org_id" = $1"#, ("select", "incidents")),
            ("select a from public.users, teams", ("select", "users")),
            (r#"INSERT INTO "teams" ("id") VALUES ($1)"#, ("insert", "teams")),
            ("INSERT INTO outbox(org_id) SELECT 1", ("insert", "outbox")),
            (r#"UPDATE "users" SET "a" = $1"#, ("update", "users")),
            ("DELETE FROM idempotency_keys WHERE 1 = 1", ("delete", "idempotency_keys")),
            (
                "WITH a AS (SELECT 1 FROM x), b AS (INSERT INTO audit_log SELECT 1) SELECT 2",
                ("insert", "audit_log"),
            ),
            ("SELECT a.x FROM (SELECT y FROM stats) a", ("select", "-")),
            ("SELECT purge($1)", ("select", "-")),
            ("SELECT id FROM users FOR UPDATE", ("select", "users")),
            ("WITH u AS (SELECT id FROM users FOR UPDATE) SELECT 1 FROM u", ("select", "users")),
            ("INSERT INTO teams VALUES (1) ON CONFLICT DO UPDATE SET a = 1", ("insert", "teams")),
            ("VACUUM", ("other", "-")),
            ("", ("other", "-")),
        ] {
            assert_eq!(name_of(sql), expected, "{sql}");
        }
    }
}
