//! Migrations under traffic: what they may cost it, and what becomes of one that is cut.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use brownie_migration::{Database, Error, History, Source, apply, apply_to, drift};
use harness::{PATIENCE, Postgres, is_long, pass, until};
use uuid::Uuid;

/// What a next release might bring: a column, and an index over it.
const COLUMN: Source = Source {
    name: "m20990101_900001_incident_risk",
    up: "ALTER TABLE incidents ADD COLUMN risk integer NOT NULL DEFAULT 3;",
    down: "ALTER TABLE incidents DROP COLUMN risk;",
};
const INDEX: Source = Source {
    name: "m20990101_900002_incident_risk_index",
    up: "-- no-transaction
-- The list by risk.
CREATE INDEX CONCURRENTLY incidents_risk_idx ON incidents (org_id, risk, id);",
    down: "DROP INDEX CONCURRENTLY IF EXISTS incidents_risk_idx;",
};

fn next_release() -> History {
    History::shipped().and(COLUMN).and(INDEX)
}

fn of_next_release(url: &str) -> Database {
    Database::new(url, Duration::from_secs(30)).with_history(next_release())
}

const FILL: &str = "
    SET session_replication_role = replica;
    INSERT INTO organizations (id, name, slug)
        SELECT gen_random_uuid(), 'o', 'o-' || n FROM generate_series(1, 20) n;
    INSERT INTO teams (org_id, id, name, slug) SELECT id, gen_random_uuid(), 't', 't' FROM organizations;
    INSERT INTO incidents (org_id, id, team_id, title)
        SELECT org_id, gen_random_uuid(), id, 'i' FROM teams, generate_series(1, {each}) n;
    ANALYZE incidents";

/// A tenth of it, unless with `tests/run.sh --long`.
fn rows() -> u64 {
    if is_long() { 2_000_000 } else { 200_000 }
}

/// What a writer saw.
#[derive(Debug, Default)]
struct Seen {
    writes: u32,
    failures: Vec<String>,
    longest: Duration,
}

/// Writes fifty times a second until told to stop, as the service does for an organization: with its
/// role and limits.
async fn write(client: tokio_postgres::Client, org: Uuid, over: Arc<AtomicBool>) -> Seen {
    let session =
        format!("SET app.org_id = '{org}'; SET lock_timeout = '3s'; SET statement_timeout = '10s'");
    client.batch_execute(&session).await.unwrap();
    let mut seen = Seen::default();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !over.load(Ordering::Relaxed) {
        tick.tick().await;
        let began = Instant::now();
        let sql = if seen.writes % 2 == 0 {
            "UPDATE incidents SET title = 'u', version = version + 1
                WHERE id = (SELECT id FROM incidents WHERE org_id = current_setting('app.org_id')::uuid
                            ORDER BY id OFFSET floor(random() * 100) LIMIT 1)"
        } else {
            "INSERT INTO incidents (org_id, id, team_id, title)
                SELECT org_id, gen_random_uuid(), id, 'n' FROM teams"
        };
        match client.execute(sql, &[]).await {
            Ok(1) => {}
            outcome => seen.failures.push(format!("{outcome:?}")),
        }
        seen.writes += 1;
        seen.longest = seen.longest.max(began.elapsed());
    }
    seen
}

/// Reads for seconds in one transaction, again and again: each holds a lock that ADD COLUMN waits for.
async fn report(client: tokio_postgres::Client, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        client
            .batch_execute(
                "BEGIN; SELECT count(*) FROM teams, incidents LIMIT 0; SELECT pg_sleep(4); COMMIT",
            )
            .await
            .unwrap();
        pass(Duration::from_secs(2), "reports with pauses between, in which a lock can be had")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_of_a_large_table_stops_no_writer() {
    let database = Postgres::shared().database();
    let admin = database.connect().await;
    admin.batch_execute(&FILL.replace("{each}", &(rows() / 20).to_string())).await.unwrap();
    let orgs: Vec<Uuid> = admin
        .query("SELECT id FROM organizations LIMIT 4", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();

    let over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for org in orgs {
        let client = database.connect_as("brownie-server").await;
        writers.push(tokio::spawn(write(client, org, Arc::clone(&over))));
    }
    let reader = tokio::spawn(report(database.connect().await, Arc::clone(&over)));
    pass(Duration::from_millis(500), "writes before the upgrade begins").await;

    let began = Instant::now();
    let mut waited = 0;
    let applied = apply_to(&of_next_release(database.admin_url()), None, |step| {
        waited += u32::from(matches!(step, brownie_migration::Step::Waits(_)));
    })
    .await
    .unwrap();
    let took = began.elapsed();
    assert_eq!(applied, [COLUMN.name, INDEX.name]);
    over.store(true, Ordering::Relaxed);
    reader.await.unwrap();

    let (mut written, mut longest) = (0, Duration::ZERO);
    for writer in writers {
        let seen = writer.await.unwrap();
        assert!(seen.failures.is_empty(), "{:?}", seen.failures.first());
        written += seen.writes;
        longest = longest.max(seen.longest);
    }
    eprintln!(
        "{} rows: {took:?}, gave way {waited} times, {written} writes, longest {longest:?}",
        rows()
    );
    assert!(waited > 0, "the report was in the way");
    // The migration waits one second for its lock; the rest is this machine's. The report holds what it wants
    // for four.
    assert!(longest < Duration::from_millis(2900), "a write waited {longest:?}");
    assert!(f64::from(written) > took.as_secs_f64() * 20.0, "{written} writes in {took:?}");
}

async fn is_valid(client: &tokio_postgres::Client) -> Option<bool> {
    let sql =
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('incidents_risk_idx')";
    client.query_opt(sql, &[]).await.unwrap().map(|row| row.get(0))
}

#[tokio::test]
async fn an_index_that_was_left_half_built_is_built_anew() {
    let database = Postgres::shared().database();
    let admin = database.connect().await;
    let first = Database::new(database.admin_url(), Duration::from_secs(5))
        .with_history(History::shipped().and(COLUMN));
    assert_eq!(apply(&first).await.unwrap(), [COLUMN.name]);
    // What was there before the index is waited for.
    let blocker = database.connect().await;
    blocker
        .batch_execute("BEGIN; LOCK TABLE teams IN ROW SHARE MODE; UPDATE incidents SET title = ''")
        .await
        .unwrap();
    let url = database.admin_url().to_owned();
    let cut = tokio::spawn(async move { apply(&of_next_release(&url)).await });
    until("the index is begun", PATIENCE, async || {
        assert!(!cut.is_finished(), "it has ended");
        is_valid(&admin).await.is_some()
    })
    .await;
    // It waits longer than a migration's limit: nobody waits behind it.
    pass(Duration::from_millis(1500), "longer than the limit of a migration's lock").await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%CONCURRENTLY incidents_risk_idx%'
        AND pid <> pg_backend_pid() AND datname = current_database()";
    assert_eq!(admin.query(end, &[]).await.unwrap().len(), 1);
    let outcome = cut.await.unwrap();
    assert!(matches!(outcome, Err(Error::Failed(_))), "{outcome:?}");
    assert_eq!(is_valid(&admin).await, Some(false));

    blocker.batch_execute("COMMIT").await.unwrap();
    let again = apply(&of_next_release(database.admin_url())).await.unwrap();
    assert_eq!(again, [INDEX.name], "the column was there");
    assert_eq!(is_valid(&admin).await, Some(true));

    // Built, and its migrator died before it could say so.
    let forget = format!("DELETE FROM seaql_migrations WHERE version = '{}'", INDEX.name);
    admin.batch_execute(&forget).await.unwrap();
    let again = apply(&of_next_release(database.admin_url())).await.unwrap();
    assert_eq!(again, [INDEX.name]);
    assert_eq!(is_valid(&admin).await, Some(true));
    let limit = "SELECT count(*) FROM seaql_migrations WHERE checksum IS NULL";
    assert_eq!(admin.query_one(limit, &[]).await.unwrap().get::<_, i64>(0), 0);

    // To this release the database is ahead, and drift names what is new.
    let drift = drift(&Database::new(database.admin_url(), Duration::from_secs(5))).await.unwrap();
    let sentences: Vec<String> = drift.differences.iter().map(ToString::to_string).collect();
    assert!(
        sentences.iter().any(|it| it.contains("incidents_risk_idx is unexpected")),
        "{sentences:?}"
    );
}
