//! Probes answer while everything else is full. FAULTS S1f, S1b.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{Here, PATIENCE, until};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Longer than a probe takes, shorter than the limit after which it counts as failed.
const SOON: Duration = Duration::from_secs(1);

async fn probes_answer(here: &Here) -> Result<()> {
    let probes = here.service.metrics_client();
    for path in ["/livez", "/readyz", "/metrics"] {
        let began = Instant::now();
        let answer = probes.get(path).await?;
        ensure!(
            answer.status == 200 && began.elapsed() < SOON,
            "{path}: {:?} {answer:?}",
            began.elapsed()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1f_half_sent_requests_keep_no_probe_out() -> Result<()> {
    let here =
        Here::with_settings(&[("METADATA_MAX_CONNECTIONS", "64"), ("METADATA_WORKERS", "2")])
            .await?;
    let address = here.service.base();
    let address = address.trim_start_matches("http://");
    let mut held = Vec::new();
    for _ in 0..70 {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n").await?;
        held.push(stream);
    }
    // The control: the API's own listener is full.
    let api = here.service.client();
    let kept_out = tokio::time::timeout(SOON, api.get("/livez")).await;
    ensure!(kept_out.is_err(), "the API still answers: the test shows nothing");
    probes_answer(&here).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1b_a_pool_that_is_full_keeps_no_probe_out() -> Result<()> {
    let settings = [
        ("DB_POOL_SIZE", "2"),
        ("DB_POOL_SHARE", "2"),
        ("DB_READ_TIMEOUT", "30"),
        ("DB_LOCK_TIMEOUT", "30"),
        ("DB_STATEMENT_TIMEOUT", "30"),
        ("DB_POOL_TIMEOUT", "30"),
    ];
    let here = Here::with_settings(&settings).await?;
    let admin = here.database.connect().await;
    admin.batch_execute("BEGIN; LOCK TABLE incidents IN ACCESS EXCLUSIVE MODE").await?;
    let path = format!("/api/v1/teams/{}/incidents", here.team_id);
    let lists: Vec<_> = (0..8)
        .map(|_| {
            let (admin, path) = (here.admin.clone(), path.clone());
            tokio::spawn(async move { admin.get(&path).await })
        })
        .collect();
    let watcher = here.database.connect().await;
    let waiting = "SELECT count(*) = 2 FROM pg_stat_activity
        WHERE datname = current_database() AND usename = 'brownie-server' AND wait_event_type = 'Lock'";
    until("both connections are taken", PATIENCE, async || {
        watcher.query_one(waiting, &[]).await.is_ok_and(|row| row.get(0))
    })
    .await;
    probes_answer(&here).await?;
    let began = Instant::now();
    let ready = here.service.client().get("/readyz").await?;
    ensure!(ready.status == 200 && began.elapsed() < SOON, "{:?} {ready:?}", began.elapsed());
    admin.batch_execute("COMMIT").await?;
    for list in lists {
        ensure!(list.await??.status == 200, "it was waited for");
    }
    Ok(())
}
