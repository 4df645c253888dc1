//! The whole story of a backup, from the first request to its removal.

use anyhow::{Result, ensure};
use harness::{PATIENCE, Service, poll};
use reqwest::Method;
use serde_json::json;

use super::{LONG, Place, accepted};

#[expect(clippy::too_many_lines, reason = "it is one story, told from its beginning to its end")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_asked_for_listed_restored_and_removed() -> Result<()> {
    let place = Place::new().await?;
    let mut worker = place.worker("off")?;

    // Asked for twice with one key, it is made once.
    let body = json!({"backup_name": "first"}).to_string();
    let post = async |key: &str, body: &str| {
        let headers = [("Idempotency-Key", key)];
        place.operator.send(Method::POST, "/backup/create", &headers, Some(body.to_owned())).await
    };
    let answer = post("k1", &body).await?;
    let id = accepted(&answer)?;
    ensure!(answer.text("requested_by") == "ada" && answer.text("kind") == "backup.create");
    let again = post("k1", &body).await?;
    assert_eq!((accepted(&again)?, again.header("idempotency-replayed")), (id.clone(), "true"));
    let other = post("k1", "{}").await?;
    assert_eq!((other.status, other.text("code")), (422, "idempotency_key_reused"));

    let done = place.wait_for(&id, "succeeded").await?;
    let result = &done["result"];
    assert_eq!((&result["backup_name"], &result["verified"]), (&"first".into(), &true.into()));
    assert!(result["rows"].as_u64().unwrap() > 3 && result["duration"].is_number(), "{done}");
    assert!(done["started_at"].is_string() && done["ended_at"].is_string(), "{done}");

    // A worker reports after an operation has ended.
    let status = poll("the run is reported", PATIENCE, async || {
        let status = place.operator.get("/backup/status").await?;
        ensure!(status.body["runs"]["backup"]["succeeded"] == 1, "{status:?}");
        ensure!(status.body["total_backups"] == 1, "{status:?}");
        Ok(status)
    })
    .await;
    assert_eq!(status.body["provider"], "local");
    let listed = place.operator.get("/backup/list").await?;
    assert_eq!(listed.body["backups"][0]["backup_name"], "first", "{listed:?}");
    assert!(listed.body["backups"][0]["verified_at"].is_string(), "{listed:?}");
    assert_eq!(status.body["last_backup"]["backup_name"], "first");
    let next = place.operator.get("/backup/next-backup").await?;
    assert_eq!((&next.body["schedule"], &next.body["next_backup"]), (&"off".into(), &json!(null)));

    // Of a name that is taken nothing comes, and why is said.
    let id = place.ask("/backup/run-now", &json!({"backup_name": "first"})).await?;
    let failed = place.wait_for(&id, "failed").await?;
    assert_eq!(failed["error"]["code"], "exists", "{failed}");

    // Into a database that is new, and its service knows the tenants.
    let id = place.ask("/backup/restore", &json!({"backup_name": "first"})).await?;
    let restored = place.wait_for(&id, "succeeded").await?;
    let database = restored["result"]["target_database"].as_str().unwrap_or_default();
    ensure!(database.starts_with("ours_restored_"), "{restored}");
    let beside = Service::server(&place.postgres.url_as("brownie-server", database)).await?;
    let founder = beside.client().log_in("founder@acme.example").await?;
    assert_eq!(founder.get("/api/v1/auth/me").await?.status, 200);
    drop(beside);

    // The live one is occupied; in earnest, it is replaced, and who polls is told by the new one.
    let occupied = json!({"backup_name": "first", "target_database": "ours"});
    let id = place.ask("/backup/restore", &occupied).await?;
    assert_eq!(place.wait_for(&id, "failed").await?["error"]["code"], "occupied");
    place.service.client().sign_up("later").await?;
    let mut earnest = occupied;
    earnest["force"] = true.into();
    let refused = place.operator.post("/backup/restore", &earnest).await?;
    assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &"/confirm".into()));
    earnest["confirm"] = "ours".into();
    let id = place.ask("/backup/restore", &earnest).await?;
    let replaced = poll("the database is replaced", LONG, async || {
        // 404 and 503 while one database gives way to the other.
        let answer = place.operation(&id).await?;
        ensure!(answer.status == 200 && answer.body["ended_at"].is_string(), "{answer:?}");
        Ok(answer.body)
    })
    .await;
    assert_eq!(replaced["state"], "succeeded", "{replaced}");
    assert_eq!(
        (&replaced["requested_by"], &replaced["kind"]),
        (&"ada".into(), &"backup.restore".into())
    );
    ensure!(
        replaced["result"]["replaced"]
            .as_str()
            .is_some_and(|name| name.starts_with("ours_before_"))
    );
    assert!(place.service.client().log_in("founder@later.example").await.is_err());
    assert!(place.service.client().log_in("founder@acme.example").await.is_ok());

    // All kinds have one path, too.
    let verify = json!({"kind": "backup.verify", "backup_name": "first"});
    let id = place.ask("/api/v1/operations", &verify).await?;
    assert_eq!(place.wait_for(&id, "succeeded").await?["result"]["verified"], true);
    let id = place.ask("/api/v1/operations", &json!({"kind": "backup.drill"})).await?;
    assert!(place.wait_for(&id, "succeeded").await?["result"]["recovery_seconds"].is_number());
    let useless = json!({"kind": "backup.verify", "backup_name": "first", "force": true});
    assert_eq!(place.operator.post("/api/v1/operations", &useless).await?.status, 422);

    // The newest that was verified stays, whatever is asked for; by name it goes.
    let id = place.ask("/backup/cleanup", &json!({"dry_run": true})).await?;
    assert_eq!(place.wait_for(&id, "succeeded").await?["result"]["removed"], json!([]));
    let id = accepted(&place.operator.send(Method::POST, "/backup/cleanup", &[], None).await?)?;
    assert_eq!(place.wait_for(&id, "succeeded").await?["result"]["kept"], 1);
    let delete = async |name: &str| {
        place.operator.send(Method::DELETE, &format!("/backup/{name}"), &[], None).await
    };
    let id = accepted(&delete("first").await?)?;
    assert_eq!(place.wait_for(&id, "failed").await?["error"]["code"], "last_verified");
    let id = place.ask("/backup/create", &json!({"backup_name": "second"})).await?;
    place.wait_for(&id, "succeeded").await?;
    let id = accepted(&delete("first").await?)?;
    place.wait_for(&id, "succeeded").await?;
    let id = accepted(&delete("first").await?)?;
    assert_eq!(place.wait_for(&id, "failed").await?["error"]["code"], "not_found");
    place.until_listed(&["second"]).await;

    // Pages, the newest first.
    let mut seen = Vec::new();
    let mut path = "/api/v1/operations?limit=2".to_owned();
    loop {
        let page = place.operator.get(&path).await?;
        ensure!(page.status == 200, "{page:?}");
        let items = page.body["items"].as_array().cloned().unwrap_or_default();
        seen.extend(items.into_iter().map(|item| item["created_at"].to_string()));
        match page.body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/operations?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    ensure!(seen.len() >= 6 && seen.is_sorted_by(|one, other| one >= other), "{seen:?}");

    // What waits for a worker is called off at once.
    assert!(worker.stop()?.success(), "{}", worker.log());
    let id = place.ask("/backup/create", &json!({})).await?;
    let cancel = format!("/api/v1/operations/{id}/cancel");
    let cancelled = place.operator.send(Method::POST, &cancel, &[], None).await?;
    assert_eq!((cancelled.status, cancelled.text("state")), (200, "cancelled"), "{cancelled:?}");
    let _worker = place.worker("off")?;
    let id = place.ask("/backup/create", &json!({"backup_name": "after"})).await?;
    place.wait_for(&id, "succeeded").await?;
    place.until_listed(&["after", "second"]).await;
    Ok(())
}
