//! What holds for every answer, and for browsers.

use anyhow::{Result, ensure};
use harness::{Database, Here, InProcess, Postgres};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_says_what_a_browser_must_not_do() -> Result<()> {
    let here = Here::new().await?;
    for path in ["/", "/readyz", "/api/v1/auth/me", "/nowhere", "/docs", "/openapi.json"] {
        let answer = here.admin.get(path).await?;
        for (name, part) in [
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Frame-Options", "DENY"),
            ("Content-Security-Policy", "frame-ancestors 'none'"),
            ("Cache-Control", ""),
        ] {
            let value = answer.header(name);
            assert!(!value.is_empty() && value.contains(part), "{path}: {name}: {value}");
        }
        assert_eq!(answer.header("Server"), "", "{path}");
    }
    Ok(())
}

async fn with_origins(origins: &str) -> Result<(Database, InProcess)> {
    let database = Postgres::shared().database();
    let settings = [("METADATA_CORS_ORIGINS", origins)];
    let service = InProcess::server_with(database.url(), &settings).await?;
    Ok((database, service))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_listed_origin_may_ask_and_another_may_not() -> Result<()> {
    let (_database, service) = with_origins(r#"["https://app.example.com"]"#).await?;
    let client = service.client();
    let ask = async |origin: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "PATCH"),
            ("Access-Control-Request-Headers", "authorization,if-match,content-type"),
        ];
        client.send(Method::OPTIONS, "/api/v1/auth/me", &headers, None).await
    };
    let ours = ask("https://app.example.com").await?;
    assert_eq!(ours.status, 200, "{ours:?}");
    assert_eq!(ours.header("Access-Control-Allow-Origin"), "https://app.example.com");
    assert_eq!(ours.header("Access-Control-Allow-Credentials"), "true");
    assert!(ours.header("Access-Control-Allow-Methods").contains("PATCH"));
    let theirs = ask("https://evil.example.com").await?;
    assert_eq!(theirs.header("Access-Control-Allow-Origin"), "", "{theirs:?}");

    // An error, too, can be read by the page.
    let origin = [("Origin", "https://app.example.com")];
    let refused = client.send(Method::GET, "/api/v1/auth/me", &origin, None).await?;
    assert_eq!((refused.status, refused.text("code")), (401, "unauthenticated"));
    assert_eq!(refused.header("Access-Control-Allow-Origin"), "https://app.example.com");
    assert!(refused.header("Access-Control-Expose-Headers").contains("etag"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_origins_means_no_credentials() -> Result<()> {
    let (_database, service) = with_origins(r#"["*"]"#).await?;
    let origin = [("Origin", "https://anywhere.example.com")];
    let answer = service.client().send(Method::GET, "/livez", &origin, None).await?;
    assert_eq!(answer.header("Access-Control-Allow-Origin"), "*");
    assert_eq!(answer.header("Access-Control-Allow-Credentials"), "");
    Ok(())
}

/// A list is compressed for who can read that; what has a strong `ETag` is not, since the tag names
/// its bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_long_is_compressed_but_not_what_has_an_etag() -> Result<()> {
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let body = json!({"title": "x", "description": "again and again. ".repeat(500)});
    let incident = here.admin.post(&incidents, &body).await?;
    let gzip = [("Accept-Encoding", "gzip")];
    let list = here.admin.send(Method::GET, &incidents, &gzip, None).await?;
    assert_eq!(list.header("Content-Encoding"), "gzip");
    assert!(list.header("Vary").to_lowercase().contains("accept-encoding"), "{list:?}");
    let path = format!("/api/v1/incidents/{}", incident.text("id"));
    let one = here.admin.send(Method::GET, &path, &gzip, None).await?;
    assert_eq!((one.header("Content-Encoding"), one.header("ETag")), ("", "\"v1\""));
    assert_eq!(one.body["title"], "x");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_port_answers_errors_as_the_api_does() -> Result<()> {
    let here = Here::new().await?;
    let answer = here.service.metrics_client().get("/nothing").await?;
    assert_eq!((answer.status, answer.text("code")), (404, "not_found"));
    assert_eq!(answer.header("Content-Type"), "application/problem+json");
    Ok(())
}

/// Of an address where each finds something else, no two people share a validator, and nobody's answer is kept:
/// FAULTS S2a. What is at its own address keeps the version as its validator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2a_no_validator_is_of_two_things() -> Result<()> {
    let here = Here::new().await?;
    let other = here.service.client().sign_up("other").await?;
    let mut seen = 0;
    for route in brownie_api::routes::table() {
        if route.method.as_str() != "GET" || route.path.contains('{') {
            continue;
        }
        seen += 1;
        let answer = here.admin.get(route.path).await?;
        let kept = answer.header("cache-control");
        let is_public = route.action.is_none();
        ensure!(
            is_public || (answer.header("etag").is_empty() && kept == "no-store"),
            "{}: {answer:?}",
            route.path
        );
        let headers = [("If-None-Match", "\"v1\"")];
        let asked = other.send(Method::GET, route.path, &headers, None).await?;
        ensure!(asked.status != 304, "{}", route.path);
    }
    ensure!(seen > 10, "{seen} routes");
    let own = here.admin.get(&format!("/api/v1/users/{}", here.user_id)).await?;
    ensure!(
        own.header("etag") == "\"v1\"" && own.header("cache-control") == "private, no-cache",
        "{own:?}"
    );
    Ok(())
}
