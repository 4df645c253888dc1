//! A good request for each route of the table, so that what is refused is refused for what a test
//! is about.

use reqwest::Method;
use serde_json::{Value, json};

/// Returns the query that a route needs.
pub fn query(path: &str) -> &'static str {
    if path.ends_with("/stats/summary") {
        "?metric_name=m&since=2026-11-21T00:00:00Z&until=2026-11-22T00:00:00Z&window=1h"
    } else {
        ""
    }
}

/// Returns the headers that a route needs.
pub fn headers<'a>(path: &str, etag: &'a str) -> Vec<(&'static str, &'a str)> {
    let mut headers = vec![("If-Match", etag)];
    if path.ends_with("/bulk") {
        headers.push(("Content-Type", "application/x-ndjson"));
    }
    headers
}

/// Returns a body that the route accepts.
pub fn body(method: &Method, path: &str) -> Option<Value> {
    if *method == Method::GET || *method == Method::DELETE {
        return None;
    }
    Some(match (method.as_str(), path) {
        ("POST", path)
            if ["/restore", "/revoke-sessions", "/logout", "/logout-all"]
                .iter()
                .any(|end| path.ends_with(end)) =>
        {
            return None;
        }
        ("POST", path) if path.ends_with("/api-keys") => json!({"name": "New", "role": "viewer"}),
        ("POST", path) if path.ends_with("/v1/configs") => json!({
            "name": "New", "config_type": "team", "source_format": "json", "source": "{}",
        }),
        ("POST", path) if path.ends_with("/password") => json!({"new_password": "another horse"}),
        ("POST", path) if path.ends_with("/link") => json!({"token": "x"}),
        ("POST", path) if path.ends_with("/refresh") => json!({"refresh_token": "brt_x"}),
        ("POST", path) if path.ends_with("/teams") => json!({"name": "New", "slug": "new"}),
        ("POST", path) if path.ends_with("/members") => {
            json!({"user_id": "00000000-0000-7000-8000-000000000000"})
        }
        ("POST", path) if path.ends_with("/users") => json!({
            "email": "x@y.example", "username": "new", "team_id": "00000000-0000-7000-8000-000000000000",
        }),
        ("POST", path) if path.ends_with("/incidents") || path.ends_with("/bulk") => {
            json!({"title": "New"})
        }
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
