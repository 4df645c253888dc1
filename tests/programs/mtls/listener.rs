//! The API by TLS, and services that are known by their certificates.

use std::time::{Duration, Instant};

use harness::{Client, PATIENCE, Service, until};
use reqwest::{Certificate, Identity};
use serde_json::json;

use super::world::{Ca, Dir, Pair, key_pem, pem};

/// Somebody who believes these authorities, and shows this.
fn client(base: &str, ca: &str, shown: Option<&Pair>) -> Client {
    connected(base, ca, shown, 0)
}

/// The same, who keeps so many connections.
pub(super) fn connected(base: &str, ca: &str, shown: Option<&Pair>, kept: usize) -> Client {
    let mut builder = reqwest::Client::builder()
        .tls_certs_only(Certificate::from_pem_bundle(ca.as_bytes()).unwrap())
        .pool_max_idle_per_host(kept);
    if let Some(pair) = shown {
        let identity = Identity::from_pkcs8_pem(
            pem(&pair.certificate).as_bytes(),
            key_pem(&pair.key).as_bytes(),
        );
        builder = builder.identity(identity.unwrap());
    }
    Client::through(base, builder.build().unwrap())
}

#[tokio::test]
async fn a_certificate_stands_for_an_api_key() {
    let database = harness::Postgres::shared().database();
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let plain = Service::server(database.url()).await.unwrap();
    let founder = plain.client().sign_up("acme").await.unwrap();
    let me = founder.get("/api/v1/auth/me").await.unwrap();
    let wish = json!({"name": "incident bot", "role": "editor"});
    let key = founder.post("/api/v1/api-keys", &wish).await.unwrap();
    assert_eq!(key.status, 201, "{key:?}");
    let (org, key) = (me.text("org_id"), key.text("id"));

    let dir = Dir::new();
    dir.put("ca.crt", ca.pem());
    dir.put_pair("server", &ca.server());
    let principals = json!({"incident-bot": format!("{org}/{key}")}).to_string();
    let settings = [
        ("CERT_DIR", dir.path().to_str().unwrap()),
        ("CERT_RELOAD_SECONDS", "0.2"),
        ("METADATA_TLS", "optional"),
        ("METADATA_TLS_PRINCIPALS", &principals),
    ];
    let service = Service::server_with(database.url(), &settings).await.unwrap();
    let as_shown = |pair: Option<&Pair>| client(&service.base(), &ca.pem(), pair);
    let bot = ca.client("incident-bot");
    let status = async |client: Client, path: &str| client.get(path).await.map(|a| a.status).ok();

    let teams = format!("/api/v1/organizations/{org}/teams");
    let teams = teams.as_str();
    assert_eq!(status(as_shown(Some(&bot)), teams).await, Some(200));
    assert_eq!(status(as_shown(Some(&ca.client("nobody"))), teams).await, Some(401));
    assert_eq!(status(as_shown(None), teams).await, Some(401));
    assert_eq!(status(as_shown(None), "/readyz").await, Some(200));
    // A stranger's certificate does not even come in, and a credential goes before a certificate.
    assert_eq!(status(as_shown(Some(&other.client("incident-bot"))), teams).await, None);
    let founders = as_shown(Some(&bot)).with_token(founder.token());
    assert_eq!(status(founders, "/api/v1/auth/me").await, Some(200));
    assert_eq!(status(as_shown(Some(&bot)).with_token("bad"), teams).await, Some(401));
    // It may what the key may.
    let keys = as_shown(Some(&bot)).get("/api/v1/api-keys").await.unwrap();
    assert_eq!(keys.status, 403, "{keys:?}");
    // Without TLS there is no answer.
    let plainly = service.base().replace("https", "http");
    assert_ne!(status(Client::anonymous(&plainly), "/readyz").await, Some(200));

    // The key's end is the certificate's.
    let path = format!("/api/v1/api-keys/{key}");
    let etag = founder.get(&path).await.unwrap().header("etag").to_owned();
    assert_eq!(founder.delete(&path, &etag).await.unwrap().status, 200);
    until("the certificate ends with the key", PATIENCE, async || {
        status(as_shown(Some(&bot)), teams).await == Some(401)
    })
    .await;
}

#[tokio::test]
async fn the_listener_shows_what_is_new_and_goes_on_with_what_is_good() {
    let database = harness::Postgres::shared().database();
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let dir = Dir::new();
    dir.put("ca.crt", old.pem());
    dir.put_pair("server", &old.server());
    let settings = [
        ("CERT_DIR", dir.path().to_str().unwrap()),
        ("CERT_RELOAD_SECONDS", "0.2"),
        ("METADATA_TLS", "mutual"),
    ];
    let service = Service::server_with(database.url(), &settings).await.unwrap();
    let ask = async |ca: &Ca, pair: Option<&Pair>| {
        let client = client(&service.base(), &ca.pem(), pair);
        client.get("/readyz").await.map(|answer| answer.status).ok()
    };
    let (theirs, ours) = (old.client("bot"), new.client("bot"));
    assert_eq!(ask(&old, Some(&theirs)).await, Some(200));
    assert_eq!(ask(&old, None).await, None, "nobody without a certificate");
    assert_eq!(ask(&old, Some(&ours)).await, None);

    dir.put("ca.crt", old.pem() + &new.pem());
    dir.put_pair("server", &new.server());
    until("the new authority is believed", PATIENCE, async || {
        ask(&new, Some(&ours)).await == Some(200)
    })
    .await;
    assert_eq!(ask(&new, Some(&theirs)).await, Some(200), "the old authority is still believed");
    assert_eq!(ask(&old, Some(&theirs)).await, None, "the server's is the new one");
    dir.put("server.key", "damaged");
    until("the damaged key is refused", PATIENCE, async || {
        let ready = client(&service.base(), &new.pem(), Some(&ours)).get("/readyz").await;
        ready.is_ok_and(|ready| ready.body["certificates"]["status"] == "refused")
    })
    .await;
    assert_eq!(ask(&new, Some(&ours)).await, Some(200));
}

#[tokio::test]
async fn an_operator_is_known_by_a_certificate() {
    let database = harness::Postgres::shared().database();
    let ca = Ca::new("ca");
    let dir = Dir::new();
    dir.put("ca.crt", ca.pem());
    dir.put_pair("server", &ca.server());
    let settings = [
        ("CERT_DIR", dir.path().to_str().unwrap()),
        ("METADATA_TLS", "optional"),
        ("METADATA_OPERATORS", "ops-1, ops-2"),
    ];
    let service = Service::server_with(database.url(), &settings).await.unwrap();
    let status = async |pair: Option<&Pair>, path: &str| {
        client(&service.base(), &ca.pem(), pair).get(path).await.unwrap().status
    };
    let operator = ca.client("ops-2");
    assert_eq!(status(Some(&operator), "/backup/status").await, 200);
    assert_eq!(status(Some(&operator), "/api/v1/auth/me").await, 403);
    assert_eq!(status(Some(&ca.client("ops-3")), "/backup/status").await, 401);
    assert_eq!(status(None, "/backup/status").await, 401);
}

/// FAULTS M-19: connections that say nothing, more than the library lets shake hands at a time (256 for each worker),
/// keep nobody from theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m19_connections_that_say_nothing_keep_nobody_out() {
    let database = harness::Postgres::shared().database();
    let ca = Ca::new("ca");
    let dir = Dir::new();
    dir.put("ca.crt", ca.pem());
    dir.put_pair("server", &ca.server());
    let settings =
        [("CERT_DIR", dir.path().to_str().unwrap()), ("METADATA_TLS", "on"), ("WORKERS", "2")];
    let service = Service::server_with(database.url(), &settings).await.unwrap();
    let address = service.base().trim_start_matches("https://").to_owned();
    let mut silent = Vec::new();
    for _ in 0..800 {
        silent.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    let began = Instant::now();
    let answer = client(&service.base(), &ca.pem(), None).get("/livez").await.unwrap();
    assert_eq!(answer.status, 200);
    // Who says nothing is cut after three seconds; nobody waited for that.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop(silent);
}
