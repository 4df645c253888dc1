//! Workers that die, that are told to stop, and that are two.

use anyhow::{Result, ensure};
use harness::{PATIENCE, poll};
use reqwest::Method;
use serde_json::json;

use super::{Place, hold_back};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_worker_had_begun_has_failed_and_the_next_goes_on() -> Result<()> {
    let place = Place::new().await?;
    let held = hold_back(&place).await?;
    let mut dying = place.worker("off")?;
    let lost = place.ask("/backup/create", &json!({"backup_name": "lost"})).await?;
    let waiting = place.ask("/backup/create", &json!({"backup_name": "waiting"})).await?;
    place.wait_for(&lost, "running").await?;
    dying.kill()?;
    held.batch_execute("ROLLBACK").await?;

    let _worker = place.worker("off")?;
    let failed = place.wait_for(&lost, "failed").await?;
    assert_eq!(failed["error"]["code"], "worker_lost", "{failed}");
    place.wait_for(&waiting, "succeeded").await?;
    // A worker reports after an operation has ended.
    poll("both runs are reported", PATIENCE, async || {
        let runs = place.operator.get("/backup/status").await?.body["runs"]["backup"].clone();
        ensure!(runs == json!({"failed": 1, "succeeded": 1}), "{runs}");
        Ok(())
    })
    .await;
    // What was lost is not done again.
    place.until_listed(&["waiting"]).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_called_off_by_operators_and_by_a_signal() -> Result<()> {
    let place = Place::new().await?;
    let held = hold_back(&place).await?;
    let mut worker = place.worker("off")?;
    let id = place.ask("/backup/create", &json!({})).await?;
    place.wait_for(&id, "running").await?;
    let cancel = format!("/api/v1/operations/{id}/cancel");
    let asked = place.operator.send(Method::POST, &cancel, &[], None).await?;
    ensure!(asked.status == 200 && asked.body["cancel_requested_at"].is_string(), "{asked:?}");
    let cancelled = place.wait_for(&id, "cancelled").await?;
    assert_eq!(cancelled["error"]["code"], "cancelled", "{cancelled}");

    let id = place.ask("/backup/create", &json!({})).await?;
    place.wait_for(&id, "running").await?;
    assert!(worker.stop()?.success(), "{}", worker.log());
    let cancelled = place.operation(&id).await?;
    assert_eq!(cancelled.text("state"), "cancelled", "{cancelled:?}");
    let detail = cancelled.body["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("told to stop"), "{detail}");
    held.batch_execute("ROLLBACK").await?;
    place.until_listed(&[]).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_workers_one_does_an_operation_and_one_at_a_time() -> Result<()> {
    let place = Place::new().await?;
    let mut ids = Vec::new();
    for number in 0..6 {
        let body = json!({"backup_name": format!("b{number}"), "verify": false});
        ids.push(place.ask("/backup/create", &body).await?);
    }
    let (one, other) = (place.worker("off")?, place.worker("off")?);
    for id in &ids {
        place.wait_for(id, "succeeded").await?;
    }
    let client = place.postgres.connect("ours").await?;
    let overlapping = "SELECT count(*) FROM operations AS a JOIN operations AS b
        ON a.id < b.id AND a.started_at < b.ended_at AND b.started_at < a.ended_at";
    let overlapping: i64 = client.query_one(overlapping, &[]).await?.try_get(0)?;
    assert_eq!(overlapping, 0);
    let begun = |log: String| log.matches("an operation begins").count();
    assert_eq!(begun(one.log()) + begun(other.log()), 6);
    // The last one reports after it has ended.
    poll("all six are reported", PATIENCE, async || {
        let status = place.operator.get("/backup/status").await?;
        ensure!(status.body["runs"]["backup"] == json!({"succeeded": 6}), "{status:?}");
        ensure!(status.body["total_backups"] == 6, "{status:?}");
        Ok(())
    })
    .await;
    Ok(())
}
