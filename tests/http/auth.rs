//! Coming in, staying in, and being put out.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use harness::{Answer, Client, Here, InProcess, OpenBao, OpenBaoOptions, Postgres};
use reqwest::Method;
use serde_json::{Value, json};

async fn log_in(client: &Client, email: &str, password: &str) -> Result<Answer> {
    client.post("/api/v1/auth/login", &json!({"email": email, "password": password})).await
}

async fn refresh(client: &Client, token: &str) -> Result<Answer> {
    client.post("/api/v1/auth/refresh", &json!({"refresh_token": token})).await
}

async fn status(client: &Client) -> Result<u16> {
    Ok(client.get("/api/v1/auth/me").await?.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_session() -> Result<()> {
    let here = Here::new().await?;
    let nobody = here.service.client();
    let first = log_in(&nobody, "founder@acme.example", "correct horse").await?;
    assert_eq!((first.status, first.text("token_type")), (200, "bearer"));
    assert!(first.text("refresh_token").starts_with("brt_"), "{first:?}");
    assert_eq!(first.header("Cache-Control"), "no-store");
    let second = refresh(&nobody, first.text("refresh_token")).await?;
    assert_eq!(second.status, 200, "{second:?}");
    let session = nobody.with_token(second.text("access_token"));
    assert_eq!(status(&session).await?, 200);

    // Right away it is refused and no more: two tabs of a browser do that.
    let again = refresh(&nobody, first.text("refresh_token")).await?;
    assert_eq!((again.status, again.text("code")), (401, "invalid_refresh_token"));
    assert_eq!(status(&session).await?, 200);

    // Later it was stolen: whoever has the newer one is put out, too.
    let client = here.database.connect().await;
    let age = "UPDATE refresh_tokens SET used_at = used_at - interval '1 minute' WHERE used_at IS NOT NULL";
    client.execute(age, &[]).await?;
    assert_eq!(refresh(&nobody, first.text("refresh_token")).await?.status, 401);
    assert_eq!(status(&session).await?, 401);
    assert_eq!(refresh(&nobody, second.text("refresh_token")).await?.status, 401);
    assert_eq!(status(&here.admin).await?, 200, "the founder's other session goes on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_who_show_a_refresh_token_one_wins() -> Result<()> {
    let here = Here::new().await?;
    let nobody = here.service.client();
    let mut token = log_in(&nobody, "founder@acme.example", "correct horse")
        .await?
        .text("refresh_token")
        .to_owned();
    for _ in 0..10 {
        let tries = (0..16).map(|_| refresh(&nobody, &token));
        let answers: Vec<Answer> = join_all(tries).await.into_iter().collect::<Result<_>>()?;
        let winners: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(winners.len(), 1, "{answers:?}");
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 401)));
        token = winners[0].text("refresh_token").to_owned();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logs_out_is_out_and_with_them_what_they_were_given() -> Result<()> {
    let here = Here::new().await?;
    let nobody = here.service.client();
    let login = log_in(&nobody, "founder@acme.example", "correct horse").await?;
    let session = nobody.with_token(login.text("access_token"));
    let out = session.send(Method::POST, "/api/v1/auth/logout", &[], None).await?;
    assert_eq!((out.status, out.text("message")), (200, "Logged out"));
    assert_eq!(status(&session).await?, 401);
    assert_eq!(refresh(&nobody, login.text("refresh_token")).await?.status, 401);
    assert_eq!(status(&here.admin).await?, 200, "another session");

    let out = here.admin.send(Method::POST, "/api/v1/auth/logout-all", &[], None).await?;
    assert_eq!(out.status, 200);
    assert_eq!(status(&here.admin).await?, 401);
    assert_eq!(log_in(&nobody, "founder@acme.example", "correct horse").await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_changed_by_who_knows_it_or_by_an_admin() -> Result<()> {
    let here = Here::new().await?;
    let bob = here.colleague("bob", "member").await?;
    let nobody = here.service.client();
    let id = bob.get("/api/v1/auth/me").await?.text("id").to_owned();
    let path = format!("/api/v1/users/{id}/password");
    let wrong = json!({"current_password": "wrong horse", "new_password": "battery staple"});
    let answer = bob.post(&path, &wrong).await?;
    assert_eq!(
        (answer.status, &answer.body["errors"][0]["pointer"]),
        (422, &json!("/current_password"))
    );
    assert_eq!(bob.post(&path, &json!({"new_password": "battery staple"})).await?.status, 422);
    let right = json!({"current_password": "correct horse", "new_password": "battery staple"});
    assert_eq!(bob.post(&path, &right).await?.status, 200);
    assert_eq!(status(&bob).await?, 401, "all sessions ended");
    assert_eq!(log_in(&nobody, "bob@people.example", "correct horse").await?.status, 401);
    let bob = log_in(&nobody, "bob@people.example", "battery staple").await?;
    let bob = nobody.with_token(bob.text("access_token"));

    let other = format!("/api/v1/users/{}/password", here.user_id);
    assert_eq!(bob.post(&other, &json!({"new_password": "taken over"})).await?.status, 403);
    assert_eq!(
        here.admin.post(&path, &json!({"new_password": "given by admin"})).await?.status,
        200
    );
    assert_eq!(status(&bob).await?, 401);
    let bob = log_in(&nobody, "bob@people.example", "given by admin").await?;
    let bob = nobody.with_token(bob.text("access_token"));
    let revoke = format!("/api/v1/users/{id}/revoke-sessions");
    assert_eq!(bob.send(Method::POST, &revoke, &[], None).await?.status, 403);
    assert_eq!(here.admin.send(Method::POST, &revoke, &[], None).await?.status, 200);
    assert_eq!(status(&bob).await?, 401);

    let log = here.admin.get("/api/v1/audit-log?resource=user&limit=100").await?.body.to_string();
    assert!(!log.contains("argon2"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_key_does_what_its_role_and_scopes_name_and_no_more() -> Result<()> {
    let here = Here::new().await?;
    let nobody = here.service.client();
    let incidents = format!("/api/v1/teams/{}/incidents", here.team_id);
    let report = json!({"title": "Disk full"});
    let (_, text) = here.api_key(json!({"name": "all", "role": "member"})).await?;
    let key = nobody.with_token(&text);
    let made = key.post(&incidents, &report).await?;
    assert_eq!(made.status, 201, "{made:?}");
    let by_header = [("X-API-Key", text.as_str())];
    assert_eq!(nobody.send(Method::GET, &incidents, &by_header, None).await?.status, 200);
    let users = format!("/api/v1/organizations/{}/users", here.org_id);
    assert_eq!(
        key.post(
            &users,
            &json!({"email": "x@y.example", "username": "new", "team_id": here.team_id})
        )
        .await?
        .status,
        403
    );
    assert_eq!(key.get("/api/v1/auth/me").await?.status, 403, "it is nobody");

    let scoped = json!({"name": "scoped", "role": "admin", "scopes": ["incidents.read"]});
    let (_, text) = here.api_key(scoped).await?;
    let scoped = nobody.with_token(&text);
    assert_eq!(scoped.get(&incidents).await?.status, 200);
    let refused = scoped.post(&incidents, &report).await?;
    assert_eq!(
        (refused.status, refused.text("detail")),
        (403, "the scopes of this API key do not name incidents.write")
    );
    assert_eq!(scoped.get("/api/v1/api-keys").await?.status, 403);

    let teams = format!("/api/v1/organizations/{}/teams", here.org_id);
    let other = here.admin.post(&teams, &json!({"name": "B", "slug": "b"})).await?;
    let of_team = json!({"name": "team", "role": "member", "team_id": other.text("id")});
    let (_, text) = here.api_key(of_team).await?;
    let of_team = nobody.with_token(&text);
    let theirs = format!("/api/v1/teams/{}/incidents", other.text("id"));
    assert_eq!(of_team.post(&theirs, &report).await?.status, 201);
    assert_eq!(of_team.get(&incidents).await?.status, 403);
    assert_eq!(of_team.get(&teams).await?.status, 403);

    // An admin's key makes no keys.
    let (_, text) = here.api_key(json!({"name": "admin", "role": "admin"})).await?;
    let admin = nobody.with_token(&text);
    assert_eq!(admin.get("/api/v1/api-keys").await?.status, 200);
    assert_eq!(
        admin.post("/api/v1/api-keys", &json!({"name": "more", "role": "admin"})).await?.status,
        403
    );

    let by_key = here.admin.get("/api/v1/audit-log?action=incident.created").await?;
    assert_eq!(by_key.body["items"][0]["actor_kind"], "api_key");
    assert!(by_key.body["items"][0]["actor_id"].is_string(), "{by_key:?}");
    let list = here.admin.get("/api/v1/api-keys").await?.body.to_string();
    assert!(!list.contains("bak_") && !list.contains("hash"), "{list}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_key_is_rotated_revoked_and_over() -> Result<()> {
    let here = Here::new().await?;
    let nobody = here.service.client();
    let probe = format!("/api/v1/teams/{}/incidents", here.team_id);
    let works =
        async |text: &str| -> Result<u16> { Ok(nobody.with_token(text).get(&probe).await?.status) };
    let (id, first) = here.api_key(json!({"name": "first", "role": "viewer"})).await?;
    assert_eq!(works(&first).await?, 200);
    let path = format!("/api/v1/api-keys/{id}");
    let rotate = async |etag: &str, grace: u32| {
        let body = json!({"grace_seconds": grace}).to_string();
        let headers = [("If-Match", etag)];
        here.admin.send(Method::POST, &format!("{path}/rotate"), &headers, Some(body)).await
    };
    let second = rotate("\"v1\"", 60).await?;
    assert_eq!((second.status, second.header("ETag")), (200, "\"v2\""), "{second:?}");
    let second = second.text("key").to_owned();
    assert_eq!((works(&first).await?, works(&second).await?), (200, 200));
    let third = rotate("\"v2\"", 0).await?.text("key").to_owned();
    let all = (works(&first).await?, works(&second).await?, works(&third).await?);
    assert_eq!(all, (401, 401, 200));
    assert_eq!(rotate("\"v1\"", 0).await?.status, 412);
    assert_eq!(rotate("\"v3\"", 604_801).await?.status, 422);

    // Whoever has the text with a letter changed, or of another kind, has nothing.
    let mut forged = third.clone();
    let last = forged.pop().context("a letter")?;
    forged.push(if last == 'a' { 'b' } else { 'a' });
    assert_eq!(works(&forged).await?, 401);
    assert_eq!(works(&third.replace("bak_", "brt_")).await?, 401);
    assert_eq!(works("bak_").await?, 401);

    let used: i64 = {
        let client = here.database.connect().await;
        let sql =
            "SELECT count(*) FROM api_key_uses WHERE last_used_at > now() - interval '1 minute'";
        client.query_one(sql, &[]).await?.get(0)
    };
    assert_eq!(used, 1);

    assert_eq!(here.admin.delete(&path, "\"v3\"").await?.status, 200);
    assert_eq!(works(&third).await?, 401);
    let over = json!({"name": "over", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z"});
    let (_, over) = here.api_key(over).await?;
    assert_eq!(works(&over).await?, 401);

    // The same request again is answered the same, but for what is shown once.
    let body = json!({"name": "again", "role": "viewer"}).to_string();
    let headers = [("Idempotency-Key", "k")];
    let send = || here.admin.send(Method::POST, "/api/v1/api-keys", &headers, Some(body.clone()));
    let (first, again) = (send().await?, send().await?);
    assert!(first.text("key").starts_with("bak_"), "{first:?}");
    assert_eq!((again.status, &again.body["key"]), (201, &Value::Null));
    assert_eq!(first.text("id"), again.text("id"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_comes_in_by_an_issuer_after_linking_and_never_by_a_mailbox() -> Result<()> {
    let options = OpenBaoOptions { tls: false, algorithm: "RS256", public_client: false };
    let issuer = OpenBao::start(options).await?;
    let database = Postgres::shared().database();
    let (url, tokens) = (issuer.issuer(), issuer.tokens().await?);
    let settings = [
        ("METADATA_OIDC_ISSUER", url.as_str()),
        ("METADATA_OIDC_CLIENT_ID", issuer.client_id.as_str()),
        ("METADATA_OIDC_CLIENT_SECRET", issuer.client_secret.as_deref().unwrap_or_default()),
        ("METADATA_OIDC_REDIRECT_URI", OpenBao::REDIRECT_URI),
    ];
    let service = InProcess::server_with(database.url(), &settings).await?;
    let here = Here::with(database, service).await?;
    let nobody = here.service.client();

    let come_in = async || -> Result<Answer> {
        let begun = nobody.get("/api/v1/okta/login").await?;
        anyhow::ensure!(begun.status == 200, "{begun:?}");
        let cookie = begun.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
        let flags = begun.header("set-cookie").to_owned();
        for flag in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=600"] {
            anyhow::ensure!(flags.contains(flag), "{flags}");
        }
        let (state, code) = issuer.log_in(begun.text("authorization_url")).await?;
        let path = format!("/api/v1/okta/callback?code={code}&state={state}");
        nobody.send(Method::GET, &path, &[("Cookie", &cookie)], None).await
    };
    let stranger = come_in().await?;
    assert_eq!((stranger.status, stranger.text("code")), (401, "log_in_refused"), "{stranger:?}");

    // A token of the issuer opens nothing before, and the account after linking.
    let by_token = nobody.with_token(&tokens.id_token);
    assert_eq!(status(&by_token).await?, 401);
    let stolen = json!({"token": tokens.id_token});
    assert_eq!(
        here.admin.post("/api/v1/auth/oidc/link", &stolen).await?.status,
        422,
        "without the password"
    );
    let body = json!({"token": tokens.id_token, "current_password": "correct horse"});
    let linked = here.admin.post("/api/v1/auth/oidc/link", &body).await?;
    assert_eq!(linked.status, 200, "{linked:?}");
    assert_eq!(status(&by_token).await?, 200);
    let inside = come_in().await?;
    assert_eq!(inside.status, 200, "{inside:?}");
    let me = nobody.with_token(inside.text("access_token")).get("/api/v1/auth/me").await?;
    assert_eq!(me.text("id"), here.user_id);

    // A browser that began nothing, or something else, is not let in.
    let no_cookie = nobody.get("/api/v1/auth/oidc/callback?code=x&state=y").await?;
    assert_eq!(no_cookie.status, 401);
    let denied = nobody.get("/api/v1/auth/oidc/callback?error=access_denied").await?;
    assert_eq!((denied.status, denied.text("code")), (401, "log_in_refused"));
    let body = json!({"token": "garbage", "current_password": "correct horse"});
    assert_eq!(here.admin.post("/api/v1/auth/oidc/link", &body).await?.status, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_issuer_that_is_said() -> Result<()> {
    let here = Here::new().await?;
    for path in
        ["/api/v1/okta/login", "/api/v1/auth/oidc/login", "/api/v1/okta/callback?code=a&state=b"]
    {
        let answer = here.service.client().get(path).await?;
        assert_eq!((answer.status, answer.text("code")), (501, "not_implemented"), "{path}");
        assert!(answer.text("detail").contains("not implemented"), "{answer:?}");
    }
    let jwks = here.service.client().get("/.well-known/jwks.json").await?;
    assert_eq!((jwks.status, jwks.body), (200, json!({"keys": []})));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_and_unknown_mailboxes_take_equal_time() -> Result<()> {
    let here = Here::new().await?;
    let nobody = here.service.client();
    let mut times = [Duration::MAX, Duration::MAX];
    for round in 0..5 {
        for (place, email) in ["founder@acme.example", "nobody@acme.example"].iter().enumerate() {
            let started = std::time::Instant::now();
            let answer = log_in(&nobody, email, &format!("wrong horse {round}")).await?;
            assert_eq!(answer.status, 401);
            times[place] = times[place].min(started.elapsed());
        }
    }
    let (known, unknown) = (times[0].as_secs_f64(), times[1].as_secs_f64());
    // The least of each, which is what this machine takes when nothing else is in the way.
    assert!((known / unknown - 1.0).abs() < 0.25, "{times:?}");
    Ok(())
}

/// Somebody founds an organization with another's mailbox, and guesses by it: FAULTS S2b, S2b'. What the right
/// password is answered is what a wrong one is; guesses are counted however they are spelled; and the owner
/// comes in by naming their organization.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2b_a_mailbox_of_several_organizations_tells_nothing() -> Result<()> {
    let here = Here::new().await?;
    let nobody = here.service.client();
    let found = async |number: usize| {
        let body = json!({
            "email": "founder@acme.example", "password": "attackers horse", "username": "mallory",
            "organization_name": format!("Squat {number}"), "team_name": "T",
        });
        let made = nobody.post("/api/v1/auth/signup", &body).await?;
        anyhow::ensure!(made.status == 201, "{made:?}");
        anyhow::Ok(nobody.with_token(made.text("access_token")))
    };
    let mallory = found(0).await?;
    for number in 1..5 {
        found(number).await?;
    }
    let me = mallory.get("/api/v1/auth/me").await?;
    let squatted = format!("/api/v1/users/{}/password", me.text("id"));
    let mut outcomes = Vec::new();
    for password in ["wrong horse", "correct horse", "attackers horse"] {
        let answer = log_in(&nobody, "founder@acme.example", password).await?;
        outcomes.push((
            answer.status,
            answer.text("code").to_owned(),
            answer.text("detail").to_owned(),
        ));
    }
    assert_eq!(outcomes[0].0, 401);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");

    // Coming in to what is theirs takes back no guess at what is not.
    let named = async |organization: &str, password: &str| {
        let body = json!({"email": "founder@acme.example", "password": password, "organization": organization});
        nobody.post("/api/v1/auth/login", &body).await
    };
    let (mut guesses, mut refused) = (0, 0);
    for number in 0..20 {
        // Until the guesses at the mailbox are spent.
        let own = named("squat-0", "attackers horse").await?;
        assert_eq!(own.status, if guesses < 3 { 200 } else { 429 }, "{own:?}");
        let change =
            json!({"current_password": "attackers horse", "new_password": "attackers horse"});
        assert!(mallory.post(&squatted, &change).await?.status < 500);
        match named("acme", &format!("wrong horse {number}")).await?.status {
            401 => guesses += 1,
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    // Six at once, of which the log-ins above without an organization were three.
    assert_eq!((guesses, refused), (3, 17));
    Ok(())
}
