//! A real OpenBao: what it holds, what it issues, and how it fails.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use brownie_certs::{Keeper, Role, Source, check};
use brownie_config::{Secret, SecretSource, VaultAuth, VaultCertificates, VaultSettings};
use brownie_domain::SystemClock;
use brownie_test_servers::{PATIENCE, pass, poll};
use serde_json::json;

use crate::{
    bao::{Bao, ROOT},
    world::{self, Ca, Dir, mutual},
};

fn kv2(path: &str) -> VaultCertificates {
    VaultCertificates::Kv2 { path: path.to_owned() }
}

fn pki(ttl: &str) -> VaultCertificates {
    VaultCertificates::Pki {
        mount: "pki".to_owned(),
        role: "brownie".to_owned(),
        common_name: "brownie-server".to_owned(),
        ttl: Some(ttl.to_owned()),
        ca_file: None,
    }
}

async fn start(settings: &VaultSettings) -> Result<Keeper, String> {
    let source = Source::vault(settings).map_err(|fault| fault.to_string())?;
    let source = source.every(Duration::from_millis(100));
    let started = Keeper::start(source, mutual(), world::clock()).await;
    started.map_err(|faults| faults.to_string())
}

#[tokio::test]
async fn a_secret_is_found_by_any_form_of_its_path_packed_or_not() {
    let bao = Bao::start().await;
    let (ca, packed) = (Ca::new("ca"), |text: String| STANDARD.encode(text));
    for path in ["secret/brownie/certs", "secret/data/brownie/certs", "brownie/certs"] {
        for is_packed in [false, true] {
            bao.put(&ca, |text| if is_packed { packed(text) } else { text }).await;
            let keeper = start(&bao.settings(ROOT, kv2(path))).await.unwrap();
            let facts = keeper.current().facts(Role::Client);
            assert_eq!(facts[0].common_name.as_deref(), Some("brownie-server"), "{path}");
        }
    }
    // A new version is a new generation.
    let keeper = start(&bao.settings(ROOT, kv2("brownie/certs"))).await.unwrap();
    let mut told = keeper.subscribe();
    bao.put(&ca, packed).await;
    tokio::time::timeout(Duration::from_secs(3), told.changed()).await.unwrap().unwrap();
    assert_eq!(keeper.current().generation(), 2);
    // What is taken away there serves on here.
    bao.delete("secret/data/brownie/certs").await;
    let faults = keeper.reload().await.unwrap_err();
    assert_eq!(faults.to_string(), "Vault has nothing at secret/data/brownie/certs");
    assert_eq!(keeper.current().generation(), 2);
}

#[tokio::test]
async fn what_vault_does_not_give_is_named() {
    let bao = Bao::start().await;
    bao.allow().await;
    bao.put(&Ca::new("ca"), |text| text).await;
    let allowed = bao.token("1h", &["brownie"]).await;
    let other = bao.token("1h", &["default"]).await;
    assert!(start(&bao.settings(&allowed, kv2("secret/brownie/certs"))).await.is_ok());
    let said = async |token: &str, path| start(&bao.settings(token, kv2(path))).await.unwrap_err();
    assert!(
        said("hvs.wrong", "secret/brownie/certs")
            .await
            .starts_with("Vault does not know our token")
    );
    let denied = "Vault's policy does not let us use secret/data/brownie/certs; it needs";
    assert!(said(&other, "secret/brownie/certs").await.starts_with(denied));
    assert_eq!(
        said(&allowed, "secret/brownie/none").await,
        "Vault has nothing at secret/data/brownie/none"
    );
    assert!(
        said("two\nlines", "x")
            .await
            .starts_with("Vault cannot be asked: the token holds what no header")
    );
    bao.post("secret/data/brownie/odd", json!({"data": {"ca_cert": 7, "client_key": "a secret"}}))
        .await;
    assert!(said(ROOT, "secret/brownie/odd").await.ends_with("its field ca_cert is not a text"));
    bao.post("secret/data/brownie/odd", json!({"data": {"client_key": "hunter2"}})).await;
    let odd = said(ROOT, "secret/brownie/odd").await;
    assert!(
        odd.contains(
            "the field client_key of Vault's secret/data/brownie/odd holds no private key in PEM"
        ),
        "{odd}"
    );
    assert!(
        odd.contains("the field ca_cert of Vault's secret/data/brownie/odd is not there"),
        "{odd}"
    );
    assert!(!odd.contains("hunter2"), "{odd}");
}

#[tokio::test]
async fn vault_sealed_and_vault_away_are_told_apart_and_the_old_serves_on() {
    let mut bao = Bao::start().await;
    bao.put(&Ca::new("ca"), |text| text).await;
    let settings = bao.settings(ROOT, kv2("secret/brownie/certs"));
    let keeper = start(&settings).await.unwrap();
    bao.post("sys/seal", json!({})).await;
    assert!(keeper.reload().await.unwrap_err().to_string().ends_with("is sealed; unseal it"));
    assert!(start(&settings).await.unwrap_err().ends_with("is sealed; unseal it"));
    bao.child.kill().unwrap();
    bao.child.wait().unwrap();
    let begun = Instant::now();
    let away = keeper.reload().await.unwrap_err().to_string();
    assert!(away.contains("is away: ") && away.contains("Connection refused"), "{away}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(keeper.current().generation(), 1);
}

#[tokio::test]
async fn vault_is_believed_by_its_own_ca_alone() {
    let bao = Bao::start_with(&["-dev-tls"]).await;
    bao.put(&Ca::new("ca"), |text| text).await;
    let mut settings = bao.settings(ROOT, kv2("secret/brownie/certs"));
    let said = start(&settings).await.unwrap_err();
    assert!(said.contains("is away") && said.contains("certificate verify failed"), "{said}");
    settings.ca_file = Some(bao.dir.path().join("vault-ca.pem"));
    assert!(start(&settings).await.is_ok());
    let dir = Dir::new();
    dir.put("other.pem", Ca::new("other").pem());
    settings.ca_file = Some(dir.file("other.pem"));
    assert!(start(&settings).await.unwrap_err().contains("certificate verify failed"));
    settings.ca_file = Some(dir.file("none.pem"));
    assert!(start(&settings).await.unwrap_err().ends_with("none.pem is not there"));
}

/// Certificates of nine seconds, for twenty: there is one at every moment, and it is not the first.
#[tokio::test]
async fn the_pki_issues_anew_before_the_old_is_over() {
    let bao = Bao::start().await;
    bao.allow().await;
    bao.pki().await;
    let token = bao.token("1h", &["brownie"]).await;
    // As often as it is looked at by default: it knows when something is due.
    let source = Source::vault(&bao.settings(&token, pki("9s"))).unwrap();
    let keeper = Keeper::start(source, mutual(), world::clock()).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        let facts = keeper.current().facts(Role::Client).remove(0);
        let is_over = facts.not_after <= world::now();
        assert!(!is_over, "{facts:?} after {:?}, {:?}", begun.elapsed(), keeper.refused());
        assert_eq!(facts.common_name.as_deref(), Some("brownie-server"));
        pass(Duration::from_millis(100), "looked at all the while").await;
    }
    let used = keeper.current().generation();
    assert!((3..=5).contains(&used), "{used}");
    let mut source = Source::vault(&bao.settings(&token, pki("9s"))).unwrap();
    let said = check(&mut source, &world::listening(), &SystemClock).await;
    let said = said.unwrap().faults[0].to_string();
    assert_eq!(
        said,
        "the server's certificate (Vault's PKI is asked for a client's alone) is not there"
    );
    // What is refused is asked for again, and the old serves on.
    bao.delete("pki/roles/brownie").await;
    let refused = poll("the refusal is told", PATIENCE, async || {
        keeper.refused().map(|faults| faults.to_string()).context("nothing is refused")
    })
    .await;
    assert!(refused.contains("pki/issue/brownie"), "{refused}");
    assert!(keeper.current().generation() >= used);
}

#[tokio::test]
async fn an_app_role_logs_in_and_again_when_its_token_is_taken_back() {
    let bao = Bao::start().await;
    bao.allow().await;
    bao.put(&Ca::new("ca"), |text| text).await;
    bao.post("sys/auth/approle", json!({"type": "approle"})).await;
    let role = json!({"token_policies": ["brownie"], "token_ttl": "3s", "token_max_ttl": "6s"});
    bao.post("auth/approle/role/brownie", role).await;
    let role_id = bao.get("auth/approle/role/brownie/role-id").await["data"]["role_id"].clone();
    let secret_id = bao.post("auth/approle/role/brownie/secret-id", json!({})).await;
    let dir = Dir::new();
    dir.put("secret-id", format!("{}\n", secret_id["data"]["secret_id"].as_str().unwrap()));
    let auth = VaultAuth::AppRole {
        mount: "approle".to_owned(),
        role_id: role_id.as_str().unwrap().to_owned(),
        secret_id: SecretSource::File(dir.file("secret-id")),
    };
    let settings = VaultSettings { auth, ..bao.settings("", kv2("secret/brownie/certs")) };
    let keeper = start(&settings).await.unwrap();
    // Renewed at two seconds, and logged in anew before six, which is the most that it is granted.
    for _ in 0..40 {
        pass(Duration::from_millis(200), "longer in all than the token lives").await;
        keeper.reload().await.unwrap();
    }
    // Taken back, all of them.
    bao.post("sys/leases/revoke-prefix/auth/approle", json!({})).await;
    keeper.reload().await.unwrap();

    dir.put("secret-id", "wrong");
    let said = start(&settings).await.unwrap_err();
    assert!(said.starts_with("Vault does not let us in by auth/approle/login: "), "{said}");
    fs::remove_file(dir.file("secret-id")).unwrap();
    let said = start(&settings).await.unwrap_err();
    assert!(said.starts_with("the secret_id for Vault cannot be had: "), "{said}");
}

#[tokio::test]
async fn a_token_is_renewed_and_one_in_a_file_may_be_replaced() {
    let bao = Bao::start().await;
    bao.allow().await;
    bao.put(&Ca::new("ca"), |text| text).await;
    let dir = Dir::new();
    dir.put("token", bao.token("3s", &["brownie"]).await);
    let auth = VaultAuth::Token(SecretSource::File(dir.file("token")));
    let settings = VaultSettings { auth, ..bao.settings("", kv2("secret/brownie/certs")) };
    let keeper = start(&settings).await.unwrap();
    for _ in 0..30 {
        pass(Duration::from_millis(200), "longer in all than the token lives").await;
        keeper.reload().await.unwrap();
    }
    let token = fs::read_to_string(dir.file("token")).unwrap();
    bao.post("auth/token/revoke", json!({"token": token})).await;
    let said = keeper.reload().await.unwrap_err().to_string();
    assert!(said.starts_with("Vault does not know our token"), "{said}");
    dir.put("token", bao.token("1h", &["brownie"]).await);
    keeper.reload().await.unwrap();
}

/// A cluster that OpenBao asks about its pods' tokens: it knows one.
fn cluster(known: String) -> String {
    let user = json!({
        "username": "system:serviceaccount:brownie:server", "uid": "7",
        "groups": ["system:serviceaccounts"],
    });
    let review = json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
        "status": {"authenticated": true, "user": user},
    });
    answering(move |asked| {
        let is_known = asked.contains(&known);
        if is_known {
            ("201 Created", review.to_string())
        } else {
            ("401 Unauthorized", "{}".to_owned())
        }
    })
}

/// Answers each request by what is in it, and returns where.
fn answering(mut answer: impl FnMut(&str) -> (&'static str, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            let mut part = [0; 4096];
            let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
            while let Ok(length @ 1..) = stream.read(&mut part) {
                asked.extend_from_slice(&part[..length]);
            }
            let (status, body) = answer(&String::from_utf8_lossy(&asked));
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn a_pod_logs_in_by_the_token_of_its_cluster() {
    let bao = Bao::start().await;
    bao.allow().await;
    bao.put(&Ca::new("ca"), |text| text).await;
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let pod = json!({"name": "server", "uid": "7"});
    let claims = json!({
        "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:brownie:server",
        "iat": world::now().timestamp() - 60, "nbf": world::now().timestamp() - 60,
        "exp": world::now().timestamp() + 3600,
        "kubernetes.io": {"namespace": "brownie", "serviceaccount": pod},
    });
    let jwt = format!("{}.{}.c2lnbmVk", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims));
    bao.post("sys/auth/k8s", json!({"type": "kubernetes"})).await;
    let config = json!({
        "kubernetes_host": cluster(jwt.clone()), "disable_local_ca_jwt": true,
        "kubernetes_ca_cert": Ca::new("cluster").pem(), "token_reviewer_jwt": "reviewer",
    });
    bao.post("auth/k8s/config", config).await;
    let role = json!({
        "bound_service_account_names": ["server"], "token_policies": ["brownie"],
        "bound_service_account_namespaces": ["brownie"],
    });
    bao.post("auth/k8s/role/brownie", role).await;
    let dir = Dir::new();
    dir.put("token", format!("{jwt}\n"));
    let auth = |role: &str| VaultAuth::Kubernetes {
        mount: "k8s".to_owned(),
        role: role.to_owned(),
        token_path: dir.file("token"),
    };
    let settings =
        |role| VaultSettings { auth: auth(role), ..bao.settings("", kv2("secret/brownie/certs")) };
    start(&settings("brownie")).await.unwrap();
    let said = start(&settings("other")).await.err().unwrap();
    assert!(said.starts_with("Vault does not let us in by auth/k8s/login: "), "{said}");
    fs::remove_file(dir.file("token")).unwrap();
    let said = start(&settings("brownie")).await.err().unwrap();
    assert!(said.starts_with("the pod's token for Vault cannot be had: "), "{said}");
}

#[tokio::test]
async fn a_namespace_has_secrets_of_its_own() {
    let bao = Bao::start().await;
    bao.post("sys/namespaces/team", json!({})).await;
    bao.post("team/sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}})).await;
    bao.put_at("team/secret/data/brownie/certs", &Ca::new("ca"), |text| text).await;
    let here = bao.settings(ROOT, kv2("secret/brownie/certs"));
    assert!(start(&here).await.is_err());
    let there = VaultSettings { namespace: Some("team".to_owned()), ..here };
    start(&there).await.unwrap();
}

#[tokio::test]
async fn what_answers_nonsense_is_not_believed() {
    let (send, receive) = mpsc::channel::<&'static str>();
    let mut answer = "";
    let address = answering(move |asked| {
        assert!(
            asked.contains("x-vault-request: true") && asked.contains("x-vault-namespace: team")
        );
        answer = receive.try_recv().unwrap_or(answer);
        (answer, "{\"private_key\": \"hunter2\"}".to_owned())
    });
    for (answer, expected) in [
        ("307 Temporary Redirect\r\nLocation: http://example.com/", "it points elsewhere (307)"),
        ("200 OK", "it is not the JSON that it should be"),
        ("429 Too Many Requests", "it answers 429"),
        ("500 Internal Server Error", "it answers 500"),
        ("400 Bad Request", "400 (it does not say why)"),
    ] {
        send.send(answer).unwrap();
        let settings = VaultSettings {
            address: address.parse().unwrap(),
            ca_file: None,
            namespace: Some("team".to_owned()),
            timeout: Duration::from_secs(2),
            auth: VaultAuth::Token(SecretSource::Text(Secret::new("t"))),
            certificates: kv2("secret/x"),
        };
        let mut source = Source::vault(&settings).unwrap();
        let said = check(&mut source, &mutual(), &SystemClock).await.unwrap_err().to_string();
        assert!(said.contains(expected) && !said.contains("hunter2"), "{said}");
    }
}
