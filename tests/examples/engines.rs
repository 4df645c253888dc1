//! Measures the engine behind the door and puts it through the cancel and dead-socket cases of
//! RELIABILITY P1 and P2: `cargo run --release -p brownie-tests --example engines`.
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "an experiment")]

use std::{sync::{Arc, atomic::{AtomicU64, Ordering}}, time::{Duration, Instant}};
use brownie_domain::*;
use brownie_persistence::*;
use harness::{ChaosProxy, Mode, Postgres};

async fn load<F, Fut>(name: &str, tasks: usize, secs: u64, f: F) where F: Fn(usize) -> Fut + Send + Sync + 'static, Fut: Future<Output = bool> + Send {
    let f = Arc::new(f);
    let done = Arc::new(AtomicU64::new(0)); let failed = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + Duration::from_secs(secs);
    let mut hs = vec![];
    for t in 0..tasks { let (f, done, failed) = (f.clone(), done.clone(), failed.clone());
        hs.push(tokio::spawn(async move { while Instant::now() < end { if f(t).await { done.fetch_add(1, Ordering::Relaxed); } else { failed.fetch_add(1, Ordering::Relaxed); } } })); }
    for h in hs { h.await.unwrap(); }
    println!("{name}: {} per second, {} failed", done.load(Ordering::Relaxed) / secs, failed.load(Ordering::Relaxed));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let pg = Postgres::shared();
    let db = pg.database();
    println!("url {}", db.url());
    let mut options = PoolOptions::new(db.url()); options.max_connections = 16;
    let store = Store::new(&options).unwrap();
    let ids = RandomIds; let clock = SystemClock;
    let request = RequestId::from_uuid(ids.next(clock.now()));
    let user = store.system(&SystemContext::for_visitor(request)).sign_up(SignUp { organization: "Bench".parse().unwrap(), slug: "bench".parse().unwrap(), team: "One".parse().unwrap(), email: "a@b.cd".parse().unwrap(), username: "abc".parse().unwrap(), full_name: None, password_hash: "x".into() }).await.unwrap();
    let principal = store.system(&SystemContext::for_visitor(request)).principal(user.org_id, user.id).await.unwrap().unwrap();
    let ctx = principal.context(request);
    db.connect().await.batch_execute("update organizations set max_teams = 1000000").await.unwrap();
    let new = |i: usize| NewTeam { name: format!("team {i}").parse().unwrap(), slug: format!("team-{i}").parse().unwrap(), description: None, is_active: true, permissions: Default::default() };
    let mut teams = vec![];
    for i in 0..100 { teams.push(store.write(&ctx, { let n = new(i); move |tx| async move { tx.teams().create(n).await } }).await.unwrap().id); }
    let teams = Arc::new(teams);
    let only = std::env::args().nth(1);
    if only.as_deref() != Some("faults") {
        for round in 1..=3 {
            println!("round {round}");
            { let (store, teams) = (store.clone(), teams.clone()); let n = Arc::new(AtomicU64::new(0)); load("read by id ", 16, 4, move |_| { let s = store.clone(); let id = teams[(n.fetch_add(1, Ordering::Relaxed) % 100) as usize]; async move { s.org(&ctx).teams().get(id).await.is_ok() } }).await; }
            { let store = store.clone(); load("list of 50 ", 16, 4, move |_| { let s = store.clone(); async move { s.org(&ctx).teams().list(PageRequest::new(50, None).unwrap()).await.is_ok() } }).await; }
            { let (store, teams) = (store.clone(), teams.clone()); load("guarded write", 16, 4, move |t| { let s = store.clone(); let id = teams[t]; async move {
                let team = s.org(&ctx).teams().get(id).await.unwrap();
                s.write(&ctx, move |tx| async move { tx.teams().update(id, team.version, TeamPatch { is_active: Some(true), ..Default::default() }).await }).await.is_ok() } }).await; }
        }
    }
    // cancel: drop at random moments, then look for open transactions and lost writes
    let mut lost = 0; let mut acked = 0;
    let mut options2 = PoolOptions::new(db.url()); options2.max_connections = 2;
    let small = Store::new(&options2).unwrap();
    let watcher = db.connect().await;
    for i in 0..2000u64 {
        let s = small.clone(); let n = new(1000 + i as usize);
        // dropped after a random number of microseconds
        let wait = Duration::from_micros(i * 7919 % 900);
        let unit = async { let tx = s.begin(&ctx).await?; let t = tx.teams().create(n).await?; tx.commit().await?; Ok::<_, Error>(t) };
        if let Ok(Ok(_)) = tokio::time::timeout(wait, unit).await {}
        if i % 10 == 0 {
            let n = new(100_000 + i as usize);
            let team = small.write(&ctx, move |tx| async move { tx.teams().create(n).await }).await;
            if let Ok(team) = team { acked += 1; let id = team.id.as_uuid(); if watcher.query("select 1 from teams where id = $1", &[&id]).await.unwrap().is_empty() { lost += 1; } } else { println!("  {team:?}"); }
        }
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let open: i64 = watcher.query_one("select count(*) from pg_stat_activity where state like 'idle in transaction%'", &[]).await.unwrap().get(0);
    let half: i64 = watcher.query_one("select count(*) from teams t where not exists (select 1 from audit_log a where a.resource_id = t.id) and slug like 'team-%'", &[]).await.unwrap().get(0);
    println!("cancelled begins and writes: {acked} acknowledged, {lost} lost, {open} open transactions, {half} rows without audit, pool {:?}", small.connections());

    // dead sockets, idle and in flight
    for kind in ["idle", "in flight"] {
        let proxy = ChaosProxy::to(pg.port()).await.unwrap();
        let mut options = PoolOptions::new(db.url_via(proxy.port())); options.max_connections = 5; options.statement_timeout = Duration::from_secs(3);
        let store = Store::new(&options).unwrap();
        let mut hs = vec![];
        for _ in 0..5 { let (s, id) = (store.clone(), teams[0]); hs.push(tokio::spawn(async move { let tx = s.begin(&ctx).await.unwrap(); tx.teams().get(id).await.unwrap(); tokio::time::sleep(Duration::from_millis(200)).await; tx.commit().await.unwrap(); })); }
        for h in hs { h.await.unwrap(); }
        if kind == "idle" { tokio::time::sleep(Duration::from_secs(6)).await; proxy.set(Mode::Silence); }
        let t = Instant::now();
        if kind == "in flight" {
            proxy.set(Mode::Silence);
            for _ in 0..5 { let (s, id) = (store.clone(), teams[0]); let _ = tokio::time::timeout(Duration::from_millis(100), async move { s.org(&ctx).teams().get(id).await }).await; }
        }
        let mut errors = 0;
        let first = loop { match tokio::time::timeout(Duration::from_secs(30), store.org(&ctx).teams().get(teams[0])).await { Ok(Ok(_)) => break t.elapsed(), _ => errors += 1 } if t.elapsed() > Duration::from_secs(60) { break t.elapsed() } };
        let t2 = Instant::now();
        let mut later = 0; for _ in 0..20 { if store.org(&ctx).teams().get(teams[0]).await.is_err() { later += 1; } }
        println!("dead {kind}: first success after {first:?}, {errors} errors before, {later} of the next 20 failed in {:?}", t2.elapsed());
    }
}
