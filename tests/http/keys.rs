//! What an API key may do with people: no more than its scopes say. FAULTS S2e.

use anyhow::{Result, ensure};
use harness::{Client, Here};
use reqwest::Method;
use serde_json::{Value, json};

async fn key(here: &Here, body: Value) -> Result<Client> {
    let made = here.admin.post("/api/v1/api-keys", &body).await?;
    ensure!(made.status == 201, "{made:?}");
    Ok(here.service.client().with_token(made.text("key")))
}

/// Each way to give somebody a role or to take one away, by keys that may manage people and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2e_a_scope_to_manage_people_makes_no_admins() -> Result<()> {
    let here = Here::new().await?;
    let scopes = json!(["users.write", "users.read", "members.write"]);
    let narrow = key(&here, json!({"name": "narrow", "role": "admin", "scopes": scopes})).await?;
    let whole = key(&here, json!({"name": "whole", "role": "admin"})).await?;
    let users = format!("/api/v1/organizations/{}/users", here.org_id);
    let person = |name: &str, role: &str| json!({"email": format!("{name}@acme.example"), "username": name, "team_id": here.team_id, "role": role});
    let made = here.admin.post(&users, &person("grace", "admin")).await?;
    let admin = format!("/api/v1/users/{}", made.text("id"));
    let team = json!({"name": "Other", "slug": "other"});
    let team =
        here.admin.post(&format!("/api/v1/organizations/{}/teams", here.org_id), &team).await?;
    let members = format!("/api/v1/teams/{}/members", team.text("id"));
    let (founder, version) = (format!("/api/v1/users/{}", here.user_id), "\"v1\"");

    let each: [(Method, String, Option<Value>); 10] = [
        (Method::POST, users.clone(), Some(person("new-admin", "admin"))),
        (Method::POST, users.clone(), Some(person("new-member", "member"))),
        (Method::POST, users.clone(), Some(person("new-viewer", "viewer"))),
        (Method::PATCH, admin.clone(), Some(json!({"role": "viewer"}))),
        (Method::PATCH, admin.clone(), Some(json!({"email": "taken@evil.example"}))),
        (Method::PATCH, founder.clone(), Some(json!({"is_active": false}))),
        (Method::DELETE, admin.clone(), None),
        (Method::POST, format!("{admin}/revoke-sessions"), None),
        (Method::POST, members.clone(), Some(json!({"user_id": made.text("id"), "role": "admin"}))),
        (
            Method::PUT,
            format!("/api/v1/teams/{}/members/{}", here.team_id, made.text("id")),
            Some(json!({"role": "viewer"})),
        ),
    ];
    let headers = [("If-Match", version)];
    for (method, path, body) in &each {
        let body = body.as_ref().map(Value::to_string);
        let answer = narrow.send(method.clone(), path, &headers, body).await?;
        ensure!(answer.status == 403, "{method} {path}: {answer:?}");
    }
    ensure!(here.admin.get(&admin).await?.body["role"] == "admin", "nothing was changed");
    // A deleted admin does not come back by it either.
    ensure!(here.admin.delete(&admin, version).await?.status == 200, "{admin}");
    let restore = format!("{admin}/restore");
    let back = narrow.send(Method::POST, &restore, &[("If-Match", "\"v2\"")], None).await?;
    ensure!(back.status == 403, "{back:?}");
    // The controls: a key of all scopes, and one that may all that a viewer may.
    let back = whole.send(Method::POST, &restore, &[("If-Match", "\"v2\"")], None).await?;
    ensure!(back.status == 200, "{back:?}");
    let reads = [
        "users.write",
        "organization.read",
        "teams.read",
        "users.read",
        "incidents.read",
        "agent_configs.read",
        "configs.read",
        "stats.read",
    ];
    let reader = key(&here, json!({"name": "reader", "role": "admin", "scopes": reads})).await?;
    ensure!(
        reader.post(&users, &person("a-viewer", "viewer")).await?.status == 201,
        "a viewer may only read"
    );
    ensure!(
        reader.post(&users, &person("a-member", "member")).await?.status == 403,
        "a member writes"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2e_no_scope_is_not_every_scope() -> Result<()> {
    let here = Here::new().await?;
    let empty = json!({"name": "none", "role": "admin", "scopes": []});
    let refused = here.admin.post("/api/v1/api-keys", &empty).await?;
    ensure!(
        (refused.status, &refused.body["errors"][0]["pointer"]) == (422, &json!("/scopes")),
        "{refused:?}"
    );
    Ok(())
}
