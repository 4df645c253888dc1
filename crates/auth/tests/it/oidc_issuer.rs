//! The issuer behind log-ins: its keys change, it lies, it dawdles, it goes away and comes back.

use std::time::{Duration, Instant};

use brownie_auth::{IssuerFault, Oidc, OidcError, OidcSetupError};
use brownie_config::OidcSettings;
use brownie_test_servers::{Issuer, Manner};
use serde_json::json;

use crate::world::World;

fn is_away(error: &OidcError) -> bool {
    matches!(error, OidcError::Issuer(IssuerFault::Away(_))) && !error.is_callers()
}

fn is_nonsense(error: &OidcError) -> bool {
    matches!(error, OidcError::Issuer(IssuerFault::Nonsense(_))) && !error.is_callers()
}

#[tokio::test]
async fn one_key_follows_another() {
    let world = World::new();
    let old = world.token(&json!({"exp": world.now() + 7200}), &json!({}));
    assert!(world.lets_ada_in().await);
    world.issuer.rotate("second").unwrap();
    world.pass(31);
    assert!(world.lets_ada_in().await, "the new key is fetched when it is met");
    assert!(world.oidc.identify(&old).await.is_ok(), "the old one is still published");
    world.issuer.withdraw("first");
    world.pass(899);
    assert!(world.oidc.identify(&old).await.is_ok(), "nobody has asked yet");
    world.pass(1);
    let refused = world.oidc.identify(&old).await.unwrap_err();
    assert!(matches!(refused, OidcError::BadToken), "a quarter of an hour later it is over");
    assert!(world.lets_ada_in().await);
    assert_eq!(world.issuer.asked(Issuer::KEYS), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_of_unknown_keys_is_one_question_in_half_a_minute() {
    let world = World::new();
    assert!(world.lets_ada_in().await);
    for round in 1..=3 {
        world.pass(29);
        flood(&world).await;
        assert_eq!(world.issuer.asked(Issuer::KEYS), round, "before half a minute is over");
        world.pass(1);
        flood(&world).await;
        assert_eq!(world.issuer.asked(Issuer::KEYS), round + 1, "and after");
        assert!(world.lets_ada_in().await);
    }
    assert_eq!(world.issuer.asked(Issuer::DISCOVERY), 4);
}

async fn flood(world: &World) {
    let mut flood = tokio::task::JoinSet::new();
    for i in 0..200 {
        let token = world.token(&json!({}), &json!({"kid": format!("unknown-{i}")}));
        let oidc = world.oidc.clone();
        flood.spawn(async move { oidc.identify(&token).await });
    }
    for outcome in flood.join_all().await {
        assert!(matches!(outcome, Err(OidcError::BadToken)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_come_at_once_are_one_question() {
    let world = World::new();
    let token = world.token(&json!({}), &json!({}));
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (oidc, token) = (world.oidc.clone(), token.clone());
        crowd.spawn(async move { oidc.identify(&token).await.is_ok() });
    }
    assert!(crowd.join_all().await.into_iter().all(|is_in| is_in));
    assert_eq!(world.issuer.asked(Issuer::KEYS), 1);
}

#[tokio::test]
async fn an_issuer_that_calls_itself_otherwise_is_not_believed() {
    for called in ["https://id.example.com", "HTTP://127.0.0.1", ""] {
        let world = World::new();
        let document = json!({
            "issuer": called, "authorization_endpoint": "https://id.example.com/authorize",
            "token_endpoint": "https://id.example.com/token", "jwks_uri": "https://id.example.com/keys",
        });
        world.issuer.set(Issuer::DISCOVERY, Manner::Says(document));
        let error = world.oidc.authorize().await.unwrap_err();
        assert!(is_nonsense(&error) && error.to_string().contains("it calls itself"), "{error}");
    }
}

/// What it points at is not asked, whether by a redirect or by its document.
#[tokio::test]
async fn an_issuer_that_points_elsewhere_is_not_followed() {
    let elsewhere = Issuer::start().unwrap();
    let there = format!("{}{}", elsewhere.url(), Issuer::KEYS);
    for path in [Issuer::DISCOVERY, Issuer::KEYS] {
        let world = World::new();
        world.issuer.set(path, Manner::Redirect(there.clone()));
        let error = world.identify(&json!({})).await.unwrap_err();
        assert!(is_nonsense(&error) && error.to_string().contains("answers 302"), "{error}");
    }
    assert_eq!(elsewhere.asked(Issuer::KEYS), 0);
    for bad in ["http://10.0.0.1/keys", "http://example.com/keys", "file:///etc/passwd", "keys"] {
        let world = World::new();
        let url = world.issuer.url();
        let document = json!({
            "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"), "jwks_uri": bad,
        });
        world.issuer.set(Issuer::DISCOVERY, Manner::Says(document));
        let error = world.identify(&json!({})).await.unwrap_err();
        assert!(
            is_nonsense(&error) && error.to_string().contains("its jwks_uri is not"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_nonsense_is_not_waited_for() {
    for path in [Issuer::DISCOVERY, Issuer::KEYS] {
        for (manner, why) in [
            (Manner::Huge, "more than 256 kB"),
            (Manner::Says(json!([])), "not the JSON"),
            (Manner::Says(json!({"keys": 7, "issuer": 7})), "not the JSON"),
            (Manner::Status(204), "answers 204"),
            (Manner::Status(403), "answers 403"),
        ] {
            let world = World::new();
            world.issuer.set(path, manner);
            let error = world.identify(&json!({})).await.unwrap_err();
            assert!(is_nonsense(&error) && error.to_string().contains(why), "{path} {error}");
        }
    }
}

/// Five seconds, however many wait, and one question. Who is no longer waiting does not matter.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_issuer_that_dawdles_holds_nobody_for_long() {
    let world = World::new();
    world.issuer.set(Issuer::DISCOVERY, Manner::Slow);
    let begun = Instant::now();
    let impatient = tokio::time::timeout(Duration::from_millis(100), world.oidc.authorize()).await;
    assert!(impatient.is_err());
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let oidc = world.oidc.clone();
        crowd.spawn(async move { oidc.authorize().await.unwrap_err() });
    }
    for error in crowd.join_all().await {
        assert!(is_away(&error), "{error}");
    }
    let took = begun.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(world.issuer.asked(Issuer::DISCOVERY), 1);
}

#[tokio::test]
async fn an_issuer_may_be_away_and_come_back() {
    let world = World::new();
    for manner in [Manner::Gone, Manner::Status(500), Manner::Status(429)] {
        world.issuer.set(Issuer::DISCOVERY, manner);
        let error = world.oidc.authorize().await.unwrap_err();
        assert!(is_away(&error), "{error}");
        let error = world.identify(&json!({})).await.unwrap_err();
        assert!(is_away(&error), "{error}");
        world.pass(5);
    }
    assert_eq!(world.issuer.asked(Issuer::DISCOVERY), 3, "not at every request");
    world.issuer.repent();
    assert!(world.lets_ada_in().await);

    // It goes again. What is known stays, also when it is old; what is not known, nobody knows.
    world.issuer.set(Issuer::DISCOVERY, Manner::Gone);
    for _ in 0..5 {
        world.pass(3600);
        assert!(world.lets_ada_in().await);
        assert!(world.oidc.authorize().await.is_ok());
    }
    assert_eq!(world.issuer.asked(Issuer::DISCOVERY), 4 + 5, "one try each time that it was due");
    world.issuer.rotate("second").unwrap();
    let error = world.identify(&json!({})).await.unwrap_err();
    assert!(is_away(&error), "{error}");
    world.issuer.repent();
    world.pass(30);
    assert!(world.lets_ada_in().await);
}

#[tokio::test]
async fn nobody_listening_is_said_in_words() {
    let world = World::new();
    let World { issuer, oidc, .. } = world;
    drop(issuer);
    let error = oidc.authorize().await.unwrap_err();
    assert!(is_away(&error), "{error}");
    assert!(error.to_string().starts_with("the issuer is away: error sending request"), "{error}");
}

#[test]
fn what_cannot_be_set_up_is_said_at_once() {
    let world = World::new();
    let set_up = |issuer: &str, ca_file: Option<std::path::PathBuf>| {
        let settings = OidcSettings {
            issuer: issuer.to_owned(),
            client_id: "brownie".to_owned(),
            client_secret: None,
            redirect_uri: "https://brownie.example.com/callback".to_owned(),
            scopes: "openid".to_owned(),
            audience: None,
            ca_file,
        };
        Oidc::new(settings, &world.tokens)
    };
    for issuer in ["http://id.example.com", "ldap://127.0.0.1", "id"] {
        assert!(matches!(set_up(issuer, None), Err(OidcSetupError::Url(_))), "{issuer}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.pem");
    let said = || set_up("https://id.example.com", Some(file.clone())).unwrap_err().to_string();
    assert!(said().contains("ca.pem cannot be read: No such file"), "{}", said());
    std::fs::write(&file, "hunter2").unwrap();
    assert!(said().contains("ca.pem holds no certificate in PEM"), "{}", said());
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    assert!(said().contains("ca.pem holds a certificate that cannot be read"), "{}", said());
    assert!(set_up("https://id.example.com", None).is_ok());
}
