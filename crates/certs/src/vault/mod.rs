//! Vault, or OpenBao: asking it, and staying logged in.

mod fault;
mod http;
mod session;

use std::time::{Duration, Instant};

use brownie_config::{Secret, VaultAuth, VaultSettings};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use self::{
    http::Http,
    session::{Lease, Session},
};
use crate::{Fault, source::files};
pub use fault::VaultFault;

/// Asks Vault, as whoever the settings say we are.
pub(crate) struct Client {
    http: Http,
    auth: VaultAuth,
    session: Option<Session>,
}

/// What Vault wraps its answers in.
#[derive(Deserialize)]
struct Wrapped<T> {
    data: T,
}

/// What Vault wraps tokens in.
#[derive(Deserialize)]
struct Granted {
    auth: Lease,
}

/// What Vault knows of a token.
#[derive(Deserialize)]
struct Known {
    ttl: u64,
    #[serde(default)]
    renewable: bool,
}

impl Client {
    pub(crate) fn new(settings: &VaultSettings) -> Result<Self, Fault> {
        Ok(Self { http: Http::new(settings)?, auth: settings.auth.clone(), session: None })
    }

    /// Gets what is at a path.
    pub(crate) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, VaultFault> {
        self.ask(Method::GET, path, &Value::Null).await
    }

    /// Has something done that may be done twice.
    pub(crate) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &Value,
    ) -> Result<T, VaultFault> {
        self.ask(Method::POST, path, body).await
    }

    /// Logs in if need be, and renews the token if that is due.
    pub(crate) async fn keep_token(&mut self) -> Result<(), VaultFault> {
        self.token().await.map(|_| ())
    }

    /// Returns how long the token can be left alone.
    pub(crate) fn due(&self) -> Option<Duration> {
        let renew_at = self.session.as_ref()?.renew_at?;
        // What is due at once, and fails at once, must not keep Vault busy.
        Some(renew_at.saturating_duration_since(Instant::now()).max(Duration::from_secs(1)))
    }

    async fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, VaultFault> {
        let token = self.token().await?;
        let mut answer = self.http.exchange(&method, path, Some(&token), body).await?;
        if answer.status == StatusCode::FORBIDDEN && !self.is_known(&token).await? {
            // The token was taken back, or ended earlier than we were told.
            self.session = None;
            if !self.can_log_in() {
                return Err(VaultFault::TokenRefused);
            }
            let token = self.token().await?;
            answer = self.http.exchange(&method, path, Some(&token), body).await?;
        }
        answer.json::<Wrapped<T>>().map(|wrapped| wrapped.data)
    }

    /// Tells a token that is no good from one that may not do this: Vault answers both with 403.
    async fn is_known(&self, token: &Secret) -> Result<bool, VaultFault> {
        let path = "auth/token/lookup-self";
        let answer = self.http.exchange(&Method::GET, path, Some(token), &Value::Null).await?;
        Ok(answer.status == StatusCode::OK)
    }

    async fn token(&mut self) -> Result<Secret, VaultFault> {
        if let VaultAuth::Token(source) = &self.auth {
            let token = read("the token", files::secret(source))?;
            // An agent may have put another into the file.
            if self.session.as_ref().is_none_or(|session| session.token != token) {
                self.session = Some(self.look_up(token).await?);
            }
        }
        let session = match self.session.take() {
            None => self.log_in().await?,
            Some(session) if session.is_due() => self.renewed(session).await?,
            Some(session) => session,
        };
        let token = session.token.clone();
        self.session = Some(session);
        Ok(token)
    }

    async fn look_up(&self, token: Secret) -> Result<Session, VaultFault> {
        let path = "auth/token/lookup-self";
        let answer = self.http.exchange(&Method::GET, path, Some(&token), &Value::Null).await?;
        if answer.status == StatusCode::FORBIDDEN {
            return Err(VaultFault::TokenRefused);
        }
        let known = answer.json::<Wrapped<Known>>()?.data;
        Ok(Session::of(token, known.ttl, known.renewable))
    }

    fn can_log_in(&self) -> bool {
        !matches!(self.auth, VaultAuth::Token(_))
    }

    async fn log_in(&self) -> Result<Session, VaultFault> {
        let (mount, body) = match &self.auth {
            VaultAuth::Token(_) => return Err(VaultFault::TokenRefused),
            VaultAuth::AppRole { mount, role_id, secret_id } => {
                let secret_id = read("the secret_id", files::secret(secret_id))?;
                (mount, json!({"role_id": role_id, "secret_id": secret_id.expose()}))
            }
            VaultAuth::Kubernetes { mount, role, token_path } => {
                let source = brownie_config::SecretSource::File(token_path.clone());
                let jwt = read("the pod's token", files::secret(&source))?;
                (mount, json!({"role": role, "jwt": jwt.expose()}))
            }
        };
        let path = format!("auth/{}/login", mount.trim_matches('/'));
        let answer = self.http.exchange(&Method::POST, &path, None, &body).await?;
        if answer.status.is_client_error() {
            return Err(VaultFault::LogInRefused { path, why: answer.errors() });
        }
        Ok(Session::granted(answer.json::<Granted>()?.auth))
    }

    /// Renews a token that is due; logs in anew where that does not help any more.
    async fn renewed(&self, session: Session) -> Result<Session, VaultFault> {
        if session.renewable {
            let path = "auth/token/renew-self";
            let token = Some(&session.token);
            match self.http.exchange(&Method::POST, path, token, &json!({})).await {
                Ok(answer) if answer.status.is_success() => {
                    let renewed = session.renewed(&answer.json::<Granted>()?.auth);
                    // Towards the end of what Vault allows at most it grants less and less.
                    if !renewed.is_waning() || !self.can_log_in() {
                        return Ok(renewed);
                    }
                }
                Err(_) if !session.is_over() => return Ok(session.later()),
                Err(fault) => return Err(fault),
                Ok(_) => {}
            }
        }
        if self.can_log_in() { self.log_in().await } else { Ok(session.unrenewable()) }
    }
}

fn read(what: &'static str, secret: Result<Secret, Fault>) -> Result<Secret, VaultFault> {
    secret.map_err(|fault| VaultFault::NoCredential { what, why: fault.to_string() })
}
