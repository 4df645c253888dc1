//! Clients that go away and sockets that die.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use brownie_persistence::{Error, PoolOptions, Store};
use harness::{ChaosProxy, Founded, Mode, PATIENCE, Postgres, new_team, pass, until};

/// One session reads for two organizations in turn, and readers go away at any moment of it: whoever
/// comes next finds their own rows, and never none because the session is still another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_read_leaves_no_session_to_another_organization() {
    let database = Postgres::shared().database();
    let store = Store::new(&PoolOptions { max_connections: 1, ..PoolOptions::new(database.url()) })
        .unwrap();
    let orgs = [Founded::new(&store, "turn-a").await, Founded::new(&store, "turn-b").await];
    let mut finished = 0;
    // What the read before took, on this machine at this moment.
    let mut whole = Duration::from_millis(1);
    for round in 0..600_usize {
        let (left, next) = (&orgs[round % 2], &orgs[round / 2 % 2]);
        let patience = whole * u32::try_from(round % 60).unwrap() / 40;
        let scope = store.org(&left.ctx);
        let teams = scope.teams();
        finished +=
            usize::from(tokio::time::timeout(patience, teams.get(left.team_id)).await.is_ok());
        let started = Instant::now();
        let team = store.org(&next.ctx).teams().get(next.team_id).await.unwrap();
        whole = started.elapsed();
        assert_eq!(team.org_id, next.ctx.org_id());
        let foreign = store.org(&next.ctx).teams().get(left.team_id).await;
        assert_eq!(foreign.is_ok(), next.team_id == left.team_id, "round {round}");
    }
    assert!((1..600).contains(&finished), "{finished} of 600 were not cut: the test shows nothing");
}

/// Drops units of work after every few microseconds of their life, on a pool of two, and writes in
/// between: a connection that came back inside a transaction would swallow those writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_unit_poisons_no_connection() {
    let database = Postgres::shared().database();
    let store = Store::new(&PoolOptions {
        max_connections: 2,
        share: Some(2),
        ..PoolOptions::new(database.url())
    })
    .unwrap();
    let org = Founded::new(&store, "cut").await;
    let client = database.connect().await;
    client.batch_execute("UPDATE organizations SET max_teams = 100000").await.unwrap();

    let mut finished = 0;
    // What the write before took, on this machine at this moment.
    let mut whole = Duration::from_millis(2);
    for round in 0..1000_u64 {
        let unit = async {
            let tx = store.begin(&org.ctx).await?;
            tx.teams().create(new_team(&format!("cut-{round}"))).await?;
            tx.commit().await
        };
        let cut_after = whole * u32::try_from(round * 7919 % 3000).unwrap() / 2000;
        if let Ok(outcome) = tokio::time::timeout(cut_after, unit).await {
            outcome.unwrap();
            finished += 1;
        }
        if round % 10 == 0 {
            let new = new_team(&format!("kept-{round}"));
            let started = Instant::now();
            let team = store
                .write(&org.ctx, move |tx| {
                    let new = new.clone();
                    async move { tx.teams().create(new).await }
                })
                .await
                .unwrap();
            whole = started.elapsed();
            let id = team.id.as_uuid();
            let seen = client.query("SELECT 1 FROM teams WHERE id = $1", &[&id]).await.unwrap();
            assert_eq!(seen.len(), 1, "acknowledged in round {round}, and not there");
        }
    }
    assert!(finished > 0 && finished < 1000, "the cuts miss their aim: {finished} finished");

    let count = async |sql: &str| -> i64 { client.query_one(sql, &[]).await.unwrap().get(0) };
    let database_name = "datname = current_database()";
    let open = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE {database_name} AND state LIKE 'idle in%'"
    );
    // Sooner than the server ends one that is left.
    let soon = Duration::from_secs(5);
    until("no transaction is open", soon, async || count(&open).await == 0).await;
    let half = "SELECT count(*) FROM teams t WHERE slug LIKE 'cut-%' AND NOT EXISTS
        (SELECT 1 FROM audit_log a JOIN outbox o ON o.resource_id = a.resource_id
         WHERE a.resource_id = t.id)";
    assert_eq!(count(half).await, 0);
    until("the pool is as large as it was", PATIENCE, async || store.connections() == (2, 2)).await;
    store.close().await;
}

/// A write whose caller is dropped runs to its end all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_cut_a_write() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "uncut").await;
    let begun = Arc::new(tokio::sync::Notify::new());
    let begins = Arc::clone(&begun);
    let write = store.write(&org.ctx, move |tx| {
        let begins = Arc::clone(&begins);
        async move {
            tx.teams().create(new_team("first")).await?;
            begins.notify_one();
            pass(Duration::from_millis(100), "its client is gone before it ends").await;
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

/// Twenty connections fall silent while they rest. The first caller notices within half a second; the others
/// do not wait again, as they would for ten in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_sockets_died_at_rest_is_back_soon() {
    let database = Postgres::shared().database();
    let proxy = ChaosProxy::to(Postgres::shared().port()).await.unwrap();
    let options = PoolOptions {
        max_connections: 20,
        share: Some(20),
        acquire_timeout: PATIENCE,
        ..PoolOptions::new(database.url_via(proxy.port()))
    };
    let store = Store::new(&options).unwrap();
    let org = Founded::new(&store, "silent").await;
    let mut units = Vec::new();
    for _ in 0..20 {
        let tx = store.begin(&org.ctx).await.unwrap();
        tx.teams().get(org.team_id).await.unwrap();
        units.push(tx);
    }
    for tx in units {
        tx.commit().await.unwrap();
    }
    assert_eq!(store.connections().0, 20);
    pass(Duration::from_millis(5500), "connections that were idle for long are probed").await;

    proxy.set(Mode::Silence);
    let started = Instant::now();
    for call in 0..20 {
        store.org(&org.ctx).teams().get(org.team_id).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(5), "call {call}");
    }
}

/// Connections fall silent in the middle of an answer, all that the pool has. After a second, and long before
/// a statement's time is over,
/// somebody asks whether the server is at work on them; it is not, so they are given up, and what
/// reads is done again on new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_whose_sockets_died_in_flight_is_back_soon() {
    let database = Postgres::shared().database();
    let proxy = ChaosProxy::to(Postgres::shared().port()).await.unwrap();
    let options = PoolOptions {
        max_connections: 2,
        share: Some(2),
        acquire_timeout: PATIENCE,
        ..PoolOptions::new(database.url_via(proxy.port()))
    };
    let store = Store::new(&options).unwrap();
    let org = Founded::new(&store, "flight").await;
    let read = async || store.org(&org.ctx).teams().get(org.team_id).await;
    let units = [store.begin(&org.ctx).await.unwrap(), store.begin(&org.ctx).await.unwrap()];
    for unit in units {
        unit.teams().get(org.team_id).await.unwrap();
        unit.commit().await.unwrap();
    }
    assert_eq!(store.connections().0, 2);

    proxy.set(Mode::Silence);
    let started = Instant::now();
    let reads = futures_util::future::join_all((0..6).map(|_| read())).await;
    let took = started.elapsed();
    assert!(reads.iter().all(Result::is_ok), "{reads:?}");
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(9), "{took:?}");
}

/// What only takes long is not given up: the server is at work on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_is_waited_for() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "slow").await;
    let locker = database.connect().await;
    locker.batch_execute("BEGIN; LOCK TABLE teams IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let reading = store.org(&org.ctx);
    let teams = reading.teams();
    let (outcome, ()) = tokio::join!(teams.get(org.team_id), async {
        pass(Duration::from_millis(1500), "longer than a connection may be silent").await;
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
    let store = harness::open(database.url());
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
        pass(Duration::from_millis(100), "the driver reads what the server has closed").await;
        store.org(&org.ctx).teams().get(org.team_id).await.unwrap();
    }
}

/// A connection from before a switchover leads to a server that only reads by now. It is thrown
/// away, and what failed on it is done again on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_only_reads_is_thrown_away() {
    let database = Postgres::shared().database();
    let founding = harness::open(database.url());
    let org = Founded::new(&founding, "switch").await;
    let admin = database.connect().await;
    let name = admin.query_one("SELECT current_database()::text", &[]).await.unwrap();
    let name: String = name.get(0);
    let read_only = |how| format!("ALTER DATABASE {name} {how} default_transaction_read_only");
    // What is opened now only reads, as on a server that was demoted.
    admin.batch_execute(&format!("{} = on", read_only("SET"))).await.unwrap();
    let store = Store::new(&PoolOptions {
        max_connections: 2,
        share: Some(2),
        ..PoolOptions::new(database.url())
    })
    .unwrap();
    let held = [store.begin(&org.ctx).await.unwrap(), store.begin(&org.ctx).await.unwrap()];
    drop(held);
    assert_eq!(store.connections().0, 2);
    admin.batch_execute(&read_only("RESET")).await.unwrap();

    for number in 0..4 {
        let write = move |tx: brownie_persistence::OrgTx| async move {
            tx.teams().create(new_team(&format!("after-{number}"))).await
        };
        store.write(&org.ctx, write).await.unwrap();
    }
}

/// Two units that lock the same teams in opposite order: PostgreSQL ends one of them, and it is done
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_is_resolved_by_doing_one_again() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "deadlock").await;
    let make = |slug: &'static str| {
        store.write(&org.ctx, move |tx| async move { tx.teams().create(new_team(slug)).await })
    };
    let (one, two) = (make("one").await.unwrap().id, make("two").await.unwrap().id);
    let meet = Arc::new(tokio::sync::Barrier::new(2));
    let tries = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let ended = Arc::new(tokio::sync::Semaphore::new(0));
    let unit = async |first: brownie_domain::TeamId, second: brownie_domain::TeamId| {
        let shared = (Arc::clone(&meet), Arc::clone(&tries), Arc::clone(&ended));
        let outcome = store.write(&org.ctx, move |tx| {
            let (meet, tries, other) = shared.clone();
            async move {
                let is_first_try = tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2;
                if !is_first_try {
                    // A version that is read before the other commits would be a conflict, rightly.
                    other.acquire().await.expect("never closed").forget();
                }
                let patch = brownie_persistence::TeamPatch::default;
                let version = tx.teams().get(first).await?.stamps.version;
                tx.teams().update(first, version, patch()).await?;
                if is_first_try {
                    meet.wait().await;
                }
                let version = tx.teams().get(second).await?.stamps.version;
                tx.teams().update(second, version, patch()).await
            }
        });
        let outcome = outcome.await;
        ended.add_permits(1);
        outcome
    };
    let (ours, theirs) = tokio::join!(Box::pin(unit(one, two)), Box::pin(unit(two, one)));
    ours.unwrap();
    theirs.unwrap();
    assert!(tries.load(std::sync::atomic::Ordering::SeqCst) >= 3, "one was done again");
    for team in [one, two] {
        let version = store.org(&org.ctx).teams().get(team).await.unwrap().stamps.version;
        assert_eq!(version.get(), 3, "each was changed by both, once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_ever() {
    let database = Postgres::shared().database();
    let options = PoolOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(1),
        ..PoolOptions::new(database.url())
    };
    let org = Founded::new(&harness::open(database.url()), "patience").await;
    let store = Store::new(&options).unwrap();
    let held = store.begin(&org.ctx).await.unwrap();
    held.teams().create(new_team("half")).await.unwrap();
    let started = Instant::now();
    let outcome = store.org(&org.ctx).teams().get(org.team_id).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());

    // A transaction that idles is ended by the server, and what it did with it.
    let client = database.connect().await;
    let idle = "SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    // Of this service's setting, a second, and not of the default, which is ten.
    until("the idle transaction is ended", Duration::from_secs(5), async || {
        client.query(idle, &[]).await.unwrap().is_empty()
    })
    .await;
    let outcome = held.teams().get(org.team_id).await;
    assert!(outcome.is_err(), "{outcome:?}");
    drop(held);
    store.org(&org.ctx).teams().get(org.team_id).await.unwrap();
    let client = database.connect().await;
    let half = client.query("SELECT 1 FROM teams WHERE slug = 'half'", &[]).await.unwrap();
    assert!(half.is_empty());

    // Nor does a statement run for ever.
    client
        .batch_execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(30); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON teams FOR EACH ROW EXECUTE FUNCTION slow();
        GRANT EXECUTE ON FUNCTION slow() TO PUBLIC",
        )
        .await
        .unwrap();
    let started = Instant::now();
    let outcome =
        store.write(&org.ctx, |tx| async move { tx.teams().create(new_team("slow")).await }).await;
    assert!(matches!(outcome, Err(Error::Timeout)), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}
