//! Requests that are sent again, and requests that depend on what is there.

use std::collections::BTreeSet;

use anyhow::Result;
use futures_util::future::join_all;
use harness::{Answer, Client, Here, PATIENT};
use reqwest::Method;
use serde_json::{Value, json};

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Result<Answer> {
    let key = [("Idempotency-Key", key)];
    client.send(Method::POST, path, &key, Some(body.to_string())).await
}

async fn total(here: &Here, list: &str) -> Result<usize> {
    let page = here.admin.get(&format!("{list}?limit=100")).await?;
    Ok(page.body["items"].as_array().map_or(0, Vec::len))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_equal_requests_at_once_make_one_row_and_get_equal_answers() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    let teams = format!("/api/v1/organizations/{}/teams", here.org_id);
    // The name is unique: whoever did it a second time would be told 409.
    let body = json!({"name": "Platform", "slug": "platform"});
    let tries = (0..20).map(|_| post(&here.admin, &teams, "make-platform", &body));
    let answers: Vec<Answer> = join_all(tries).await.into_iter().collect::<Result<_>>()?;
    let seen: BTreeSet<(u16, String, String, String)> = answers
        .iter()
        .map(|answer| {
            let headers = (answer.header("ETag"), answer.header("Location"));
            (answer.status, answer.body.to_string(), headers.0.to_owned(), headers.1.to_owned())
        })
        .collect();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((answers[0].status, answers[0].header("ETag")), (201, "\"v1\""));
    let replayed = answers.iter().filter(|answer| answer.header("Idempotency-Replayed") == "true");
    assert_eq!(replayed.count(), 19);
    assert_eq!(total(&here, &teams).await?, 2, "the first team, and this one");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_belongs_to_one_principal_one_route_and_one_request() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let body = json!({"title": "Disk full"});
    let first = post(&here.admin, &incidents, "k", &body).await?;
    assert_eq!((first.status, first.header("Idempotency-Replayed")), (201, ""));

    let other_body = post(&here.admin, &incidents, "k", &json!({"title": "Disk fuller"})).await?;
    assert_eq!((other_body.status, other_body.text("code")), (422, "idempotency_key_reused"));
    let quoted = post(&here.admin, &incidents, "\"k\"", &body).await?;
    assert_eq!(quoted.body, first.body, "RFC 8941 strings are in quotes");

    let colleague = here.colleague("bob", "member").await?;
    let theirs = post(&colleague, &incidents, "k", &body).await?;
    assert_eq!(theirs.status, 201);
    assert_ne!(theirs.text("id"), first.text("id"));

    let elsewhere = here.service.client().sign_up("other").await?;
    let me = elsewhere.get("/api/v1/auth/me").await?;
    let list = format!("/api/v1/teams/{}/incidents", me.text("team_id"));
    let foreign = post(&elsewhere, &list, "k", &body).await?;
    assert_eq!((foreign.status, foreign.header("Idempotency-Replayed")), (201, ""));
    let into_ours = post(&elsewhere, &incidents, "k", &body).await?;
    assert_eq!(into_ours.status, 404);

    let stats = format!("/api/v1/teams/{}/stats", here.team_id);
    let stat = json!({"metric_name": "m", "metric_type": "gauge", "value": 1,
                      "timestamp": "2026-11-21T12:00:00Z"});
    assert_eq!(post(&here.admin, &stats, "k", &stat).await?.status, 201, "another route");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_not_kept() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    let teams = format!("/api/v1/organizations/{}/teams", here.org_id);
    let body = json!({"name": "Platform", "slug": "platform"});
    let taken = here.admin.post(&teams, &body).await?;
    assert_eq!(post(&here.admin, &teams, "k", &body).await?.status, 409);
    let path = format!("/api/v1/teams/{}", taken.text("id"));
    assert_eq!(here.admin.delete(&path, "\"v1\"").await?.status, 200);
    assert_eq!(post(&here.admin, &teams, "k", &body).await?.status, 201);

    let long = "k".repeat(256);
    for bad in ["", "\"\"", "a b", long.as_str()] {
        let answer = post(&here.admin, &teams, bad, &body).await?;
        assert_eq!((answer.status, answer.text("code")), (400, "malformed"), "{bad:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_is_sent_again_is_answered_again() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let incident = here.admin.post(&incidents, &json!({"title": "x"})).await?;
    let path = format!("/api/v1/incidents/{}", incident.text("id"));
    here.admin.delete(&path, "\"v1\"").await?;
    let restore = || {
        let headers = [("If-Match", "\"v2\""), ("Idempotency-Key", "r")];
        let (admin, path) = (here.admin.clone(), format!("{path}/restore"));
        async move { admin.send(Method::POST, &path, &headers, None).await }
    };
    let (first, again) = (restore().await?, restore().await?);
    assert_eq!((first.status, again.status), (200, 200), "{again:?}");
    assert_eq!((first.body, again.header("ETag")), (again.body.clone(), "\"v3\""));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_changes_with_one_etag_one_is_made() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let incident = here.admin.post(&incidents, &json!({"title": "x"})).await?;
    let path = format!("/api/v1/incidents/{}", incident.text("id"));
    let tries = (0..50).map(|number| {
        let (admin, path) = (&here.admin, &path);
        async move { admin.patch(path, "\"v1\"", &json!({"title": format!("{number}")})).await }
    });
    let answers: Vec<Answer> = join_all(tries).await.into_iter().collect::<Result<_>>()?;
    let with = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(200), with(412)), (1, 49));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_it_is_told_so() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    let path = format!("/api/v1/teams/{}", here.team_id);
    let team = here.admin.get(&path).await?;
    assert_eq!(team.header("Cache-Control"), "private, no-cache");
    let ask = async |known: &str| {
        here.admin.send(Method::GET, &path, &[("If-None-Match", known)], None).await
    };
    for known in ["\"v1\"", "W/\"v1\"", "\"v7\", \"v1\"", "*"] {
        let answer = ask(known).await?;
        assert_eq!((answer.status, answer.header("ETag")), (304, "\"v1\""), "{known}");
        assert_eq!(answer.body, Value::String(String::new()));
    }
    for other in ["\"v2\"", "v1", "\"\"", "garbage"] {
        assert_eq!(ask(other).await?.status, 200, "{other}");
    }
    let stranger = here.service.client();
    let known = [("If-None-Match", "*")];
    assert_eq!(stranger.send(Method::GET, &path, &known, None).await?.status, 401);
    Ok(())
}
