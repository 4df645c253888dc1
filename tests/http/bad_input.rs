//! What clients get wrong: each a problem document with the right status, nothing half-written, and
//! no word of SQL.

use anyhow::Result;
use harness::{Answer, Here, InProcess, PATIENT};
use reqwest::Method;
use serde_json::json;

fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.text("code")), (status, code), "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    assert_eq!(answer.body["status"], status, "{answer:?}");
    assert_eq!(answer.text("request_id"), answer.header("x-request-id"), "{answer:?}");
    let text = answer.body.to_string().to_lowercase();
    for word in ["select ", "insert ", "update \\\"", "sqlstate", "tokio", "postgres", "panicked"] {
        assert!(!text.contains(word), "{word:?} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mistake_has_its_answer() -> Result<()> {
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let raw = async |body: &str| {
        here.admin.send(Method::POST, &incidents, &[], Some(body.to_owned())).await
    };

    check(&raw("{\"title\"").await?, 400, "malformed");
    check(&raw("").await?, 400, "malformed");
    check(&raw(&format!("{}{}", "[".repeat(5000), "]".repeat(5000))).await?, 422, "invalid");
    let deep = format!(
        r#"{{"title": "x", "incident_metadata": {}1{}}}"#,
        "{\"a\":".repeat(500),
        "}".repeat(500)
    );
    check(&raw(&deep).await?, 400, "malformed");
    check(&raw(r#"{"title": "x", "incident_metadata": {"a": 1e999}}"#).await?, 400, "malformed");
    check(&raw("[]").await?, 422, "invalid");
    check(&raw(r#"{"title": "x", "titel": "y"}"#).await?, 422, "invalid");
    check(&raw(r#"{"title": "x", "title": "y"}"#).await?, 422, "invalid");
    check(&raw(r#"{"title": "nul \u0000"}"#).await?, 422, "invalid");
    check(&raw(r#"{"title": "x", "incident_metadata": {"a": ["\u0000"]}}"#).await?, 422, "invalid");
    check(&raw(r#"{"title": "x", "priority": "HIGH"}"#).await?, 422, "invalid");
    check(&raw(r#"{"title": "x", "assigned_to": "nobody"}"#).await?, 422, "invalid");
    let long = json!({"title": "x".repeat(501)}).to_string();
    let answer = raw(&long).await?;
    check(&answer, 422, "invalid");
    assert_eq!(answer.body["errors"][0]["pointer"], "/title", "{answer:?}");
    check(
        &raw(&json!({"title": "x", "description": "x".repeat(2 << 20)}).to_string()).await?,
        413,
        "too_large",
    );
    let typed = [("Content-Type", "text/plain")];
    let answer = here.admin.send(Method::POST, &incidents, &typed, Some("{}".to_owned())).await?;
    check(&answer, 415, "unsupported_media_type");
    let unknown = "01a1fca1-0000-7000-8000-000000000000";
    check(&raw(&json!({"title": "x", "assigned_to": unknown}).to_string()).await?, 422, "invalid");
    let answer = here.admin.post(&incidents, &json!({"title": "x", "team_id": unknown})).await?;
    check(&answer, 422, "invalid");

    check(&here.admin.get(&format!("/api/v1/incidents/{unknown}")).await?, 404, "not_found");
    check(&here.admin.get("/api/v1/incidents/42").await?, 404, "not_found");
    check(&here.admin.get("/api/v1/incidents/%00").await?, 404, "not_found");
    check(&here.admin.get("/api/v2").await?, 404, "not_found");
    let answer = here.admin.send(Method::DELETE, &incidents, &[], None).await?;
    check(&answer, 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");

    for query in ["limit=0", "limit=101", "limit=x", "status=OPEN", "since=yesterday", "nope=1"] {
        check(&here.admin.get(&format!("{incidents}?{query}")).await?, 422, "invalid");
    }
    check(&here.admin.get(&format!("{incidents}?cursor=xyz")).await?, 400, "invalid_cursor");
    // What the types let through and PostgreSQL does not.
    check(&here.admin.get(&format!("{incidents}?q=%00")).await?, 422, "invalid");

    let page = here.admin.get(&incidents).await?;
    assert_eq!(page.body["items"], json!([]), "none of all that was written");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_says_which_version_it_is_made_on() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let created = here.admin.post(&incidents, &json!({"title": "Disk full"})).await?;
    assert_eq!(created.header("etag"), "\"v1\"");
    let path = created.header("location").to_owned();
    let change = json!({"title": "Disk very full"});

    let without = here.admin.send(Method::PATCH, &path, &[], Some(change.to_string())).await?;
    check(&without, 428, "precondition_required");
    check(&here.admin.patch(&path, "\"latest\"", &change).await?, 400, "malformed");
    check(&here.admin.patch(&path, "\"v7\"", &change).await?, 412, "stale_version");
    check(&here.admin.patch(&path, "\"v1\"", &json!({"title": null})).await?, 422, "invalid");
    assert_eq!(
        here.admin.patch(&path, "1", &change).await?.header("etag"),
        "\"v2\"",
        "bare, as the original's clients send it"
    );
    check(&here.admin.patch(&path, "\"v1\"", &change).await?, 412, "stale_version");
    check(&here.admin.delete(&path, "\"v1\"").await?, 412, "stale_version");

    // Fifty writers with one version: one wins.
    let writers = (0..50).map(|_| here.admin.patch(&path, "\"v2\"", &change));
    let answers = futures_util::future::join_all(writers).await;
    let mut statuses: Vec<u16> = answers
        .into_iter()
        .map(|answer| answer.map(|answer| answer.status))
        .collect::<Result<_>>()?;
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1]), (200, 412));
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 49);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_401_whatever_the_body_is() -> Result<()> {
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let stranger = here.service.client().with_token("not.a.token");
    for body in ["{\"title\"", "{}", "x"] {
        let answer = stranger.send(Method::POST, &incidents, &[], Some(body.to_owned())).await?;
        check(&answer, 401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    for header in ["Basic eDp5", "Bearer", "bearer x y", ""] {
        let headers = [("Authorization", header)];
        let answer = here.service.client().send(Method::GET, &incidents, &headers, None).await?;
        check(&answer, 401, "unauthenticated");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_wrong_does_not_say_what_is_wrong() -> Result<()> {
    let here = Here::new().await?;
    let nobody = here.service.client();
    let try_with = async |email: &str, password: &str| {
        nobody.post("/api/v1/auth/login", &json!({"email": email, "password": password})).await
    };
    let wrong = try_with("founder@acme.example", "wrong horse").await?;
    let unknown = try_with("nobody@acme.example", "wrong horse").await?;
    check(&wrong, 401, "wrong_credentials");
    check(&unknown, 401, "wrong_credentials");
    assert_eq!(wrong.text("detail"), unknown.text("detail"));
    assert_eq!(try_with("FOUNDER@ACME.EXAMPLE", "correct horse").await?.status, 200);

    let again = json!({
        "email": "founder@acme.example", "password": "correct horse", "username": "founder",
        "organization_name": "Acme", "team_name": "SRE",
    });
    check(&nobody.post("/api/v1/auth/signup", &again).await?, 409, "already_exists");

    // A mailbox that two organizations know opens nothing unless one is named, whatever the password.
    let mut elsewhere = again.clone();
    elsewhere["organization_name"] = json!("Other");
    assert_eq!(nobody.post("/api/v1/auth/signup", &elsewhere).await?.status, 201);
    let both = try_with("founder@acme.example", "correct horse").await?;
    check(&both, 401, "wrong_credentials");
    assert_eq!(both.text("detail"), unknown.text("detail"));
    let named = json!({"email": "founder@acme.example", "password": "correct horse", "organization": "other"});
    assert_eq!(nobody.post("/api/v1/auth/login", &named).await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_the_service_lives_and_says_so() -> Result<()> {
    let database = harness::Postgres::shared().database();
    let proxy = harness::ChaosProxy::to(harness::Postgres::shared().port()).await?;
    let service = InProcess::server(&database.url_via(proxy.port())).await?;
    let admin = service.client().sign_up("acme").await?;
    drop(proxy);
    database
        .connect()
        .await
        .batch_execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await?;

    let answer = admin.get("/api/v1/auth/me").await?;
    check(&answer, 503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(service.client().get("/livez").await?.status, 200);
    let ready = service.client().get("/readyz").await?;
    assert_eq!((ready.status, ready.text("status")), (503, "unhealthy"), "{ready:?}");
    Ok(())
}
