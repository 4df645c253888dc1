//! The programs when something is wrong: one clear message, the right exit code.

use std::{fs, net::TcpListener, process::Output};

use harness::{PATIENCE, Postgres, Service, run, until};

const SECRET: (&str, &str) = ("METADATA_JWT_SECRET", "a secret for tests, long enough for HS256");
const ANY_PORT: (&str, &str) = ("METADATA_PORT", "0");
const ANY_METRICS_PORT: (&str, &str) = ("METRICS_PORT", "0");

fn refusal(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

#[test]
fn all_settings_that_are_wrong_are_named_at_once() {
    let variables = [("METADATA_PORT", "eighty"), ("DB_POOL_SIZE", "0"), ANY_METRICS_PORT];
    let message = refusal(&run("brownie-server", &[], &variables).unwrap(), 2);
    for part in [
        "DATABASE_URL must be set",
        "METADATA_JWT_SECRET must be set",
        "METADATA_PORT must be a port, not \"eighty\"",
        "DB_POOL_SIZE must be 1 or more",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_database_that_is_not_there_is_named_after_the_wait() {
    let url = format!("postgres://u@127.0.0.1:{}/x?sslmode=disable", harness::free_port().unwrap());
    let variables = [("DATABASE_URL", url.as_str()), SECRET, ANY_PORT, ANY_METRICS_PORT];
    let output = run("brownie-server", &["--wait", "1"], &variables).unwrap();
    let message = refusal(&output, 1);
    assert!(message.contains("the database cannot be reached"), "{message}");
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_not_served() {
    let database = Postgres::shared().empty_database();
    let variables = [("DATABASE_URL", database.url()), SECRET, ANY_PORT, ANY_METRICS_PORT];
    let output = run("brownie-server", &["--wait", "1"], &variables).unwrap();
    let message = refusal(&output, 1);
    assert!(message.contains("run `brownie-migrator up`"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_newer_is_served_and_said_to_be() {
    let database = Postgres::shared().database();
    let client = database.connect().await;
    client
        .batch_execute("INSERT INTO seaql_migrations VALUES ('m29990101_000001_later', 0)")
        .await
        .unwrap();
    let service = Service::server(database.url()).await.unwrap();
    let ready = service.client().get("/readyz").await.unwrap();
    assert_eq!(ready.status, 200);
    assert!(ready.text("detail").contains("ahead of this program by 1"), "{ready:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_waits_for_a_migration_that_is_under_way() {
    let database = Postgres::shared().empty_database();
    let url = database.admin_url().to_owned();
    harness::binary("brownie-migrator");
    let admin = database.connect().await;
    let migration = tokio::spawn(async move {
        // The server has asked the empty database, found nothing, and asks again.
        let asked = "SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND usename = 'brownie-server'";
        until("the server asks", PATIENCE, async || {
            !admin.query(asked, &[]).await.unwrap().is_empty()
        })
        .await;
        let up = || run("brownie-migrator", &["up"], &[("DATABASE_URL", &url)]).unwrap();
        tokio::task::block_in_place(up)
    });
    let service = Service::server(database.url()).await.unwrap();
    assert!(migration.await.unwrap().status.success());
    assert!(service.log().contains("waiting"), "{}", service.log());
}

#[test]
fn a_port_in_use_is_named_with_the_variable_to_set() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().display().to_string();
    let variables =
        [("BROWNIE_DATA_DIR", data_dir.as_str()), ("METADATA_PORT", &port), ANY_METRICS_PORT];
    let message = refusal(&run("brownie-standalone", &[], &variables).unwrap(), 1);
    assert!(message.contains(&format!("127.0.0.1:{port} is in use")), "{message}");
    assert!(message.contains("METADATA_PORT"), "{message}");
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let data_dir = file.join("data").display().to_string();
    let variables = [("BROWNIE_DATA_DIR", data_dir.as_str()), ANY_PORT, ANY_METRICS_PORT];
    let message = refusal(&run("brownie-standalone", &[], &variables).unwrap(), 1);
    assert!(
        message.contains("cannot be written; make it writable, or set BROWNIE_DATA_DIR"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_cannot_share_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Service::standalone(dir.path()).await.unwrap();
    let data_dir = dir.path().display().to_string();
    let variables = [("BROWNIE_DATA_DIR", data_dir.as_str()), ANY_PORT, ANY_METRICS_PORT];
    let message = refusal(&run("brownie-standalone", &[], &variables).unwrap(), 1);
    assert!(message.contains("another brownie-standalone is running"), "{message}");
}

#[test]
fn the_printed_settings_hide_their_secrets() {
    let url = "postgres://u:hunter2@db/x";
    let variables = [("DATABASE_URL", url), SECRET];
    let output = run("brownie-server", &["--print-config"], &variables).unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    assert!(printed.contains("METADATA_PORT=8000"), "{printed}");
    assert!(printed.contains("DATABASE_URL=[secret]"), "{printed}");
    assert!(!printed.contains("hunter2") && !printed.contains(SECRET.1), "{printed}");
}
