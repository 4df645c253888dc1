//! Two gigabytes on each provider, while 200 writes a second go on. Not part of any other run:
//!
//! ```sh
//! cargo build --release -p brownie-backup-worker
//! BROWNIE_TEST_BACKUP=$PWD/target/release/brownie-backup cargo test -p brownie-backup-worker --test it -- \
//!   --ignored --nocapture --test-threads 1 large::
//! ```
//!
//! `BROWNIE_TEST_MB` says otherwise how many megabytes of rows, as text.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use brownie_test_servers::{
    Access, ObjectStore, Postgres as Started, Protocol, parts, pass_blocking, unique,
};
use tokio::sync::OnceCell;

use crate::{postgres::Postgres, world::Worker};

/// A database that the tests share, for it takes minutes to fill.
struct Ground {
    pg: &'static Postgres,
    database: String,
    /// What nobody writes to: tables, rows, and a sum of their hashes.
    still: Vec<String>,
}

async fn ground() -> &'static Ground {
    static GROUND: OnceCell<Ground> = OnceCell::const_new();
    GROUND
        .get_or_init(|| async {
            #[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
            let megabytes = std::env::var("BROWNIE_TEST_MB").unwrap_or_else(|_| "2048".to_owned());
            // On a disk: it is measured.
            let bin = parts().join("postgresql-18/bin");
            let started = Started::private_on_disk_of(bin.clone(), Access::Trust).unwrap();
            let pg: &Postgres = Box::leak(Box::new(Postgres::of(bin, started)));
            let database = pg.filled(1, 1).await;
            let client = pg.connect(&database).await;
            client
                .batch_execute("TRUNCATE organizations, audit_log, outbox, stats CASCADE")
                .await
                .unwrap();
            let begun = Instant::now();
            client.batch_execute(&format!("SET test.megabytes = {megabytes}")).await.unwrap();
            client.batch_execute(include_str!("large.sql")).await.unwrap();
            eprintln!("{megabytes} MB were made in {:.0} s", begun.elapsed().as_secs_f64());
            let still = still(pg, &database).await;
            Ground { pg, database, still }
        })
        .await
}

/// Sums up what nobody writes to, otherwise than the program under test does.
async fn still(pg: &Postgres, database: &str) -> Vec<String> {
    let client = pg.connect(database).await;
    let mut all = Vec::new();
    for (table, rows) in [
        ("organizations", "true"),
        ("teams", "true"),
        ("incidents", "title <> 'hot'"),
        ("audit_log", "action <> 'heat'"),
        ("outbox", "true"),
        ("stats", "true"),
    ] {
        let sql = format!(
            "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)
             FROM {table} AS t WHERE {rows}"
        );
        let sum: String = client.query_one(&sql, &[]).await.unwrap().get(0);
        all.push(format!("{table} {sum}"));
    }
    all
}

/// Writes 200 times a second: a version of a hot incident, and its audit row, in one transaction.
struct Writer {
    done: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Writer {
    async fn start(ground: &Ground) -> Self {
        let client = ground.pg.connect(&ground.database).await;
        client
            .batch_execute(
                "DELETE FROM audit_log WHERE action = 'heat'; DELETE FROM incidents WHERE title = 'hot';
                 INSERT INTO incidents (org_id, id, team_id, title, status, idempotency_key)
                 SELECT org_id, ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, id, 'hot', 'open', 'hot-' || n
                 FROM (SELECT * FROM teams ORDER BY id LIMIT 1) AS team, generate_series(1, 500) AS n",
            )
            .await
            .unwrap();
        let write = client
            .prepare(
                "WITH changed AS (UPDATE incidents SET version = version + 1
                     WHERE org_id = (SELECT org_id FROM teams ORDER BY id LIMIT 1)
                       AND id = ('00000000-0000-7000-8000-' || lpad($1::text, 12, '0'))::uuid
                     RETURNING org_id, id, version)
                 INSERT INTO audit_log (org_id, id, occurred_at, actor_kind, request_id, action,
                     resource, resource_id, version)
                 SELECT org_id, gen_random_uuid(), now(), 'job', gen_random_uuid(), 'heat', 'incident',
                     id, version FROM changed",
            )
            .await
            .unwrap();
        let (done, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stop, count) = (Arc::clone(&done), Arc::clone(&written));
        let task = tokio::spawn(async move {
            // What could not be written in time is written as soon as it can.
            let mut every = tokio::time::interval(Duration::from_millis(5));
            for n in 0_u64.. {
                every.tick().await;
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let hot = (n * 7 % 500 + 1).to_string();
                assert_eq!(client.execute(&write, &[&hot]).await.unwrap(), 1);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { done, written, task }
    }
}

/// Runs a command, and tells how long it took and how much memory.
fn timed(worker: &Worker, arguments: &[&str]) -> f64 {
    let begun = Instant::now();
    let mut child = worker.spawn(arguments);
    let mut peak = String::new();
    let status = loop {
        let path = format!("/proc/{}/status", child.id());
        let text = fs::read_to_string(path).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.starts_with("VmHWM")) {
            line.clone_into(&mut peak);
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        pass_blocking(Duration::from_millis(100), "its memory is looked at ten times a second");
    };
    assert!(status.success(), "{arguments:?}: {status}");
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!(
        "{seconds:7.1} s  {}  {arguments:?}",
        peak.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    seconds
}

async fn large(worker: impl FnOnce(&Ground) -> Worker) {
    let ground = ground().await;
    let (pg, worker) = (ground.pg, worker(ground).with("BACKUP_VERIFY", "false"));
    let writer = Writer::start(ground).await;
    let before = writer.written.load(Ordering::SeqCst);
    let seconds = timed(&worker, &["backup", "--name", "large"]);
    let after = writer.written.load(Ordering::SeqCst);
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let rate = (after - before) as f64 / seconds;
    eprintln!("{rate:.0} writes/s meanwhile; {}", worker.json(&["list"])["backups"][0]);
    timed(&worker, &["verify", "large"]);
    timed(&worker, &["drill", "large"]);
    let target = format!("large_{}", unique());
    timed(&worker, &["restore", "large", "--target-db", &target]);
    writer.done.store(true, Ordering::SeqCst);
    writer.task.await.unwrap();
    // What was still is the same; what was written is there up to one moment, each write as a whole.
    assert_eq!(still(pg, &target).await, ground.still);
    let client = pg.connect(&target).await;
    let sql = "SELECT (SELECT count(*) FROM audit_log WHERE action = 'heat'),
        (SELECT sum(version - 1)::bigint FROM incidents WHERE title = 'hot'),
        (SELECT count(*) FROM incidents AS i WHERE title = 'hot' AND version - 1 <>
            (SELECT count(*) FROM audit_log WHERE action = 'heat' AND resource_id = i.id))";
    let row = client.query_one(sql, &[]).await.unwrap();
    let (audited, versions, torn): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((audited, torn), (versions, 0));
    let audited = u64::try_from(audited).unwrap();
    assert!((before..=after).contains(&audited), "{before}..{after}: {audited}");
    drop(client);
    let admin = pg.connect("postgres").await;
    admin.batch_execute(&format!("DROP DATABASE {target} WITH (FORCE)")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; its documentation says how to run it"]
async fn a_directory_holds_much() {
    large(|ground| Worker::local(ground.pg, &ground.database)).await;
}

async fn provider(protocol: Protocol) {
    let store = ObjectStore::start(protocol).unwrap();
    large(|ground| Worker::on(ground.pg, &ground.database, &store.variables("large"))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; its documentation says how to run it"]
async fn s3_holds_much() {
    provider(Protocol::S3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; its documentation says how to run it"]
async fn google_cloud_storage_holds_much() {
    provider(Protocol::Gcs).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; its documentation says how to run it"]
async fn azure_holds_much() {
    provider(Protocol::Azure).await;
}
