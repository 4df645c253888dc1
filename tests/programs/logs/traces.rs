//! Traces that a collector gets, and one that takes none.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use super::*;

/// Takes requests at a port of its own, and says what they were; or never answers.
fn collector(answers: bool) -> Result<(String, Receiver<Vec<u8>>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (sender, requests) = channel();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming().flatten() {
            if answers {
                let sender = sender.clone();
                thread::spawn(move || serve(stream, &sender));
            } else {
                let _ = sender.send(Vec::new());
                open.push(stream);
            }
        }
    });
    Ok((url, requests))
}

/// Reads requests of one connection, header and body, and answers that all is well.
fn serve(mut stream: TcpStream, requests: &Sender<Vec<u8>>) -> std::io::Result<()> {
    loop {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            request.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&request).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or_default();
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        request.extend(body);
        let _ = requests.send(request);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_the_span_of_a_request_in_the_callers_trace() -> Result<()> {
    let (url, requests) = collector(true)?;
    let database = Postgres::shared().database();
    let traced = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=hunter2"),
    ];
    let mut service = Service::server_with(database.url(), &traced).await?;
    let admin = service.client().sign_up("acme").await?;
    let headers = [("traceparent", TRACEPARENT)];
    admin.send(Method::GET, "/api/v1/auth/me", &headers, None).await?;
    let told = line(&service, |line| line["trace_id"] == TRACE_ID).await?;
    assert_eq!(told["route"], "/api/v1/auth/me");
    let other = line(&service, |line| line["route"] == "/api/v1/auth/signup").await?;
    let other = other["trace_id"].as_str().context("a trace of its own")?.to_owned();
    assert!(other.len() == 32 && other != TRACE_ID, "{other}");
    // What waits is sent at the end.
    ensure!(service.stop()?.success(), "{}", service.log());
    assert!(!service.log().contains("hunter2"));

    let sent: Vec<u8> = requests.try_iter().flatten().collect();
    let has = |part: &[u8]| sent.windows(part.len()).any(|window| window == part);
    let bytes = |hex: &str| u128::from_str_radix(hex, 16).map(u128::to_be_bytes);
    assert!(has(b"POST /v1/traces"), "{}", String::from_utf8_lossy(&sent));
    for part in [
        &b"x-tenant: hunter2"[..],
        &bytes(TRACE_ID)?,
        &bytes(&other)?,
        // Whose child it is.
        &0x00f0_67aa_0ba9_02b7_u64.to_be_bytes(),
        b"GET /api/v1/auth/me",
        b"POST /api/v1/auth/signup",
        b"brownie-server",
    ] {
        assert!(has(part), "{:?} in {}", part, String::from_utf8_lossy(&sent));
    }
    assert!(!has(b"founder@") && !has(b"correct horse") && !has(admin.token().as_bytes()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_does_not_answer_costs_spans_and_nothing_else() -> Result<()> {
    let (url, requests) = collector(false)?;
    let database = Postgres::shared().database();
    let traced =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let mut service = Service::server_with(database.url(), &traced).await?;
    let admin = service.client().sign_up("acme").await?;
    for _ in 0..300 {
        let started = Instant::now();
        ensure!(admin.get("/api/v1/auth/me").await?.status == 200);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
    assert!(requests.recv_timeout(Duration::from_secs(10)).is_ok(), "it was asked");
    let started = Instant::now();
    ensure!(service.stop()?.success(), "{}", service.log());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    Ok(())
}
