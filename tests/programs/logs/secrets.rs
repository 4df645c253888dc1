//! Every endpoint is given secrets that can be recognised, in every place that a client has for them,
//! and none of them is in the log.

use std::collections::BTreeSet;

use brownie_api::routes;
use harness::Client;

use super::*;
use harness::{Here, fill, good};

/// It is part of every secret here that we make up.
const CANARY: &str = "canary";

/// Puts a secret into every text of a body, and beside them.
fn poisoned(body: Option<Value>) -> Value {
    let mut body = body.unwrap_or_else(|| json!({}));
    for (_, value) in body.as_object_mut().into_iter().flatten() {
        if value.is_string() {
            *value = json!("canary@canary.example");
        }
    }
    body["password"] = json!("canary password");
    body["email"] = json!("canary@canary.example");
    body["canary"] = json!({"canary": "canary"});
    body
}

/// Asks one route in every way: as it should be asked, with secrets in the body, the query and the
/// headers, and with a body that is none.
async fn ask(client: &Client, method: &str, path: &str, url: &str) -> Result<()> {
    let method = Method::from_bytes(method.as_bytes())?;
    // What is answered without an end is asked elsewhere.
    if path.ends_with("/events/stream") {
        return Ok(());
    }
    let body = good::body(&method, path);
    let headers = good::headers(path, "\"v1\"");
    let good_url = format!("{url}{}", good::query(path));
    client.send(method.clone(), &good_url, &headers, body.as_ref().map(Value::to_string)).await?;
    let bad_url = format!(
        "{url}?canary=canary&email=canary%40canary.example&state=canary&code=canary&error=canary"
    );
    let headers = [
        ("If-Match", "\"canary\""),
        ("Idempotency-Key", "canary"),
        ("X-Request-Id", "canary"),
        ("traceparent", "canary"),
        ("User-Agent", "canary"),
        ("Cookie", "brownie_oidc=canary"),
        ("Content-Type", "application/json"),
    ];
    for url in [&good_url, &bad_url] {
        let body = (method != Method::GET).then(|| poisoned(body.clone()).to_string());
        client.send(method.clone(), url, &headers, body).await?;
    }
    if method != Method::GET {
        client.send(method, url, &headers, Some("{\"canary".to_owned())).await?;
    }
    Ok(())
}

async fn walk(level: &str) -> Result<()> {
    let database = Postgres::shared().database();
    let loud = [
        ("LOG_LEVEL", level),
        ("LOG_SLOW_QUERY_THRESHOLD", "0.000001"),
        ("METADATA_JWT_SECRET", "canary of a secret, long enough for HS256"),
    ];
    let service = Service::server_with(database.url(), &loud).await?;
    let mut here = Here::with(database, service).await?;
    let anonymous = here.service.client();
    let log_in = json!({"email": "founder@acme.example", "password": "correct horse"});
    let session = anonymous.post("/api/v1/auth/login", &log_in).await?;
    ensure!(session.status == 200, "{session:?}");
    let refresh = json!({"refresh_token": session.text("refresh_token")});
    let again = anonymous.post("/api/v1/auth/refresh", &refresh).await?;
    ensure!(again.status == 200, "{again:?}");
    // Used twice: that is an event, and the token is no part of it.
    ensure!(anonymous.post("/api/v1/auth/refresh", &refresh).await?.status == 401);
    let (_, key) = here.api_key(json!({"name": "canary", "role": "admin"})).await?;
    here.config("canary", "canary: canary").await?;
    let sign_up = json!({
        "email": "canary@canary.example", "password": "canary password", "username": "canary",
        "full_name": "canary", "organization_name": "canary", "team_name": "canary",
    });
    let signed_up = anonymous.post("/api/v1/auth/signup", &sign_up).await?;
    ensure!(signed_up.status == 201, "{signed_up:?}");
    let wrong = json!({"email": "canary@canary.example", "password": "canary horse"});
    ensure!(anonymous.post("/api/v1/auth/login", &wrong).await?.status == 401);

    let things = here.things().await?;
    let names: Vec<(&str, String)> =
        things.iter().map(|(name, _)| (*name, CANARY.to_owned())).collect();
    let clients = [
        anonymous.clone(),
        anonymous.with_token("canary.canary.canary"),
        anonymous.with_token(&key),
        here.admin.clone(),
    ];
    let mut asked = BTreeSet::new();
    for route in routes::table() {
        for client in &clients {
            ask(client, route.method.as_str(), route.path, &fill(route.path, &things)).await?;
        }
        // Last, as whoever may do anything, so that what is deleted is asked for before.
        ask(&here.admin, route.method.as_str(), route.path, &fill(route.path, &names)).await?;
        asked.insert(route.path);
    }
    ensure!(here.service.stop()?.success(), "{}", here.service.log());

    let log = here.service.log();
    for line in lines(&log)? {
        asked.remove(line["route"].as_str().unwrap_or_default());
    }
    asked.retain(|path| !path.ends_with("/events/stream"));
    assert_eq!(asked, BTreeSet::new(), "the walk has reached every route");
    let secrets = [
        CANARY,
        "horse",
        "founder@",
        "@people.example",
        &key,
        here.admin.token(),
        session.text("access_token"),
        session.text("refresh_token"),
        again.text("refresh_token"),
        signed_up.text("access_token"),
    ];
    let found = |line: &&str| {
        let line = line.to_lowercase();
        secrets.iter().any(|secret| line.contains(&secret.to_lowercase()))
    };
    assert!(secrets.iter().all(|secret| !secret.is_empty()));
    let found: Vec<&str> = log.lines().filter(found).take(5).collect();
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_the_log() -> Result<()> {
    Box::pin(walk("info")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_the_log_of_whoever_looks_for_a_fault() -> Result<()> {
    Box::pin(walk("debug")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_at_the_finest_level() -> Result<()> {
    Box::pin(walk("trace")).await
}
