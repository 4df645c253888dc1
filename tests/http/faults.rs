//! Sessions that die below a service.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use harness::{InProcess, PATIENCE, Postgres, until};

/// All of the service's sessions are ended twenty times while clients read and write: nobody who reads
/// notices, and nothing is written twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_cost_no_reader_an_answer() {
    let database = Postgres::shared().database();
    let service = InProcess::server(database.url()).await.unwrap();
    let admin = service.client().sign_up("acme").await.unwrap();
    let team = admin.get("/api/v1/auth/me").await.unwrap().text("team_id").to_owned();
    let killer = database.connect().await;
    let (answers, over) =
        (Arc::new([const { AtomicU64::new(0) }; 4]), Arc::new(AtomicBool::new(false)));
    let readers: Vec<_> = (0..answers.len())
        .map(|reader| {
            let (admin, path) = (admin.clone(), format!("/api/v1/teams/{team}"));
            let (answers, over) = (Arc::clone(&answers), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    assert_eq!(admin.get(&path).await.unwrap().status, 200);
                    answers[reader].fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let writer = tokio::spawn({
        let (admin, path) = (admin.clone(), format!("/api/v1/teams/{team}/incidents"));
        let over = Arc::clone(&over);
        async move {
            let (mut asked, mut made) = (0, 0);
            while !over.load(Ordering::SeqCst) {
                // No key: what is done twice is there twice.
                asked += 1;
                let body = serde_json::json!({"title": format!("Number {asked}")});
                let answer = admin.post(&path, &body).await.unwrap();
                assert!(matches!(answer.status, 201 | 503), "{answer:?}");
                made += i64::from(answer.status == 201);
            }
            made
        }
    });
    let mut ended = 0_u64;
    let answered =
        || answers.iter().map(|answers| answers.load(Ordering::SeqCst)).collect::<Vec<_>>();
    for _ in 0..20 {
        let before = answered();
        ended += killer
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'brownie-server'",
                &[],
            )
            .await
            .unwrap();
        // A read is tried three times: it meets one kill, and not three.
        until("each is answered again, twice", PATIENCE, async || {
            answered().iter().zip(&before).all(|(now, before)| *now > before + 2)
        })
        .await;
    }
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    let (made, reads) = (writer.await.unwrap(), answered().iter().sum::<u64>());
    println!("{ended} sessions ended, {reads} reads answered, {made} writes");
    assert!(ended > 20 && reads > 100 && made > 0, "{ended} {reads} {made}");
    let rows: i64 = killer.query_one("SELECT count(*) FROM incidents", &[]).await.unwrap().get(0);
    assert!(rows >= made, "acknowledged, and not there");
    let titles = "SELECT count(DISTINCT title) FROM incidents";
    let titles: i64 = killer.query_one(titles, &[]).await.unwrap().get(0);
    assert_eq!(titles, rows, "done twice");
    let records: i64 = killer
        .query_one("SELECT count(*) FROM outbox WHERE resource = 'incident'", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(records, rows);
    let metrics = service.client().get("/metrics").await.unwrap().body;
    let metrics = metrics.as_str().unwrap_or_default();
    let retries = "brownie_db_retries_total{cause=\"connection\"} ";
    assert!(metrics.contains(retries), "{metrics}");
    assert!(!metrics.contains(&format!("{retries}0\n")), "{metrics}");
}
