//! Log-ins by an issuer that others wrote: OpenBao's.

use std::{path::PathBuf, sync::Arc, time::Duration};

use brownie_auth::{Identity, IssuerFault, KeyRing, Oidc, OidcError, Tokens};
use brownie_config::{OidcSettings, Secret};
use brownie_domain::{Clock, ManualClock, RandomIds, SystemClock};
use brownie_test_servers::{OpenBao, OpenBaoOptions, OpenBaoTokens};
use chrono::TimeDelta;

use crate::keys::SECRET;

const USUAL: OpenBaoOptions =
    OpenBaoOptions { tls: false, algorithm: "RS256", public_client: false };

struct World {
    bao: OpenBao,
    oidc: Oidc,
    clock: Arc<ManualClock>,
}

impl World {
    async fn start(options: OpenBaoOptions) -> Self {
        let bao = OpenBao::start(options).await.unwrap();
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let oidc = oidc(&bao, &clock, options.tls.then(|| bao.ca_file()));
        Self { bao, oidc, clock }
    }

    async fn log_in(&self) -> Result<Identity, OidcError> {
        let begun = self.oidc.authorize().await?;
        let (state, code) = self.bao.log_in(&begun.url).await.unwrap();
        self.oidc.finish(begun.cookie(), &state, &code).await
    }
}

fn oidc(bao: &OpenBao, clock: &Arc<ManualClock>, ca_file: Option<PathBuf>) -> Oidc {
    let settings = OidcSettings {
        issuer: bao.issuer(),
        client_id: bao.client_id.clone(),
        client_secret: bao.client_secret.as_deref().map(Secret::new),
        redirect_uri: OpenBao::REDIRECT_URI.to_owned(),
        scopes: "openid profile email".to_owned(),
        audience: None,
        ca_file,
    };
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let keys = KeyRing::from_secret(SECRET);
    let tokens = Tokens::new(keys, Duration::from_hours(1), clock, Arc::new(RandomIds));
    Oidc::new(settings, &tokens).unwrap()
}

#[tokio::test]
async fn ada_logs_in_by_openbao() {
    let world = World::start(USUAL).await;
    let ada = world.log_in().await.unwrap();
    assert_eq!((ada.issuer, ada.subject), (world.bao.issuer(), world.bao.ada.clone()));
    assert_eq!(ada.email.unwrap().as_str(), "ada@example.com");
    assert!(ada.email_verified);
    assert_eq!(ada.name.unwrap().as_str(), "Ada Lovelace");
    assert_eq!(ada.preferred_username.unwrap(), "ada");
}

#[tokio::test]
async fn openbao_signs_otherwise_or_has_a_public_client_and_ada_logs_in() {
    for options in [
        OpenBaoOptions { algorithm: "ES256", ..USUAL },
        OpenBaoOptions { algorithm: "ES384", ..USUAL },
        OpenBaoOptions { algorithm: "EdDSA", ..USUAL },
        OpenBaoOptions { algorithm: "RS512", public_client: true, ..USUAL },
    ] {
        let world = World::start(options).await;
        assert_eq!(world.bao.client_secret.is_none(), options.public_client);
        assert_eq!(world.log_in().await.unwrap().subject, world.bao.ada, "{options:?}");
    }
}

#[tokio::test]
async fn openbao_knows_a_code_once_and_for_its_own_log_in() {
    let world = World::start(USUAL).await;
    let (ada, eve) = (world.oidc.authorize().await.unwrap(), world.oidc.authorize().await.unwrap());
    let (state, code) = world.bao.log_in(&ada.url).await.unwrap();
    let (other_state, other_code) = world.bao.log_in(&eve.url).await.unwrap();
    let bad = |outcome: Result<Identity, OidcError>| matches!(outcome, Err(OidcError::BadCode));
    assert!(bad(world.oidc.finish(ada.cookie(), &state, &other_code).await), "another's verifier");
    assert!(bad(world.oidc.finish(eve.cookie(), &other_state, &other_code).await), "it was spent");
    assert!(world.oidc.finish(ada.cookie(), &state, &code).await.is_ok());
    assert!(bad(world.oidc.finish(ada.cookie(), &state, &code).await), "twice");
    assert!(bad(world.oidc.finish(ada.cookie(), &state, "made up").await));
}

#[tokio::test]
async fn openbao_refuses_a_client_that_it_does_not_know() {
    let world = World::start(USUAL).await;
    let settings = OidcSettings {
        issuer: world.bao.issuer(),
        client_id: world.bao.client_id.clone(),
        client_secret: Some(Secret::new("hunter2")),
        redirect_uri: OpenBao::REDIRECT_URI.to_owned(),
        scopes: "openid".to_owned(),
        audience: None,
        ca_file: None,
    };
    let clock = Arc::new(SystemClock);
    let keys = KeyRing::from_secret(SECRET);
    let tokens = Tokens::new(keys, Duration::from_hours(1), clock, Arc::new(RandomIds));
    let wrong = Oidc::new(settings, &tokens).unwrap();
    let begun = wrong.authorize().await.unwrap();
    let (state, code) = world.bao.log_in(&begun.url).await.unwrap();
    let error = wrong.finish(begun.cookie(), &state, &code).await.unwrap_err();
    assert!(matches!(error, OidcError::Issuer(IssuerFault::Refusal("invalid_client"))), "{error}");
}

/// Its ID tokens are taken as bearer tokens, across a change of its keys; its access tokens, which
/// are no JWTs, are not.
#[tokio::test]
async fn tokens_of_openbao_bear() {
    let world = World::start(USUAL).await;
    let first: OpenBaoTokens = world.bao.tokens().await.unwrap();
    let ada = world.oidc.identify(&first.id_token).await.unwrap();
    assert_eq!(ada.subject, world.bao.ada);
    assert!(matches!(world.oidc.identify(&first.access_token).await, Err(OidcError::BadToken)));
    world.bao.rotate().await.unwrap();
    world.clock.advance(TimeDelta::seconds(31));
    let second = world.bao.tokens().await.unwrap();
    assert!(world.oidc.identify(&second.id_token).await.is_ok(), "by the new key");
    assert!(world.oidc.identify(&first.id_token).await.is_ok(), "by the old one");
    assert!(world.log_in().await.is_ok());
    world.clock.advance(TimeDelta::days(2));
    assert!(
        matches!(world.oidc.identify(&second.id_token).await, Err(OidcError::BadToken)),
        "over"
    );
}

#[tokio::test]
async fn openbao_speaks_https_to_whom_knows_its_certificate() {
    let world = World::start(OpenBaoOptions { tls: true, ..USUAL }).await;
    assert!(world.bao.issuer().starts_with("https://"));
    assert_eq!(world.log_in().await.unwrap().subject, world.bao.ada);
    let error = oidc(&world.bao, &world.clock, None).authorize().await.unwrap_err();
    assert!(matches!(error, OidcError::Issuer(IssuerFault::Away(_))), "{error}");
    assert!(error.to_string().contains("certificate verify failed"), "{error}");
}
