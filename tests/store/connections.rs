//! Connections: what each leads to, how old they become, and how organizations share them. FAULTS S3a, S3d, M-01,
//! M-02, M-07, S1b.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use brownie_domain::Change;
use brownie_persistence::{Error, OrgTx, PoolOptions, Store, TeamPatch};
use futures_util::future::join_all;
use harness::{Founded, PATIENCE, PgBouncer, PoolMode, Postgres, is_long, new_team, until};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

fn options(url: &str, connections: usize) -> PoolOptions {
    PoolOptions {
        max_connections: connections,
        share: Some(connections),
        acquire_timeout: PATIENCE,
        read_timeout: PATIENCE,
        ..PoolOptions::new(url)
    }
}

/// Opens all connections of a pool, each of which has read.
async fn warm(store: &Store, org: &Founded, connections: usize) {
    let units = join_all((0..connections).map(|_| store.begin(&org.ctx))).await;
    for unit in units {
        let unit = unit.unwrap();
        unit.teams().get(org.team_id).await.unwrap();
        unit.commit().await.unwrap();
    }
    assert_eq!(store.connections().0, connections);
}

/// A migration changes the type of a column. Whoever asks next, by a read or by a unit, does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3a_an_outdated_plan_is_made_again_unseen() {
    const CONNECTIONS: usize = 8;
    let database = Postgres::shared().database();
    let store = Store::new(&options(database.url(), CONNECTIONS)).unwrap();
    let org = Founded::new(&store, "plans").await;
    let read = async || store.org(&org.ctx).teams().get(org.team_id).await;
    warm(&store, &org, CONNECTIONS).await;
    for _ in 0..CONNECTIONS * 2 {
        assert!(join_all((0..CONNECTIONS).map(|_| read())).await.iter().all(Result::is_ok));
    }
    let admin = database.connect().await;
    for to in ["varchar(70001)", "text"] {
        let change = format!("ALTER TABLE teams ALTER COLUMN description TYPE {to}");
        admin.batch_execute(&change).await.unwrap();
        read().await.unwrap();
        let version = read().await.unwrap().stamps.version;
        let team_id = org.team_id;
        let written = store
            .write(&org.ctx, move |tx| async move {
                let patch = TeamPatch { description: Change::Clear, ..TeamPatch::default() };
                tx.teams().update(team_id, version, patch).await
            })
            .await;
        written.unwrap();
        for _ in 0..CONNECTIONS {
            read().await.unwrap();
        }
    }
}

/// Leads the first connections straight to the server, and those after them to a pooler.
async fn balancer(server: u16, pooler: u16, first: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let number = taken.fetch_add(1, Ordering::Relaxed);
            let to = if number < first { server } else { pooler };
            tokio::spawn(async move {
                let to = SocketAddr::from(([127, 0, 0, 1], to));
                let Ok(mut server) = TcpStream::connect(to).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

/// One address leads to the server at first, and to a pooler later. One that can be used is; one that mixes up
/// statements is refused by name. Nobody is told that their rows are not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3d_a_pooler_is_recognized_on_each_connection() {
    let database = Postgres::shared().database();
    let founding = harness::open(database.url());
    let orgs = [Founded::new(&founding, "left").await, Founded::new(&founding, "right").await];
    // How often it is started, and what is read each time.
    let (starts, reads) = if is_long() { (25, 10_000) } else { (1, 1_000) };
    let kinds = [("1.24", Some(200), true), ("1.18", None, false)];
    for (version, prepared, is_good) in kinds.into_iter().cycle().take(2 * starts) {
        let postgres = Postgres::shared();
        let pooler = PgBouncer::start(version, postgres, PoolMode::Transaction, prepared).unwrap();
        let port = balancer(postgres.port(), pooler.port(), 2).await;
        let store = Store::new(&options(&database.url_via(port), 8)).unwrap();
        let ask = async |number: usize| {
            let org = &orgs[number % 2];
            store.org(&org.ctx).teams().get(org.team_id).await
        };
        let answers = join_all((0..reads).map(ask)).await;
        let refused = answers.iter().filter(|answer| answer.is_err()).count();
        for answer in answers {
            match answer {
                Ok(_) => {}
                Err(Error::Settings(why)) => {
                    assert!(why.contains("PgBouncer before 1.21"), "{why}");
                }
                // On a machine that does something else, five openings take longer than one may.
                Err(Error::Unavailable(None)) if !is_good => {}
                Err(other) => panic!("{version}: {other:?}"),
            }
        }
        assert_eq!(refused == 0, is_good, "{version}: {refused} refused");
        store.close().await;
    }
}

/// A process that is paused in the middle of a transaction holds its locks for two seconds, not for as long as a
/// statement may run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m01_a_transaction_does_not_rest() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "rests").await;
    let paused = store.begin(&org.ctx).await.unwrap();
    paused.teams().create(new_team("half")).await.unwrap();
    let client = database.connect().await;
    let resting = "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%')";
    assert!(client.query_one(resting, &[]).await.unwrap().get::<_, bool>(0));
    let began = Instant::now();
    // Half of the ten seconds that a statement may take.
    until("it is ended", Duration::from_secs(5), async || {
        !client.query_one(resting, &[]).await.unwrap().get::<_, bool>(0)
    })
    .await;
    assert!(began.elapsed() > Duration::from_millis(500), "it is given time");
    assert!(paused.commit().await.is_err());
}

/// The leader looks no more, though its connection lives. Another leads soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m02_a_leader_that_sleeps_loses_its_place() {
    let database = Postgres::shared().database();
    let interval = Duration::from_secs(1);
    let stores = [harness::open(database.url()), harness::open(database.url())];
    let [mut sleeper, mut other] = stores.each_ref().map(|store| store.observer(interval));
    assert!(sleeper.look().await.unwrap().is_some());
    assert!(other.look().await.unwrap().is_none(), "one leads");
    let other = Mutex::new(other);
    until("the other leads", PATIENCE, async || other.lock().await.look().await.unwrap().is_some())
        .await;
    // It finds its session ended, and the place taken.
    let outcome = sleeper.look().await;
    assert!(!matches!(outcome, Ok(Some(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m07_connections_that_rest_are_closed_and_old_ones_replaced() {
    let database = Postgres::shared().database();
    let rests = PoolOptions { max_idle: Duration::from_millis(400), ..options(database.url(), 8) };
    let store = Store::new(&rests).unwrap();
    let org = Founded::new(&store, "idle").await;
    warm(&store, &org, 8).await;
    until("six of eight are closed", PATIENCE, async || store.connections().0 <= 2).await;

    let client = database.connect().await;
    let ages =
        PoolOptions { max_lifetime: Duration::from_millis(500), ..options(database.url(), 1) };
    let store = Store::new(&ages).unwrap();
    let backends = Mutex::new(BTreeSet::new());
    until("a connection was replaced", PATIENCE, async || {
        store.org(&org.ctx).teams().get(org.team_id).await.unwrap();
        let rows = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'brownie' AND query LIKE '%teams%'";
        let rows = client.query(rows, &[]).await.unwrap();
        let mut backends = backends.lock().await;
        backends.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
        backends.len() > 4
    })
    .await;
}

/// An organization whose units all wait for a lock has its share of connections, and no more; what it asks beyond
/// is refused by the name of the limit. Without shares (the control) it keeps everybody out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1b_an_organization_holds_its_share_of_connections() {
    let database = Postgres::shared().database();
    let founding = harness::open(database.url());
    let (noisy, quiet) =
        (Founded::new(&founding, "noisy").await, Founded::new(&founding, "quiet").await);
    let locker = database.connect().await;
    locker.batch_execute("BEGIN").await.unwrap();
    let lock = "SELECT FROM teams WHERE id = $1 FOR UPDATE";
    locker.query(lock, &[&noisy.team_id.as_uuid()]).await.unwrap();
    for (share, is_kept_out) in [(None, false), (Some(4), true)] {
        let store = Store::new(&PoolOptions {
            max_connections: 4,
            share,
            acquire_timeout: Duration::from_secs(3),
            lock_timeout: Duration::from_secs(8),
            ..PoolOptions::new(database.url())
        })
        .unwrap();
        let version = founding.org(&noisy.ctx).teams().get(noisy.team_id).await.unwrap();
        let (team_id, version) = (noisy.team_id, version.stamps.version);
        let write = |_| {
            let (store, ctx) = (store.clone(), noisy.ctx);
            async move {
                let update = move |tx: OrgTx| async move {
                    tx.teams().update(team_id, version, TeamPatch::default()).await
                };
                store.write(&ctx, update).await
            }
        };
        let writes = tokio::spawn(join_all((0..8).map(write).collect::<Vec<_>>()));
        let held = if is_kept_out { 4 } else { 2 };
        until("the noisy one has what it may have", PATIENCE, async || {
            let (open, idle) = store.connections();
            open - idle == held
        })
        .await;
        let outcome = store.org(&quiet.ctx).teams().get(quiet.team_id).await;
        assert_eq!(outcome.is_err(), is_kept_out, "{outcome:?}");
        let outcomes = writes.await.unwrap();
        if !is_kept_out {
            let refused = |outcome: &&Result<_, Error>| {
                matches!(outcome, Err(Error::ShareUsed { connections: 2 }))
            };
            assert!(outcomes.iter().filter(refused).count() >= 4, "{outcomes:?}");
        }
        store.close().await;
    }
}

/// Nobody waits for a read any more: the server stops it, and its connection serves others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_whose_caller_is_gone_is_cancelled() {
    let database = Postgres::shared().database();
    let patient = PoolOptions {
        lock_timeout: PATIENCE,
        statement_timeout: PATIENCE * 2,
        ..options(database.url(), 1)
    };
    let store = Store::new(&patient).unwrap();
    let org = Founded::new(&store, "gone").await;
    let locker = database.connect().await;
    locker.batch_execute("BEGIN; LOCK TABLE teams IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let reading = tokio::spawn({
        let (store, ctx, team_id) = (store.clone(), org.ctx, org.team_id);
        async move { store.org(&ctx).teams().get(team_id).await }
    });
    let watcher = database.connect().await;
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let waits = async || watcher.query_one(waits, &[]).await.unwrap().get::<_, bool>(0);
    until("it waits", PATIENCE, waits).await;
    reading.abort();
    // Long before the lock's time is over.
    until("it is cancelled", PATIENCE / 3, async || !waits().await).await;
    // The one connection there is serves somebody else, although the lock is still held.
    store.org(&org.ctx).users().get(org.founder.id).await.unwrap();
    locker.batch_execute("COMMIT").await.unwrap();
}
