//! A service, an issuer that does as it is told, and a clock that stands still.

use std::sync::Arc;

use brownie_auth::{Identity, KeyRing, Oidc, OidcError, Tokens};
use brownie_config::{OidcSettings, Secret};
use brownie_domain::{Clock, ManualClock, RandomIds, SystemClock};
use brownie_test_servers::{Callback, Issuer};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::keys::SECRET;

pub(crate) const AUDIENCE: &str = "api://brownie";

pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) oidc: Oidc,
    pub(crate) tokens: Tokens,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut OidcSettings)) -> Self {
        let issuer = Issuer::start().unwrap();
        let mut settings = OidcSettings {
            issuer: issuer.url().to_owned(),
            client_id: Issuer::CLIENT_ID.to_owned(),
            client_secret: Some(Secret::new(Issuer::CLIENT_SECRET)),
            redirect_uri: "https://brownie.example.com/api/v1/okta/callback?a=b&c=d".to_owned(),
            scopes: "openid profile email".to_owned(),
            audience: Some(AUDIENCE.to_owned()),
            ca_file: None,
        };
        change(&mut settings);
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let tokens = Tokens::new(
            KeyRing::from_secret(SECRET),
            std::time::Duration::from_hours(1),
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::new(RandomIds),
        );
        let oidc = Oidc::new(settings, &tokens).unwrap();
        Self { issuer, oidc, tokens, clock }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().timestamp()
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    /// Goes to the issuer and comes back, with a cookie, where Ada's claims have these among them.
    pub(crate) async fn go(&self, with: &Value) -> (String, Callback) {
        let begun = self.oidc.authorize().await.unwrap();
        let claims = self.issuer.claims(self.now(), with);
        let callback = self.issuer.log_in(&begun.url, claims).unwrap();
        (begun.cookie().to_owned(), callback)
    }

    pub(crate) async fn log_in(&self, with: &Value) -> Result<Identity, OidcError> {
        let (cookie, callback) = self.go(with).await;
        self.finish(&cookie, &callback).await
    }

    pub(crate) async fn finish(
        &self,
        cookie: &str,
        callback: &Callback,
    ) -> Result<Identity, OidcError> {
        let outcome = self.oidc.finish(cookie, &callback.state, &callback.code).await;
        if let Err(error) = &outcome {
            let said = format!("{error} {error:?}");
            for secret in
                [cookie, &callback.state, &callback.code, "hunter2", "access-token", "ada@"]
            {
                assert!(secret.is_empty() || !said.contains(secret), "{said}");
            }
        }
        outcome
    }

    /// A token of the issuer with these claims and this in its header.
    pub(crate) fn token(&self, with: &Value, header: &Value) -> String {
        self.issuer.sign(&self.issuer.claims(self.now(), with), header).unwrap()
    }

    pub(crate) async fn identify(&self, with: &Value) -> Result<Identity, OidcError> {
        self.oidc.identify(&self.token(with, &json!({}))).await
    }

    pub(crate) async fn lets_ada_in(&self) -> bool {
        self.identify(&json!({})).await.is_ok_and(|identity| identity.subject == "ada-1")
    }
}
