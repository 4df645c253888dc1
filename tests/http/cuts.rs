//! Connections that break at any byte: between us and the database, and between a client and us. No
//! transaction stays open, no tenant stays on a connection, nothing is half-written, and what was
//! acknowledged is there.
//!
//! A few hundred of each in every run; `tests/run.sh --long` cuts ten thousand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use brownie_persistence::{PoolOptions, Store};
use harness::{
    ChaosProxy, Database, Dice, Founded, InProcess, Mode, PATIENCE, Postgres, is_long, new_team,
    until,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

fn how_many() -> u64 {
    if is_long() { 5_000 } else { 300 }
}

async fn count(client: &tokio_postgres::Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Waits until the server has noticed what became of its clients, and finds nothing left open.
async fn check_sessions(database: &Database) {
    let client = database.connect().await;
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    // Sooner than the server ends one that is left.
    until("no session is idle in a transaction", Duration::from_secs(5), async || {
        count(&client, open).await == 0
    })
    .await;
}

/// Audit rows, events and versions agree with the rows.
async fn check_records(database: &Database, table: &str, resource: &str) {
    let client = database.connect().await;
    for records in ["audit_log", "outbox"] {
        let sql = format!(
            "SELECT count(*) FROM {table} t FULL JOIN
                 (SELECT org_id, resource_id, count(*) AS records, max(version) AS version
                  FROM {records} WHERE resource = '{resource}' GROUP BY 1, 2) r
                 ON r.resource_id = t.id AND r.org_id = t.org_id
             WHERE t.id IS NULL OR r.records IS DISTINCT FROM t.version OR r.version <> t.version"
        );
        assert_eq!(count(&client, &sql).await, 0, "{records} disagrees with {table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_the_database_is_cut_at_any_byte() {
    let database = Postgres::shared().database();
    let admin = database.connect().await;
    let calm = harness::open(database.url());
    let orgs = [Founded::new(&calm, "ours").await, Founded::new(&calm, "theirs").await];
    admin.batch_execute("UPDATE organizations SET max_teams = 1000000").await.unwrap();

    let proxy = ChaosProxy::cutting(Postgres::shared().port(), 42, 6_000).await.unwrap();
    let options =
        PoolOptions { max_connections: 4, ..PoolOptions::new(database.url_via(proxy.port())) };
    let store = Store::new(&options).unwrap();
    let next = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (store, orgs, next) = (store.clone(), orgs.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let (mut kept, mut failed) = (Vec::new(), 0);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= how_many() {
                        return (kept, failed);
                    }
                    // Alternately for one organization and the other, on the same connections.
                    let org = &orgs[usize::from(number % 2 == 0)];
                    let slug = format!("{}-{number}", org.founder.email.as_str().len());
                    let new = new_team(&slug);
                    let write = store.write(&org.ctx, move |tx| {
                        let new = new.clone();
                        async move { tx.teams().create(new).await }
                    });
                    match write.await {
                        Ok(team) => kept.push(team.id.as_uuid()),
                        Err(error) => {
                            assert!(error.is_transient(), "{error:?}");
                            failed += 1;
                        }
                    }
                    if let Ok(team) = store.org(&org.ctx).teams().get(org.team_id).await {
                        assert_eq!(team.org_id, org.founder.org_id);
                    }
                }
            })
        })
        .collect();
    let (mut kept, mut failed) = (Vec::new(), 0);
    for worker in workers {
        let (of_worker, failures) = worker.await.unwrap();
        kept.extend(of_worker);
        failed += failures;
    }
    assert!(failed > 0 && !kept.is_empty(), "the cuts miss their aim: {failed} of {}", how_many());
    println!("{} written, {failed} answered with an error", kept.len());

    proxy.set(Mode::Pass);
    check_sessions(&database).await;
    for org in &orgs {
        let team = store.org(&org.ctx).teams().get(org.team_id).await.unwrap();
        assert_eq!(team.org_id, org.founder.org_id);
    }
    let there = "SELECT count(*) FROM teams WHERE id = ANY($1)";
    let there: i64 = admin.query_one(there, &[&kept]).await.unwrap().get(0);
    assert_eq!(usize::try_from(there).unwrap(), kept.len(), "acknowledged, and not there");
    check_records(&database, "teams", "team").await;
    // The slug says for whom it was made.
    let astray = "SELECT count(*) FROM teams t JOIN users u USING (org_id)
        WHERE t.slug ~ '^[0-9]+-' AND split_part(t.slug, '-', 1)::int <> length(u.email)";
    assert_eq!(count(&admin, astray).await, 0, "in the wrong organization");
    until("all connections are back in the pool", PATIENCE, async || {
        let (size, idle) = store.connections();
        size <= 4 && size == idle
    })
    .await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_go_away_at_any_byte() {
    let database = Postgres::shared().database();
    let service = InProcess::server_with(database.url(), &[("DB_POOL_SIZE", "2")]).await.unwrap();
    let admin = service.client().sign_up("acme").await.unwrap();
    let team = admin.get("/api/v1/auth/me").await.unwrap().text("team_id").to_owned();
    let address = service.base().trim_start_matches("http://").to_owned();
    let next = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (address, team, next) = (address.clone(), team.clone(), Arc::clone(&next));
            let token = admin.token().to_owned();
            tokio::spawn(async move {
                let mut dice = Dice::new(worker);
                while next.fetch_add(1, Ordering::Relaxed) < how_many() {
                    let body = json!({"title": "Cut", "description": "x".repeat(500)}).to_string();
                    let request = format!(
                        "POST /api/v1/teams/{team}/incidents HTTP/1.1\r\nHost: x\r\n\
                         Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
                         Content-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = go_away(&address, request.as_bytes(), &mut dice).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }

    // The pool of two is whole: more requests at once than it has connections.
    let path = format!("/api/v1/teams/{team}/incidents");
    let body = json!({"title": "Kept"});
    let kept = futures_util::future::join_all((0..8).map(|_| admin.post(&path, &body))).await;
    assert!(kept.into_iter().all(|answer| answer.unwrap().status == 201));
    check_sessions(&database).await;
    let client = database.connect().await;
    let made = count(&client, "SELECT count(*) FROM incidents WHERE title = 'Cut'").await;
    assert!(made > 0 && made < i64::try_from(how_many()).unwrap(), "the cuts miss: {made} made");
    println!("{made} of {} arrived whole", how_many());
    check_records(&database, "incidents", "incident").await;
    let ours = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = 'brownie-server'";
    // Two of the pool, the session by which this instance tells of the business, and the one of readiness.
    until("sessions that were replaced have ended", PATIENCE, async || {
        count(&client, ours).await <= 4
    })
    .await;
    service.stop().await.unwrap();
}

/// Sends a part of a request, reads a part of the answer perhaps, and resets the connection.
async fn go_away(address: &str, request: &[u8], dice: &mut Dice) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_zero_linger()?;
    // One in three sends all of it, and leaves at some moment of the work that follows.
    let length = request.len() as u64;
    let sent = if dice.below(3) == 0 { length } else { dice.below(length) };
    stream.write_all(&request[..usize::try_from(sent).unwrap_or(request.len())]).await?;
    if sent == length {
        let moment = Duration::from_micros(dice.below(8_000));
        let mut part = vec![0; usize::try_from(dice.below(200)).unwrap_or_default() + 1];
        let _ = timeout(moment, stream.read(&mut part)).await;
    }
    Ok(())
}
