//! The resources, as a client uses them.

use anyhow::Result;
use harness::Here;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_walked_by_its_links() -> Result<()> {
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    for number in 0..7 {
        let body = json!({"title": format!("Number {number}"), "priority": "low"});
        assert_eq!(here.admin.post(&incidents, &body).await?.status, 201);
    }
    let mut titles = Vec::new();
    let mut next = Some(format!("{incidents}?limit=3&priority=low"));
    while let Some(path) = next.take() {
        let page = here.admin.get(&path).await?;
        assert_eq!(page.status, 200, "{page:?}");
        let items = page.body["items"].as_array().cloned().unwrap_or_default();
        titles
            .extend(items.iter().map(|item| item["title"].as_str().unwrap_or_default().to_owned()));
        let link = page.header("link");
        assert_eq!(page.body["has_more"], Value::Bool(!link.is_empty()));
        assert_eq!(page.body["next_cursor"].is_null(), link.is_empty());
        next = link.strip_prefix('<').and_then(|link| link.split('>').next()).map(str::to_owned);
    }
    let expected: Vec<String> = (0..7).rev().map(|number| format!("Number {number}")).collect();
    assert_eq!(titles, expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_answers_with_the_same_incident() -> Result<()> {
    let here = Here::new().await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let body = json!({"title": "Disk full", "idempotency_key": "alert-42", "severity": "high", "source": "monitor"});
    let first = here.admin.post(&incidents, &body).await?;
    let again = here.admin.post(&incidents, &body).await?;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.body, again.body);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_can_be_made_changed_and_deleted() -> Result<()> {
    let here = Here::new().await?;
    let (org, team) = (&here.org_id, &here.team_id);
    let cases = [
        (
            format!("organizations/{org}/teams"),
            "teams",
            json!({"name": "B", "slug": "b", "organization_id": org}),
            json!({"description": "x"}),
        ),
        (
            format!("organizations/{org}/users"),
            "users",
            json!({"email": "b@b.example", "username": "bob", "team_id": team, "password": "battery staple"}),
            json!({"full_name": "Bob", "avatar_url": "https://b.example/b.png"}),
        ),
        (
            format!("teams/{team}/incidents"),
            "incidents",
            json!({"title": "B", "tags": ["x"]}),
            json!({"status": "resolved"}),
        ),
        (
            format!("teams/{team}/agent-configs"),
            "agent-configs",
            json!({"name": "B", "agent_type": "custom", "config": {"a": [1, null]}, "max_retries": 0}),
            json!({"is_active": false, "triggers": {"on": "alert"}}),
        ),
    ];
    for (collection, kind, new, change) in cases {
        let created = here.admin.post(&format!("/api/v1/{collection}"), &new).await?;
        assert_eq!(created.status, 201, "{created:?}");
        let path = format!("/api/v1/{kind}/{}", created.text("id"));
        assert_eq!(created.header("location"), path);
        let read = here.admin.get(&path).await?;
        assert_eq!((read.status, &read.body), (200, &created.body));
        assert_eq!(read.body["organization_id"], read.body["org_id"]);

        let changed = here
            .admin
            .send(
                Method::PUT,
                &path,
                &[("If-Match", read.header("etag"))],
                Some(change.to_string()),
            )
            .await?;
        assert_eq!(changed.status, 200, "{changed:?}");
        for (field, value) in change.as_object().into_iter().flatten() {
            assert_eq!(&changed.body[field], value, "{changed:?}");
        }
        assert_eq!(changed.body["version"], 2);

        let listed = here.admin.get(&format!("/api/v1/{collection}")).await?;
        assert_eq!(listed.body["items"][0]["id"], changed.body["id"], "{listed:?}");

        let deleted = here.admin.delete(&path, changed.header("etag")).await?;
        assert_eq!(deleted.status, 200, "{deleted:?}");
        assert!(deleted.text("message").ends_with("deleted successfully"));
        assert_eq!(here.admin.get(&path).await?.status, 404);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_tells_about_itself() -> Result<()> {
    let here = Here::new().await?;
    let nobody = here.service.client();
    assert_eq!(nobody.get("/").await?.text("name"), "Brownie Metadata Database");
    let health = nobody.get("/health").await?;
    assert_eq!((health.status, health.text("database")), (200, "healthy"), "{health:?}");
    assert_eq!(nobody.get("/problems/stale_version").await?.body["status"], 412);
    // Paths are the clients', and must not become labels.
    nobody.get("/no/such/path/1").await?;
    let metrics = nobody.get("/metrics").await?;
    let text = metrics.body.as_str().unwrap_or_default();
    assert!(text.contains(r#"route="unmatched",status="404""#), "{text}");
    assert!(!text.contains("such/path"), "{text}");
    assert!(text.contains("brownie_build_info"), "{text}");

    let named = "01a1fca1-1111-7111-8111-111111111111";
    let answer = nobody.send(Method::GET, "/livez", &[("X-Request-Id", named)], None).await?;
    assert_eq!(answer.header("x-request-id"), named);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_come_back_as_they_were_sent() -> Result<()> {
    let here = Here::new().await?;
    let stats = format!("/api/v1/teams/{}/stats", here.team_id);
    for value in
        ["1.7799252560729005e-28", "184.29086339176658", "1.7976931348623157e308", "5e-324", "-0.1"]
    {
        let body = format!(
            r#"{{"metric_name": "x", "metric_type": "gauge", "value": {value},
                "timestamp": "2026-11-21T12:00:00Z", "labels": {{"same": {value}}}}}"#
        );
        let created = here.admin.send(Method::POST, &stats, &[], Some(body)).await?;
        assert_eq!(created.status, 201, "{created:?}");
        let read = here.admin.get(created.header("location")).await?;
        let sent: f64 = value.parse()?;
        assert_eq!(read.body["value"].as_f64(), Some(sent), "{value}");
        assert_eq!(read.body["labels"]["same"].as_f64(), Some(sent), "{value}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_got_can_be_headed() -> Result<()> {
    let here = Here::new().await?;
    for path in ["/livez", "/health", "/api/v1/organizations"] {
        let head = here.admin.send(Method::HEAD, path, &[], None).await?;
        assert_eq!((head.status, head.body.as_str()), (200, Some("")), "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organization_cannot_lock_itself_out() -> Result<()> {
    let here = Here::new().await?;
    let path = format!("/api/v1/organizations/{}", here.org_id);
    let off = here.admin.patch(&path, "\"v1\"", &json!({"is_active": false})).await?;
    assert_eq!(off.status, 422, "{off:?}");
    let on = here.admin.patch(&path, "\"v1\"", &json!({"is_active": true, "max_teams": 3})).await?;
    assert_eq!((on.status, &on.body["max_teams"]), (200, &json!(3)));
    Ok(())
}
