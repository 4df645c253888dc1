//! What stands in its way: named, with the remedy, and nothing half-done.

use std::{fs, process::Command, time::Duration};

use brownie_migration::{Database, Error, History, Source, apply};
use harness::{PATIENCE, Postgres, until};

use super::{migrate, stderr, stdout};

async fn tables(client: &tokio_postgres::Client) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_wrong_password_is_not_waited_for_and_not_shown() {
    let postgres = Postgres::private().unwrap();
    postgres.execute("CREATE ROLE secretive LOGIN SUPERUSER PASSWORD 'right'").unwrap();
    let client = postgres.connect("postgres").await.unwrap();
    let file: String = client.query_one("SHOW hba_file", &[]).await.unwrap().get(0);
    let rules = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("local all secretive scram-sha-256\n{rules}")).unwrap();
    postgres.reload().await.unwrap();

    let url = postgres.url_as("secretive:hunter2", "postgres");
    let output = migrate(&url, &["up"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("refuses; are role, password, certificate"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    let output = migrate(&url, &["test"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(!stdout(&output).contains("hunter2"), "{}", stdout(&output));
    assert!(tables(&client).await.is_empty());
    assert!(migrate(&postgres.url_as("secretive:right", "postgres"), &["up"]).status.success());
}

#[tokio::test]
async fn a_read_only_server_is_named() {
    let database = Postgres::shared().empty_database();
    let client = database.connect().await;
    client
        .batch_execute("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$")
        .await
        .unwrap();
    let output = migrate(database.admin_url(), &["up"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the database is read-only; if it is a standby"),
        "{}",
        stderr(&output)
    );
    assert!(tables(&client).await.is_empty());
    assert_eq!(migrate(database.admin_url(), &["test"]).status.code(), Some(3));
}

/// A file system of 40 MB, full but for what some of the migrations need.
#[tokio::test]
async fn a_full_disk_is_named_and_leaves_nothing_half_done() {
    let postgres = Postgres::private().unwrap();
    let client = postgres.connect("postgres").await.unwrap();
    let data: String = client.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    let place = std::path::Path::new(&data).with_file_name("small");
    fs::create_dir(&place).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=40m", "tmpfs"])
        .arg(&place)
        .status()
        .unwrap();
    assert!(mounted.success(), "a small file system needs root");
    let _unmount = Mounted(place.clone());
    let owner = fs::metadata(&data).unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&owner);
    std::os::unix::fs::chown(&place, Some(uid), Some(uid)).unwrap();
    client
        .batch_execute(&format!("CREATE TABLESPACE small LOCATION '{}'", place.display()))
        .await
        .unwrap();
    client.batch_execute("CREATE DATABASE x TABLESPACE small").await.unwrap();

    // All but half a megabyte is taken.
    let filler = place.join("filler");
    let free = Command::new("df").args(["--output=avail", "-B1"]).arg(&place).output().unwrap();
    let free: usize =
        String::from_utf8_lossy(&free.stdout).lines().nth(1).unwrap().trim().parse().unwrap();
    fs::write(&filler, vec![0; free - 512 * 1024]).unwrap();

    let url = postgres.url("x");
    let output = migrate(&url, &["up"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the database server's disk is full"), "{}", stderr(&output));
    let status: serde_json::Value =
        serde_json::from_str(&stdout(&migrate(&url, &["status", "--json"]))).unwrap();
    let applied = status["applied"].as_array().unwrap().len();
    assert!(applied > 0 && !status["pending"].as_array().unwrap().is_empty(), "{status}");

    fs::remove_file(filler).unwrap();
    let output = migrate(&url, &["up"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(migrate(&url, &["drift"]).status.code(), Some(0));
}

/// A file system that is gone with the test. The server may hold files of it for a moment longer.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_database_of_somebody_else_is_left_alone() {
    let database = Postgres::shared().empty_database();
    let client = database.connect().await;
    client
        .batch_execute("CREATE TABLE incidents (id int); CREATE TABLE theirs (id int)")
        .await
        .unwrap();
    let output = migrate(database.admin_url(), &["up"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("tables that no migration of ours made (incidents); one of Brownie 0.1 is taken over by `brownie-migrator adopt`"),
        "{}",
        stderr(&output)
    );
    assert_eq!(tables(&client).await, ["incidents", "theirs"]);

    // What is called otherwise is in nobody's way.
    client.batch_execute("DROP TABLE incidents").await.unwrap();
    assert!(migrate(database.admin_url(), &["up"]).status.success());
}

#[tokio::test]
async fn a_ledger_with_unknown_rows_is_served_or_refused_by_name() {
    let database = Postgres::shared().empty_database();
    assert!(migrate(database.admin_url(), &["up", "--to", "000024"]).status.success());
    let client = database.connect().await;
    let later =
        "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)";
    client.batch_execute(later).await.unwrap();

    // Behind and ahead at once: two releases that know nothing of each other.
    let output = migrate(database.admin_url(), &["up"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("does not know (m29990101_000001_later)"),
        "{}",
        stderr(&output)
    );
    let newest = "SELECT count(*) FROM seaql_migrations";
    assert_eq!(client.query_one(newest, &[]).await.unwrap().get::<_, i64>(0), 25);

    // Only ahead: a release was rolled back.
    client.batch_execute("DELETE FROM seaql_migrations WHERE version LIKE 'm2999%'").await.unwrap();
    assert!(migrate(database.admin_url(), &["up"]).status.success());
    client.batch_execute(later).await.unwrap();
    let output = migrate(database.admin_url(), &["up"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "nothing to do\n"));
    let status = migrate(database.admin_url(), &["status"]);
    assert_eq!(status.status.code(), Some(0));
    assert!(stdout(&status).contains("unknown  m29990101_000001_later"), "{}", stdout(&status));
    let down = migrate(database.admin_url(), &["down", "--steps", "1", "--yes"]);
    assert_eq!(down.status.code(), Some(1));
}

/// A connection that breaks takes the lock with it, so nothing more is done without it.
#[tokio::test]
async fn a_cut_connection_ends_the_run() {
    const SLOW: Source = Source {
        name: "m20990101_900001_slow",
        up: "CREATE TABLE slow (id int); SELECT pg_sleep(30)",
        down: "DROP TABLE slow",
    };
    const NEXT: Source = Source {
        name: "m20990101_900002_next",
        up: "CREATE TABLE next (id int)",
        down: "DROP TABLE next",
    };
    let database = Postgres::shared().database();
    let client = database.connect().await;
    let target = Database::new(database.admin_url(), Duration::from_secs(5))
        .with_history(History::shipped().and(SLOW).and(NEXT));
    let run = tokio::spawn(async move { apply(&target).await });
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%'
        AND pid <> pg_backend_pid() AND datname = current_database()";
    until("the slow migration is under way", PATIENCE, async || {
        !client.query(end, &[]).await.unwrap().is_empty()
    })
    .await;
    let outcome = run.await.unwrap();
    assert!(matches!(outcome, Err(Error::Failed(_))), "{outcome:?}");
    let made = tables(&client).await;
    assert!(!made.iter().any(|name| ["slow", "next"].contains(&name.as_str())), "{made:?}");
}
