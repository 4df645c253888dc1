//! What was answered is there afterwards, whatever happens to the process: once, not twice.
//!
//! `tests/run.sh --long` runs these with 10,000 incidents and five kills, as release builds.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{Client, Postgres, Service};
use serde_json::json;

const CONNECTIONS: usize = 16;

/// How many incidents, and how many kills.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
fn size() -> (usize, usize) {
    if std::env::var("BROWNIE_TEST_LONG").is_ok() { (10_000, 5) } else { (1_000, 2) }
}

/// Posts until answered: what was not answered may have happened or not, and the key sees to it
/// that asking again does no harm. Returns how often there was no answer.
async fn post_until_answered(client: &Client, path: &str, number: usize) -> Result<usize> {
    let body = json!({"title": format!("Number {number}"), "idempotency_key": number.to_string()});
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut unanswered = 0;
    loop {
        match client.post(path, &body).await {
            Ok(answer) if matches!(answer.status, 200 | 201) => return Ok(unanswered),
            Ok(answer) => ensure!(answer.status == 503, "{answer:?}"),
            Err(_) => {}
        }
        unanswered += 1;
        ensure!(Instant::now() < deadline, "number {number} is never answered");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Posts from many connections while the service is killed and restarted.
async fn endure(service: &mut Service) -> Result<(Client, String)> {
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
                    unanswered += post_until_answered(&client, &path, number).await?;
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for kill in 1..=kills {
        while answered.load(Ordering::SeqCst) < kill * incidents / (kills + 1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            ensure!(started.elapsed() < Duration::from_mins(5), "too slow");
        }
        service.crash_and_restart().await.with_context(|| format!("kill {kill}"))?;
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

/// Reads everything back and counts how often each number is there.
async fn check(client: &Client, path: &str) -> Result<()> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("{path}?limit=100{cursor}")).await?;
        for item in page.body["items"].as_array().context("items")? {
            *found
                .entry(item["idempotency_key"].as_str().unwrap_or("none").to_owned())
                .or_default() += 1;
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let (incidents, _) = size();
    let missing: Vec<usize> =
        (0..incidents).filter(|number| !found.contains_key(&number.to_string())).collect();
    let twice: Vec<&String> =
        found.iter().filter(|(_, count)| **count > 1).map(|(key, _)| key).collect();
    ensure!(missing.is_empty() && twice.is_empty(), "missing {missing:?}, twice {twice:?}");
    ensure!(found.len() == incidents, "{} are there", found.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_killed_under_load_loses_nothing_on_postgresql() -> Result<()> {
    let database = Postgres::shared().database();
    let mut service = Service::server(database.url()).await?;
    let (client, path) = endure(&mut service).await?;
    check(&client, &path).await?;

    // Each incident has its audit row and its event, and there are no others.
    let client = database.connect().await;
    for table in ["audit_log", "outbox"] {
        let sql = format!(
            "SELECT count(*) FROM incidents i FULL JOIN
                 (SELECT * FROM {table} WHERE resource = 'incident') r ON r.resource_id = i.id
             WHERE i.id IS NULL OR r.id IS NULL"
        );
        let odd: i64 = client.query_one(&sql, &[]).await?.get(0);
        assert_eq!(odd, 0, "{table}");
        let sql = format!(
            "SELECT count(*) - count(DISTINCT resource_id) FROM {table} WHERE resource = 'incident'"
        );
        let doubled: i64 = client.query_one(&sql, &[]).await?.get(0);
        assert_eq!(doubled, 0, "{table}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standalone_killed_under_load_loses_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut service = Service::standalone(dir.path()).await?;
    let (client, path) = endure(&mut service).await?;
    check(&client, &path).await
}
