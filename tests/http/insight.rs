//! Looking back and looking up: the audit log, what a caller may do, values in sum.

use anyhow::Result;
use harness::Here;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_is_read_by_admins_and_filtered() -> Result<()> {
    let here = Here::new().await?;
    here.things().await?;
    let member = here.colleague("mia", "member").await?;
    assert_eq!(member.get("/api/v1/audit-log").await?.status, 403);
    let all = here.admin.get("/api/v1/audit-log?limit=100").await?;
    let count = |answer: &harness::Answer| answer.body["items"].as_array().map_or(0, Vec::len);
    assert!(count(&all) >= 7, "{all:?}");
    let at = |place: usize| all.body["items"][place]["occurred_at"].as_str().unwrap_or_default();
    assert!(at(0) >= at(1), "the latest first");

    let only = here.admin.get("/api/v1/audit-log?action=user.created").await?;
    assert_eq!(count(&only), 2);
    let text = only.body.to_string();
    assert!(text.contains("[hidden]") && !text.contains("argon2"), "{text}");
    let teams = here.admin.get("/api/v1/audit-log?resource=team").await?;
    assert_eq!(count(&teams), 1);
    let by_nobody = format!("/api/v1/audit-log?actor_id={}", here.team_id);
    assert_eq!(count(&here.admin.get(&by_nobody).await?), 0);
    let before = here.admin.get("/api/v1/audit-log?until=2026-01-01T00:00:00Z").await?;
    assert_eq!(count(&before), 0);
    let since = here.admin.get("/api/v1/audit-log?limit=100&since=2026-01-01T00:00:00Z").await?;
    assert_eq!(count(&since), count(&all));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_may_do_is_explained() -> Result<()> {
    let here = Here::new().await?;
    let viewer = here.colleague("vera", "viewer").await?;
    let all = viewer.get("/api/v1/authz/explain").await?;
    let items = all.body["items"].as_array().cloned().unwrap_or_default();
    assert!(items.len() > 15, "{all:?}");
    let one = viewer.get("/api/v1/authz/explain?action=incidents.write").await?;
    let verdict = &one.body["items"][0];
    assert_eq!((&verdict["allowed"], &verdict["role"]), (&json!(false), &json!("viewer")));
    let because = "incidents.write takes the role member or more in the team; you are viewer there";
    assert_eq!(verdict["because"], because);

    let teams = format!("/api/v1/organizations/{}/teams", here.org_id);
    let team = here.admin.post(&teams, &json!({"name": "B", "slug": "b"})).await?;
    let elsewhere = format!("/api/v1/authz/explain?action=stats.read&team_id={}", team.text("id"));
    let stranger = viewer.get(&elsewhere).await?;
    assert_eq!(
        stranger.body["items"][0]["because"],
        "stats.read takes the role viewer or more in the team; you have no role there"
    );
    assert_eq!(here.admin.get(&elsewhere).await?.body["items"][0]["allowed"], true);

    let other = here.service.client().sign_up("other").await?;
    assert_eq!(other.get(&elsewhere).await?.status, 404);
    assert_eq!(viewer.get("/api/v1/authz/explain?action=rule.world").await?.status, 422);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_come_in_windows() -> Result<()> {
    let here = Here::new().await?;
    let stats = format!("/api/v1/teams/{}/stats", here.team_id);
    for (minute, value) in [(0, 1.0), (1, 2.0), (4, 9.0), (5, 10.0), (17, 100.0)] {
        let body = json!({"metric_name": "latency", "metric_type": "gauge", "value": value,
                          "timestamp": format!("2026-11-21T12:{minute:02}:30Z")});
        assert_eq!(here.admin.post(&stats, &body).await?.status, 201);
    }
    let span = "metric_name=latency&since=2026-11-21T12:00:00Z&until=2026-11-21T13:00:00Z";
    for path in [stats, format!("/api/v1/organizations/{}/stats", here.org_id)] {
        let answer = here.admin.get(&format!("{path}/summary?{span}&window=5m")).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        let items = &answer.body["items"];
        assert_eq!(items.as_array().map(Vec::len), Some(3), "{answer:?}");
        assert_eq!(items[0]["start"], "2026-11-21T12:00:00Z");
        let first = &items[0];
        assert_eq!(
            (
                &first["count"],
                &first["sum"],
                &first["min"],
                &first["max"],
                &first["avg"],
                &first["p50"]
            ),
            (&json!(3), &json!(12.0), &json!(1.0), &json!(9.0), &json!(4.0), &json!(2.0))
        );
        assert_eq!(items[2]["start"], "2026-11-21T12:15:00Z");
        for bad in ["1s", "0m", "5", "m", "5w", "1234567m", "-5m", "%C3%A95m"] {
            let answer = here.admin.get(&format!("{path}/summary?{span}&window={bad}")).await?;
            assert_eq!(
                (answer.status, &answer.body["errors"][0]["pointer"]),
                (422, &json!("window")),
                "{bad}"
            );
        }
        let missing = here.admin.get(&format!("{path}/summary?window=5m")).await?;
        assert_eq!(missing.status, 422);
    }
    Ok(())
}
