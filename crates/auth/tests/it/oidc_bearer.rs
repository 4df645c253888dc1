//! Tokens of an issuer as bearer tokens, true ones and forged.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use brownie_auth::{Identity, OidcError};
use brownie_test_servers::{Issuer, Manner};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::{
    keys::rsa,
    tokens::sign,
    world::{AUDIENCE, World},
};

fn is_bad(outcome: Result<Identity, OidcError>) -> bool {
    matches!(outcome, Err(error @ OidcError::BadToken) if error.is_callers() && error.to_string() == "the token is not valid")
}

#[tokio::test]
async fn tokens_for_us_are_taken() {
    let world = World::new();
    for with in [
        json!({}),
        json!({"nonce": "whichever"}),
        json!({"aud": AUDIENCE}),
        json!({"aud": AUDIENCE, "azp": "another client"}),
        json!({"aud": [AUDIENCE, "another"]}),
        json!({"aud": [Issuer::CLIENT_ID, "another"], "azp": Issuer::CLIENT_ID}),
    ] {
        assert_eq!(world.identify(&with).await.unwrap().subject, "ada-1", "{with}");
    }
    for typ in [json!("JWT"), json!("jwt"), json!("at+jwt"), json!("application/at+jwt")] {
        let token = world.token(&json!({"aud": AUDIENCE}), &json!({"typ": typ}));
        assert!(world.oidc.identify(&token).await.is_ok(), "{typ}");
    }
    assert_eq!(world.issuer.asked(Issuer::KEYS), 1);
}

#[tokio::test]
async fn tokens_for_others_are_not() {
    let world = World::new();
    let now = world.now();
    for with in [
        json!({"aud": "another"}),
        json!({"aud": ["another", "a third"]}),
        json!({"aud": [Issuer::CLIENT_ID, "another"]}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"aud": {"a": AUDIENCE}}),
        json!({"azp": "another"}),
        json!({"iss": "https://evil.example.com"}),
        json!({"iss": [world.issuer.url()]}),
        json!({"iss": null}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"exp": null}),
        json!({"exp": now - 30}),
        json!({"exp": (now + 60).to_string()}),
        json!({"nbf": now + 31}),
        json!({"nbf": "never"}),
        json!({"iat": now + 31}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        json!({"exp": 1e300}),
        json!({"padding": "x".repeat(64 * 1024)}),
    ] {
        assert!(is_bad(world.identify(&with).await), "{with:.100}");
    }
    let narrow = World::with(|settings| settings.audience = None);
    assert!(is_bad(narrow.identify(&json!({"aud": AUDIENCE})).await));
    assert!(narrow.lets_ada_in().await);
    // Ours are not the issuer's.
    let own = world.tokens.issue(crate::keys::claims()).unwrap();
    let begun = world.oidc.authorize().await.unwrap();
    assert!(is_bad(world.oidc.identify(own.expose()).await));
    assert!(is_bad(world.oidc.identify(begun.cookie()).await));
}

#[tokio::test]
async fn a_header_chooses_neither_key_nor_algorithm() {
    let world = World::new();
    let elsewhere = Issuer::start().unwrap();
    assert!(world.lets_ada_in().await);
    let places = format!("{}{}", elsewhere.url(), Issuer::KEYS);
    // Where keys may be found by what a header says is not looked at.
    for header in [json!({"jku": places}), json!({"x5u": places}), json!({"x5t": "x"})] {
        let forged =
            elsewhere.sign(&world.issuer.claims(world.now(), &json!({})), &header).unwrap();
        assert!(is_bad(world.oidc.identify(&forged).await));
        assert!(world.oidc.identify(&world.token(&json!({}), &header)).await.is_ok());
    }
    assert_eq!(elsewhere.asked(Issuer::KEYS), 0);
    for header in [
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"typ": "logout+jwt"}),
        json!({"typ": "secevent+jwt"}),
        json!({"typ": 7}),
        json!({"alg": "none"}),
        json!({"alg": "RS256"}),
        json!({"alg": "HS256"}),
        json!({"alg": null}),
        json!({"kid": 7}),
        json!({"kid": "../../dev/null"}),
    ] {
        assert!(is_bad(world.oidc.identify(&world.token(&json!({}), &header)).await), "{header}");
    }
    let good = world.token(&json!({}), &json!({}));
    let [header, body, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": "first"}).to_string());
    for token in [
        String::new(),
        "b.AAAAAQKBDW1Xs".to_owned(),
        format!("{none}.{body}."),
        format!("{header}.{body}."),
        format!("{header}.{body}.AAAA"),
        format!("{header}.{body}.{signature}.{signature}"),
        "x".repeat(1024 * 1024),
    ] {
        assert!(is_bad(world.oidc.identify(&token).await), "{token:.80}");
    }
}

/// FAULTS M-08, M-09: dates with a fraction, and the tokens of people who are in many groups.
#[tokio::test]
async fn m08_m09_what_issuers_write_is_read() {
    let world = World::new();
    let now = world.now();
    let date = |seconds: i64, fraction: &str| -> Value {
        serde_json::from_str(&format!("{}.{fraction}", now + seconds)).unwrap()
    };
    for with in [
        json!({"exp": date(60, "5"), "iat": date(0, "5"), "nbf": date(-1, "25")}),
        json!({"exp": date(60, "0")}),
        json!({"groups": vec!["0f8fad5b-d9cb-469f-a165-70867728950e"; 200]}),
        json!({"groups": "x".repeat(30_000)}),
    ] {
        assert_eq!(world.identify(&with).await.unwrap().subject, "ada-1", "{with:.100}");
    }
}

/// An RSA key could do for six algorithms. It does for the one that it is published for, or for all if it is for
/// none in particular.
#[tokio::test]
async fn a_key_does_for_the_algorithm_that_it_names() {
    let world = World::new();
    let key = rsa(2048).rsa().unwrap();
    let (n, e) =
        (URL_SAFE_NO_PAD.encode(key.n().to_vec()), URL_SAFE_NO_PAD.encode(key.e().to_vec()));
    for (kid, alg) in [("none", Value::Null), ("rs256", json!("RS256")), ("ps384", json!("PS384"))]
    {
        world.issuer.publish(json!({"kty": "RSA", "kid": kid, "alg": alg, "n": n, "e": e}));
    }
    let key = EncodingKey::from_rsa_der(&key.private_key_to_der().unwrap());
    let claims = json!(world.issuer.claims(world.now(), &json!({})));
    for (kid, good) in [("none", ""), ("rs256", "RS256"), ("ps384", "PS384")] {
        for (alg, algorithm) in [
            ("RS256", Algorithm::RS256),
            ("RS384", Algorithm::RS384),
            ("RS512", Algorithm::RS512),
            ("PS256", Algorithm::PS256),
            ("PS384", Algorithm::PS384),
            ("PS512", Algorithm::PS512),
        ] {
            let token =
                sign(&json!({"alg": alg, "kid": kid}), &claims.to_string(), &key, algorithm);
            let is_good = good.is_empty() || alg == good;
            assert_eq!(world.oidc.identify(&token).await.is_ok(), is_good, "{kid} {alg}");
        }
    }
}

/// A shared secret in a key set is known to everybody.
#[tokio::test]
async fn a_published_secret_signs_nothing() {
    let world = World::new();
    let secret = b"a secret of thirty-two characters";
    let k = URL_SAFE_NO_PAD.encode(secret);
    world.issuer.publish(json!({"kty": "oct", "kid": "oct", "alg": "HS256", "use": "sig", "k": k}));
    world.issuer.publish(json!({"kty": "oct", "kid": "oct2", "k": k}));
    world.issuer.publish(json!("nonsense"));
    world.issuer.publish(Value::Null);
    assert!(world.lets_ada_in().await, "the others are not spoilt by it");
    let claims = world.issuer.claims(world.now(), &json!({}));
    for kid in ["oct", "oct2", "first"] {
        let (header, key) = (json!({"alg": "HS256", "kid": kid}), EncodingKey::from_secret(secret));
        let token = sign(&header, &json!(claims).to_string(), &key, Algorithm::HS256);
        assert!(is_bad(world.oidc.identify(&token).await), "{kid}");
    }
}

/// Whoever sends rubbish does not have us ask the issuer for it.
#[tokio::test]
async fn rubbish_does_not_reach_the_issuer() {
    let world = World::new();
    world.issuer.set(Issuer::DISCOVERY, Manner::Gone);
    let other = Issuer::start().unwrap();
    for token in [
        other.sign(&other.claims(world.now(), &json!({})), &json!({})).unwrap(),
        world.token(&json!({}), &json!({"alg": "HS256"})),
        world.token(&json!({}), &json!({"alg": "none"})),
        world.token(&json!({}), &json!({"crit": ["x"]})),
        "a.b.c".to_owned(),
    ] {
        assert!(is_bad(world.oidc.identify(&token).await));
    }
    assert_eq!(world.issuer.asked(Issuer::DISCOVERY), 0);
}
