//! The faults of the migrators before this one, by name: each test shows that ours has it not.

use std::{process::Command, time::Duration};

use brownie_migration::{Database, History, Source, apply, status};
use harness::{Postgres, run};

use super::{migrate, stderr, stdout};

/// Returns what `pg_dump` writes of the schema.
fn dump(url: &str) -> String {
    let output = Command::new(Postgres::shared().program("pg_dump"))
        .args(["--schema-only", "--dbname", url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    // A random word of newer versions (CVE-2025-8714).
    stdout(&output)
        .lines()
        .filter(|line| !line.contains("restrict "))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Alembic's `downgrade base` left six enum types, over which the next `upgrade` stumbled.
#[tokio::test]
async fn down_leaves_nothing_over_which_up_would_stumble_and_up_makes_the_same_bytes() {
    let database = Postgres::shared().empty_database();
    let client = database.connect().await;
    let mut dumps = Vec::new();
    for _ in 0..2 {
        assert!(migrate(database.admin_url(), &["up"]).status.success());
        dumps.push(dump(database.admin_url()));
        assert!(migrate(database.admin_url(), &["down", "--to", "base", "--yes"]).status.success());
        let types = "SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace
            AND typname NOT LIKE '%seaql_migrations'";
        assert!(client.query(types, &[]).await.unwrap().is_empty());
        let tables =
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p', 'v', 'S')";
        let tables = client.query(tables, &[]).await.unwrap();
        assert_eq!(tables.len(), 1, "the ledger is left, and empty");
    }
    assert!(dumps[0].contains("CREATE TABLE public.incidents"), "{}", dumps[0]);
    assert!(dumps[0] == dumps[1], "the dumps differ");
}

/// After that downgrade there was a ledger without a row, and types without tables (variant B).
#[tokio::test]
async fn half_a_database_of_alembics_is_named_not_migrated() {
    let database = Postgres::shared().empty_database();
    let client = database.connect().await;
    client
        .batch_execute(
            "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);
             CREATE TYPE userrole AS ENUM ('ADMIN', 'EDITOR', 'VIEWER')",
        )
        .await
        .unwrap();
    let up = migrate(database.admin_url(), &["up"]);
    assert_eq!(up.status.code(), Some(1));
    assert!(stderr(&up).contains("(alembic_version)"), "{}", stderr(&up));
    let adopt = migrate(database.admin_url(), &["adopt", "--check"]);
    assert_eq!(adopt.status.code(), Some(1));
    assert!(stderr(&adopt).contains("no database of Brownie 0.1"), "{}", stderr(&adopt));
    let made = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";
    assert_eq!(client.query_one(made, &[]).await.unwrap().get::<_, i64>(0), 1);
}

/// Alembic's configuration named a database that was not the one it migrated.
#[tokio::test]
async fn the_database_that_is_named_is_the_one_that_is_migrated() {
    let (named, other) = (Postgres::shared().empty_database(), Postgres::shared().empty_database());
    let other_name: String = other
        .connect()
        .await
        .query_one("SELECT current_database()::text", &[])
        .await
        .unwrap()
        .get(0);
    let variables =
        [("DATABASE_URL", named.admin_url()), ("DB_HOST", "127.0.0.1"), ("DB_NAME", &other_name)];
    let output = run("brownie-migrator", &["up"], &variables).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let tables = "SELECT count(*) FROM pg_class WHERE relname = 'incidents' AND relnamespace = 'public'::regnamespace";
    let in_other: i64 = other.connect().await.query_one(tables, &[]).await.unwrap().get(0);
    let in_named: i64 = named.connect().await.query_one(tables, &[]).await.unwrap().get(0);
    assert_eq!((in_named, in_other), (1, 0), "DATABASE_URL counts, whatever else is set");
}

const BROKEN: Source = Source {
    name: "m20990101_900001_sample_data",
    up: "CREATE TABLE samples (id int PRIMARY KEY); INSERT INTO samples VALUES (1), (1)",
    down: "DROP TABLE samples",
};
const MENDED: Source = Source {
    up: "CREATE TABLE samples (id int PRIMARY KEY); INSERT INTO samples VALUES (1), (2)",
    ..BROKEN
};
const AFTER: Source = Source {
    name: "m20990101_900002_after",
    up: "CREATE TABLE after_it (id int)",
    down: "DROP TABLE after_it",
};

/// The hub's runner went on after a file that failed, and reported it as applied.
#[tokio::test]
async fn a_failing_file_is_not_reported_as_applied_and_nothing_follows_it() {
    let postgres = Postgres::shared().database();
    let database = |source| {
        Database::new(postgres.admin_url(), Duration::from_secs(5))
            .with_history(History::shipped().and(source).and(AFTER))
    };
    let error = apply(&database(BROKEN)).await.unwrap_err();
    assert!(error.to_string().contains("a migration failed"), "{error}");
    let client = postgres.connect().await;
    let left = "SELECT count(*) FROM pg_class WHERE relname IN ('samples', 'after_it')";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    let report = status(&database(BROKEN)).await.unwrap();
    assert!(report.applied.iter().all(|row| row.name != BROKEN.name));
    assert!(!report.standing.can_serve());

    assert_eq!(apply(&database(MENDED)).await.unwrap(), [BROKEN.name, AFTER.name]);
    // What was applied is known by its text: the broken one is not taken for it.
    assert_eq!(status(&database(BROKEN)).await.unwrap().changed, [BROKEN.name]);
}

/// It ran its sample data again with each run of the file.
#[test]
fn the_sample_data_is_there_once_however_often_it_is_asked_for() {
    let database = Postgres::shared().database();
    let first = migrate(database.admin_url(), &["seed"]);
    assert!(first.status.success(), "{}", stderr(&first));
    let second = migrate(database.admin_url(), &["seed"]);
    assert!(second.status.success(), "{}", stderr(&second));
    assert_ne!(stdout(&first), stdout(&second), "the password is shown once");
}

/// Its `--test` only tried whether somebody answered, and `--status` exited with 0 whatever it found.
#[test]
fn test_and_status_say_by_their_exit_code_what_they_found() {
    let database = Postgres::shared().empty_database();
    assert_eq!(migrate(database.admin_url(), &["--status"]).status.code(), Some(3));
    assert_eq!(migrate(database.admin_url(), &["--test"]).status.code(), Some(0));
    assert!(migrate(database.admin_url(), &["up"]).status.success());
    assert_eq!(migrate(database.admin_url(), &["--status"]).status.code(), Some(0));
    let nobody =
        format!("postgres://x@127.0.0.1:{}/x?sslmode=disable", harness::free_port().unwrap());
    assert_eq!(
        migrate(&nobody, &["--test", "--wait", "1"]).status.code(),
        Some(2),
        "--test stands alone"
    );
    assert_eq!(migrate(&nobody, &["test", "--wait", "1"]).status.code(), Some(3));
}
