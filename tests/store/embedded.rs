//! The same promises on the embedded engine, which has one connection and needs nothing installed.

use std::time::Duration;

use brownie_persistence::{PoolOptions, Store};
use pglite_oxide::PgliteServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_its_promises_on_the_embedded_engine() {
    let dir = tempfile::tempdir().unwrap();
    let server = PgliteServer::builder()
        .path(dir.path().join("postgres"))
        .unix(dir.path().join(".s.PGSQL.5432"))
        .postgres_config("fsync", "off")
        .start()
        .unwrap();
    let host = dir.path().display();
    let url = format!("postgres://postgres@localhost:5432/template1?host={host}&sslmode=disable");
    let database = brownie_migration::Database::new(&url, Duration::from_secs(30));
    let applied = brownie_migration::apply(&database).await.unwrap();
    assert_eq!(applied, brownie_migration::names());
    assert!(brownie_migration::apply(&database).await.unwrap().is_empty());

    let store = Store::new(&PoolOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(30),
        role: Some("brownie-server".to_owned()),
        single_connection: true,
        ..PoolOptions::new(url)
    })
    .unwrap();
    let visitor = brownie_persistence::SystemContext::for_visitor(
        brownie_domain::RequestId::from_uuid(uuid::Uuid::nil()),
    );
    let footing = store.system(&visitor).footing().await.unwrap();
    assert_eq!(footing.unwalled, None, "the one connection is walled in, too");
    Box::pin(crate::run(&store)).await;
    store.close().await;
    server.shutdown().unwrap();
}
