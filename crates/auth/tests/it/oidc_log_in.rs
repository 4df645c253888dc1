//! Log-ins by an issuer: the way there, the way back, and who tries to come back in another's place.

use brownie_auth::{Identity, InvalidToken, IssuerFault, OidcError};
use brownie_test_servers::{Callback, Issuer, Manner};
use serde_json::{Value, json};

use crate::{keys::claims, world::World};

fn is_bad_state(outcome: Result<Identity, OidcError>) -> bool {
    matches!(outcome, Err(error @ OidcError::BadState) if error.is_callers())
}

fn is_bad_code(outcome: Result<Identity, OidcError>) -> bool {
    matches!(outcome, Err(error @ OidcError::BadCode) if error.is_callers())
}

#[tokio::test]
async fn somebody_logs_in() {
    let world = World::new();
    let ada = world.log_in(&json!({})).await.unwrap();
    assert_eq!((ada.issuer.as_str(), ada.subject.as_str()), (world.issuer.url(), "ada-1"));
    assert_eq!(ada.email.unwrap().as_str(), "ada@example.com");
    assert!(ada.email_verified);
    assert_eq!(ada.name.unwrap().as_str(), "Ada Lovelace");
    assert_eq!(world.issuer.asked(Issuer::USERINFO), 0, "nothing was left to ask");
}

#[tokio::test]
async fn a_client_proves_itself_the_way_that_the_issuer_takes() {
    let world = World::new();
    world.issuer.take_secrets_by(json!(["client_secret_post"]));
    assert!(world.log_in(&json!({})).await.is_ok());
    let public = World::with(|settings| settings.client_secret = None);
    public.issuer.take_secrets_by(json!(["none"]));
    assert!(public.log_in(&json!({})).await.is_ok());
    let neither = World::new();
    neither.issuer.take_secrets_by(json!(["private_key_jwt"]));
    let said = neither.log_in(&json!({})).await.unwrap_err();
    assert!(!said.is_callers() && said.to_string().contains("neither in a header nor"), "{said}");
}

#[tokio::test]
async fn a_wrong_secret_is_the_operators_business() {
    let world = World::with(|settings| {
        settings.client_secret = Some(brownie_config::Secret::new("hunter2"));
    });
    let error = world.log_in(&json!({})).await.unwrap_err();
    assert!(matches!(error, OidcError::Issuer(IssuerFault::Refusal("invalid_client"))));
    assert!(error.to_string().contains("METADATA_OIDC_CLIENT_SECRET"), "{error}");
}

#[tokio::test]
async fn every_log_in_is_its_own() {
    let world = World::new();
    let (ada, adas) = world.go(&json!({})).await;
    let (eve, eves) = world.go(&json!({"sub": "eve-1"})).await;
    // Eve has Ada's browser end her own log-in, in all ways there are.
    let mixed = Callback { state: adas.state.clone(), code: eves.code.clone() };
    assert!(is_bad_state(world.finish(&ada, &eves).await));
    assert!(is_bad_state(world.finish(&eve, &adas).await));
    assert!(is_bad_code(world.finish(&ada, &mixed).await));
    assert_eq!(world.finish(&ada, &adas).await.unwrap().subject, "ada-1");
    // What was used is used up.
    assert!(is_bad_code(world.finish(&ada, &adas).await));
}

#[tokio::test]
async fn what_nobody_began_is_not_ended() {
    let world = World::new();
    let (cookie, callback) = world.go(&json!({})).await;
    let tampered = cookie.replacen("eyJ", "eyK", 1);
    let other = World::new().go(&json!({})).await;
    let access = world.tokens.issue(claims()).unwrap();
    for cookie in ["", "a.b.c", &tampered, access.expose(), &"x".repeat(10_000)] {
        assert!(is_bad_state(world.finish(cookie, &callback).await), "{cookie:.80}");
    }
    assert!(is_bad_state(world.finish(&other.0, &callback).await));
    let prefix = callback.state.get(..42).unwrap().to_owned();
    for state in [String::new(), prefix, format!("{}x", callback.state)] {
        let callback = Callback { state, ..callback.clone() };
        assert!(is_bad_state(world.finish(&cookie, &callback).await));
    }
    assert_eq!(world.issuer.asked(Issuer::TOKEN), 0, "the issuer was not bothered");
    for code in [String::new(), "x".repeat(5000)] {
        let callback = Callback { code, ..callback.clone() };
        assert!(is_bad_code(world.finish(&cookie, &callback).await));
    }
    assert_eq!(world.issuer.asked(Issuer::TOKEN), 0);
    assert!(world.finish(&cookie, &callback).await.is_ok());
}

#[tokio::test]
async fn a_log_in_takes_ten_minutes_at_most() {
    let world = World::new();
    let (cookie, callback) = world.go(&json!({"exp": world.now() + 900})).await;
    world.pass(600);
    assert!(is_bad_state(world.finish(&cookie, &callback).await));
    world.pass(-631);
    assert!(is_bad_state(world.finish(&cookie, &callback).await), "long before it was begun");
    world.pass(630);
    assert!(world.finish(&cookie, &callback).await.is_ok());
}

#[tokio::test]
async fn what_a_browser_keeps_opens_nothing_and_shows_nothing() {
    let world = World::new();
    let begun = world.oidc.authorize().await.unwrap();
    assert_eq!(world.tokens.read(begun.cookie()), Err(InvalidToken));
    assert_eq!(begun.expires_in.as_secs(), 600);
    assert_eq!(format!("{begun:?}"), "[log-in begun]");
    assert!(!format!("{:?}", world.oidc).contains("hunter2"));
    let again = world.oidc.authorize().await.unwrap();
    assert!(begun.url != again.url && begun.cookie() != again.cookie());
}

#[tokio::test]
async fn an_id_token_is_verified_in_every_respect() {
    let world = World::new();
    let now = world.now();
    let us = Issuer::CLIENT_ID;
    for (with, why) in [
        (json!({"iss": "https://evil.example.com"}), "of another issuer"),
        (json!({"iss": format!("{}/", world.issuer.url())}), "of another issuer"),
        (json!({"aud": "another"}), "for another audience"),
        (json!({"aud": []}), "for another audience"),
        (json!({"aud": null}), "lacks a claim"),
        (json!({"aud": crate::world::AUDIENCE}), "for another audience"),
        (json!({"aud": [us, "another"]}), "does not say whose"),
        (json!({"aud": [us, "another"], "azp": "another"}), "made for another client"),
        (json!({"azp": "another"}), "made for another client"),
        (json!({"sub": null}), "lacks a claim"),
        (json!({"sub": ""}), "names nobody"),
        (json!({"sub": "x".repeat(256)}), "names nobody, or by too long"),
        (json!({"exp": null}), "lacks a claim"),
        (json!({"exp": (now + 60).to_string()}), "lacks a claim"),
        (json!({"exp": now - 30}), "too early or too late"),
        (json!({"iat": null}), "lacks a claim"),
        (json!({"iat": now + 31}), "too early or too late"),
        (json!({"iat": now + 31, "nbf": now}), "too early or too late"),
        (json!({"nbf": now + 31}), "too early or too late"),
        (json!({"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), "another access token"),
        (json!({"events": {}}), "tells of an event"),
        (json!({"padding": "x".repeat(64 * 1024)}), "is no token"),
    ] {
        let error = world.log_in(&with).await.unwrap_err();
        let said = error.to_string();
        assert!(
            matches!(error, OidcError::Issuer(IssuerFault::Nonsense(_))),
            "{with:.100}: {said}"
        );
        assert!(said.contains("its ID token") && said.contains(why), "{with:.100}: {said}");
    }
    for nonce in [json!("another"), json!("")] {
        assert!(is_bad_code(world.log_in(&json!({"nonce": nonce})).await));
    }
    for with in [
        json!({"aud": [us]}),
        json!({"aud": [us, "another"], "azp": us}),
        json!({"exp": now - 29, "iat": now + 30}),
        json!({"padding": "x".repeat(20 * 1024)}),
    ] {
        assert!(world.log_in(&with).await.is_ok(), "{with:.100}");
    }
}

#[tokio::test]
async fn what_the_id_token_leaves_out_is_asked_for() {
    let thin = json!({"email_verified": null, "name": null});
    let world = World::new();
    world.issuer.tell(&json!({
        "sub": "ada-1", "email": "other@example.com", "email_verified": true, "name": "Ada",
        "picture": "https://example.com/ada.png",
    }));
    let ada = world.log_in(&thin).await.unwrap();
    assert_eq!(ada.email.unwrap().as_str(), "ada@example.com", "the ID token has it");
    assert!(ada.email_verified && ada.picture.is_some());
    assert_eq!(ada.name.unwrap().as_str(), "Ada");
    for other in [json!({"sub": "eve-1", "email_verified": true}), json!({"email_verified": true})]
    {
        world.issuer.tell(&other);
        let said = world.log_in(&thin).await.unwrap_err().to_string();
        assert!(said.contains("it tells about somebody else"), "{said}");
    }
    world.issuer.set(Issuer::USERINFO, Manner::Status(503));
    let error = world.log_in(&thin).await.unwrap_err();
    assert!(matches!(error, OidcError::Issuer(IssuerFault::Away(_))), "{error}");
    // Who does not ask for an address does not need it.
    let without = World::with(|settings| settings.scopes = "openid profile".to_owned());
    let ada = without.log_in(&json!({"email": null, "email_verified": null})).await.unwrap();
    assert_eq!((ada.email, ada.email_verified), (None, false));
}

#[tokio::test]
async fn an_answer_to_a_code_that_cannot_be_used_is_the_issuers_fault() {
    let world = World::new();
    for (manner, why) in [
        (Manner::Says(Value::Null), "not the JSON"),
        (Manner::Says(json!({"access_token": "hunter2"})), "not the JSON"),
        (Manner::Says(json!({"id_token": "hunter2"})), "its ID token is no token"),
        (Manner::Status(400), "answers 400"),
        (Manner::Status(404), "answers 404"),
        (Manner::Status(500), "answers 500"),
        (Manner::Status(429), "answers 429"),
        (Manner::Redirect("https://evil.example.com/".to_owned()), "answers 302"),
        (Manner::Huge, "more than 256 kB"),
        (Manner::Gone, "is away"),
    ] {
        world.issuer.set(Issuer::TOKEN, manner);
        let error = world.log_in(&json!({})).await.unwrap_err();
        assert!(!error.is_callers() && error.to_string().contains(why), "{why}: {error}");
    }
    world.issuer.repent();
    assert!(world.log_in(&json!({})).await.is_ok());
}
