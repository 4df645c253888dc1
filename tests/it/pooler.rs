//! Poolers: the one kind in transaction mode that we can stand behind, and those we refuse.

use brownie_domain::RequestId;
use brownie_persistence::{PoolOptions, Store, SystemContext};
use futures_util::future::join_all;
use harness::{Database, Founded, PgBouncer, PoolMode, Postgres, run};

use crate::doctor::{Said, server};

fn visitor() -> SystemContext {
    SystemContext::for_visitor(RequestId::from_uuid(uuid::Uuid::nil()))
}

fn in_front(version: &str, mode: PoolMode, prepared: Option<u32>) -> PgBouncer {
    PgBouncer::start(version, Postgres::shared(), mode, prepared).unwrap()
}

fn store_behind(pooler: &PgBouncer, database: &Database) -> Store {
    let url = database.url_via(pooler.port());
    Store::new(&PoolOptions { max_connections: 8, ..PoolOptions::new(url) }).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_its_promises_behind_pgbouncer() {
    let database = Postgres::shared().database();
    let pooler = in_front("1.24", PoolMode::Transaction, Some(200));
    let store = store_behind(&pooler, &database);
    assert!(store.system(&visitor()).footing().await.unwrap().pooled);
    Box::pin(crate::store::run(&store)).await;

    // The limits are kept although no session is ours: they come with each bracket.
    let org = Founded::new(&store, "limits").await;
    let locker = database.connect().await;
    locker.batch_execute("BEGIN; LOCK TABLE teams IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let outcome = store.org(&org.ctx).teams().get(org.team_id).await;
    assert!(matches!(outcome, Err(brownie_persistence::Error::Locked)), "{outcome:?}");
    store.close().await;
}

/// Two services behind one pooler with few connections, each asking for its own rows all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_behind_one_pooler_get_their_own_rows() {
    let database = Postgres::shared().database();
    let pooler = in_front("1.24", PoolMode::Transaction, Some(200));
    let stores = [store_behind(&pooler, &database), store_behind(&pooler, &database)];
    let mut orgs = Vec::new();
    for (number, store) in stores.iter().enumerate() {
        store.system(&visitor()).footing().await.unwrap();
        orgs.push(Founded::new(store, &format!("service-{number}")).await);
    }
    let asks = orgs.iter().flat_map(|org| (0..400).map(move |number| (org, number)));
    let answers = join_all(asks.map(|(org, number)| async move {
        let scope = org.store.org(&org.ctx);
        if number % 2 == 0 {
            scope.teams().get(org.team_id).await.map(|team| team.org_id)
        } else {
            scope.users().get(org.founder.id).await.map(|user| user.org_id)
        }
        .map(|org_id| org_id == org.founder.org_id)
    }))
    .await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(true))), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_mixes_up_statements_is_refused() {
    let database = Postgres::shared().database();
    for (version, prepared) in [("1.18", None), ("1.24", Some(0))] {
        let pooler = in_front(version, PoolMode::Transaction, prepared);
        let url = database.url_via(pooler.port());
        let variables = [
            ("DATABASE_URL", url.as_str()),
            ("METADATA_JWT_SECRET", "a secret for tests, long enough for HS256"),
            ("METADATA_PORT", "0"),
            ("METRICS_PORT", "0"),
        ];
        let output = run("brownie-server", &["--wait", "5"], &variables).unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{version}: {message}");
        assert!(message.contains("gives one client the rows of another's query"), "{message}");
        assert!(message.contains("1.21 or newer with max_prepared_statements"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_sessions_apart_is_no_pooler_to_us() {
    let database = Postgres::shared().database();
    let direct = crate::store::open(database.url());
    assert!(!direct.system(&visitor()).footing().await.unwrap().pooled);
    for version in ["1.18", "1.24"] {
        let pooler = in_front(version, PoolMode::Session, None);
        let store = store_behind(&pooler, &database);
        assert!(!store.system(&visitor()).footing().await.unwrap().pooled, "{version}");
        store.close().await;
    }
}

#[tokio::test]
async fn doctor_says_for_whom_a_pooler_is_good() {
    let database = Postgres::shared().database();
    let good = in_front("1.24", PoolMode::Transaction, Some(200));
    let url = database.url_via(good.port());
    server(&url, &[]).expect("database.pooler", "ok", "of a kind that can be used");
    let said = Said::by("brownie-migrator", &[], &[("DATABASE_URL", &url)]);
    assert_eq!(said.code, Some(3));
    said.expect("database.pooler", "failed", "the lock that keeps migrators apart");
    let said = Said::by("brownie-backup", &[], &[("DATABASE_URL", &url)]);
    said.expect("role", "failed", "there is a pooler between us");

    let bad = in_front("1.18", PoolMode::Transaction, None);
    let said = server(&database.url_via(bad.port()), &[]);
    assert_eq!(said.code, Some(3));
    said.expect("database.pooler", "failed", "rows of another's query");
}
