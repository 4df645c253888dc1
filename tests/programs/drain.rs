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

/// FAULTS M-18: a connection without a request is kept as long as the setting says, which is longer than a balancer
/// in front keeps its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m18_a_connection_is_kept_as_long_as_is_said() -> Result<()> {
    let database = Postgres::shared().database();
    let mut kept = Vec::new();
    for seconds in ["1", "9"] {
        let settings = [("METADATA_KEEP_ALIVE", seconds)];
        let service = Service::server_with(database.url(), &settings).await?;
        let stream = TcpStream::connect(service.base().trim_start_matches("http://")).await?;
        kept.push((service, stream));
    }
    for (_, stream) in &mut kept {
        assert!(ask_on(stream).await?);
    }
    let asked = Instant::now();
    let closed = timeout(Duration::from_secs(8), kept[0].1.read(&mut [0])).await??;
    assert_eq!(closed, 0, "the first is closed");
    // The HTTP server's clock ticks twice a second.
    assert!(asked.elapsed() >= Duration::from_millis(400), "{:?}", asked.elapsed());
    assert!(ask_on(&mut kept[1].1).await?, "the other is kept");
    Ok(())
}

/// Asks on a connection, reads the whole answer, and tells whether it is one.
async fn ask_on(stream: &mut TcpStream) -> Result<bool> {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut piece = [0; 1024];
        let read = timeout(Duration::from_secs(5), stream.read(&mut piece)).await??;
        if read == 0 {
            return Ok(false);
        }
        answer.extend_from_slice(&piece[..read]);
    }
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}
