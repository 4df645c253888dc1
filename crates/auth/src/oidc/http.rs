//! Asking the issuer: never for long, never for much, and nobody else that it points at.

use std::{error::Error as _, path::Path, time::Duration};

use brownie_config::Secret;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode, header, redirect::Policy};
use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded};

use super::error::{IssuerFault, OidcSetupError};

/// How long an answer may take, from connecting to its last byte.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may be (bytes).
pub(super) const MAX_ANSWER: usize = 256 * 1024;

/// Asks the issuer.
pub(super) struct Http(Client);

/// An answer that came in time and is not too long.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Vec<u8>,
}

impl Http {
    /// Sets up asking. An issuer on this machine is asked without a proxy, and any other by https
    /// alone; a certificate file vouches alone.
    pub(super) fn new(issuer: &Url, ca_file: Option<&Path>) -> Result<Self, OidcSetupError> {
        let is_https = issuer.scheme() == "https";
        // Connections are not kept: they would belong to the runtime of one worker.
        let mut client = Client::builder()
            .user_agent("brownie-metadata")
            .redirect(Policy::none())
            .referer(false)
            .https_only(is_https)
            .pool_max_idle_per_host(0)
            .timeout(TIMEOUT);
        if !is_https {
            client = client.no_proxy();
        }
        if let Some(path) = ca_file {
            client = client.tls_certs_only(certificates(path)?);
        }
        client.build().map(Self).map_err(OidcSetupError::Client)
    }

    /// Gets what is at a URL, as whoever an access token speaks of.
    pub(super) async fn get(
        &self,
        url: &Url,
        access_token: Option<&str>,
    ) -> Result<Answer, IssuerFault> {
        let request = self.0.get(url.clone());
        send(match access_token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await
    }

    /// Posts a form, as the client that id and secret name (RFC 6749 section 2.3.1: encoded like the
    /// form before they are put together).
    pub(super) async fn post(
        &self,
        url: &Url,
        form: String,
        client: Option<(&str, &Secret)>,
    ) -> Result<Answer, IssuerFault> {
        let request = self
            .0
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form);
        send(match client {
            Some((id, secret)) => request.basic_auth(encode(id), Some(encode(secret.expose()))),
            None => request,
        })
        .await
    }
}

impl Answer {
    /// Reads the answer if it is a success. `what` was asked for.
    pub(super) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T, IssuerFault> {
        if self.status != StatusCode::OK {
            return Err(self.fault(what));
        }
        // The parser's message would quote the answer.
        self.parse().ok_or_else(|| {
            IssuerFault::Nonsense(format!("{what} is not the JSON that it should be"))
        })
    }

    /// Reads the answer, success or not.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Says what an answer means that is no success.
    pub(super) fn fault(&self, what: &str) -> IssuerFault {
        let said = format!("it answers {} for {what}", self.status.as_u16());
        let is_passing = self.status.is_server_error()
            || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&self.status);
        if is_passing { IssuerFault::Away(said) } else { IssuerFault::Nonsense(said) }
    }
}

async fn send(request: RequestBuilder) -> Result<Answer, IssuerFault> {
    let mut response = request.send().await.map_err(away)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            let said = format!("an answer of more than {} kB", MAX_ANSWER / 1024);
            return Err(IssuerFault::Nonsense(said));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

/// All causes on one line, without the URL: who reads the message knows the issuer.
fn away(error: reqwest::Error) -> IssuerFault {
    let error = error.without_url();
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(&format!(": {error}"));
        cause = error.source();
    }
    IssuerFault::Away(said)
}

fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, OidcSetupError> {
    let bad = |fault: String| OidcSetupError::CaFile { path: path.display().to_string(), fault };
    let pem = std::fs::read(path).map_err(|error| bad(format!("cannot be read: {error}")))?;
    let certificates = Certificate::from_pem_bundle(&pem)
        .map_err(|_| bad("holds a certificate that cannot be read".to_owned()))?;
    if certificates.is_empty() {
        return Err(bad("holds no certificate in PEM".to_owned()));
    }
    Ok(certificates)
}
