//! Who may do what, by asking: every route of the table as every role, and as nobody.

use anyhow::Result;
use brownie_api::routes;
use brownie_domain::{Action, Role};
use harness::{Client, Here, fill, good};
use reqwest::Method;
use serde_json::json;

/// Asks with a body that the route accepts, and a version that nothing has: what decides is the role.
async fn ask(client: &Client, method: &Method, route: &str, url: &str) -> Result<u16> {
    let body = good::body(method, route).map(|body| body.to_string());
    let url = format!("{url}{}", good::query(route));
    Ok(client.send(method.clone(), &url, &good::headers(route, "\"v99\""), body).await?.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_lets_in_whom_the_table_says() -> Result<()> {
    let here = Here::new().await?;
    let things = here.things().await?;
    let viewer = here.colleague("viewer", "viewer").await?;
    let member = here.colleague("member", "editor").await?;
    let nobody = here.service.client();
    let stranger = nobody.with_token("eyJhbGciOiJIUzI1NiJ9.e30.xxxx");

    // Whoever asks these is out, or needs something besides a role.
    let others = ["/auth/logout", "/auth/logout-all", "/auth/refresh", "/revoke-sessions"];
    for route in routes::table() {
        if others.iter().any(|end| route.path.ends_with(end)) {
            continue;
        }
        let (method, path) = (Method::from_bytes(route.method.as_str().as_bytes())?, route.path);
        let url = fill(path, &things);
        if route.operators_only {
            for (client, who) in [(&viewer, "viewer"), (&member, "member"), (&here.admin, "admin")]
            {
                let status = ask(client, &method, path, &url).await?;
                assert_eq!(status, 403, "{method} {path} as {who}");
            }
            assert_eq!(ask(&stranger, &method, path, &url).await?, 401, "{method} {path}");
            continue;
        }
        let Some(action) = route.action else {
            assert_ne!(
                ask(&nobody, &method, path, &url).await?,
                401,
                "{method} {path} is for everybody"
            );
            continue;
        };
        assert_eq!(ask(&nobody, &method, path, &url).await?, 401, "{method} {path} as nobody");
        assert_eq!(
            ask(&stranger, &method, path, &url).await?,
            401,
            "{method} {path} with a bad token"
        );
        for (client, role) in
            [(&viewer, Role::Viewer), (&member, Role::Member), (&here.admin, Role::Admin)]
        {
            let status = ask(client, &method, path, &url).await?;
            // What is not changed by a role, but by whose profile it is.
            let own_profile = action == Action::UsersRead
                && ["/api/v1/users/{user_id}", "/api/v1/users/{user_id}/password"].contains(&path);
            let may = role.may(action);
            if own_profile && method != Method::GET {
                assert!(matches!(status, 403 | 412 | 422), "{method} {path} as {role}: {status}");
            } else if may {
                assert!(!matches!(status, 401 | 403), "{method} {path} as {role}: {status}");
            } else {
                assert_eq!(status, 403, "{method} {path} as {role}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_raises_their_own_role() -> Result<()> {
    let here = Here::new().await?;
    let member = here.colleague("member", "member").await?;
    let me = member.get("/api/v1/auth/me").await?;
    let path = format!("/api/v1/users/{}", me.text("id"));
    let me = member.get(&path).await?;

    let raised = member.patch(&path, me.header("etag"), &json!({"role": "admin"})).await?;
    assert_eq!((raised.status, raised.text("code")), (403, "forbidden"), "{raised:?}");
    let moved = json!({"team_id": here.team_id});
    assert_eq!(member.patch(&path, me.header("etag"), &moved).await?.status, 403);
    let profile = json!({"full_name": "Grace Hopper"});
    let changed = member.patch(&path, me.header("etag"), &profile).await?;
    assert_eq!((changed.status, changed.text("full_name")), (200, "Grace Hopper"));

    let admin = format!("/api/v1/users/{}", here.user_id);
    assert_eq!(member.patch(&admin, "\"v1\"", &profile).await?.status, 403);
    Ok(())
}

/// An admin of one team, who is none of the organization, cannot make one there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_admin_makes_no_admins_of_the_organization() -> Result<()> {
    let here = Here::new().await?;
    let member = here.colleague("member", "member").await?;
    let me = member.get("/api/v1/auth/me").await?;
    let teams = format!("/api/v1/organizations/{}/teams", here.org_id);
    let second = here.admin.post(&teams, &json!({"name": "Second", "slug": "second"})).await?;
    let second = second.text("id").to_owned();
    let members = format!("/api/v1/teams/{second}/members");
    let added =
        here.admin.post(&members, &json!({"user_id": me.text("id"), "role": "admin"})).await?;
    assert_eq!(added.status, 201, "{added:?}");

    // Admin of the second team, so they may write there …
    let incidents = format!("/api/v1/teams/{second}/incidents");
    assert_eq!(member.post(&incidents, &json!({"title": "Mine"})).await?.status, 201);
    // … and somebody whose home it is has the organization's role there.
    let users = format!("/api/v1/organizations/{}/users", here.org_id);
    let body = json!({"email": "friend@people.example", "username": "friend", "team_id": second});
    let friend = here.admin.post(&users, &body).await?;
    let path = format!("{members}/{}", friend.text("id"));
    let raised = member
        .send(
            Method::PUT,
            &path,
            &[("If-Match", "\"v1\"")],
            Some(r#"{"role": "admin"}"#.to_owned()),
        )
        .await?;
    assert_eq!(raised.status, 403, "{raised:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_changes_counts_at_once() -> Result<()> {
    let here = Here::new().await?;
    let member = here.colleague("member", "member").await?;
    let me = member.get("/api/v1/auth/me").await?;
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    assert_eq!(member.post(&incidents, &json!({"title": "One"})).await?.status, 201);

    let path = format!("/api/v1/users/{}", me.text("id"));
    let demoted = here.admin.patch(&path, "\"v1\"", &json!({"role": "viewer"})).await?;
    assert_eq!(demoted.status, 200, "{demoted:?}");
    assert_eq!(member.post(&incidents, &json!({"title": "Two"})).await?.status, 403);

    assert_eq!(here.admin.delete(&path, demoted.header("etag")).await?.status, 200);
    assert_eq!(member.get("/api/v1/auth/me").await?.status, 401);
    Ok(())
}

/// The organization's list of statistics shows no team's that the team's own list would not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_all_shows_only_what_the_parts_show() -> Result<()> {
    let here = Here::new().await?;
    here.things().await?;
    let member = here.colleague("member", "member").await?;
    let all = format!("/api/v1/organizations/{}/stats", here.org_id);
    let count = |answer: &harness::Answer| answer.body["items"].as_array().map(Vec::len);
    assert_eq!(count(&member.get(&all).await?), Some(1), "of the home team");

    let teams = format!("/api/v1/organizations/{}/teams", here.org_id);
    let second = here.admin.post(&teams, &json!({"name": "Second", "slug": "second"})).await?;
    let me = member.get("/api/v1/auth/me").await?;
    let move_away = json!({"team_id": second.text("id")});
    let path = format!("/api/v1/users/{}", me.text("id"));
    let etag = member.get(&path).await?.header("etag").to_owned();
    assert_eq!(here.admin.patch(&path, &etag, &move_away).await?.status, 200);
    assert_eq!(count(&member.get(&all).await?), Some(0), "of the second team");
    assert_eq!(count(&here.admin.get(&all).await?), Some(1));
    Ok(())
}
