//! What ends with a right does so within its bound, and does not return with it; what goes on is in the table.
//! FAULTS S2d.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Answer, Client, Here, PATIENCE, Stream, until};
use reqwest::Method;
use serde_json::{Value, json};

/// How a right is taken, and given back.
#[derive(Debug, Clone, Copy)]
enum Right {
    Password,
    Role,
    Activity,
    Existence,
    Membership,
    Team,
    Key,
    Organization,
}

/// What ends with it.
struct Ends {
    sessions: bool,
    key: bool,
    team_key: bool,
}

const TABLE: [(Right, Ends); 8] = [
    // All that a password opened; a key of a program was not.
    (Right::Password, Ends { sessions: true, key: false, team_key: false }),
    // Sessions have the role that their user has now; a key may not more than its maker.
    (Right::Role, Ends { sessions: false, key: true, team_key: true }),
    (Right::Activity, Ends { sessions: true, key: true, team_key: true }),
    (Right::Existence, Ends { sessions: true, key: true, team_key: true }),
    // What a member may do there ends with the membership, at once; nobody is thrown out of the organization.
    (Right::Membership, Ends { sessions: false, key: false, team_key: false }),
    (Right::Team, Ends { sessions: false, key: false, team_key: true }),
    (Right::Key, Ends { sessions: false, key: true, team_key: false }),
    (Right::Organization, Ends { sessions: true, key: true, team_key: true }),
];

/// Somebody, and what they come in by.
struct Somebody {
    id: String,
    team: String,
    access: Client,
    /// One refresh token to show while the right is gone, one for afterwards.
    refresh: [String; 2],
    key: Client,
    key_id: String,
    team_key: Client,
    stream: Stream,
}

async fn ok(answer: impl Future<Output = Result<Answer>>) -> Result<Answer> {
    let answer = answer.await?;
    ensure!((200..300).contains(&answer.status), "{answer:?}");
    Ok(answer)
}

impl Somebody {
    /// An admin of the organization, with a membership in a team besides.
    async fn new(here: &Here, name: &str) -> Result<Self> {
        let team = json!({"name": name, "slug": name});
        let team =
            ok(here.admin.post(&format!("/api/v1/organizations/{}/teams", here.org_id), &team))
                .await?;
        let team = team.text("id").to_owned();
        let email = format!("{name}@acme.example");
        let user = json!({
            "email": email, "username": name, "team_id": here.team_id, "role": "admin", "password": "correct horse",
        });
        let path = format!("/api/v1/organizations/{}/users", here.org_id);
        let id = ok(here.admin.post(&path, &user)).await?.text("id").to_owned();
        let member = json!({"user_id": id, "role": "member"});
        ok(here.admin.post(&format!("/api/v1/teams/{team}/members"), &member)).await?;
        let log_in = async || {
            let body = json!({"email": email, "password": "correct horse"});
            let tokens = ok(here.service.client().post("/api/v1/auth/login", &body)).await?;
            anyhow::Ok((
                tokens.text("access_token").to_owned(),
                tokens.text("refresh_token").to_owned(),
            ))
        };
        let ((access, one), (_, other)) = (log_in().await?, log_in().await?);
        let access = here.service.client().with_token(&access);
        let make = async |body: Value| {
            let made = ok(access.post("/api/v1/api-keys", &body)).await?;
            anyhow::Ok((
                here.service.client().with_token(made.text("key")),
                made.text("id").to_owned(),
            ))
        };
        let (key, key_id) = make(json!({"name": format!("{name}-all"), "role": "admin"})).await?;
        let team_key = json!({"name": format!("{name}-team"), "role": "member", "team_id": team});
        let (team_key, _) = make(team_key).await?;
        let stream = access.stream("/api/v1/events", None).await?;
        Ok(Self { id, team, access, refresh: [one, other], key, key_id, team_key, stream })
    }

    async fn sessions(&self, here: &Here, which: usize) -> Result<[u16; 2]> {
        let body = json!({"refresh_token": self.refresh[which]});
        let refreshed = here.service.client().post("/api/v1/auth/refresh", &body).await?;
        Ok([self.access.get("/api/v1/auth/me").await?.status, refreshed.status])
    }

    async fn keys(&self) -> Result<[u16; 2]> {
        let incidents = format!("/api/v1/teams/{}/incidents", self.team);
        let explain = "/api/v1/authz/explain?action=incidents.read";
        Ok([self.key.get(explain).await?.status, self.team_key.get(&incidents).await?.status])
    }
}

async fn change(client: &Client, path: &str, body: Value) -> Result<()> {
    let etag = client.get(path).await?.header("etag").to_owned();
    ok(client.patch(path, &etag, &body)).await.map(drop)
}

async fn take(here: &Here, right: Right, who: &Somebody) -> Result<()> {
    let (user, team) = (format!("/api/v1/users/{}", who.id), format!("/api/v1/teams/{}", who.team));
    let delete = async |path: &str| {
        let etag = here.admin.get(path).await?.header("etag").to_owned();
        ok(here.admin.delete(path, &etag)).await.map(drop)
    };
    match right {
        Right::Password => {
            let body = json!({"new_password": "another horse"});
            ok(here.admin.post(&format!("{user}/password"), &body)).await.map(drop)
        }
        Right::Role => change(&here.admin, &user, json!({"role": "viewer"})).await,
        Right::Activity => change(&here.admin, &user, json!({"is_active": false})).await,
        Right::Existence => delete(&user).await,
        Right::Membership => delete(&format!("{team}/members/{}", who.id)).await,
        Right::Team => delete(&team).await,
        Right::Key => delete(&format!("/api/v1/api-keys/{}", who.key_id)).await,
        // Nobody of the organization could undo it, so it is an operator's.
        Right::Organization => use_organization(here, false).await,
    }
}

async fn use_organization(here: &Here, is_active: bool) -> Result<()> {
    let sql = "UPDATE organizations SET is_active = $1, version = version + 1";
    here.database.connect().await.execute(sql, &[&is_active]).await?;
    Ok(())
}

async fn give_back(here: &Here, right: Right, who: &Somebody) -> Result<()> {
    let (user, team) = (format!("/api/v1/users/{}", who.id), format!("/api/v1/teams/{}", who.team));
    let restore = async |path: &str, table: &str, id: &str| {
        let sql = format!("SELECT version FROM {table} WHERE id = '{id}'");
        let version: i64 = here.database.connect().await.query_one(&sql, &[]).await?.get(0);
        let etag = format!("\"v{version}\"");
        let headers = [("If-Match", etag.as_str())];
        ok(here.admin.send(Method::POST, &format!("{path}/restore"), &headers, None))
            .await
            .map(drop)
    };
    match right {
        Right::Password => {
            let body = json!({"new_password": "correct horse"});
            ok(here.admin.post(&format!("{user}/password"), &body)).await.map(drop)
        }
        Right::Role => change(&here.admin, &user, json!({"role": "admin"})).await,
        Right::Activity => change(&here.admin, &user, json!({"is_active": true})).await,
        Right::Existence => restore(&user, "users", &who.id).await,
        Right::Membership => {
            let member = json!({"user_id": who.id, "role": "member"});
            ok(here.admin.post(&format!("{team}/members"), &member)).await.map(drop)
        }
        Right::Team => restore(&team, "teams", &who.team).await,
        // Nothing brings a key back.
        Right::Key => Ok(()),
        Right::Organization => use_organization(here, true).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2d_what_ended_with_a_right_does_not_return_with_it() -> Result<()> {
    // A log-in takes turns with no other.
    let here = Here::with_settings(&[("METADATA_RATE_LIMIT_ADDRESS", "0")]).await?;
    for (number, (right, ends)) in TABLE.into_iter().enumerate() {
        let mut who = Somebody::new(&here, &format!("who-{number}")).await?;
        let at_first = (who.access.get("/api/v1/auth/me").await?.status, who.keys().await?);
        ensure!(at_first == (200, [200, 200]), "{right:?}: {at_first:?}");
        take(&here, right, &who).await.with_context(|| format!("{right:?}"))?;

        let session = if ends.sessions { [401, 401] } else { [200, 200] };
        let [key, team_key] = [ends.key, ends.team_key].map(|over| if over { 401 } else { 200 });
        until("what ends has ended", PATIENCE, async || {
            who.access.get("/api/v1/auth/me").await.is_ok_and(|answer| answer.status == session[0])
                && who.keys().await.is_ok_and(|found| found == [key, team_key])
        })
        .await;
        ensure!(
            who.sessions(&here, 0).await? == session,
            "{right:?}: {:?}",
            who.sessions(&here, 0).await?
        );
        if ends.sessions {
            let over = async {
                while who.stream.next().await?.is_some() {}
                anyhow::Ok(())
            };
            tokio::time::timeout(Duration::from_secs(10), over)
                .await
                .with_context(|| format!("{right:?}"))??;
        }

        give_back(&here, right, &who).await.with_context(|| format!("{right:?} given back"))?;
        // For longer than an answer about a credential is believed.
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(1_500) {
            let keys = who.keys().await?;
            ensure!(keys == [key, team_key], "{right:?} given back: keys {keys:?}");
            let access = who.access.get("/api/v1/auth/me").await?.status;
            ensure!(access == session[0], "{right:?} given back: access {access}");
        }
        let sessions = who.sessions(&here, 1).await?;
        ensure!(sessions == session, "{right:?} given back: {sessions:?}");
    }
    Ok(())
}
