//! `brownie-migrator`, as an init container runs it.

use std::process::Output;

use harness::{Postgres, run};
use serde_json::Value;

fn migrate(url: &str, arguments: &[&str]) -> Output {
    run("brownie-migrator", arguments, &[("DATABASE_URL", url), ("LOG_LEVEL", "warn")]).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn of_eight_at_once_one_applies_and_all_succeed() {
    let database = Postgres::shared().empty_database();
    let url = database.admin_url().to_owned();
    let runs: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || migrate(&url, &["up"]))
        })
        .collect();
    let outputs: Vec<Output> = runs.into_iter().map(|run| run.join().unwrap()).collect();

    for output in &outputs {
        assert!(output.status.success(), "{}", stderr(output));
    }
    let applied = outputs.iter().filter(|output| stdout(output).starts_with("applied")).count();
    let idle = outputs.iter().filter(|output| stdout(output) == "nothing to do\n").count();
    assert_eq!((applied, idle), (1, 7));

    let client = database.connect().await;
    let twice = "SELECT version FROM seaql_migrations GROUP BY version HAVING count(*) > 1";
    assert!(client.query(twice, &[]).await.unwrap().is_empty());
    let count: i64 =
        client.query_one("SELECT count(*) FROM seaql_migrations", &[]).await.unwrap().get(0);
    assert_eq!(usize::try_from(count).unwrap(), brownie_migration::names().len());
    let locks = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database =
        (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert!(client.query(locks, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn status_says_what_is_applied_and_what_is_not() {
    let database = Postgres::shared().empty_database();
    let before = migrate(database.admin_url(), &["status", "--json"]);
    assert_eq!(before.status.code(), Some(3), "{}", stderr(&before));
    let report: Value = serde_json::from_str(&stdout(&before)).unwrap();
    assert_eq!(report["pending"].as_array().unwrap().len(), brownie_migration::names().len());
    let tables = "SELECT 1 FROM pg_tables WHERE schemaname = 'public'";
    let client = database.connect().await;
    assert!(client.query(tables, &[]).await.unwrap().is_empty(), "status changes nothing");

    assert!(migrate(database.admin_url(), &["up"]).status.success());
    let after = migrate(database.admin_url(), &["status"]);
    assert_eq!(after.status.code(), Some(0));
    assert!(stdout(&after).ends_with("the schema is current\n"), "{}", stdout(&after));
}

/// A migrator that dies while it works leaves nothing half-done, and the next one goes on.
#[tokio::test]
async fn a_killed_migrator_is_followed_by_one_that_finishes() {
    for delay in [5, 15, 25, 40, 60, 90] {
        let database = Postgres::shared().empty_database();
        let mut child = std::process::Command::new(harness::binary("brownie-migrator"))
            .arg("up")
            .env("DATABASE_URL", database.admin_url())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
        let next = migrate(database.admin_url(), &["up"]);
        assert!(next.status.success(), "killed after {delay} ms: {}", stderr(&next));
        assert_eq!(migrate(database.admin_url(), &["status"]).status.code(), Some(0));
    }
}

#[test]
fn an_unreachable_database_is_said_so_after_the_wait() {
    let url = format!("postgres://u@127.0.0.1:{}/x?sslmode=disable", harness::free_port().unwrap());
    harness::binary("brownie-migrator");
    let started = std::time::Instant::now();
    let output = migrate(&url, &["up", "--wait", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(started.elapsed() < std::time::Duration::from_secs(8));
    assert!(
        stderr(&output).contains("the database does not answer after 1 s"),
        "{}",
        stderr(&output)
    );
}

/// A database that does not exist does not come by waiting.
#[test]
fn a_server_that_refuses_is_not_waited_for() {
    harness::binary("brownie-migrator");
    let started = std::time::Instant::now();
    let output = migrate(&Postgres::shared().url("no_such_database"), &["up"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    let message = stderr(&output);
    assert!(message.contains("refuses") && message.contains("does not exist"), "{message}");
}

#[test]
fn without_a_database_it_says_what_to_set() {
    let output = run("brownie-migrator", &["up"], &[]).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("DATABASE_URL must be set"), "{}", stderr(&output));
}
