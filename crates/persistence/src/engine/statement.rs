//! What a statement is called in logs and metrics: what it does and to which table, and no value of it.

use std::time::Duration;

/// Says that a statement took `took`, which is long.
pub(super) fn report_slow(sql: &str, took: Duration, rows: Option<usize>) {
    let (operation, table) = name_of(sql);
    let duration_ms = (took.as_secs_f64() * 1_000_000.0).round() / 1000.0;
    let (rows, outcome) = (rows.unwrap_or_default(), if rows.is_some() { "ok" } else { "failed" });
    tracing::warn!(target: "brownie::performance", operation, table, duration_ms, rows, outcome, "slow statement");
}

/// Returns what a statement does, and to which table first; `-` where there is none. Behind WITH, what
/// is written first counts.
pub(super) fn name_of(sql: &str) -> (&'static str, &str) {
    const OPERATIONS: [(&str, &str); 4] =
        [("select", "from"), ("insert", "into"), ("update", "update"), ("delete", "from")];
    let is = |word: &str, known: &str| word.eq_ignore_ascii_case(known);
    let words: Vec<&str> =
        sql.split_ascii_whitespace().map(|word| word.trim_start_matches('(')).collect();
    let operation_of = |word: &str| OPERATIONS.iter().find(|(name, _)| is(word, name));
    let writes = |pair: &[&str]| {
        let [before, word] = pair else { return false };
        // FOR UPDATE locks, and DO UPDATE belongs to an INSERT.
        let is_clause = is(before, "for") || is(before, "do");
        !is_clause && operation_of(word).is_some_and(|(name, _)| *name != "select")
    };
    let (start, operation) = match words.first() {
        Some(first) if is(first, "with") => match words.windows(2).position(writes) {
            Some(before) => (before + 1, words.get(before + 1).and_then(|word| operation_of(word))),
            None => (0, OPERATIONS.first()),
        },
        Some(first) => (0, operation_of(first)),
        None => (0, None),
    };
    let Some((operation, before)) = operation else { return ("other", "-") };
    let rest = words.get(start..).unwrap_or_default();
    let place = rest.iter().position(|word| is(word, before));
    let table = place.and_then(|place| rest.get(place + 1)).copied().unwrap_or_default();
    let end = table.find(['(', ')', ',', ';']).unwrap_or(table.len());
    let name = table.get(..end).unwrap_or_default().rsplit('.').next().unwrap_or_default();
    let name = name.trim_matches('"');
    // What follows FROM may be another SELECT.
    (operation, if name.is_empty() || operation_of(name).is_some() { "-" } else { name })
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
