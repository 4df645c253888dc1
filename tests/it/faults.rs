//! Clients that go away and sockets that die.

use std::time::{Duration, Instant};

use brownie_persistence::{Error, PoolOptions, Store};
use harness::{ChaosProxy, Founded, Mode, Postgres, new_team};

/// Drops units of work after every few microseconds of their life, on a pool of two, and writes in
/// between: a connection that came back inside a transaction would swallow those writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_unit_poisons_no_connection() {
    let database = Postgres::shared().database();
    let store = Store::new(&PoolOptions { max_connections: 2, ..PoolOptions::new(database.url()) })
        .unwrap();
    let org = Founded::new(&store, "cut").await;
    let client = database.connect().await;
    client.batch_execute("UPDATE organizations SET max_teams = 100000").await.unwrap();

    let mut finished = 0;
    for round in 0..1000_u64 {
        let unit = async {
            let tx = store.begin(&org.ctx).await?;
            tx.teams().create(new_team(&format!("cut-{round}"))).await?;
            tx.commit().await
        };
        let cut_after = Duration::from_micros(round * 7919 % 3000);
        if let Ok(outcome) = tokio::time::timeout(cut_after, unit).await {
            outcome.unwrap();
            finished += 1;
        }
        if round % 10 == 0 {
            let new = new_team(&format!("kept-{round}"));
            let team = store
                .write(&org.ctx, move |tx| {
                    let new = new.clone();
                    async move { tx.teams().create(new).await }
                })
                .await
                .unwrap();
            let id = team.id.as_uuid();
            let seen = client.query("SELECT 1 FROM teams WHERE id = $1", &[&id]).await.unwrap();
            assert_eq!(seen.len(), 1, "acknowledged in round {round}, and not there");
        }
    }
    assert!(finished > 0 && finished < 1000, "the cuts miss their aim: {finished} finished");

    tokio::time::sleep(Duration::from_millis(200)).await;
    let count = async |sql: &str| -> i64 { client.query_one(sql, &[]).await.unwrap().get(0) };
    let database_name = "datname = current_database()";
    assert_eq!(
        count(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE {database_name} AND state LIKE 'idle in%'"
        ))
        .await,
        0
    );
    let half = "SELECT count(*) FROM teams t WHERE slug LIKE 'cut-%' AND NOT EXISTS
        (SELECT 1 FROM audit_log a JOIN outbox o ON o.resource_id = a.resource_id
         WHERE a.resource_id = t.id)";
    assert_eq!(count(half).await, 0);
    assert_eq!(store.connections(), (2, 2), "the pool is as large as it was");
    store.close().await;
}

/// A write whose caller is dropped runs to its end all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_cut_a_write() {
    let database = Postgres::shared().database();
    let store = crate::store::open(database.url());
    let org = Founded::new(&store, "uncut").await;
    let begun = std::sync::Arc::new(tokio::sync::Notify::new());
    let begins = std::sync::Arc::clone(&begun);
    let write = store.write(&org.ctx, move |tx| {
        let begins = std::sync::Arc::clone(&begins);
        async move {
            tx.teams().create(new_team("first")).await?;
            begins.notify_one();
            tokio::time::sleep(Duration::from_millis(100)).await;
            tx.teams().create(new_team("second")).await
        }
    });
    tokio::select! {
        outcome = write => panic!("too early: {outcome:?}"),
        () = begun.notified() => {}
    }
    // Closing waits for the unit, whose caller is gone by now.
    store.close().await;
    let client = database.connect().await;
    let rows = client.query("SELECT 1 FROM teams WHERE slug IN ('first', 'second')", &[]).await;
    assert_eq!(rows.unwrap().len(), 2);
}

/// Five connections fall silent while they rest. The first caller notices within half a second; the
/// others do not wait again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_sockets_died_at_rest_is_back_soon() {
    let database = Postgres::shared().database();
    let proxy = ChaosProxy::to(Postgres::shared().port()).await.unwrap();
    let options =
        PoolOptions { max_connections: 5, ..PoolOptions::new(database.url_via(proxy.port())) };
    let store = Store::new(&options).unwrap();
    let org = Founded::new(&store, "silent").await;
    let mut units = Vec::new();
    for _ in 0..5 {
        let tx = store.begin(&org.ctx).await.unwrap();
        tx.teams().get(org.team_id).await.unwrap();
        units.push(tx);
    }
    for tx in units {
        tx.commit().await.unwrap();
    }
    assert_eq!(store.connections().0, 5);
    tokio::time::sleep(Duration::from_millis(5500)).await;

    proxy.set(Mode::Silence);
    let started = Instant::now();
    for call in 0..10 {
        store.org(&org.ctx).teams().get(org.team_id).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(2), "call {call}");
    }
}

/// Connections fall silent in the middle of an answer, all that the pool has. After a second
/// somebody asks whether the server is at work on them; it is not, so they are given up, and what
/// reads is done again on new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_sockets_died_in_flight_is_back_soon() {
    let database = Postgres::shared().database();
    let proxy = ChaosProxy::to(Postgres::shared().port()).await.unwrap();
    let options =
        PoolOptions { max_connections: 2, ..PoolOptions::new(database.url_via(proxy.port())) };
    let store = Store::new(&options).unwrap();
    let org = Founded::new(&store, "flight").await;
    let read = async || store.org(&org.ctx).teams().get(org.team_id).await;
    for team in futures_util::future::join_all((0..2).map(|_| read())).await {
        team.unwrap();
    }
    assert_eq!(store.connections().0, 2);

    proxy.set(Mode::Silence);
    let started = Instant::now();
    let reads = futures_util::future::join_all((0..6).map(|_| read())).await;
    let took = started.elapsed();
    assert!(reads.iter().all(Result::is_ok), "{reads:?}");
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(2), "{took:?}");
}

/// What only takes long is not given up: the server is at work on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_is_waited_for() {
    let database = Postgres::shared().database();
    let store = crate::store::open(database.url());
    let org = Founded::new(&store, "slow").await;
    let locker = database.connect().await;
    locker.batch_execute("BEGIN; LOCK TABLE teams IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let reading = store.org(&org.ctx);
    let teams = reading.teams();
    let (outcome, ()) = tokio::join!(teams.get(org.team_id), async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        locker.batch_execute("COMMIT").await.unwrap();
    });
    outcome.unwrap();
    // Longer than a lock may be waited for: an answer of its own, not a lost connection.
    locker.batch_execute("BEGIN; LOCK TABLE teams IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let outcome = teams.get(org.team_id).await;
    assert!(matches!(outcome, Err(Error::Locked)), "{outcome:?}");
    assert_eq!(store.connections().0, store.connections().1, "none was given up");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_replaced() {
    let database = Postgres::shared().database();
    let store = crate::store::open(database.url());
    let org = Founded::new(&store, "terminated").await;
    let client = database.connect().await;
    for _ in 0..5 {
        client
            .batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await
            .unwrap();
        // The socket's end is noticed as soon as it is read.
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.org(&org.ctx).teams().get(org.team_id).await.unwrap();
    }
}
