//! What one organization, or one stranger, may spend of what all share. FAULTS S1c, S1e, S2c, S2f, C0, C1.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{Here, InProcess, PATIENCE, pass, run, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

/// An object of many small values, which is little as text and much as values.
fn many_small_values(values: usize) -> Value {
    json!({"l": vec![1; values]})
}

/// A list of the costliest documents ends its pages by bytes, and each of its rows is reached by the cursors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c0_pages_end_by_bytes_and_lead_on() -> Result<()> {
    const ROWS: usize = 24;
    let here = Here::new().await?;
    let path = format!("/api/v1/teams/{}/incidents", here.team_id);
    for number in 0..ROWS {
        let metadata = many_small_values(49_000);
        let body = json!({"title": format!("incident {number}"), "incident_metadata": metadata});
        let answer = here.admin.post(&path, &body).await?;
        ensure!(answer.status == 201, "{answer:?}");
    }
    for list in
        [format!("{path}?limit=100"), "/api/v1/audit-log?limit=100&resource=incident".into()]
    {
        let (mut seen, mut pages, mut cursor) = (0, 0, String::new());
        loop {
            let page = here.admin.get(&format!("{list}{cursor}")).await?;
            ensure!(page.status == 200, "{page:?}");
            let items = page.body["items"].as_array().map_or(0, Vec::len);
            let bytes = page.body.to_string().len();
            ensure!(items > 0 && bytes < 1_300_000, "{items} rows, {bytes} bytes");
            (seen, pages) = (seen + items, pages + 1);
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        ensure!(seen == ROWS && pages > 1, "{list}: {seen} rows on {pages} pages");
    }
    Ok(())
}

/// What is too deep or too much is refused by the rule that it breaks; what is stored all the same, by whatever
/// wrote it, takes nothing else away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_one_document_takes_no_list_away() -> Result<()> {
    let here = Here::new().await?;
    let path = format!("/api/v1/teams/{}/incidents", here.team_id);
    let deep = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
    let create = async |metadata: &str| {
        let body = format!(r#"{{"title": "x", "incident_metadata": {metadata}}}"#);
        here.admin.send(Method::POST, &path, &[], Some(body)).await
    };
    for (metadata, status) in [
        (deep(64), 201),
        (deep(65), 422),
        (deep(126), 422),
        (many_small_values(60_000).to_string(), 422),
        (format!("{{\"a\":[{}0]}}", "1e-16383,".repeat(1000)), 422),
    ] {
        let answer = create(&metadata).await?;
        ensure!(answer.status == status, "{}: {answer:?}", metadata.len());
    }
    // By SQL, deeper than most readers of JSON go: 0.1's rows may be.
    let stored = deep(3000);
    let client = here.database.connect().await;
    client.batch_execute(&format!("UPDATE incidents SET incident_metadata = '{stored}'")).await?;
    client.batch_execute(&format!("UPDATE audit_log SET changes = '{stored}'")).await?;
    for list in ["/api/v1/audit-log".to_owned(), path.clone()] {
        let raw = here.admin.get(&list).await?;
        ensure!(raw.status == 200, "{list}: {}", raw.status);
    }
    Ok(())
}

/// An organization whose requests are not answered has its share of them in progress. What it asks beyond is
/// refused by the name of the limit, and others do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1b_an_organization_has_its_share_of_requests_in_progress() -> Result<()> {
    let patient = [
        ("METADATA_ORGANIZATION_REQUESTS", "1"),
        ("DB_LOCK_TIMEOUT", "60"),
        ("DB_READ_TIMEOUT", "60"),
        ("DB_STATEMENT_TIMEOUT", "60"),
    ];
    let here = Here::with_settings(&patient).await?;
    let other = here.service.client().sign_up("other").await?;
    let locker = here.database.connect().await;
    locker.batch_execute("BEGIN; LOCK TABLE incidents IN ACCESS EXCLUSIVE MODE").await?;
    let path = format!("/api/v1/teams/{}/incidents", here.team_id);
    let admin = here.admin.clone();
    let first = tokio::spawn(async move { admin.get(&path).await });
    let watcher = here.database.connect().await;
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock')";
    until("the first waits", PATIENCE, async || {
        watcher.query_one(waits, &[]).await.is_ok_and(|row| row.get(0))
    })
    .await;
    let second = here.admin.get("/api/v1/auth/me").await?;
    ensure!(second.status == 429 && second.header("retry-after") == "1", "{second:?}");
    ensure!(second.text("detail").contains("1 requests in progress"), "{second:?}");
    ensure!(other.get("/api/v1/auth/me").await?.status == 200, "somebody else");
    locker.batch_execute("COMMIT").await?;
    ensure!(first.await??.status == 200, "it was waited for");
    Ok(())
}

/// Unknown API keys are looked up as often as their address may ask, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1e_bad_keys_are_refused_before_they_are_looked_up() -> Result<()> {
    let here = Here::with_settings(&[("METADATA_RATE_LIMIT_ADDRESS", "60")]).await?;
    let (_, key) = here.api_key(json!({"name": "known", "role": "viewer"})).await?;
    let (_, other) = here.api_key(json!({"name": "other", "role": "viewer"})).await?;
    let teams = format!("/api/v1/organizations/{}/teams", here.org_id);
    ensure!(here.service.client().with_token(&key).get(&teams).await?.status == 200);
    let before = lookups(&here).await?;
    // Well-formed keys of ours that are not known any more.
    here.database
        .connect()
        .await
        .batch_execute("DELETE FROM api_keys WHERE name = 'other'")
        .await?;
    let stranger = here.service.client().with_token(&other);
    let mut statuses = std::collections::BTreeMap::new();
    for _ in 0..300 {
        *statuses.entry(stranger.get(&teams).await?.status).or_insert(0) += 1;
    }
    ensure!(statuses.get(&429) > Some(&200), "{statuses:?}");
    let asked = lookups(&here).await? - before;
    ensure!(asked < 100.0, "{asked} look-ups: {statuses:?}");
    // Whoever was good before is not taken for one of them.
    ensure!(here.service.client().with_token(&key).get(&teams).await?.status == 200);
    Ok(())
}

async fn lookups(here: &Here<InProcess>) -> Result<f64> {
    let page = here.service.metrics_client().get("/metrics").await?;
    let series = "brownie_db_query_duration_seconds_count{operation=\"select\",table=\"api_keys\"}";
    let line = page.text_body().lines().find(|line| line.starts_with(series));
    Ok(line.and_then(|line| line.rsplit(' ').next()).map_or(Ok(0.0), str::parse)?)
}

/// Where sign-up is closed, which a server's is unless its settings say otherwise, its operator founds
/// organizations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2c_sign_up_is_closed_unless_it_is_opened() -> Result<()> {
    let database = harness::Postgres::shared().database();
    let closed = [("METADATA_SIGNUP", "closed")];
    let service = InProcess::server_with(database.url(), &closed).await?;
    let refused = service.client().sign_up("stranger").await;
    ensure!(refused.is_err_and(|error| error.to_string().contains("organization create")));

    let url = database.admin_url();
    let create = |more: &[&str]| {
        let mut arguments = vec!["--json", "organization", "create", "--name", "Acme"];
        arguments.extend(more);
        run("brownie-migrator", &arguments, &[("DATABASE_URL", url)])
    };
    let output = create(&["--email", "ada@acme.example"])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout)?;
    let body = json!({"email": "ada@acme.example", "password": made["password"]});
    let answer = service.client().post("/api/v1/auth/login", &body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let admin = service.client().with_token(answer.text("access_token"));
    let me = admin.get("/api/v1/auth/me").await?;
    ensure!(me.text("org_id") == made["org_id"] && me.text("role") == "admin", "{me:?}");

    let again = create(&["--email", "bob@acme.example"])?;
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(!again.status.success() && said.contains("choose another by --slug"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2f_metrics_are_the_operators_unless_they_are_public() -> Result<()> {
    let here = Here::with_settings(&[("METRICS_PUBLIC", "false")]).await?;
    ensure!(here.service.client().get("/metrics").await?.status == 401);
    ensure!(here.admin.get("/metrics").await?.status == 403);
    ensure!(here.service.metrics_client().get("/metrics").await?.status == 200);
    Ok(())
}

/// FAULTS S1c': whoever takes nothing of an answer is cut, and lets others have the room; whoever reads slowly gets
/// all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1c_a_client_that_takes_nothing_is_cut() -> Result<()> {
    let here = Here::with_settings(&[("METADATA_SEND_TIMEOUT", "2")]).await?;
    let path = format!("/api/v1/teams/{}/incidents", here.team_id);
    for number in 0..8 {
        let body = json!({"title": format!("incident {number}"), "incident_metadata": many_small_values(49_000)});
        ensure!(here.admin.post(&path, &body).await?.status == 201);
    }
    let ask = async || {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut stream =
            socket.connect(here.service.base().trim_start_matches("http://").parse()?).await?;
        let request = format!(
            "GET {path}?limit=100 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity\r\nAuthorization: Bearer {}\r\n\r\n",
            here.admin.token(),
        );
        stream.write_all(request.as_bytes()).await?;
        anyhow::Ok(stream)
    };
    let deaf = ask().await?;
    let of_deaf = format!(":{:04X} 01 ", deaf.local_addr()?.port());
    ensure!(std::fs::read_to_string("/proc/net/tcp")?.contains(&of_deaf), "it is connected");
    let mut slow = ask().await?;

    // Slowly: more than twice the time that nothing may be taken for.
    let (mut taken, began) = (0, Instant::now());
    let mut piece = vec![0; 16 * 1024];
    let mut whole = None;
    while whole.is_none_or(|whole| taken < whole) {
        let read = slow.read(&mut piece).await?;
        ensure!(read > 0, "cut after {taken} bytes of {whole:?}");
        if whole.is_none() {
            let head = String::from_utf8_lossy(&piece[..read]).to_lowercase();
            let length =
                head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let head = head.find("\r\n\r\n").map_or(0, |end| end + 4);
            whole = Some(length.unwrap_or_default().parse::<usize>()? + head);
        }
        taken += read;
        pass(Duration::from_millis(60), "a client reads as slowly as it likes").await;
    }
    ensure!(began.elapsed() > Duration::from_secs(4), "it was quick: {:?}", began.elapsed());
    // The kernel tells its own side alone.
    until("who takes nothing is cut", PATIENCE, async || {
        !std::fs::read_to_string("/proc/net/tcp").unwrap_or_default().contains(&of_deaf)
    })
    .await;
    Ok(())
}
