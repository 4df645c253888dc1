//! `/api/v1/events`, waited for and streamed; and what is deleted coming back by its route.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::{Here, PATIENCE, pass, until_in_flight};
use serde_json::json;

const EVENTS: &str = "/api/v1/events";

async fn incident(here: &Here, title: &str) -> Result<(String, String)> {
    let path = format!("/api/v1/teams/{}/incidents", here.team_id);
    let answer = here.admin.post(&path, &json!({"title": title})).await?;
    Ok((answer.text("id").to_owned(), answer.header("ETag").to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_read_page_by_page_and_waited_for() -> Result<()> {
    let here = Here::new().await?;
    let first = here.admin.get(&format!("{EVENTS}?limit=2")).await?;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.body["has_more"], true);
    assert_eq!(first.body["items"][0]["event"], "organization.created");
    let rest = here.admin.get(&format!("{EVENTS}?after={}", first.text("next_cursor"))).await?;
    assert_eq!(rest.body["items"][0]["event"], "user.created");
    let last = rest.text("next_cursor").to_owned();

    // Nothing there: an answer after the wait, with the cursor that was sent.
    let started = Instant::now();
    let nothing = here.admin.get(&format!("{EVENTS}?after={last}&wait=1")).await?;
    assert_eq!((nothing.status, nothing.text("next_cursor")), (200, last.as_str()));
    assert!(started.elapsed() >= Duration::from_secs(1));

    // Something comes: an answer at once.
    let started = Instant::now();
    let later = async {
        until_in_flight(&here.service.metrics_client()).await;
        pass(Duration::from_millis(300), "it has looked once, and waits").await;
        incident(&here, "Disk full").await
    };
    let path = format!("{EVENTS}?after={last}&wait=30");
    let (waited, made) = tokio::join!(here.admin.get(&path), later);
    let (waited, (id, _)) = (waited?, made?);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(waited.body["items"][0]["event"], "incident.created");
    assert_eq!(waited.body["items"][0]["resource_id"], id.as_str());
    assert_eq!(waited.body["items"][0]["version"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_where_it_was_left() -> Result<()> {
    let here = Here::new().await?;
    let mut stream = here.admin.stream(EVENTS, None).await?;
    let mut last = String::new();
    for expected in ["organization.created", "team.created", "user.created"] {
        let (id, data) = stream.next().await?.context("an event")?;
        assert_eq!(data["event"], expected);
        assert_eq!(data["id"], id.as_str());
        last = id;
    }
    drop(stream);
    incident(&here, "While nobody listens").await?;
    let mut stream = here.admin.stream(EVENTS, Some(&last)).await?;
    let (_, data) = stream.next().await?.context("an event")?;
    assert_eq!(data["event"], "incident.created");

    // What comes is pushed.
    let (made, pushed) = tokio::join!(incident(&here, "Now"), stream.next());
    assert_eq!(pushed?.context("an event")?.1["resource_id"], made?.0.as_str());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_the_right_to_read_it_and_with_the_service() -> Result<()> {
    let here = Here::new().await?;
    let second = here.colleague("second", "admin").await?;
    let id = second.get("/api/v1/auth/me").await?.text("id").to_owned();
    let mut stream = second.stream(EVENTS, None).await?;
    while stream.next().await?.context("an event")?.1["resource_id"] != id.as_str() {}
    let path = format!("/api/v1/users/{id}");
    let demoted = here.admin.patch(&path, "\"v1\"", &json!({"role": "viewer"})).await?;
    assert_eq!(demoted.status, 200, "{demoted:?}");
    let ended = async {
        while stream.next().await?.is_some() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, ended).await??;

    let mut stream = here.admin.stream(EVENTS, None).await?;
    stream.next().await?;
    let waiting = here.admin.clone();
    let newest =
        here.admin.get(&format!("{EVENTS}?limit=100")).await?.text("next_cursor").to_owned();
    let waiting =
        tokio::spawn(async move { waiting.get(&format!("{EVENTS}?after={newest}&wait=60")).await });
    until_in_flight(&here.service.metrics_client()).await;
    let started = Instant::now();
    here.service.stop().await?;
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(waiting.await??.status, 200, "who waits is answered");
    while stream.next().await?.is_some() {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_followed_is_said() -> Result<()> {
    let here = Here::new().await?;
    let unknown = "01a1fca1-0000-7000-8000-000000000000";
    let gone = here.admin.get(&format!("{EVENTS}?after={unknown}")).await?;
    assert_eq!((gone.status, gone.text("code")), (410, "event_gone"));
    for (query, status) in
        [("after=7", 422), ("wait=61", 422), ("wait=-1", 422), ("limit=0", 422), ("from=1", 422)]
    {
        let answer = here.admin.get(&format!("{EVENTS}?{query}")).await?;
        assert_eq!(answer.status, status, "{query}: {answer:?}");
    }
    let broken = [("Last-Event-ID", "seven")];
    let answer = here.admin.send(reqwest::Method::GET, EVENTS, &broken, None).await?;
    assert_eq!((answer.status, answer.text("code")), (400, "malformed"));
    let viewer = here.colleague("viewer", "viewer").await?;
    assert_eq!(viewer.get(EVENTS).await?.status, 403);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_comes_back_by_the_version_it_was_deleted_at() -> Result<()> {
    let here = Here::new().await?;
    let (id, etag) = incident(&here, "Deleted by mistake").await?;
    let path = format!("/api/v1/incidents/{id}");
    let deleted = here.admin.delete(&path, &etag).await?;
    assert_eq!((deleted.status, deleted.header("ETag")), (200, "\"v2\""));
    assert_eq!(here.admin.get(&path).await?.status, 404);
    let restore = async |etag: &str| {
        let headers = [("If-Match", etag)];
        here.admin.send(reqwest::Method::POST, &format!("{path}/restore"), &headers, None).await
    };
    assert_eq!(restore("\"v1\"").await?.status, 412);
    let restored = restore(deleted.header("ETag")).await?;
    assert_eq!((restored.status, restored.header("ETag")), (200, "\"v3\""));
    assert_eq!(restored.body["title"], "Deleted by mistake");
    assert_eq!(here.admin.get(&path).await?.status, 200);
    assert_eq!(restore("\"v3\"").await?.status, 404, "it is not deleted");
    Ok(())
}
