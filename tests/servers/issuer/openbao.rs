//! A private OpenBao, which is an issuer of OpenID Connect among other things. `tests/install.sh`
//! brings the program.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use reqwest::{Certificate, Method};
use serde_json::{Value, json};
use url::{Url, form_urlencoded::Serializer};

use crate::{PATIENCE, free_port, parts, poll};

/// A running OpenBao with one person, Ada, and one client.
#[derive(Debug)]
pub struct OpenBao {
    child: Child,
    address: String,
    http: reqwest::Client,
    dir: tempfile::TempDir,
    /// Our name at it.
    pub client_id: String,
    /// Our password; a public client has none.
    pub client_secret: Option<String>,
    /// What it knows Ada by.
    pub ada: String,
}

/// What kind of issuer it is.
#[derive(Debug, Clone, Copy)]
pub struct OpenBaoOptions {
    /// Whether it speaks https, with a certificate of its own.
    pub tls: bool,
    /// What it signs with: `RS256`, `ES256`, `EdDSA`.
    pub algorithm: &'static str,
    /// Whether our client is a public one, without a secret.
    pub public_client: bool,
}

/// Tokens for Ada.
#[derive(Debug)]
pub struct OpenBaoTokens {
    /// Says who she is: a JWT.
    pub id_token: String,
    /// Opens what OpenBao has about her: no JWT.
    pub access_token: String,
}

const ROOT: &str = "root";
const PROVIDER: &str = "identity/oidc/provider/default";

impl OpenBao {
    /// Where our client has people sent back to. Nobody is there.
    pub const REDIRECT_URI: &'static str = "http://127.0.0.1:9/api/v1/okta/callback";

    /// Starts one on a free port.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start(options: OpenBaoOptions) -> Result<Self> {
        let program = parts().join("tools/bao");
        ensure!(
            program.exists(),
            "OpenBao, the issuer that log-ins are tested with, is not there ({}): run tests/install.sh",
            program.display()
        );
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        if options.tls {
            command.args(["-dev-tls", "-dev-tls-cert-dir"]).arg(dir.path());
        }
        command.env_clear().env("HOME", dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(dir.path().join("log"))?);
        let child = command.spawn().context("bao")?;
        let scheme = if options.tls { "https" } else { "http" };
        let mut bao = Self {
            child,
            address: format!("{scheme}://127.0.0.1:{port}"),
            http: reqwest::Client::new(),
            dir,
            client_id: String::new(),
            client_secret: None,
            ada: String::new(),
        };
        bao.wait(options.tls).await;
        bao.set_up(options).await?;
        Ok(bao)
    }

    /// Returns the issuer's name.
    pub fn issuer(&self) -> String {
        format!("{}/v1/{PROVIDER}", self.address)
    }

    /// Returns where the certificate is that vouches for it, if it speaks https.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("vault-ca.pem")
    }

    /// Logs Ada in, who was sent to `url`, as the program's own page would: the page asks this for a
    /// code when she has proved who she is. Returns state and code.
    ///
    /// # Errors
    /// When it gives none.
    pub async fn log_in(&self, url: &str) -> Result<(String, String)> {
        let url = Url::parse(url)?;
        let query = url.query().context("no query")?;
        let password = json!({"password": "correct horse"});
        let token = self.ask(Method::POST, "v1/auth/userpass/login/ada", ROOT, password).await?;
        let token = text(&token, "/auth/client_token")?;
        let path = format!("v1/{PROVIDER}/authorize?{query}");
        let answer = self.ask(Method::GET, &path, &token, Value::Null).await?;
        Ok((text(&answer, "/state")?, text(&answer, "/code")?))
    }

    /// Returns tokens for Ada, as a program that has our name gets them by itself.
    ///
    /// # Errors
    /// When it gives none.
    pub async fn tokens(&self) -> Result<OpenBaoTokens> {
        let mut url = Url::parse(&self.issuer())?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", Self::REDIRECT_URI)
            .append_pair("scope", "openid email")
            .append_pair("state", "s");
        let (_, code) = self.log_in(url.as_str()).await?;
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", &code)
            .append_pair("redirect_uri", Self::REDIRECT_URI)
            .finish();
        let request = self.http.post(format!("{}/token", self.issuer())).body(form);
        let request = request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .basic_auth(&self.client_id, self.client_secret.as_deref());
        let answer = serde_json::from_str(&request.send().await?.text().await?)?;
        Ok(OpenBaoTokens {
            id_token: text(&answer, "/id_token")?,
            access_token: text(&answer, "/access_token")?,
        })
    }

    /// Signs with a new key from now on. The old one is published for an hour more.
    ///
    /// # Errors
    /// When it does not.
    pub async fn rotate(&self) -> Result<()> {
        self.post("identity/oidc/key/brownie/rotate", json!({})).await.map(|_| ())
    }

    async fn wait(&mut self, tls: bool) {
        self.http = poll("OpenBao answers", PATIENCE, async || {
            self.healthy(tls).await.with_context(|| {
                fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
            })
        })
        .await;
    }

    /// Returns a client that has found it well.
    async fn healthy(&self, tls: bool) -> Result<reqwest::Client> {
        let mut client = reqwest::Client::builder().no_proxy();
        if tls {
            client = client.tls_certs_only([Certificate::from_pem(&fs::read(self.ca_file())?)?]);
        }
        let client = client.build()?;
        let health = client.get(format!("{}/v1/sys/health", self.address)).send().await?;
        health.error_for_status()?;
        Ok(client)
    }

    async fn set_up(&mut self, options: OpenBaoOptions) -> Result<()> {
        let policy =
            format!(r#"path "{PROVIDER}/authorize" {{ capabilities = ["read", "update"] }}"#);
        self.post("sys/auth/userpass", json!({"type": "userpass"})).await?;
        self.post("sys/policies/acl/log-in", json!({"policy": policy})).await?;
        let ada = json!({"password": "correct horse", "token_policies": ["log-in"]});
        self.post("auth/userpass/users/ada", ada).await?;
        let password = json!({"password": "correct horse"});
        let answer = self.post("auth/userpass/login/ada", password).await?;
        self.ada = text(&answer, "/auth/entity_id")?;
        let metadata = json!({"email": "Ada@Example.com", "full_name": "Ada Lovelace"});
        let entity = json!({"name": "ada", "metadata": metadata});
        self.post(&format!("identity/entity/id/{}", self.ada), entity).await?;
        let email = r#"{"email": {{identity.entity.metadata.email}}, "email_verified": true}"#;
        self.post("identity/oidc/scope/email", json!({"template": email})).await?;
        let profile = r#"{"name": {{identity.entity.metadata.full_name}}, "preferred_username": {{identity.entity.name}}}"#;
        self.post("identity/oidc/scope/profile", json!({"template": profile})).await?;
        let provider =
            json!({"allowed_client_ids": ["*"], "scopes_supported": ["email", "profile"]});
        self.post("identity/oidc/provider/default", provider).await?;
        let key = json!({"algorithm": options.algorithm, "allowed_client_ids": ["*"], "verification_ttl": "1h"});
        self.post("identity/oidc/key/brownie", key).await?;
        let client = json!({
            "key": "brownie",
            "client_type": if options.public_client { "public" } else { "confidential" },
            "redirect_uris": [Self::REDIRECT_URI],
            "assignments": ["allow_all"],
            "id_token_ttl": "30m",
        });
        self.post("identity/oidc/client/brownie", client).await?;
        let client =
            self.ask(Method::GET, "v1/identity/oidc/client/brownie", ROOT, Value::Null).await?;
        self.client_id = text(&client, "/data/client_id")?;
        self.client_secret = text(&client, "/data/client_secret").ok();
        Ok(())
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.ask(Method::POST, &format!("v1/{path}"), ROOT, body).await
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Value) -> Result<Value> {
        let url = format!("{}/{path}", self.address);
        let request = self.http.request(method, url).header("X-Vault-Token", token);
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "OpenBao answers {status} for {path}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(value: &Value, pointer: &str) -> Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    Ok(text.with_context(|| format!("no {pointer}"))?.to_owned())
}
