//! Each provider, by a server that speaks its protocol.

use std::time::{Duration, Instant};

use brownie_test_servers::{ObjectStore, Protocol, pass_blocking};
use serde_json::{Value, json};

use crate::{
    postgres::Postgres,
    world::{Worker, filled, inside},
};

/// Everything that is done with backups, from the first to the removal of the last.
async fn walk(pg: &Postgres, database: &str, worker: &Worker, tells_uploads: bool) {
    let before = inside(pg, database).await;
    assert_eq!(worker.run(&["status"]).status.code(), Some(3), "there is none yet");
    let begun = Instant::now();
    let made = worker.json(&["backup", "--name", "first"]);
    let whole = begun.elapsed();
    assert_eq!(made["verified"], true, "{made}");
    let status = worker.json(&["status"]);
    assert_eq!((&status["backups"], &status["encrypted"]), (&json!(1), &json!(true)));
    assert_eq!(worker.json(&["verify", "first"])["verified"], "first");
    assert_eq!(worker.json(&["drill"])["rows"], made["rows"]);
    worker.json(&["restore", "first", "--target-db", "beside"]);
    assert_eq!(inside(pg, "beside").await, before);

    // A run that is killed while it uploads leaves objects, and uploads that nobody ends.
    let found = left_over(worker, whole, tells_uploads);
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
        assert_eq!(worker.json(&["delete", name])["deleted"], name);
    }
    assert_eq!(worker.names(), [""; 0]);
    let nothing = worker.json(&["cleanup", "--orphans-older-than", "0m", "--dry-run"]);
    assert_eq!((&nothing["orphans"], &nothing["uploads"]), (&json!([]), &json!([])));
}

/// Kills runs, each after more of the time that a whole one takes, until one has left something, and
/// returns what.
fn left_over(worker: &Worker, whole: Duration, tells_uploads: bool) -> Value {
    for part in 1..=30_u32 {
        let mut run = worker.spawn(&["backup", "--name", "killed"]);
        pass_blocking(whole * part / 30, "the moment of the kill");
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
    let worker = Worker::on(&pg, &database, &store.variables("nightly"))
        .with("BACKUP_RETENTION_DAYS", "0")
        .with("BACKUP_KEEP_LAST", "2");
    walk(&pg, &database, &worker, protocol != Protocol::Azure).await;
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
    walk(&pg, &database, &worker, false).await;
}
