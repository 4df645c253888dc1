//! What a unit of work leaves besides its rows. Looked at from a second connection, which the
//! embedded engine does not have.

use brownie_persistence::{Error, TeamPatch};
use harness::{Founded, Postgres, new_team};

async fn records(client: &tokio_postgres::Client, table: &str, what: &str) -> Vec<(String, i64)> {
    let sql =
        format!("SELECT {what}, version FROM {table} WHERE resource = 'team' ORDER BY id, version");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn a_change_leaves_one_audit_row_and_one_event() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "audit").await;
    let client = database.connect().await;
    client.batch_execute("DELETE FROM audit_log; DELETE FROM outbox").await.unwrap();

    let team = store
        .write(&org.ctx, |tx| async move { tx.teams().create(new_team("platform")).await })
        .await
        .unwrap();
    for _ in 0..2 {
        let (id, version) = (team.id, team.stamps.version);
        let patch = TeamPatch { is_active: Some(false), ..TeamPatch::default() };
        // The second of these is stale, and must leave nothing.
        let _ = store
            .write(&org.ctx, move |tx| {
                let patch = patch.clone();
                async move { tx.teams().update(id, version, patch).await }
            })
            .await;
    }

    let expected = [("team.created".to_owned(), 1), ("team.updated".to_owned(), 2)];
    assert_eq!(records(&client, "audit_log", "action").await, expected);
    assert_eq!(records(&client, "outbox", "event").await, expected);
    let actor = client.query_one("SELECT actor_kind, actor_id FROM audit_log LIMIT 1", &[]).await;
    let actor = actor.unwrap();
    assert_eq!(actor.get::<_, String>(0), "user");
    assert_eq!(actor.get::<_, uuid::Uuid>(1), org.founder.id.as_uuid());
}

#[tokio::test]
async fn an_audit_row_says_what_changed_and_repeats_no_secret() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "diff").await;
    let home = org.team_id;
    let user = store
        .write(&org.ctx, move |tx| async move {
            let mut new = harness::new_user("ada", home, brownie_domain::Role::Viewer);
            new.password_hash = Some("$argon2id$canary".to_owned());
            tx.users().create(new).await
        })
        .await
        .unwrap();
    let (id, version) = (user.id, user.stamps.version);
    store
        .write(&org.ctx, move |tx| async move {
            let patch = brownie_persistence::UserPatch {
                full_name: brownie_domain::Change::Set("Ada Lovelace".parse()?),
                // What it is already: no change.
                is_active: Some(true),
                role: Some(brownie_domain::Role::Member),
                ..Default::default()
            };
            Ok::<_, anyhow::Error>(tx.users().update(id, version, patch).await?)
        })
        .await
        .unwrap();
    let client = database.connect().await;
    let sql = "SELECT changes FROM audit_log WHERE resource_id = $1 ORDER BY version";
    let rows = client.query(sql, &[&id.as_uuid()]).await.unwrap();
    let changes: Vec<serde_json::Value> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(changes[0]["username"], serde_json::json!({"after": "ada"}));
    assert_eq!(changes[0]["password_hash"], serde_json::json!({"after": "[hidden]"}));
    assert_eq!(
        changes[1],
        serde_json::json!({
            "full_name": {"before": null, "after": "Ada Lovelace"},
            "role": {"before": "viewer", "after": "member"},
        })
    );
    let canary = "SELECT 1 FROM audit_log WHERE audit_log::text LIKE '%canary%'";
    assert!(client.query(canary, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_statement_that_failed_cannot_be_committed_over() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "over").await;

    let tx = store.begin(&org.ctx).await.unwrap();
    tx.teams().create(new_team("kept-only-if-committed")).await.unwrap();
    // The name of the sign-up's team: PostgreSQL ends the transaction, and would answer COMMIT with
    // a silent ROLLBACK.
    tx.teams().create(new_team("kept-only-if-committed")).await.unwrap_err();
    let outcome = tx.commit().await;

    assert!(matches!(outcome, Err(Error::UnitOver)), "{outcome:?}");
    let client = database.connect().await;
    let rows = client.query("SELECT 1 FROM teams WHERE slug LIKE 'kept%'", &[]).await.unwrap();
    assert!(rows.is_empty());
}

#[tokio::test]
async fn after_a_failed_statement_a_unit_takes_no_other() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "first").await;
    // The first statement of the unit cannot even be prepared, so that BEGIN is never sent. The next
    // must not run on its own.
    let client = database.connect().await;
    client.batch_execute("ALTER TABLE organizations RENAME TO gone").await.unwrap();
    let tx = store.begin(&org.ctx).await.unwrap();
    tx.organization().get().await.unwrap_err();
    client.batch_execute("ALTER TABLE gone RENAME TO organizations").await.unwrap();
    let outcome = tx.organization().get().await;
    assert!(matches!(outcome, Err(Error::UnitOver)), "{outcome:?}");
}

#[tokio::test]
async fn a_column_that_grew_wider_is_read_without_a_restart() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "wider").await;
    store.org(&org.ctx).teams().get(org.team_id).await.unwrap();
    let client = database.connect().await;
    client.batch_execute("ALTER TABLE teams ALTER COLUMN name TYPE varchar(300)").await.unwrap();
    store.org(&org.ctx).teams().get(org.team_id).await.unwrap();
}
