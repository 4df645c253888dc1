//! What a service does that is told to stop.

use std::time::{Duration, Instant};

use anyhow::Result;
use harness::{Here, Postgres, Service, until, until_in_flight};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_finishes_what_is_under_way_and_takes_nothing_new() -> Result<()> {
    let database = Postgres::shared().database();
    let service = Service::server(database.url()).await?;
    let here = Here::with(database, service).await?;
    let Here { mut service, admin, team_id, database, .. } = here;
    let address = service.base().trim_start_matches("http://").to_owned();
    let body = r#"{"title": "reported while it stops"}"#;
    let (begun, rest) = body.split_at(10);
    let mut request = TcpStream::connect(&address).await?;
    let head = format!(
        "POST /api/v1/teams/{team_id}/incidents HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{begun}",
        admin.token(),
        body.len(),
    );
    request.write_all(head.as_bytes()).await?;
    until_in_flight(&service.metrics_client()).await;

    let told = Instant::now();
    service.tell_to_stop()?;
    until("nothing new is answered", Duration::from_secs(3), async || {
        !is_answered(&address).await.unwrap_or_default()
    })
    .await;

    request.write_all(rest.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(18), request.read_to_end(&mut answer)).await??;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(service.wait()?.success(), "{}", service.log());
    assert!(told.elapsed() < Duration::from_secs(20));
    let kept = "SELECT 1 FROM incidents WHERE title = 'reported while it stops'";
    assert_eq!(database.connect().await.query(kept, &[]).await?.len(), 1);
    Ok(())
}

/// Tells whether a request on a new connection is answered. The kernel may still take the connection.
async fn is_answered(address: &str) -> Result<bool> {
    let mut late = TcpStream::connect(address).await?;
    late.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let read = timeout(Duration::from_secs(1), late.read(&mut [0])).await;
    Ok(matches!(read, Ok(Ok(1..))))
}

/// FAULTS M-16: told to stop, it says so where balancers look, and takes requests until they have looked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m16_readiness_says_no_before_requests_are_refused() -> Result<()> {
    let database = Postgres::shared().database();
    let drains = [("METADATA_DRAIN_SECONDS", "3")];
    let mut service = Service::server_with(database.url(), &drains).await?;
    let (probes, client) = (service.metrics_client(), service.client());
    assert_eq!(probes.get("/readyz").await?.status, 200);
    let told = Instant::now();
    service.tell_to_stop()?;
    until("readiness says no", Duration::from_secs(2), async || {
        probes.get("/readyz").await.is_ok_and(|answer| answer.status == 503)
    })
    .await;
    assert_eq!(client.get("/").await?.status, 200, "{:?}", told.elapsed());
    assert_eq!(client.get("/livez").await?.status, 200);
    assert!(service.wait()?.success(), "{}", service.log());
    assert!(told.elapsed() > Duration::from_secs(3), "{:?}", told.elapsed());
    Ok(())
}
