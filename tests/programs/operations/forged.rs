//! Who has the server's role of the database is no operator.

use anyhow::Result;
use brownie_domain::{
    AskedOperation, Clock, IdSource, OperationId, OperationKind, OperationRequest, OperationsKey,
    RandomIds, SystemClock,
};
use chrono::TimeDelta;
use serde_json::json;

use super::{OPERATIONS_KEY, Place};

/// FAULTS S2g: whoever can write the queue adds rows that take something away. The worker does none of them:
/// without a proof, with that of another row, with one that is old, or from before a restore.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2g_a_row_in_the_queue_is_no_operator() -> Result<()> {
    let place = Place::new().await?;
    let mut worker = place.worker("off")?;
    for name in ["first", "second"] {
        let id = place.ask("/backup/create", &json!({"backup_name": name})).await?;
        place.wait_for(&id, "succeeded").await?;
    }
    let key = OperationsKey::new(OPERATIONS_KEY);
    let server = place.postgres.connect("ours").await?;
    server.batch_execute("SET ROLE \"brownie-server\"").await?;
    let admin = place.postgres.connect("ours").await?;
    let forge = async |kind: &str, request: serde_json::Value, proof: Option<Vec<u8>>| {
        let id = RandomIds.next(SystemClock.now());
        server
            .execute(
                "INSERT INTO operations (id, kind, request, requested_by, created_at, proof)
                 VALUES ($1, $2, $3, 'ada', now(), $4)",
                &[&id, &kind, &request, &proof],
            )
            .await?;
        anyhow::Ok(id.to_string())
    };
    let delete = json!({"backup_name": "first"});
    let replace = json!({"backup_name": "first", "target_database": "ours", "force": true, "confirm": "ours"});
    let mut forged = vec![
        forge("backup.delete", delete.clone(), None).await?,
        forge("backup.delete", delete.clone(), Some(vec![0; 32])).await?,
        forge("backup.restore", replace, None).await?,
    ];

    // The control: an operator's own is done; and its proof is good for no other row.
    let id = place
        .ask("/backup/restore", &json!({"backup_name": "first", "target_database": "copy"}))
        .await?;
    place.wait_for(&id, "succeeded").await?;
    let sql = "SELECT proof FROM operations WHERE id = $1::text::uuid";
    let proof: Option<Vec<u8>> = admin.query_one(sql, &[&id]).await?.get(0);
    assert!(proof.is_some());
    forged.push(forge("backup.delete", delete, proof).await?);
    for id in &forged {
        let failed = place.wait_for(id, "failed").await?;
        assert_eq!(failed["error"]["code"], "unproven", "{failed}");
        assert!(
            failed["error"]["detail"]
                .as_str()
                .unwrap_or_default()
                .contains("METADATA_OPERATIONS_KEY")
        );
    }
    // One that an operator asked for, and that was done and forgotten: it is too old, or older than the restore.
    let again = async |age: TimeDelta| {
        let request = OperationRequest { backup_name: Some("first".into()), ..Default::default() };
        let (id, created_at) = (RandomIds.next(SystemClock.now()), SystemClock.now() - age);
        let proof = key.prove(&AskedOperation {
            id: OperationId::from_uuid(id),
            kind: OperationKind::Delete,
            request: &request,
            requested_by: "ada",
            created_at,
        });
        let sql = "INSERT INTO operations (id, kind, request, requested_by, created_at, proof)
            VALUES ($1, 'backup.delete', $2, 'ada', $3, $4)";
        let request = serde_json::to_value(&request)?;
        server.execute(sql, &[&id, &request, &created_at, &proof]).await?;
        anyhow::Ok(id.to_string())
    };
    let old = again(TimeDelta::hours(25)).await?;
    assert_eq!(place.wait_for(&old, "failed").await?["error"]["code"], "unproven");
    let replaced =
        "UPDATE operations SET request = request || '{\"force\": true}' WHERE id = $1::text::uuid";
    admin.execute(replaced, &[&id]).await?;
    let before = again(TimeDelta::hours(1)).await?;
    assert_eq!(place.wait_for(&before, "failed").await?["error"]["code"], "unproven");
    place.until_listed(&["second", "first"]).await;
    let log = worker.log();
    assert!(log.contains("nothing proves that an operator asked") && !log.contains(OPERATIONS_KEY));
    assert!(worker.stop()?.success());
    Ok(())
}

/// Without a key neither side does what takes something away, and the answer says what to set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_key_an_operator_is_told_what_to_set() -> Result<()> {
    let place = Place::with(&[]).await?;
    for (path, body) in [
        ("/backup/restore", json!({"backup_name": "first"})),
        ("/api/v1/operations", json!({"kind": "backup.delete", "backup_name": "first"})),
    ] {
        let refused = place.operator.post(path, &body).await?;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert!(refused.text("detail").contains("METADATA_OPERATIONS_KEY"), "{refused:?}");
    }
    let made = place.operator.post("/backup/create", &json!({})).await?;
    assert_eq!(made.status, 202, "{made:?}");
    Ok(())
}
