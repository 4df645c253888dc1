//! The schedule, by the clock on the wall.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{pass, poll};
use serde_json::Value;

use super::{LONG, Place};

/// Waits until the schedule has had so many backups made, and returns all operations.
async fn made(place: &Place, wanted: usize) -> Result<Vec<Value>> {
    let what = format!("{wanted} backups are made");
    let made = poll(&what, LONG, async || {
        let listed = place.operator.get("/api/v1/operations?limit=100").await?;
        let all = listed.body["items"].as_array().cloned().unwrap_or_default();
        let is_made = |operation: &&Value| {
            operation["kind"] == "backup.create" && operation["state"] == "succeeded"
        };
        ensure!(all.iter().filter(is_made).count() >= wanted, "{listed:?}");
        Ok(all)
    });
    Ok(made.await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_made_up_for_once_and_then_it_goes_by_the_minute() -> Result<()> {
    let place = Place::new().await?;
    // Two of them: there is one backup all the same.
    let workers = [place.worker("* * * * *")?, place.worker("* * * * *")?];
    made(&place, 1).await?;
    let began = Instant::now();
    let all = made(&place, 2).await?;
    ensure!(began.elapsed() > Duration::from_millis(500), "the second is of another minute");
    let runs: Vec<&Value> = all.iter().filter(|it| it["kind"] == "backup.create").collect();
    ensure!(runs.len() == 2 && runs.iter().all(|it| it["requested_by"] == "schedule"), "{all:?}");
    let cleanups = all.iter().filter(|it| it["kind"] == "backup.cleanup").count();
    ensure!(cleanups >= 1, "after each comes a clean-up: {all:?}");
    let next = place.operator.get("/backup/next-backup").await?;
    ensure!(next.text("next_backup").ends_with(":00Z"), "{next:?}");
    ensure!(next.text("timezone") == "UTC" && next.body["worker_seen_at"].is_string(), "{next:?}");
    drop(workers);

    // A worker that comes back finds that nothing was missed.
    let nightly = place.worker("@yearly")?;
    pass(Duration::from_secs(5), "several looks at the schedule, in which nothing may be queued")
        .await;
    let after = place.operator.get("/api/v1/operations?limit=100").await?;
    let queued = after.body["items"]
        .as_array()
        .map(|all| all.iter().filter(|it| it["kind"] == "backup.create").count());
    ensure!(queued <= Some(3), "{after:?} {}", nightly.log());
    Ok(())
}
