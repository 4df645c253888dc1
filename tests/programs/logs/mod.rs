//! What the log says, what it never says, and what happens when nobody takes it.

mod secrets;
mod sinks;
mod traces;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use harness::{PATIENCE, Postgres, Service, poll};
use reqwest::Method;
use serde_json::{Value, json};

/// The W3C's own example.
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Returns the lines of a log, each of which is JSON.
fn lines(log: &str) -> Result<Vec<Value>> {
    let line = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
    log.lines().map(line).collect()
}

/// Waits until a line is as `is` says: lines are written a moment after the answer.
async fn line(service: &Service, is: impl Fn(&Value) -> bool) -> Result<Value> {
    let found = poll("the line is written", PATIENCE, async || {
        // The last line may be half there.
        let log = service.log();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        lines(whole)?.into_iter().find(|line| is(line)).context(log)
    });
    Ok(found.await)
}

/// Returns the fields that `docs/logging.md` has for each part of it.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let page = fs::read_to_string(harness::root().join("docs/logging.md")).unwrap();
    let of_part = |part: &str| {
        let (title, text) = part.split_once('\n').unwrap();
        let rows = text.lines().filter_map(|row| row.strip_prefix("| `"));
        let fields = rows.filter_map(|row| row.split('`').next()).map(str::to_owned);
        (title.to_owned(), fields.collect())
    };
    page.split("\n## ").skip(1).map(of_part).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lines_of_each_stream_are_as_the_page_says() -> Result<()> {
    let database = Postgres::shared().database();
    let slow = [("LOG_SLOW_QUERY_THRESHOLD", "0.000001")];
    let mut service = Service::server_with(database.url(), &slow).await?;
    let admin = service.client().sign_up("acme").await?;
    let body = json!({"name": "Second", "slug": "second"});
    let me = admin.get("/api/v1/auth/me").await?;
    let path = format!("/api/v1/organizations/{}/teams", me.text("org_id"));
    let answer = admin
        .send(Method::POST, &path, &[("traceparent", TRACEPARENT)], Some(body.to_string()))
        .await?;
    ensure!(answer.status == 201, "{answer:?}");
    let wrong = json!({"email": "founder@acme.example", "password": "wrong horse"});
    ensure!(service.client().post("/api/v1/auth/login", &wrong).await?.status == 401);
    ensure!(service.client().with_token("x").get("/api/v1/auth/me").await?.status == 401);
    ensure!(service.stop()?.success(), "{}", service.log());

    let (lines, documented) = (lines(&service.log())?, documented());
    let common = &documented["Every line"];
    for stream in ["access", "audit", "performance", "security"] {
        let known = &documented[stream];
        let mut seen = BTreeSet::new();
        for line in lines.iter().filter(|line| line["logger"] == stream) {
            for name in line.as_object().into_iter().flatten().map(|(name, _)| name) {
                assert!(known.contains(name) || common.contains(name), "{name}: {line}");
                seen.insert(name.clone());
            }
        }
        // Only jobs have names, and no job changes anything of itself here.
        let missing = known.difference(&seen).filter(|name| *name != "actor_name");
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&String>::new(), "{stream}");
    }

    // One line for each request, with its place in the trace, and the same in the unit's task.
    let of = |stream: &str| {
        let of_trace = lines.iter().filter(|line| line["trace_id"] == TRACE_ID);
        of_trace.filter(|line| line["logger"] == stream).collect::<Vec<_>>()
    };
    let [access] = of("access")[..] else { panic!("one line: {:?}", of("access")) };
    assert_eq!(access["request_id"], answer.header("x-request-id"));
    assert_eq!(access["route"], "/api/v1/organizations/{org_id}/teams");
    assert_eq!(
        (&access["org_id"], &access["actor_id"], &access["actor_kind"]),
        (&me.body["org_id"], &me.body["id"], &json!("user"))
    );
    // The insert, and the record of it, at least.
    let number = |name: &str| access[name].as_f64().unwrap_or_default();
    assert!(number("statements") >= 2.0 && number("rows") >= 1.0, "{access}");
    assert!(number("database_ms") > 0.0, "{access}");
    assert!(number("database_ms") <= number("duration_ms"), "{access}");
    let [audit] = of("audit")[..] else { panic!("one line: {:?}", of("audit")) };
    assert_eq!((&audit["event"], &audit["resource"]), (&json!("team.created"), &json!("team")));
    assert_eq!(audit["resource_id"], answer.text("id"));
    assert!(of("performance").iter().any(|line| line["table"] == "teams"), "{lines:#?}");
    let is_told = |event: &str| lines.iter().any(|line| line["event"] == event);
    for event in ["logged_in", "wrong_password", "wrong_credentials", "unauthenticated"] {
        assert!(is_told(event), "{event}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_does_not_hide_who_did_what_nor_in_which_request() -> Result<()> {
    let database = Postgres::shared().database();
    let level = [("LOG_LEVEL", "warn"), ("LOG_AUDIT", "true")];
    let mut service = Service::server_with(database.url(), &level).await?;
    service.client().sign_up("acme").await?;
    let refused = service.client().with_token("x").get("/api/v1/auth/me").await?;
    ensure!(service.stop()?.success(), "{}", service.log());
    let lines = lines(&service.log())?;
    let is = |line: &Value, name: &str, value: &str| line[name] == value;
    assert!(!lines.iter().any(|line| is(line, "logger", "access")), "{lines:#?}");
    let security = lines.iter().find(|line| is(line, "event", "unauthenticated")).unwrap();
    assert_eq!(security["request_id"], refused.header("x-request-id"));
    assert_eq!(security["route"], "/api/v1/auth/me");
    // Without a caller's trace it is called by the request.
    let trace = refused.header("x-request-id").replace('-', "");
    assert_eq!(security["trace_id"], trace.as_str());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_can_be_turned_off() -> Result<()> {
    let database = Postgres::shared().database();
    let off = [
        ("LOG_AUDIT", "false"),
        ("LOG_PERFORMANCE", "false"),
        ("LOG_SLOW_QUERY_THRESHOLD", "0.000001"),
        ("LOG_LEVEL", "brownie::security=off,info"),
    ];
    let mut service = Service::server_with(database.url(), &off).await?;
    service.client().sign_up("acme").await?;
    ensure!(service.stop()?.success(), "{}", service.log());
    for line in lines(&service.log())? {
        let stream = line["logger"].as_str().unwrap_or_default();
        assert!(!["audit", "performance", "security"].contains(&stream), "{line}");
    }
    Ok(())
}
