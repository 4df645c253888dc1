//! Each rule on what it is for, and the exceptions. `fixtures/<rule>.bad.sql` ends each line that
//! breaks the rule with `-- found`; `fixtures/<rule>.good.sql` breaks none.

use std::{fs, path::Path};

use brownie_lint::{File, Finding, RULES, Rule, check};

/// Reads a file as half of a pair whose other half is there.
fn check_pair(sql: &str) -> Vec<Finding> {
    check(&File { name: "m.up.sql", sql, down: Some("SELECT 1;") })
}

fn rules(found: &[Finding]) -> Vec<&'static str> {
    found.iter().map(|finding| finding.rule.name()).collect()
}

fn lines_of(found: &[Finding]) -> Vec<usize> {
    let mut lines: Vec<usize> = found.iter().map(|finding| finding.line).collect();
    lines.dedup();
    lines
}

fn marked(sql: &str) -> Vec<usize> {
    let lines = sql.lines().enumerate().filter(|(_, line)| line.ends_with("-- found"));
    lines.map(|(index, _)| index + 1).collect()
}

#[test]
fn every_rule_finds_its_bad_fixture_line_by_line_and_nothing_in_its_good_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let read = |name: String| {
        fs::read_to_string(folder.join(&name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let mut wrong = String::new();
    for rule in RULES {
        let bad = read(format!("{rule}.bad.sql"));
        let down = (*rule != Rule::MissingDown).then_some("SELECT 1;");
        let found = check(&File { name: "m.up.sql", sql: &bad, down });
        let others = found.iter().any(|finding| finding.rule != *rule);
        if found.is_empty() || others || lines_of(&found) != marked(&bad) {
            wrong.push_str(&format!("{rule}.bad.sql: {found:#?}\n"));
        }
        let found = check_pair(&read(format!("{rule}.good.sql")));
        if !found.is_empty() {
            wrong.push_str(&format!("{rule}.good.sql: {found:#?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2 * RULES.len(), "a fixture of no rule");
}

#[test]
fn a_finding_says_where_what_why_and_what_to_do_instead() {
    let found = check_pair("SELECT 1;\n  TRUNCATE\n    teams;");
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!((finding.rule, finding.line, finding.column), (Rule::TableLock, 2, 3));
    assert_eq!(finding.message, format!("`TRUNCATE teams`: {}", Rule::TableLock.why()));
    assert_eq!(finding.advice, Rule::TableLock.instead());
    let json = serde_json::to_value(finding).unwrap();
    assert_eq!((json["rule"].as_str(), json["line"].as_u64()), (Some("table-lock"), Some(2)));
}

#[test]
fn an_exception_is_of_one_rule_and_one_statement() {
    let allow = "-- lint: allow table-lock because the table is empty\n";
    assert_eq!(check_pair(&format!("{allow}-- More words.\n\nTRUNCATE teams;")), []);
    assert_eq!(check_pair("/* lint: allow table-lock because empty */ TRUNCATE t;"), []);
    let twice = check_pair(&format!("{allow}TRUNCATE teams;\nTRUNCATE users;"));
    assert_eq!((rules(&twice), twice[0].line), (vec!["table-lock"], 3));
    let stacked = "-- lint: allow column-type because it is wider\n\
         -- lint: allow set-not-null because it is empty\n\
         ALTER TABLE t ALTER COLUMN a TYPE bigint, ALTER COLUMN a SET NOT NULL;";
    assert_eq!(check_pair(stacked), []);
}

#[test]
fn one_exception_covers_all_that_a_statement_does_against_the_rule() {
    let sql = "-- lint: allow drop-in-use because both are unused since 0.3\n\
        ALTER TABLE t DROP COLUMN a, DROP COLUMN b;";
    assert_eq!(check_pair(sql), []);
}

#[test]
fn an_exception_that_allows_nothing_is_found_and_leaves_the_rule_in_force() {
    for (comment, says) in [
        ("-- lint: allow table-lock", "without a reason"),
        ("-- lint: allow table-lock because", "without a reason"),
        ("-- lint: allow table-lock because ...", "without a reason"),
        ("-- lint: allow table-lock it is empty", "without a reason"),
        ("-- lint: allow truncate because it is empty", "no rule \"truncate\""),
        ("-- lint: allow", "no rule \"\""),
        ("-- lint: ignore table-lock because it is empty", "\"ignore\""),
        ("-- lint: allow bad-allow because of that", "cannot be allowed"),
        ("-- lint: allow rename because it has another name", "does not break rename"),
    ] {
        let found = check_pair(&format!("{comment}\nTRUNCATE teams;"));
        assert_eq!(rules(&found), ["bad-allow", "table-lock"], "{comment}");
        assert!(found[0].message.contains(says), "{comment}: {}", found[0].message);
    }
    let late = check_pair("TRUNCATE t;\n-- lint: allow table-lock because it is empty\n");
    assert_eq!(rules(&late), ["table-lock", "bad-allow"]);
    let inside = check_pair("TRUNCATE\n-- lint: allow table-lock because it is empty\nt;");
    assert_eq!(rules(&inside), ["table-lock", "bad-allow"]);
}

#[test]
fn the_exceptions_of_squawk_are_not_ours() {
    for comment in [
        "-- squawk-ignore ban-drop-table",
        "-- squawk-ignore-file",
        "-- squawk-disable-assume-in-transaction",
    ] {
        assert_eq!(rules(&check_pair(&format!("{comment}\nDROP TABLE t;"))), ["drop-in-use"]);
    }
}

#[test]
fn what_looks_like_sql_in_a_string_or_a_comment_is_none() {
    assert_eq!(
        check_pair("-- DROP TABLE t;\nINSERT INTO t VALUES ('DROP TABLE t; -- lint: x');"),
        []
    );
}

#[test]
fn a_file_that_is_no_pair_needs_no_down_and_has_the_transactions_it_begins() {
    let check = |sql: &str| rules(&check(&File { name: "by-hand.sql", sql, down: None }));
    let index = "CREATE INDEX CONCURRENTLY t_org_id_idx ON t (org_id);";
    assert!(check(index).is_empty());
    assert!(check(&format!("BEGIN; SELECT 1; COMMIT; {index}")).is_empty());
    assert_eq!(check(&format!("BEGIN; {index} COMMIT;")), ["concurrently-in-transaction"]);
    assert_eq!(check("DROP TABLE t;"), ["drop-in-use"]);
}

#[test]
fn no_transaction_is_for_one_statement() {
    let alone = "-- no-transaction\nCREATE INDEX CONCURRENTLY t_org_id_idx ON t (org_id);\n";
    assert_eq!(check_pair(alone), []);
    let found = check_pair(&format!("{alone}SELECT 1;"));
    assert_eq!(rules(&found), ["concurrently-in-transaction"]);
}

#[test]
fn a_down_file_without_a_statement_is_none() {
    let check =
        |down: Option<&str>| rules(&check(&File { name: "m.up.sql", sql: "SELECT 1;", down }));
    assert_eq!(check(Some("-- Nothing.\n")), ["missing-down"]);
    assert!(check(Some("DROP TABLE t;")).is_empty());
}

#[test]
fn names_are_compared_as_postgresql_does() {
    let made = "CREATE TABLE Public.Notes (org_id uuid);SELECT wall_in('public.notes');";
    assert_eq!(check_pair(&format!("{made} ALTER TABLE \"notes\" DROP COLUMN a;")), []);
    let other = check_pair(&format!("{made} ALTER TABLE \"Notes\" DROP COLUMN a;"));
    assert_eq!(rules(&other), ["drop-in-use"]);
    let elsewhere = check_pair(&format!("{made} ALTER TABLE old.notes DROP COLUMN a;"));
    assert_eq!(rules(&elsewhere), ["drop-in-use"]);
}

#[test]
fn a_table_that_may_have_been_there_or_comes_later_is_an_existing_one() {
    let made = "CREATE TABLE IF NOT EXISTS t (org_id uuid);SELECT wall_in('t');";
    let index = "CREATE INDEX t_org_id_idx ON t (org_id);";
    assert_eq!(rules(&check_pair(&format!("{made}{index}"))), ["index-not-concurrent"]);
    let made = made.replace("IF NOT EXISTS ", "");
    assert_eq!(check_pair(&format!("{made}{index}")), []);
    assert_eq!(rules(&check_pair(&format!("{index}{made}"))), ["index-not-concurrent"]);
}

/// The parser calls itself for each, and would end the program.
#[test]
fn what_is_nested_too_deep_is_a_finding() {
    for depth in [501, 20_000, 1_000_000] {
        let sql = format!("SELECT {}1{};", "(".repeat(depth), ")".repeat(depth));
        let found = check(&File { name: "deep.sql", sql: &sql, down: None });
        assert_eq!(rules(&found), ["syntax"], "{depth}");
    }
    let sql = format!("SELECT {}1{};", "(".repeat(400), ")".repeat(400));
    assert!(check(&File { name: "deep.sql", sql: &sql, down: None }).is_empty());
}
