//! What stands in the way of a store: named, with the remedy, and nothing published or lost.

use std::{
    process::{Command, Output},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    postgres::Postgres,
    proxy::{Mode, Proxy},
    world::{Worker, filled, inside},
};
use brownie_test_servers::{ObjectStore, Protocol, is_long, pass, unique};

/// A database, a store, and a proxy between it and the program.
struct Way {
    pg: Postgres,
    database: String,
    store: ObjectStore,
    proxy: Proxy,
    worker: Arc<Worker>,
}

impl Way {
    async fn new() -> Self {
        let pg = Postgres::alone();
        let database = filled(&pg, 10).await;
        let store = ObjectStore::start(Protocol::S3).unwrap();
        let proxy = Proxy::to(store.port()).await;
        let worker = Worker::on(&pg, &database, &store.variables_via(proxy.port, "p"))
            .with("BACKUP_VERIFY", "false");
        Self { pg, database, store, proxy, worker: Arc::new(worker) }
    }

    /// Runs it while something else is done.
    async fn run(&self, arguments: &'static [&'static str], beside: impl Future) -> Output {
        let worker = Arc::clone(&self.worker);
        let run = tokio::task::spawn_blocking(move || worker.run(arguments));
        beside.await;
        run.await.unwrap()
    }

    /// What was made is whole, and can be restored.
    async fn is_whole(&self, output: &Output, name: &str) {
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let target = format!("restored_{}", unique());
        self.worker.json(&["restore", name, "--target-db", &target]);
        let (found, original) =
            (inside(&self.pg, &target).await, inside(&self.pg, &self.database).await);
        assert_eq!(found, original);
    }
}

const UNWELL: Mode = Mode::Answer(
    "503 Service Unavailable",
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
);

/// Half a backup goes well; then there is trouble for a while, and it is ridden out.
async fn rides_out(trouble: Mode, how_long: Duration) {
    let way = Way::new().await;
    way.run(&["backup", "--name", "easy"], async {}).await;
    let half = way.proxy.passed() / 2;
    assert!(half > 5, "{half}");
    way.proxy.set_after(half, trouble);
    let spell = async {
        way.proxy.has_begun().await;
        pass(how_long, "the trouble lasts so long").await;
        way.proxy.set(Mode::Pass);
    };
    let begun = Instant::now();
    let output = way.run(&["backup", "--name", "hard"], spell).await;
    assert!(begun.elapsed() > how_long);
    way.is_whole(&output, "hard").await;
    // So is a restore.
    way.proxy.set_after(8, trouble);
    let spell = async {
        way.proxy.has_begun().await;
        pass(how_long.min(Duration::from_secs(20)), "the trouble lasts so long").await;
        way.proxy.set(Mode::Pass);
    };
    let output = way.run(&["restore", "hard", "--target-db", "hard_too"], spell).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let nothing = way.worker.json(&["cleanup", "--dry-run", "--orphans-older-than", "0m"]);
    assert_eq!(nothing["orphans"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_answers_503_for_a_minute_is_waited_for() {
    rides_out(UNWELL, Duration::from_secs(if is_long() { 60 } else { 6 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_resets_connections_is_asked_again() {
    rides_out(Mode::Reset, Duration::from_secs(if is_long() { 60 } else { 4 })).await;
}

/// It takes a minute until silence is taken for what it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stalls_is_asked_again() {
    if is_long() {
        rides_out(Mode::Stall, Duration::from_secs(70)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_unwell_from_the_start_is_waited_for_too() {
    let way = Way::new().await;
    way.proxy.set(UNWELL);
    let spell = async {
        let spell = Duration::from_secs(if is_long() { 60 } else { 4 });
        pass(spell, "the trouble lasts so long").await;
        way.proxy.set(Mode::Pass);
    };
    let output = way.run(&["backup", "--name", "one"], spell).await;
    way.is_whole(&output, "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_back_is_given_up_in_time_and_left_to_the_next_clean_up() {
    let mut way = Way::new().await;
    let impatient =
        Worker::on(&way.pg, &way.database, &way.store.variables_via(way.proxy.port, "p"))
            .with("BACKUP_VERIFY", "false")
            .with("BACKUP_TIMEOUT", "5");
    way.worker = Arc::new(impatient);
    for (name, trouble) in [("stall", Mode::Stall), ("503", UNWELL), ("reset", Mode::Reset)] {
        way.proxy.set_after(12, trouble);
        let begun = Instant::now();
        let output = way.run(&["backup", "--name", "never"], async {}).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {error}");
        assert!(error.contains("it was not done after 5 s and was given up"), "{name}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(50), "{name}: {:?}", begun.elapsed());
        way.proxy.set(Mode::Pass);
        assert_eq!(way.worker.names(), [""; 0]);
    }
    way.worker.json(&["cleanup", "--orphans-older-than", "0m"]);
    let patient = Worker::on(&way.pg, &way.database, &way.store.variables_via(way.proxy.port, "p"));
    way.worker = Arc::new(patient);
    let output = way.run(&["backup", "--name", "next"], async {}).await;
    way.is_whole(&output, "next").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_half_way_are_named() {
    let way = Way::new().await;
    way.run(&["backup", "--name", "easy"], async {}).await;
    let all = way.proxy.passed();
    let before = inside(&way.pg, &way.database).await;
    for (status, code) in [
        (
            "400 Bad Request",
            "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>",
        ),
        ("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>"),
    ] {
        way.proxy.set_after(all / 2, Mode::Answer(status, code));
        let output = way.run(&["backup", "--name", "hard"], async {}).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("the store refuses") && error.contains("not expired"), "{error}");
        way.proxy.set_after(6, Mode::Answer(status, code));
        let output = way.run(&["restore", "easy", "--target-db", "never"], async {}).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("the store refuses"), "{error}");
        way.proxy.set(Mode::Pass);
        assert_eq!(way.worker.names(), ["easy"]);
    }
    let databases = way.pg.databases().await;
    assert!(!databases.iter().any(|name| name == "never" || name.starts_with("brownie_scratch")));
    assert_eq!(inside(&way.pg, &way.database).await, before);
    // What could not be removed is removed when there are credentials again.
    let cleaned = way.worker.json(&["cleanup", "--orphans-older-than", "0m"]);
    assert!(!cleaned["orphans"].as_array().unwrap().is_empty(), "{cleaned}");
    way.worker.json(&["verify", "easy"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_and_wrong_credentials_are_named() {
    let pg = Postgres::alone();
    let database = pg.filled(1, 1).await;
    for (protocol, checks) in
        [(Protocol::S3, true), (Protocol::Azure, true), (Protocol::Gcs, false)]
    {
        let store = ObjectStore::start(protocol).unwrap();
        let worker = || Worker::on(&pg, &database, &store.variables("p"));
        let nowhere = worker().with("BACKUP_DESTINATION", "elsewhere/p");
        for command in [&["backup"][..], &["list"], &["status"], &["cleanup"], &["drill"]] {
            let error = nowhere.refused(command);
            assert!(error.contains("elsewhere/p is not there; make it"), "{protocol:?}: {error}");
        }
        if !checks {
            continue;
        }
        // Azure's are Base64.
        let secret = "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==";
        let error = worker().with("BACKUP_SECRET_KEY", secret).refused(&["backup"]);
        assert!(error.contains("the store refuses listing"), "{protocol:?}: {error}");
        assert!(error.contains("BACKUP_SECRET_KEY") && !error.contains(secret), "{error}");
        assert_eq!(worker().names(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_is_named_and_given_back() {
    let pg = Postgres::alone();
    let database = filled(&pg, 10).await;
    let worker = Worker::local(&pg, &database);
    std::fs::create_dir(worker.directory()).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(worker.directory())
        .status()
        .unwrap();
    assert!(mounted.success(), "a small file system needs root");
    let _unmount = Mounted(worker.directory());
    let before = inside(&pg, &database).await;
    let error = worker.refused(&["backup", "--name", "big"]);
    assert!(error.contains("there is no room left for big/"), "{error}");
    assert_eq!(worker.names(), [""; 0]);
    assert_eq!(inside(&pg, &database).await, before);
    let left = worker.json(&["cleanup", "--dry-run", "--orphans-older-than", "0m"]);
    assert_eq!(left["orphans"], serde_json::json!([]), "{left}");
    // What is small still fits.
    let small = pg.filled(1, 1).await;
    let small =
        Worker::local(&pg, &small).with("BACKUP_DESTINATION", worker.directory().to_str().unwrap());
    small.json(&["backup", "--name", "small"]);
}

/// A file system that is gone with the test.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
