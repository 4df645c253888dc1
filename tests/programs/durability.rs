//! What was answered is there afterwards, whatever happens to the processes: once, not twice, and
//! with its audit rows and events.
//!
//! Sixteen connections create and change incidents while the service or PostgreSQL is killed with -9
//! and started again. What is not answered is asked again until it is, with the same key: it may have
//! happened or not. In the end the rows are compared with the history that the writers kept.
//!
//! A short form in every run; `tests/run.sh --long` takes thirty kills of each.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{Answer, Client, Postgres, Service, is_long, poll, until};
use reqwest::Method;
use serde_json::{Value, json};

const CONNECTIONS: usize = 16;

/// How many incidents, and how many kills.
fn size() -> (usize, usize) {
    if is_long() { (10_000, 30) } else { (1_000, 2) }
}

/// Asks until there is an answer that is one. Returns it, and how often there was none.
async fn until_answered(
    client: &Client,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<(Answer, usize)> {
    let asked = AtomicUsize::new(0);
    let answer = poll("there is an answer", Duration::from_mins(2), async || {
        let version = [("If-Match", "\"v1\"")];
        asked.fetch_add(1, Ordering::Relaxed);
        let answer = client.send(method.clone(), path, &version, Some(body.to_string())).await?;
        ensure!(answer.status != 503, "{answer:?}");
        Ok(answer)
    })
    .await;
    Ok((answer, asked.into_inner() - 1))
}

/// Creates an incident and, every other time, changes it. Returns how often there was no answer.
async fn write(client: &Client, path: &str, number: usize) -> Result<usize> {
    let body = json!({"title": format!("Number {number}"), "idempotency_key": number.to_string()});
    let (created, mut unanswered) = until_answered(client, Method::POST, path, &body).await?;
    ensure!(matches!(created.status, 200 | 201), "{created:?}");
    if number.is_multiple_of(2) {
        let path = format!("/api/v1/incidents/{}", created.text("id"));
        let change = json!({"title": format!("Number {number}, changed")});
        let (changed, more) = until_answered(client, Method::PATCH, &path, &change).await?;
        unanswered += more;
        // Stale: a try without an answer had taken effect. Not found: it was lost, as will be seen.
        let took_effect = changed.status == 200 || (changed.status == 412 && more > 0);
        ensure!(took_effect || changed.status == 404, "{changed:?}");
    }
    Ok(unanswered)
}

/// Writes from many connections while `kill` is called now and then.
async fn endure(
    service: &mut Service,
    kill: impl AsyncFn(&mut Service) -> Result<()>,
) -> Result<(Client, String)> {
    let (incidents, kills) = size();
    let admin = service.client().sign_up("acme").await?;
    let team = admin.get("/api/v1/auth/me").await?.text("team_id").to_owned();
    let path = format!("/api/v1/teams/{team}/incidents");
    let (next, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let started = Instant::now();
    let writers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, path) = (admin.clone(), path.clone());
            let (next, answered) = (Arc::clone(&next), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut unanswered = 0;
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= incidents {
                        return Ok::<_, anyhow::Error>(unanswered);
                    }
                    let tries = write(&client, &path, number).await;
                    unanswered += tries.with_context(|| format!("number {number}"))?;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for number in 1..=kills {
        until("enough is answered for the next kill", Duration::from_mins(10), async || {
            answered.load(Ordering::SeqCst) >= number * incidents / (kills + 1)
        })
        .await;
        kill(service).await.with_context(|| format!("kill {number}"))?;
    }
    let mut unanswered = 0;
    for writer in writers {
        unanswered += writer.await??;
    }
    println!(
        "{incidents} answered in {:.1} s through {kills} kills; {unanswered} tries had no answer",
        started.elapsed().as_secs_f64()
    );
    ensure!(unanswered > 0, "the kills met no request: this test shows nothing");
    Ok((admin, path))
}

/// Reads everything back: each number once, at the version that the writers know. Returns what is
/// missing.
async fn missing(client: &Client, path: &str) -> Result<Vec<usize>> {
    let mut found: BTreeMap<String, (usize, i64)> = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("{path}?limit=100{cursor}")).await?;
        for item in page.body["items"].as_array().context("items")? {
            let key = item["idempotency_key"].as_str().unwrap_or("none").to_owned();
            let entry = found.entry(key).or_default();
            *entry = (entry.0 + 1, item["version"].as_i64().unwrap_or_default());
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let (incidents, _) = size();
    let twice: Vec<_> = found.iter().filter(|(_, (count, _))| *count > 1).collect();
    ensure!(twice.is_empty(), "twice {twice:?}");
    let mut missing = Vec::new();
    for number in 0..incidents {
        let expected = if number.is_multiple_of(2) { 2 } else { 1 };
        match found.remove(&number.to_string()) {
            // The row is there and the change is not: lost as well.
            Some((_, version)) if version < expected => missing.push(number),
            Some((_, version)) => ensure!(version == expected, "{number} is at {version}"),
            None => missing.push(number),
        }
    }
    ensure!(found.is_empty(), "nobody wrote {found:?}");
    Ok(missing)
}

/// Each version of each incident has its audit row and its event, and there are no others.
async fn check_records(client: &tokio_postgres::Client) -> Result<()> {
    for table in ["audit_log", "outbox"] {
        let sql = format!(
            "SELECT count(*) FROM incidents i FULL JOIN
                 (SELECT resource_id, count(*) AS records, count(DISTINCT version) AS versions,
                         max(version) AS newest
                  FROM {table} WHERE resource = 'incident' GROUP BY resource_id) r
                 ON r.resource_id = i.id
             WHERE i.id IS NULL OR (r.records, r.versions, r.newest)
                 IS DISTINCT FROM (i.version, i.version, i.version)"
        );
        let odd: i64 = client.query_one(&sql, &[]).await?.get(0);
        assert_eq!(odd, 0, "{table}");
    }
    let open = "SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    until("no transaction is open", Duration::from_secs(5), async || {
        client.query(open, &[]).await.unwrap().is_empty()
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_killed_under_load_loses_nothing_on_postgresql() -> Result<()> {
    let database = Postgres::shared().database();
    let mut service = Service::server(database.url()).await?;
    let kill = async |service: &mut Service| service.crash_and_restart().await;
    let (client, path) = endure(&mut service, kill).await?;
    assert_eq!(missing(&client, &path).await?, [0; 0]);
    check_records(&database.connect().await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standalone_killed_under_load_loses_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut service = Service::standalone(dir.path()).await?;
    let kill = async |service: &mut Service| service.crash_and_restart().await;
    let (client, path) = endure(&mut service, kill).await?;
    assert_eq!(missing(&client, &path).await?, [0; 0]);
    Ok(())
}

/// Kills a PostgreSQL of its own, with all its processes, while the service serves.
async fn with_postgres_killed(postgres: Postgres) -> Result<Vec<usize>> {
    let url = postgres.migrated("brownie")?;
    let mut service = Service::server(&url).await?;
    let postgres = std::cell::RefCell::new(postgres);
    let kill = async |_: &mut Service| {
        tokio::task::block_in_place(|| postgres.borrow_mut().crash_and_restart())
    };
    let (client, path) = endure(&mut service, kill).await?;
    let missing = missing(&client, &path).await?;
    if missing.is_empty() {
        let postgres = postgres.into_inner();
        check_records(&postgres.connect("brownie").await?).await?;
    }
    Ok(missing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_killed_under_load_loses_nothing() -> Result<()> {
    assert_eq!(with_postgres_killed(Postgres::durable()?).await?, [0; 0]);
    Ok(())
}

/// The control: told not to wait for the disk, PostgreSQL does lose what it has acknowledged, and
/// this test notices. Were it not so, the others would show nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_that_does_not_wait_for_the_disk_is_found_out() -> Result<()> {
    let lost = with_postgres_killed(Postgres::forgetful()?).await?;
    println!("{} lost, as they should be", lost.len());
    assert!(!lost.is_empty(), "the oracle sees no loss where there must be one");
    Ok(())
}
