//! Asking Vault: never for long, never for much, and nobody else that it points at.

use std::time::Duration;

use brownie_config::{Secret, VaultSettings};
use reqwest::{
    Certificate, Client, Method, StatusCode,
    header::{HeaderMap, HeaderValue},
    redirect::Policy,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use super::VaultFault;
use crate::{Fault, pem, source::files};

/// How long an answer may be (bytes).
const MAX_ANSWER: usize = 1024 * 1024;

/// How long Vault is let alone that cannot answer now, before the second and the third attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// Asks Vault.
pub(super) struct Http {
    client: Client,
    base: Url,
}

/// An answer that is neither an excuse nor too long.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    path: String,
    body: Vec<u8>,
}

/// What Vault says when it does not do what it should.
#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

impl Http {
    pub(super) fn new(settings: &VaultSettings) -> Result<Self, Fault> {
        let mut headers = HeaderMap::new();
        // An agent or a proxy of Vault asks for this, so that no browser can be made to ask.
        headers.insert("X-Vault-Request", HeaderValue::from_static("true"));
        if let Some(namespace) = &settings.namespace {
            headers.insert("X-Vault-Namespace", header(namespace, "the namespace")?);
        }
        let is_https = settings.address.scheme() == "https";
        // Redirects are not followed: the token would go along. Connections are not kept: what is
        // asked every half minute finds them closed.
        let mut client = Client::builder()
            .user_agent("brownie-metadata")
            .default_headers(headers)
            .redirect(Policy::none())
            .https_only(is_https)
            .pool_max_idle_per_host(0)
            .timeout(settings.timeout);
        if !is_https {
            client = client.no_proxy();
        }
        if let Some(path) = &settings.ca_file {
            let of = path.display().to_string();
            let bundle = files::piece(path)?.ok_or(Fault::Missing { of: of.clone() })?;
            let certificates = pem::authorities(&bundle)?.into_iter().map(|certificate| {
                let der = certificate.to_der().map_err(|error| error.to_string());
                der.and_then(|der| Certificate::from_der(&der).map_err(|error| error.to_string()))
            });
            let certificates: Result<Vec<_>, _> = certificates.collect();
            let certificates = certificates.map_err(|why| Fault::Tls { of: of.clone(), why })?;
            client = client.tls_certs_only(certificates);
        }
        let client = client.build().map_err(|error| setup(brownie_logging::chain(&error)))?;
        let mut base = settings.address.clone();
        // A path ends with a slash, or joining would replace its last part.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self { client, base })
    }

    /// Asks until there is an answer, three times at most. What is asked may be done twice.
    pub(super) async fn exchange(
        &self,
        method: &Method,
        path: &str,
        token: Option<&Secret>,
        body: &Value,
    ) -> Result<Answer, VaultFault> {
        for pause in PAUSES {
            match self.ask(method, path, token, body).await {
                #[expect(clippy::disallowed_methods, reason = "who is away is asked again")]
                Err(VaultFault::Away { .. }) => tokio::time::sleep(pause).await,
                other => return other,
            }
        }
        self.ask(method, path, token, body).await
    }

    async fn ask(
        &self,
        method: &Method,
        path: &str,
        token: Option<&Secret>,
        body: &Value,
    ) -> Result<Answer, VaultFault> {
        let url = self.base.join(&format!("v1/{path}"));
        let url = url.map_err(|error| setup(format!("{path} is no path: {error}")))?;
        let mut request = self.client.request(method.clone(), url);
        if let Some(token) = token {
            request = request.header("X-Vault-Token", header(token.expose(), "the token")?);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| self.away(error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.away(error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                let why = format!("it is longer than {} kB", MAX_ANSWER / 1024);
                return Err(VaultFault::Nonsense { path: path.to_owned(), why });
            }
            body.extend_from_slice(&chunk);
        }
        let answer = Answer { status, path: path.to_owned(), body };
        let is_passing = status.is_server_error()
            || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
        if !is_passing {
            return Ok(answer);
        }
        let (address, errors) = (self.base.to_string(), answer.errors());
        if status == StatusCode::SERVICE_UNAVAILABLE && errors.contains("sealed") {
            return Err(VaultFault::Sealed { address });
        }
        let why = format!("it answers {} ({errors})", status.as_u16());
        Err(VaultFault::Away { address, why })
    }

    fn away(&self, error: reqwest::Error) -> VaultFault {
        let address = self.base.to_string();
        VaultFault::Away { address, why: brownie_logging::chain(&error.without_url()) }
    }
}

impl Answer {
    /// Reads the answer if it is a success.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, VaultFault> {
        let path = self.path.clone();
        match self.status {
            // The parser's message would quote the answer, in which there may be a key.
            StatusCode::OK => serde_json::from_slice(&self.body).map_err(|_| {
                let why = "it is not the JSON that it should be".to_owned();
                VaultFault::Nonsense { path, why }
            }),
            StatusCode::FORBIDDEN => Err(VaultFault::Denied { path }),
            StatusCode::NOT_FOUND => Err(VaultFault::NotFound { path }),
            status if status.is_redirection() => {
                let why = format!(
                    "it points elsewhere ({}); VAULT_ADDR must name the active one",
                    status.as_u16()
                );
                Err(VaultFault::Nonsense { path, why })
            }
            status => {
                let why = format!("{} ({})", status.as_u16(), self.errors());
                Err(VaultFault::Nonsense { path, why })
            }
        }
    }

    /// Returns what Vault says is wrong, on one line and not too long.
    pub(super) fn errors(&self) -> String {
        let errors = serde_json::from_slice(&self.body).map(|Errors { errors }| errors.join("; "));
        let errors = errors.unwrap_or_default();
        let line: String = errors.split_whitespace().collect::<Vec<_>>().join(" ");
        let line: String = line.chars().take(200).collect();
        if line.is_empty() { "it does not say why".to_owned() } else { line }
    }
}

fn header(text: &str, what: &str) -> Result<HeaderValue, VaultFault> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| setup(format!("{what} holds what no header may hold")))?;
    value.set_sensitive(true);
    Ok(value)
}

fn setup(why: String) -> VaultFault {
    VaultFault::Setup { why }
}
