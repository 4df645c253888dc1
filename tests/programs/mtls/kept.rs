//! Connections that are kept longer than the certificate that opened them holds.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use harness::{Client, Service, pass};
use serde_json::json;

use super::{
    listener::connected,
    world::{Ca, Dir, wish},
};

/// How long a connection may go on after its certificate does not hold any more.
const BOUND: Duration = Duration::from_secs(10);

/// Asks on a kept connection until something else comes than 200, and returns what, and after how long.
async fn until_refused(client: &Client, path: &str) -> (Option<u16>, Duration) {
    let began = Instant::now();
    loop {
        let status = client.get(path).await.ok().map(|answer| answer.status);
        if status != Some(200) || began.elapsed() > 2 * BOUND {
            return (status, began.elapsed());
        }
        pass(Duration::from_millis(50), "the connection stays in use").await;
    }
}

/// FAULTS M-04: a client's certificate that is revoked, is over, or whose authority is believed no longer, ends
/// what it opened: requests of a kept connection, also those with another credential or none, and streams.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m04_a_kept_connection_ends_with_the_certificate_that_opened_it() {
    let database = harness::Postgres::shared().database();
    let (ca, old) = (Ca::new("ca"), Ca::new("old"));
    let plain = Service::server(database.url()).await.unwrap();
    let founder = plain.client().sign_up("acme").await.unwrap();
    let me = founder.get("/api/v1/auth/me").await.unwrap();
    let made = json!({"name": "incident bot", "role": "editor"});
    let key = founder.post("/api/v1/api-keys", &made).await.unwrap();
    let (org, key) = (me.text("org_id"), key.text("id"));

    let dir = Dir::new();
    dir.put("ca.crt", ca.pem() + &old.pem());
    dir.put_pair("server", &ca.server());
    let principals = json!({"incident-bot": format!("{org}/{key}")}).to_string();
    let settings = [
        ("CERT_DIR", dir.path().to_str().unwrap()),
        ("CERT_RELOAD_SECONDS", "0.2"),
        ("METADATA_TLS", "optional"),
        ("METADATA_TLS_PRINCIPALS", &principals),
    ];
    let service = Service::server_with(database.url(), &settings).await.unwrap();
    let bundle = ca.pem();
    let kept = |pair: &_| connected(&service.base(), &bundle, Some(pair), 1);
    let (bot, other, of_old) =
        (ca.client("incident-bot"), ca.client("incident-bot"), old.client("incident-bot"));
    let ending = wish("incident-bot", "client");
    let ending = ca.issue(&super::world::Wish { ends: TimeDelta::seconds(6), ..ending });

    let teams = format!("/api/v1/organizations/{org}/teams");
    let (revoked, over, disowned, stays) = (kept(&bot), kept(&ending), kept(&of_old), kept(&other));
    let with_token = kept(&bot).with_token(founder.token());
    let public = kept(&bot);
    // Without a CN it stands for nobody, and ends all the same.
    let nameless = ca.client("");
    let unnamed = kept(&nameless).with_token(founder.token());
    for client in [&revoked, &over, &disowned, &stays, &with_token, &unnamed] {
        assert_eq!(client.get(&teams).await.unwrap().status, 200);
    }
    assert_eq!(public.get("/readyz").await.unwrap().status, 200);
    let streaming = kept(&bot).with_token(founder.token());
    let mut stream = streaming.stream("/api/v1/events", None).await.unwrap();

    // By the clock.
    let (status, after) = until_refused(&over, &teams).await;
    assert_eq!(status, Some(401), "after {after:?}");
    assert!(after < Duration::from_secs(6) + BOUND, "{after:?}");

    // By a list, and by an authority less.
    dir.put("crl.pem", ca.revoke(&[&bot.certificate, &nameless.certificate], TimeDelta::days(9)));
    dir.put("ca.crt", ca.pem());
    let asked = tokio::join!(
        until_refused(&revoked, &teams),
        until_refused(&with_token, &teams),
        until_refused(&public, "/readyz"),
        until_refused(&disowned, &teams),
        until_refused(&unnamed, &teams),
    );
    for (status, after) in [asked.0, asked.1, asked.2, asked.3, asked.4] {
        assert_eq!(status, Some(401), "after {after:?}");
        assert!(after < BOUND, "{after:?}");
    }
    let ended = tokio::time::timeout(BOUND, async {
        while stream.next().await.is_ok_and(|next| next.is_some()) {}
    });
    assert!(ended.await.is_ok(), "the stream goes on");
    assert_eq!(stays.get(&teams).await.unwrap().status, 200, "another of the same name goes on");
    let again = revoked.get(&teams).await;
    assert!(again.is_err(), "it does not come in again: {again:?}");
}
