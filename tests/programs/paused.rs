//! A process that is stopped in the middle of it (SIGSTOP), as a virtual machine that moves or a debugger does.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use harness::{Client, Postgres, Service, until};
use serde_json::json;

/// What a paused holder may cost: two seconds of rest in a transaction, and the time to notice.
const BOUND: Duration = Duration::from_secs(4);

/// A process that is paused until this is dropped.
struct Paused(u32);

impl Paused {
    fn new(service: &Service) -> Result<Self> {
        let paused = Self(service.pid());
        paused.signal("-STOP")?;
        Ok(paused)
    }

    fn signal(&self, signal: &str) -> Result<()> {
        ensure!(Command::new("kill").args([signal, &self.0.to_string()]).status()?.success());
        Ok(())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It is gone with its test otherwise, paused or not.
        let _ = self.signal("-CONT");
    }
}

async fn leads(metrics: &Client) -> bool {
    let page = metrics.get("/metrics").await.map(|answer| answer.text_body().to_owned());
    page.is_ok_and(|page| page.lines().any(|line| line.starts_with("brownie_organizations ")))
}

/// FAULTS M-01, M-02: one of two instances is paused while ten of its units of work are open, and while it leads.
/// Events of other organizations go on, and the other leads within three intervals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m01_m02_a_paused_instance_holds_nobody_up() -> Result<()> {
    let database = Postgres::shared().database();
    let settings = [("METRICS_INTERVAL", "1"), ("DB_POOL_SHARE", "10"), ("DB_POOL_SIZE", "10")];
    let first = Service::server_with(database.url(), &settings).await?;
    let holder = first.client().sign_up("holder").await?;
    until("the first leads", Duration::from_secs(30), async || {
        leads(&first.metrics_client()).await
    })
    .await;
    let second = Service::server_with(database.url(), &settings).await?;
    let other = second.client().sign_up("other").await?;
    let me = holder.get("/api/v1/auth/me").await?;
    let teams = holder.get(&format!("/api/v1/organizations/{}/teams", me.text("org_id"))).await?;
    let team = teams.body["items"][0]["id"].as_str().unwrap_or_default().to_owned();

    // Its units wait for a row that somebody holds; so all of them are open when it is paused.
    let locker = database.connect().await;
    locker.batch_execute("BEGIN; SELECT FROM teams FOR UPDATE").await?;
    let path = format!("/api/v1/teams/{team}/incidents");
    let writes = (0..10).map(|number| {
        let (holder, path) = (holder.clone(), path.clone());
        tokio::spawn(async move {
            holder.post(&path, &json!({"title": format!("open {number}")})).await
        })
    });
    let writes: Vec<_> = writes.collect();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'brownie' AND xact_start IS NOT NULL AND wait_event_type = 'Lock'";
    let watcher = database.connect().await;
    until("its units are open", Duration::from_secs(30), async || {
        watcher.query_one(open, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) >= 5)
    })
    .await;
    let paused = Paused::new(&first)?;
    locker.batch_execute("ROLLBACK").await?;

    let theirs = other.get("/api/v1/auth/me").await?;
    let teams =
        other.get(&format!("/api/v1/organizations/{}/teams", theirs.text("org_id"))).await?;
    let team = teams.body["items"][0]["id"].as_str().unwrap_or_default();
    let began = Instant::now();
    let made = other
        .post(&format!("/api/v1/teams/{team}/incidents"), &json!({"title": "goes on"}))
        .await?;
    ensure!(made.status == 201, "{made:?}");
    until("its event comes", Duration::from_secs(30), async || {
        let events = other.get("/api/v1/events?limit=100").await;
        events.is_ok_and(|events| events.body.to_string().contains("incident.created"))
    })
    .await;
    ensure!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    println!("the event of another organization came after {:?}", began.elapsed());
    until("the other leads", Duration::from_secs(30), async || {
        leads(&second.metrics_client()).await
    })
    .await;
    println!("another led after {:?}", began.elapsed());
    ensure!(began.elapsed() < BOUND + Duration::from_secs(3), "{:?}", began.elapsed());
    drop(paused);
    for write in join_all(writes).await {
        // Nobody is told that something was written which was not, and the other way round.
        let status = write??.status;
        ensure!(matches!(status, 201 | 503), "{status}");
    }
    Ok(())
}
