//! The feed: what a reader sees while others write. With real concurrency, so not on the embedded
//! engine.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use brownie_domain::{EventId, Version};
use brownie_persistence::{Error, Event, Store, TeamPatch};
use harness::{Founded, Postgres, is_long, new_team, pass};

const WRITERS: u64 = 8;

/// How long the writers write. `tests/run.sh --long` gives them a minute.
fn how_long() -> Duration {
    Duration::from_secs(if is_long() { 60 } else { 5 })
}

/// Reads until `enough` holds of what it has.
async fn follow(
    store: Store,
    org: Founded,
    page: u64,
    enough: impl Fn(&[Event]) -> bool,
) -> Vec<Event> {
    let scope = store.org(&org.ctx);
    let (mut pulse, mut place) = (store.pulse(org.ctx.org_id()), scope.events().beginning());
    let mut seen = Vec::new();
    loop {
        pulse.look();
        let (events, next) = scope.events().list(place, page).await.unwrap();
        let is_empty = events.is_empty();
        seen.extend(events);
        place = next;
        if enough(&seen) {
            return seen;
        }
        if is_empty {
            let _ = tokio::time::timeout(Duration::from_secs(1), pulse.changed()).await;
        }
    }
}

/// Units of random length: some change rows, wait, and commit late; some give up.
async fn write(store: Store, org: Founded, writer: u64, until: Instant) -> u64 {
    let mut committed = 0;
    let team = store
        .write(&org.ctx, move |tx| async move {
            tx.teams().create(new_team(&format!("writer-{writer}"))).await
        })
        .await
        .unwrap();
    let (id, mut version) = (team.id, team.stamps.version);
    committed += 1;
    let mut dice = writer * 7919 + 1;
    while Instant::now() < until {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (pause, gives_up) = ((dice >> 33) % 16, (dice >> 40).is_multiple_of(8));
        let outcome = store
            .write(&org.ctx, move |tx| async move {
                let team = tx.teams().update(id, version, TeamPatch::default()).await?;
                // Another thing besides, so that positions are taken in a row, and late.
                pass(Duration::from_millis(pause), "a slow transaction").await;
                let team = tx.teams().update(id, team.stamps.version, TeamPatch::default()).await?;
                if gives_up { Err(Error::Contended) } else { Ok(team.stamps.version) }
            })
            .await;
        if let Ok(now) = outcome {
            version = now;
            committed += 2;
        }
    }
    committed
}

/// Sessions of other programs, which hold their positions for a while before they commit or give up.
async fn dawdle(session: tokio_postgres::Client, org: Founded, seed: u64, until: Instant) -> u64 {
    let (mut dice, mut committed) = (harness::Dice::new(seed), 0);
    while Instant::now() < until {
        let insert = format!(
            "BEGIN; INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
             VALUES ('{}', gen_random_uuid(), now(), 'slow', 'x', gen_random_uuid(), 1)",
            org.founder.org_id
        );
        session.batch_execute(&insert).await.unwrap();
        pass(Duration::from_millis(dice.below(50)), "a slow session").await;
        let keeps = dice.below(4) > 0;
        session.batch_execute(if keeps { "COMMIT" } else { "ROLLBACK" }).await.unwrap();
        committed += u64::from(keeps);
    }
    committed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_reader_sees_every_event_once_and_in_order() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "feed").await;
    let other = Founded::new(&store, "other").await;
    let admin = database.connect().await;
    admin.batch_execute("UPDATE organizations SET max_teams = 1000").await.unwrap();

    let until = Instant::now() + how_long();
    let done = Arc::new(AtomicBool::new(false));
    let total = Arc::new(std::sync::Mutex::new(u64::MAX));
    let readers: Vec<_> = [1, 7]
        .map(|page| {
            let total = Arc::clone(&total);
            tokio::spawn(follow(store.clone(), org.clone(), page * 10, move |seen| {
                seen.len() as u64 >= *total.lock().unwrap()
            }))
        })
        .into();
    // Somebody else's traffic shares the positions.
    let noise = tokio::spawn({
        let (store, done) = (store.clone(), Arc::clone(&done));
        async move {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                let slug = format!("noise-{number}");
                let new = new_team(&slug);
                let write = move |tx: brownie_persistence::OrgTx| {
                    let new = new.clone();
                    async move { tx.teams().create(new).await }
                };
                let _ = store.write(&other.ctx, write).await;
                pass(Duration::from_millis(3), "a few hundred writes a second").await;
            }
        }
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(store.clone(), org.clone(), writer, until)))
        .collect();
    let dawdlers = [
        tokio::spawn(dawdle(database.connect().await, org.clone(), 1, until)),
        tokio::spawn(dawdle(database.connect().await, org.clone(), 2, until)),
    ];
    let mut committed = 0;
    for dawdler in dawdlers {
        committed += dawdler.await.unwrap();
    }
    for writer in writers {
        committed += writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    noise.await.unwrap();

    // What the founding left, and what the writers did.
    let really = "SELECT count(*), count(DISTINCT id) FROM outbox WHERE org_id = $1";
    let row = admin.query_one(really, &[&org.founder.org_id.as_uuid()]).await.unwrap();
    let (rows, ids): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!((rows, ids), (i64::try_from(committed).unwrap() + 3, rows));
    *total.lock().unwrap() = u64::try_from(rows).unwrap();

    let by_position = "SELECT id FROM outbox WHERE org_id = $1 ORDER BY position";
    let order = admin.query(by_position, &[&org.founder.org_id.as_uuid()]).await.unwrap();
    let order: Vec<EventId> = order.iter().map(|row| EventId::from_uuid(row.get(0))).collect();
    for reader in readers {
        let seen = tokio::time::timeout(Duration::from_secs(20), reader).await;
        let seen = seen.unwrap().unwrap();
        assert!(
            seen.iter().map(|event| event.id).eq(order.iter().copied()),
            "not in order, or not once"
        );
        let mut versions: BTreeMap<uuid::Uuid, Version> = BTreeMap::new();
        for event in seen {
            let before = versions.insert(event.resource_id, event.version);
            assert!(
                before.is_none_or(|before| before.get() + 1 == event.version.get()),
                "{event:?}"
            );
        }
    }
    println!("{rows} events by {WRITERS} writers; both readers saw each once, in order");
    store.close().await;
}

/// The mitigation, taken away: a reader that goes by positions alone, without the horizon, does miss
/// events. Were it not so, the test above would show nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_horizon_events_are_missed() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "naive").await;
    let admin = database.connect().await;
    admin
        .batch_execute(
            "CREATE OR REPLACE FUNCTION outbox_horizon() RETURNS bigint
            LANGUAGE sql AS 'SELECT last_value FROM public.outbox_position'",
        )
        .await
        .unwrap();
    let slow = database.connect().await;
    slow.batch_execute(&format!(
        "BEGIN; INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
         VALUES ('{}', gen_random_uuid(), now(), 'slow', 'x', gen_random_uuid(), 1)",
        org.founder.org_id
    ))
    .await
    .unwrap();
    store
        .write(&org.ctx, |tx| async move { tx.teams().create(new_team("quick")).await })
        .await
        .unwrap();
    let scope = store.org(&org.ctx);
    let (before, place) = scope.events().list(scope.events().beginning(), 100).await.unwrap();
    assert!(
        before.iter().any(|event| event.event == "team.created" && event.version == Version::FIRST)
    );
    slow.batch_execute("COMMIT").await.unwrap();
    let (after, _) = scope.events().list(place, 100).await.unwrap();
    assert!(after.is_empty(), "the slow one is missed: {after:?}");
}

/// The same with the horizon: the quick one waits for the slow one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_waits_for_those_before_it() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let org = Founded::new(&store, "waits").await;
    let scope = store.org(&org.ctx);
    let (_, place) = scope.events().list(scope.events().beginning(), 100).await.unwrap();
    let slow = database.connect().await;
    slow.batch_execute(&format!(
        "BEGIN; INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
         VALUES ('{}', gen_random_uuid(), now(), 'slow', 'x', gen_random_uuid(), 1)",
        org.founder.org_id
    ))
    .await
    .unwrap();
    store
        .write(&org.ctx, |tx| async move { tx.teams().create(new_team("quick")).await })
        .await
        .unwrap();
    assert!(scope.events().list(place, 100).await.unwrap().0.is_empty());

    let mut pulse = store.pulse(org.ctx.org_id());
    pulse.look();
    slow.batch_execute("COMMIT").await.unwrap();
    tokio::time::timeout(Duration::from_secs(2), pulse.changed()).await.unwrap();
    let (events, _) = scope.events().list(place, 100).await.unwrap();
    let names: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(names, ["slow", "team.created"]);

    let unknown = EventId::from_uuid(uuid::Uuid::nil());
    assert!(matches!(scope.events().after(unknown).await, Err(Error::NotFound { .. })));
}

/// FAULTS S1 SSE: what happens in one organization wakes nobody who waits for another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_events_wake_the_readers_of_their_own_organization() {
    let database = Postgres::shared().database();
    let store = harness::open(database.url());
    let orgs = [Founded::new(&store, "idle").await, Founded::new(&store, "busy").await];
    let [mut idle, mut busy] = orgs.each_ref().map(|org| store.pulse(org.ctx.org_id()));
    // The first beat wakes both: what was before they waited is news to them.
    idle.changed().await;
    busy.changed().await;
    for number in 0..5 {
        idle.look();
        busy.look();
        let new = new_team(&format!("news-{number}"));
        let write = store.write(&orgs[1].ctx, move |tx| {
            let new = new.clone();
            async move { tx.teams().create(new).await }
        });
        write.await.unwrap();
        busy.changed().await;
        let woken = tokio::time::timeout(Duration::from_millis(300), idle.changed()).await;
        assert!(woken.is_err(), "somebody else's news");
    }
}
