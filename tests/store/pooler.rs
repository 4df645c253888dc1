//! Behind poolers: one in transaction mode that can be used, and those that keep sessions apart. What is
//! refused is in `programs::pooler`.

use brownie_domain::RequestId;
use brownie_persistence::{Store, SystemContext};
use futures_util::future::join_all;
use harness::{Database, Founded, PgBouncer, PoolMode, Postgres};

fn visitor() -> SystemContext {
    SystemContext::for_visitor(RequestId::from_uuid(uuid::Uuid::nil()))
}

fn in_front(version: &str, mode: PoolMode, prepared: Option<u32>) -> PgBouncer {
    PgBouncer::start(version, Postgres::shared(), mode, prepared).unwrap()
}

fn store_behind(pooler: &PgBouncer, database: &Database) -> Store {
    let url = database.url_via(pooler.port());
    harness::open(&url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_its_promises_behind_pgbouncer() {
    let database = Postgres::shared().database();
    let pooler = in_front("1.24", PoolMode::Transaction, Some(200));
    let store = store_behind(&pooler, &database);
    assert!(store.system(&visitor()).footing().await.unwrap().pooled);
    Box::pin(crate::run(&store)).await;

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
async fn what_keeps_sessions_apart_is_no_pooler_to_us() {
    let database = Postgres::shared().database();
    let direct = harness::open(database.url());
    assert!(!direct.system(&visitor()).footing().await.unwrap().pooled);
    for version in ["1.18", "1.24"] {
        let pooler = in_front(version, PoolMode::Session, None);
        let store = store_behind(&pooler, &database);
        assert!(!store.system(&visitor()).footing().await.unwrap().pooled, "{version}");
        store.close().await;
    }
}
