//! Files that are made of the code. `just bless` writes them all; read the difference before it is
//! committed.

use std::{fs, time::Duration};

use brownie_domain::{Action, Reach, Role};
use brownie_migration::{Database, describe};
use harness::Postgres;

/// What the code says a file should be: the whole of it, or the one table in it.
enum Expected {
    Whole(String),
    /// With the lines of its head.
    Table(String),
}

/// Every generated file below the root.
async fn files() -> [(&'static str, Expected); 6] {
    [
        ("docs/metrics.md", Expected::Whole(brownie_metrics::page())),
        ("docs/migrations-lint.md", Expected::Table(migration_rules())),
        ("docs/openapi.json", Expected::Whole(format!("{:#}\n", brownie_api::openapi_document()))),
        ("docs/permissions.md", Expected::Table(permissions())),
        ("env.example", Expected::Whole(variables())),
        ("migration/src/schema.txt", Expected::Whole(schema().await)),
    ]
}

#[tokio::test]
async fn generated_files_are_what_the_code_says() {
    let mut stale = Vec::new();
    for (path, expected) in files().await {
        let place = harness::root().join(path);
        let found = fs::read_to_string(&place).unwrap_or_default();
        let expected = match expected {
            Expected::Whole(text) => text,
            Expected::Table(table) => with_table(path, &found, &table),
        };
        if found != expected {
            stale.push(path);
            if blesses() {
                fs::write(place, expected).unwrap();
            }
        }
    }
    if blesses() {
        println!("written: {stale:?}");
    } else {
        assert!(stale.is_empty(), "not what the code says: {stale:?}; run `just bless`");
    }
}

#[expect(clippy::disallowed_methods, reason = "set by `just bless`")]
fn blesses() -> bool {
    std::env::var_os("BROWNIE_BLESS").is_some()
}

/// Returns the page with `table` in place of the one table that it has.
fn with_table(path: &str, page: &str, table: &str) -> String {
    let is_row = |line: &&str| line.starts_with('|');
    let before: String = page.split_inclusive('\n').take_while(|line| !is_row(line)).collect();
    let rows = page[before.len()..].split_inclusive('\n').take_while(is_row);
    let after = &page[before.len() + rows.map(str::len).sum::<usize>()..];
    assert!(!after.lines().any(|line| is_row(&line)), "{path} has another table");
    format!("{before}{table}{after}")
}

fn variables() -> String {
    let mut text = String::from(
        "# Every variable of every program. Generated from crates/config; a test compares the two.\n\
         # A secret may also come from a file: set <NAME>_FILE to its path instead.\n",
    );
    for variable in brownie_config::all_variables() {
        let aliases = match variable.aliases {
            [] => String::new(),
            aliases => format!(" Also read as {}.", aliases.join(", ")),
        };
        let secret = if variable.secret { " Secret." } else { "" };
        let value = variable.default.unwrap_or_default();
        text.push_str(&format!(
            "\n# {}{aliases}{secret}\n#{}={value}\n",
            variable.help, variable.name
        ));
    }
    text
}

fn permissions() -> String {
    let mut table = String::from(
        "| action | decided by the role in the | viewer | member | admin |\n|---|---|---|---|---|\n",
    );
    for action in Action::ALL {
        let reach = match action.reach() {
            Reach::Organization => "organization",
            Reach::Team => "team",
        };
        let marks: Vec<&str> =
            Role::ALL.iter().map(|role| if role.may(*action) { "yes" } else { "-" }).collect();
        table.push_str(&format!("| `{action}` | {reach} | {} |\n", marks.join(" | ")));
    }
    table
}

fn migration_rules() -> String {
    let rows = brownie_lint::RULES
        .iter()
        .map(|rule| format!("| `{rule}` | {} | {} |\n", rule.why(), rule.instead()));
    "| rule | why | instead |\n|---|---|---|\n".to_owned() + &rows.collect::<String>()
}

/// In a cluster of its own: roles are in it, and those are of the whole server.
async fn schema() -> String {
    let postgres = Postgres::private().unwrap();
    postgres.migrated("ours").unwrap();
    let database = Database::new(postgres.url("ours"), Duration::from_secs(10));
    describe(&database).await.unwrap().to_string()
}
