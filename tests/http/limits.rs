//! Limits with 32 requests at once: exact, whoever comes first.

use anyhow::Result;
use futures_util::future::join_all;
use harness::{Here, PATIENT};
use serde_json::json;

const AT_ONCE: usize = 32;

async fn set(here: &Here, limits: serde_json::Value) -> Result<()> {
    let path = format!("/api/v1/organizations/{}", here.org_id);
    let etag = here.admin.get(&path).await?.header("ETag").to_owned();
    let answer = here.admin.patch(&path, &etag, &limits).await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

fn counted(answers: &[harness::Answer], status: u16, code: &str) -> usize {
    answers.iter().filter(|answer| answer.status == status && answer.text("code") == code).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_teams_as_there_may_be() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    set(&here, json!({"max_teams": 7})).await?;
    let path = format!("/api/v1/organizations/{}/teams", here.org_id);
    let tries = (0..AT_ONCE).map(|number| {
        let body = json!({"name": format!("Team {number}"), "slug": format!("team-{number}")});
        let path = &path;
        let admin = &here.admin;
        async move { admin.post(path, &body).await }
    });
    let answers: Vec<_> = join_all(tries).await.into_iter().collect::<Result<_>>()?;
    assert_eq!(counted(&answers, 201, ""), 6, "the first team is there already");
    assert_eq!(counted(&answers, 409, "limit_reached"), AT_ONCE - 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_users_in_a_team_as_there_may_be_by_whatever_way_they_come() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    set(&here, json!({"max_users_per_team": 40, "max_teams": 20})).await?;
    let users = format!("/api/v1/organizations/{}/users", here.org_id);
    let teams = format!("/api/v1/organizations/{}/teams", here.org_id);
    let full = here.admin.post(&teams, &json!({"name": "Full", "slug": "full"})).await?;
    let full = full.text("id").to_owned();
    // Half of them are new in the team, half become members of it besides their home.
    let mut colleagues = Vec::new();
    for number in 0..AT_ONCE / 2 {
        let body = json!({"email": format!("c{number}@x.example"), "username": format!("colleague-{number}"),
                          "team_id": here.team_id});
        colleagues.push(here.admin.post(&users, &body).await?.text("id").to_owned());
    }
    set(&here, json!({"max_users_per_team": 9})).await?;
    let tries = (0..AT_ONCE).map(|number| {
        let (path, body) = if number % 2 == 0 {
            let body = json!({"email": format!("n{number}@x.example"),
                              "username": format!("newcomer-{number}"), "team_id": full});
            (users.clone(), body)
        } else {
            let body = json!({"user_id": colleagues[number / 2], "role": "member"});
            (format!("/api/v1/teams/{full}/members"), body)
        };
        let admin = &here.admin;
        async move { admin.post(&path, &body).await }
    });
    let answers: Vec<_> = join_all(tries).await.into_iter().collect::<Result<_>>()?;
    assert_eq!(counted(&answers, 201, ""), 9, "{answers:?}");
    assert_eq!(counted(&answers, 409, "limit_reached"), AT_ONCE - 9, "{answers:?}");
    let members = here.admin.get(&format!("/api/v1/teams/{full}/members?limit=100")).await?;
    assert_eq!(members.body["items"].as_array().map(Vec::len), Some(9));
    Ok(())
}

/// All admins demote each other at once; one is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_admin_is_left() -> Result<()> {
    let here = Here::with_settings(PATIENT).await?;
    let mut admins = vec![here.user_id.clone()];
    for number in 1..8 {
        let admin = here.colleague(&format!("admin-{number}"), "admin").await?;
        admins.push(admin.get("/api/v1/auth/me").await?.text("id").to_owned());
    }
    // Each is to be demoted, deactivated, deleted and moved down as a member, all at once.
    let tries = (0..AT_ONCE).map(|number| {
        let path = format!("/api/v1/users/{}", admins[number % admins.len()]);
        let admin = &here.admin;
        async move {
            match number / 8 {
                0 => admin.patch(&path, "\"v1\"", &json!({"role": "member"})).await,
                1 => admin.patch(&path, "\"v1\"", &json!({"is_active": false})).await,
                2 => admin.patch(&path, "\"v1\"", &json!({"role": "viewer"})).await,
                _ => admin.delete(&path, "\"v1\"").await,
            }
        }
    });
    let answers: Vec<_> = join_all(tries).await.into_iter().collect::<Result<_>>()?;
    let done = counted(&answers, 200, "");
    assert!(done < admins.len(), "{done}");
    let client = here.database.connect().await;
    let left =
        "SELECT count(*) FROM users WHERE role = 'admin' AND is_active AND deleted_at IS NULL";
    let left: i64 = client.query_one(left, &[]).await?.get(0);
    // Who asks may have been demoted before the last of the others.
    assert!(left >= 1, "nobody is left");
    assert_eq!(usize::try_from(left)?, admins.len() - done);
    Ok(())
}
