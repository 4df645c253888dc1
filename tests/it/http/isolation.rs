//! Every route against another organization's things: 404, and nothing of theirs has changed.

use anyhow::Result;
use brownie_api::routes;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Here, fill};

/// Returns a body that the route accepts, so that the refusal is about whose thing it is.
pub(super) fn good_body(method: &Method, path: &str) -> Option<Value> {
    if *method == Method::GET || *method == Method::DELETE {
        return None;
    }
    Some(match (method.as_str(), path) {
        ("POST", path) if path.ends_with("/restore") => return None,
        ("POST", path) if path.ends_with("/teams") => json!({"name": "New", "slug": "new"}),
        ("POST", path) if path.ends_with("/members") => {
            json!({"user_id": "00000000-0000-7000-8000-000000000000"})
        }
        ("POST", path) if path.ends_with("/users") => json!({
            "email": "x@y.example", "username": "new", "team_id": "00000000-0000-7000-8000-000000000000",
        }),
        ("POST", path) if path.ends_with("/incidents") => json!({"title": "New"}),
        ("POST", path) if path.ends_with("/agent-configs") => {
            json!({"name": "New", "agent_type": "custom"})
        }
        ("POST", path) if path.ends_with("/stats") => json!({
            "metric_name": "x", "metric_type": "x", "value": 1, "timestamp": "2026-11-21T12:00:00Z",
        }),
        ("PUT", path) if path.contains("/members/") => json!({"role": "viewer"}),
        _ => json!({}),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_organizations_things_are_not_there() -> Result<()> {
    Box::pin(walk(Here::new().await?)).await
}

/// The door is a wall of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_are_they_without_row_level_security() -> Result<()> {
    Box::pin(walk(Here::without_row_level_security().await?)).await
}

async fn walk(here: Here) -> Result<()> {
    let things = here.things().await?;
    let stranger = here.service.client().sign_up("mallory").await?;
    // Each thing is really there for those whose it is.
    for route in routes::table() {
        if route.method == "GET" && route.action.is_some() {
            let answer = here.admin.get(&fill(route.path, &things)).await?;
            assert_eq!(answer.status, 200, "{}: {answer:?}", route.path);
        }
    }
    let before = here.database.rows_of(here.org_id.parse()?).await;

    for route in routes::table() {
        let method = Method::from_bytes(route.method.as_str().as_bytes())?;
        if route.action.is_none() {
            continue;
        }
        // What names nobody's thing answers with the caller's own, and shows none of theirs.
        if !route.path.contains('{') {
            assert_eq!(method, Method::GET, "{}: what does it write, and whose?", route.path);
            let answer = stranger.get(route.path).await?;
            assert_eq!(answer.status, 200, "{}: {answer:?}", route.path);
            let text = answer.body.to_string();
            let shown = things.iter().find(|(_, id)| text.contains(id));
            assert!(shown.is_none(), "{} shows {shown:?}", route.path);
            continue;
        }
        let body = good_body(&method, route.path).map(|body| body.to_string());
        let url = fill(route.path, &things);
        let answer = stranger.send(method.clone(), &url, &[("If-Match", "\"v1\"")], body).await?;
        assert_eq!(answer.status, 404, "{method} {}: {answer:?}", route.path);
        assert_eq!(answer.text("code"), "not_found", "{method} {}", route.path);
        // The same as for what nobody has.
        let nowhere = fill(
            route.path,
            &things
                .iter()
                .map(|(name, _)| (*name, "01a1fca1-0000-7000-8000-000000000000".to_owned()))
                .collect::<Vec<_>>(),
        );
        let body = good_body(&method, route.path).map(|body| body.to_string());
        let missing =
            stranger.send(method.clone(), &nowhere, &[("If-Match", "\"v1\"")], body).await?;
        assert_eq!(missing.text("detail"), answer.text("detail"), "{method} {}", route.path);
    }

    assert_eq!(here.database.rows_of(here.org_id.parse()?).await, before);
    let own = stranger.get("/api/v1/organizations").await?;
    assert_eq!(own.body["items"].as_array().map(Vec::len), Some(1), "{own:?}");
    Ok(())
}
