//! The holes of the original (CONTRACT 4.2), one by one: each test does what went through there.

use anyhow::Result;
use harness::{Client, Here};
use serde_json::json;

/// Two organizations on one server, each with its admin.
async fn two() -> Result<(Here, Client, [String; 3])> {
    let here = Here::new().await?;
    let neighbour = here.service.client().sign_up("neighbour").await?;
    let me = neighbour.get("/api/v1/auth/me").await?;
    let ids = ["org_id", "team_id", "id"].map(|name| me.text(name).to_owned());
    Ok((here, neighbour, ids))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_admin_sees_and_changes_no_organization_but_their_own() -> Result<()> {
    let (here, _, [org, ..]) = two().await?;
    let listed = here.admin.get("/api/v1/organizations").await?;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed.body["items"][0]["id"], here.org_id);
    let path = format!("/api/v1/organizations/{org}");
    assert_eq!(here.admin.get(&path).await?.status, 404);
    let changed = here.admin.patch(&path, "\"v1\"", &json!({"description": "mine"})).await?;
    assert_eq!(changed.status, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_promotes_themselves() -> Result<()> {
    let here = Here::new().await?;
    for role in ["viewer", "member"] {
        let user = here.colleague(role, role).await?;
        let path = format!("/api/v1/users/{}", user.get("/api/v1/auth/me").await?.text("id"));
        let promoted = user.patch(&path, "\"v1\"", &json!({"role": "admin"})).await?;
        assert_eq!(promoted.status, 403, "{promoted:?}");
        assert_eq!(user.get("/api/v1/auth/me").await?.text("role"), role);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_moves_into_another_organization_s_team() -> Result<()> {
    let (here, _, [_, team, _]) = two().await?;
    let member = here.colleague("member", "member").await?;
    for user in [&member, &here.admin] {
        let path = format!("/api/v1/users/{}", user.get("/api/v1/auth/me").await?.text("id"));
        let moved = user.patch(&path, "\"v1\"", &json!({"team_id": team})).await?;
        assert!(matches!(moved.status, 403 | 404 | 422), "{moved:?}");
        assert_eq!(user.get(&format!("/api/v1/teams/{team}")).await?.status, 404);
        assert_eq!(user.get(&format!("/api/v1/teams/{team}/incidents")).await?.status, 404);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_admin_creates_users_and_teams() -> Result<()> {
    let here = Here::new().await?;
    let org = format!("/api/v1/organizations/{}", here.org_id);
    for role in ["viewer", "member"] {
        let user = here.colleague(role, role).await?;
        let admin = json!({
            "email": "x@people.example", "username": "x", "password": "correct horse",
            "team_id": here.team_id, "role": "admin",
        });
        assert_eq!(user.post(&format!("{org}/users"), &admin).await?.status, 403, "{role}");
        let team = json!({"name": "Mine", "slug": "mine"});
        assert_eq!(user.post(&format!("{org}/teams"), &team).await?.status, 403, "{role}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_its_admin_changes_a_team() -> Result<()> {
    let here = Here::new().await?;
    let path = format!("/api/v1/teams/{}", here.team_id);
    for role in ["viewer", "member"] {
        let user = here.colleague(role, role).await?;
        let changed = user.patch(&path, "\"v1\"", &json!({"name": "Mine"})).await?;
        assert_eq!(changed.status, 403, "{role}");
    }
    assert_eq!(here.admin.get(&path).await?.body["version"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_finds_no_other_organization_s_incident() -> Result<()> {
    let (here, neighbour, [_, team, _]) = two().await?;
    let body = json!({"title": "ours", "idempotency_key": "alert-42"});
    let ours = here.admin.post(&format!("/api/v1/teams/{}/incidents", here.team_id), &body).await?;
    let body = json!({"title": "theirs", "idempotency_key": "alert-42"});
    let theirs = neighbour.post(&format!("/api/v1/teams/{team}/incidents"), &body).await?;
    assert_eq!((ours.status, theirs.status), (201, 201));
    assert_ne!(ours.text("id"), theirs.text("id"));
    assert_eq!(theirs.text("title"), "theirs");
    Ok(())
}
