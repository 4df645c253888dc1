//! Hostile values in every field of every body, in every part of every path, in every query: an
//! answer that is a problem document or a success, never a 5xx, and no rows that nobody asked for.

use anyhow::Result;
use brownie_api::routes;
use harness::{Here, fill, good};
use reqwest::Method;
use serde_json::{Value, json};

fn strings() -> Vec<String> {
    [
        "' OR 1=1 --",
        "'; DROP TABLE incidents; --",
        "x' UNION SELECT password_hash FROM users --",
        "\\'; SELECT pg_sleep(5); --",
        "$1",
        "%s%n",
        "nul \u{0} in it",
        "../../etc/passwd",
        "\u{202e}desrever",
        "e\u{301} and \u{e9}",
        "\u{1f980}".repeat(300).as_str(),
        "{{7*7}}",
        "",
        " ",
        "\r\nSet-Cookie: a=b",
        "x".repeat(100_000).as_str(),
    ]
    .map(str::to_owned)
    .to_vec()
}

fn values() -> Vec<Value> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let mut values: Vec<Value> = strings().into_iter().map(Value::from).collect();
    values.extend([
        Value::Null,
        json!(true),
        json!(-1),
        json!(i64::MAX),
        json!(1e308),
        json!([]),
        json!({}),
        json!({"\u{0}": "\u{0}"}),
        json!(["' OR 1=1 --"]),
        deep,
    ]);
    values
}

/// Fields that bodies have besides those of [`good::body`].
const FIELDS: &[&str] = &[
    "description",
    "status",
    "priority",
    "severity",
    "assigned_to",
    "tags",
    "incident_metadata",
    "idempotency_key",
    "source",
    "permissions",
    "preferences",
    "full_name",
    "avatar_url",
    "role",
    "team_id",
    "config",
    "triggers",
    "conditions",
    "labels",
    "unit",
    "count",
    "timestamp",
    "is_active",
    "max_teams",
    "organization_id",
    "password",
];

fn check(answer: &harness::Answer, what: &str) {
    // 501 is said of what is not set up, whatever was sent.
    let fine = answer.status < 500 || answer.text("code") == "not_implemented";
    assert!(fine, "{what}: {answer:?}");
    if answer.status >= 400 {
        assert_eq!(answer.header("content-type"), "application/problem+json", "{what}: {answer:?}");
        let text = answer.body.to_string();
        for word in ["SELECT", "INSERT", "syntax error", "sqlstate", "panicked"] {
            assert!(!text.contains(word) || what.contains(word), "{what} says {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_every_body() -> Result<()> {
    let here = Here::new().await?;
    let things = here.things().await?;
    let raw = reqwest::Client::new();
    for route in routes::table() {
        let method = Method::from_bytes(route.method.as_str().as_bytes())?;
        let Some(body) = good::body(&method, route.path) else { continue };
        let url = fill(route.path, &things);
        let named: Vec<String> =
            body.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
        let fields = named.iter().map(String::as_str).chain(FIELDS.iter().copied());
        for field in fields {
            for value in values() {
                let mut body = body.clone();
                body[field] = value.clone();
                let answer = here
                    .admin
                    .send(method.clone(), &url, &[("If-Match", "\"v999\"")], Some(body.to_string()))
                    .await?;
                check(&answer, &format!("{method} {} {field}={value}", route.path));
            }
        }
        // Bytes that are no text, and more than is taken.
        for bytes in
            [b"{\"name\": \"\xff\xfe\"}".to_vec(), vec![b'['; 200_000], vec![b' '; 10 << 20]]
        {
            let length = bytes.len();
            let request = raw
                .request(method.clone(), format!("{}{url}", here.service.base()))
                .bearer_auth(here.admin.token())
                .header("Content-Type", "application/json")
                .header("If-Match", "\"v1\"")
                .body(bytes);
            // What is refused before it is read whole may end in a reset.
            if let Ok(answer) = request.send().await {
                let status = answer.status().as_u16();
                assert!((400..500).contains(&status), "{method} {url} {length} bytes: {status}");
                let kind = answer.headers()["content-type"].to_str()?.to_owned();
                assert_eq!(kind, "application/problem+json", "{method} {url} {length} bytes");
            }
        }
    }
    let client = here.database.connect().await;
    let tables: i64 = client
        .query_one("SELECT count(*) FROM pg_tables WHERE tablename IN ('incidents', 'users')", &[])
        .await?
        .get(0);
    assert_eq!(tables, 2);
    let log = harness::Postgres::shared().log()?;
    let ours: Vec<&str> =
        log.lines().filter(|line| line.contains("syntax error at or near")).collect();
    assert!(ours.is_empty(), "{ours:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_of_every_path_and_every_query() -> Result<()> {
    let here = Here::new().await?;
    let things = here.things().await?;
    let encoded = |text: &str| -> String {
        text.bytes().take(2000).map(|byte| format!("%{byte:02x}")).collect()
    };
    let mut paths: Vec<String> = strings().iter().map(|text| encoded(text)).collect();
    paths.extend(["%ff%fe".to_owned(), "0".to_owned(), "%2e%2e%2f".to_owned(), "*".to_owned()]);
    for route in routes::table() {
        let method = Method::from_bytes(route.method.as_str().as_bytes())?;
        let body = good::body(&method, route.path).map(|body| body.to_string());
        let headers = good::headers(route.path, "\"v1\"");
        for (parameter, _) in things.iter().filter(|(name, _)| route.path.contains(name)) {
            let with = |value: &str| {
                let path = route.path.replace(parameter, value);
                fill(&path, &things) + good::query(route.path)
            };
            for hostile in paths.iter().filter(|text| !text.is_empty()) {
                let answer =
                    here.admin.send(method.clone(), &with(hostile), &headers, body.clone()).await?;
                check(&answer, &format!("{method} {}", with(hostile)));
                assert!(
                    (400..500).contains(&answer.status),
                    "{method} {}: {answer:?}",
                    with(hostile)
                );
            }
            // The id of a thing of another kind.
            for (other, id) in
                things.iter().filter(|(name, _)| name != parameter && *name != "{code}")
            {
                let answer =
                    here.admin.send(method.clone(), &with(id), &headers, body.clone()).await?;
                assert_eq!(
                    answer.status, 404,
                    "{method} {} with an id of {other}: {answer:?}",
                    route.path
                );
            }
        }
        if method == Method::GET && route.action.is_some() {
            for name in ["limit", "cursor", "q", "status", "since", "after", "wait", "metric_name"]
            {
                for hostile in &paths {
                    let url = format!("{}?{name}={hostile}", fill(route.path, &things));
                    check(&here.admin.get(&url).await?, &url);
                }
            }
        }
    }
    Ok(())
}
