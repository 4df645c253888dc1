//! What takes the lines is full, or takes nothing: the service serves on, and says what was lost.

use std::{fs::OpenOptions, io::Read, process::Command, thread};

use super::*;
use harness::{PATIENCE, pass, until};

/// Returns how many lines a service says that it has lost.
async fn lost(service: &Service) -> Result<f64> {
    let page = service.metrics_client().get("/metrics").await?;
    let text = page.body.as_str().unwrap_or_default().to_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("brownie_log_lines_dropped_total "));
    Ok(line.map(str::parse).transpose()?.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_stops_nothing() -> Result<()> {
    let database = Postgres::shared().database();
    let full = [("LOG_FILE", "/dev/full")];
    let mut service = Service::server_with(database.url(), &full).await?;
    let admin = service.client().sign_up("acme").await?;
    until("lost lines are counted", PATIENCE, async || {
        assert_eq!(admin.get("/api/v1/auth/me").await.unwrap().status, 200);
        lost(&service).await.unwrap() >= 3.0
    })
    .await;
    ensure!(service.stop()?.success(), "{}", service.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_that_nobody_reads_stops_nothing_and_says_so_when_somebody_does() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let pipe = dir.path().join("pipe");
    ensure!(Command::new("mkfifo").arg(&pipe).status()?.success());
    let path = pipe.display().to_string();
    let database = Postgres::shared().database();
    // As many lines as can be.
    let loud = [
        ("LOG_FILE", path.as_str()),
        ("LOG_LEVEL", "trace,tokio_postgres=trace,actix_http=trace"),
        ("LOG_SLOW_QUERY_THRESHOLD", "0.000001"),
    ];
    let mut service = Service::server_with(database.url(), &loud).await?;
    let admin = service.client().sign_up("acme").await?;
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut slowest = Duration::ZERO;
    while lost(&service).await? < 1.0 {
        ensure!(Instant::now() < deadline, "nothing is lost");
        for _ in 0..100 {
            let started = Instant::now();
            ensure!(admin.get("/api/v1/auth/me").await?.status == 200);
            slowest = slowest.max(started.elapsed());
        }
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");

    // Somebody reads again, and is told.
    let mut reader = OpenOptions::new().read(true).open(&pipe)?;
    let reading = thread::spawn(move || {
        let mut read = Vec::new();
        let _ = reader.read_to_end(&mut read);
        String::from_utf8_lossy(&read).into_owned()
    });
    for _ in 0..20 {
        ensure!(admin.get("/api/v1/auth/me").await?.status == 200);
        pass(Duration::from_millis(50), "lines that come one by one, as the reader reads").await;
    }
    ensure!(service.stop()?.success());
    let read = reading.join().ok().context("the reader")?;
    let told = lines(&read)?.into_iter().find(|line| line["message"] == "log lines were lost");
    assert!(told.context("a line that says so")?["lines"].as_u64() >= Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_written_instead_and_one_that_cannot_be_is_said_at_once() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("log");
    let path = path.display().to_string();
    let database = Postgres::shared().database();
    let mut service = Service::server_with(database.url(), &[("LOG_FILE", &path)]).await?;
    ensure!(service.stop()?.success());
    assert_eq!(service.log(), "");
    let written = lines(&fs::read_to_string(&path)?)?;
    assert!(written.iter().any(|line| line["message"] == "serving"), "{written:?}");

    let nowhere = format!("{path}/log");
    let variables = [
        ("DATABASE_URL", database.url()),
        ("METADATA_JWT_SECRET", harness::JWT_SECRET),
        ("LOG_FILE", &nowhere),
    ];
    let output = harness::run("brownie-server", &[], &variables)?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("LOG_FILE {nowhere} cannot be written")), "{said}");
    Ok(())
}
