//! Each provider, by a server that speaks its protocol.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use brownie_test_servers::{ObjectStore, PATIENCE, Protocol, until};
use serde_json::{Value, json};

use crate::{
    kills::files,
    postgres::Postgres,
    proxy::{Mode, Proxy},
    world::{Worker, filled, inside},
};

/// Everything that is done with backups, from the first to the removal of the last.
async fn walk(pg: &Postgres, database: &str, worker: &Worker, way: &Way, tells_uploads: bool) {
    let before = inside(pg, database).await;
    assert_eq!(worker.run(&["status"]).status.code(), Some(3), "there is none yet");
    let made = worker.json(&["backup", "--name", "first"]);
    assert_eq!(made["verified"], true, "{made}");
    let status = worker.json(&["status"]);
    assert_eq!((&status["backups"], &status["encrypted"]), (&json!(1), &json!(true)));
    assert_eq!(worker.json(&["verify", "first"])["verified"], "first");
    assert_eq!(worker.json(&["drill"])["rows"], made["rows"]);
    worker.json(&["restore", "first", "--target-db", "beside"]);
    assert_eq!(inside(pg, "beside").await, before);

    // A run that is killed while it uploads leaves objects, and uploads that nobody ends.
    let found = left_over(worker, way, tells_uploads).await;
    assert_eq!(worker.names(), ["first"]);
    let young = worker.json(&["cleanup"]);
    assert_eq!((&young["orphans"], &young["uploads"]), (&json!([]), &json!([])), "{young}");
    let removed = worker.json(&["cleanup", "--orphans-older-than", "0m"]);
    assert_eq!((&removed["orphans"], &removed["uploads"]), (&found["orphans"], &found["uploads"]));
    let nothing = worker.json(&["cleanup", "--orphans-older-than", "0m", "--dry-run"]);
    assert_eq!((&nothing["orphans"], &nothing["uploads"]), (&json!([]), &json!([])));
    worker.json(&["verify", "first"]);

    // Two newer ones that were verified: the first may go.
    for name in ["second", "third"] {
        worker.json(&["backup", "--name", name]);
    }
    let cleaned = worker.json(&["cleanup"]);
    assert_eq!(cleaned["removed"], json!(["first"]), "{cleaned}");
    assert_eq!(worker.names(), ["third", "second"]);
    worker.json(&["keys", "rotate"]);
    for name in ["third", "second"] {
        worker.json(&["verify", name]);
    }
    assert_eq!(worker.json(&["delete", "third"])["deleted"], "third");
    // The only one that is known to be good stays.
    let refused = worker.run(&["delete", "second"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(worker.names(), ["second"]);
    let nothing = worker.json(&["cleanup", "--orphans-older-than", "0m", "--dry-run"]);
    assert_eq!((&nothing["orphans"], &nothing["uploads"]), (&json!([]), &json!([])));
}

/// How a run comes to a stop half-way.
enum Way {
    /// After some requests, its store does not answer.
    Store(Box<Worker>, Proxy),
    /// Once there is something of it.
    Directory(PathBuf),
}

/// Kills runs, each further on than the one before, until one has left something, and returns what.
async fn left_over(worker: &Worker, way: &Way, tells_uploads: bool) -> Value {
    for requests in 1..=60 {
        let arguments = ["backup", "--name", "killed"];
        let mut run = match way {
            Way::Store(slow, proxy) => {
                proxy.set_after(requests, Mode::Stall);
                let run = slow.spawn(&arguments);
                proxy.has_begun().await;
                run
            }
            Way::Directory(path) => {
                // A file has its name when it is whole.
                let whole = || files(path).iter().filter(|file| !file.contains('#')).count();
                let before = whole();
                let run = worker.spawn(&arguments);
                until("it has written something", PATIENCE, async || whole() > before).await;
                run
            }
        };
        run.kill().unwrap();
        run.wait().unwrap();
        let found = worker.json(&["cleanup", "--dry-run", "--orphans-older-than", "0m"]);
        let is_there = |what: &str| !found[what].as_array().unwrap().is_empty();
        if is_there("orphans") && (is_there("uploads") || !tells_uploads) {
            return found;
        }
        assert_eq!(worker.names(), ["first"], "it was done before it was killed");
    }
    panic!("no run was killed in the middle")
}

async fn provider(protocol: Protocol) {
    let pg = Postgres::alone();
    let database = filled(&pg, 10).await;
    let store = ObjectStore::start(protocol).unwrap();
    let proxy = Proxy::to(store.port()).await;
    let on = |variables: Vec<_>| {
        Worker::on(&pg, &database, &variables)
            .with("BACKUP_RETENTION_DAYS", "0")
            .with("BACKUP_KEEP_LAST", "2")
    };
    let worker = on(store.variables("nightly"));
    let slow = on(store.variables_via(proxy.port, "nightly"));
    let way = Way::Store(Box::new(slow), proxy);
    walk(&pg, &database, &worker, &way, protocol != Protocol::Azure).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_backups() {
    provider(Protocol::S3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_cloud_storage_keeps_backups() {
    provider(Protocol::Gcs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_keeps_backups() {
    provider(Protocol::Azure).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_backups() {
    let pg = Postgres::alone();
    let database = filled(&pg, 10).await;
    let worker = Worker::local(&pg, &database)
        .with("BACKUP_RETENTION_DAYS", "0")
        .with("BACKUP_KEEP_LAST", "2");
    worker.json(&["backup", "--name", "zeroth"]);
    s2f_nobody_else_reads(&worker.directory());
    std::fs::remove_dir_all(worker.directory()).unwrap();
    let way = Way::Directory(worker.directory());
    walk(&pg, &database, &worker, &way, false).await;
}

/// FAULTS S2f: whatever the user's mask is, backups are for the user who makes them.
fn s2f_nobody_else_reads(path: &Path) {
    let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let expected = if path.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(mode, expected, "{} has {mode:o}", path.display());
    for entry in path.read_dir().into_iter().flatten() {
        s2f_nobody_else_reads(&entry.unwrap().path());
    }
}
