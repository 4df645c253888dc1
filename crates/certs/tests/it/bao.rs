//! A private OpenBao.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context;
use brownie_config::{Secret, SecretSource, VaultAuth, VaultCertificates, VaultSettings};
use brownie_test_servers::{PATIENCE, free_port, poll};
use serde_json::{Value, json};

use super::world::{Ca, key_pem, pem};

/// The token that may do everything.
pub(crate) const ROOT: &str = "root";

/// A running OpenBao.
pub(crate) struct Bao {
    pub(crate) child: Child,
    pub(crate) address: String,
    http: reqwest::Client,
    pub(crate) dir: tempfile::TempDir,
}

impl Bao {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the tests' own setting")]
        let parts = env::var("BROWNIE_PARTS").unwrap_or("/var/tmp/brownie-parts".to_owned());
        let program = PathBuf::from(parts).join("tools/bao");
        assert!(program.exists(), "OpenBao is not there: run tests/install.sh");
        let dir = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let mut command = Command::new(program);
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .args(arguments);
        let is_tls = arguments.contains(&"-dev-tls");
        if is_tls {
            command.arg("-dev-tls-cert-dir").arg(dir.path());
        }
        command.env_clear().env("HOME", dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let child =
            command.stderr(fs::File::create(dir.path().join("log")).unwrap()).spawn().unwrap();
        let scheme = if is_tls { "https" } else { "http" };
        let http = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
        let http = http.build().unwrap();
        let bao = Self { child, address: format!("{scheme}://127.0.0.1:{port}"), http, dir };
        poll("OpenBao answers", PATIENCE, async || {
            let health = bao.http.get(format!("{}/v1/sys/health", bao.address)).send().await?;
            let log = || fs::read_to_string(bao.dir.path().join("log")).unwrap_or_default();
            health.error_for_status().with_context(log)
        })
        .await;
        bao
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.http.post(format!("{}/v1/{path}", self.address));
        let answer = request.header("X-Vault-Token", ROOT).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}/v1/{path}", self.address));
        request.header("X-Vault-Token", ROOT).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) {
        let request = self.http.delete(format!("{}/v1/{path}", self.address));
        assert!(request.header("X-Vault-Token", ROOT).send().await.unwrap().status().is_success());
    }

    /// Lets those with a policy read the secret and issue certificates.
    pub(crate) async fn allow(&self) {
        let policy = r#"
            path "secret/data/brownie/*" { capabilities = ["read"] }
            path "pki/issue/brownie" { capabilities = ["update"] }"#;
        self.post("sys/policies/acl/brownie", json!({"policy": policy})).await;
    }

    /// Returns a token that lives so long, and may be renewed.
    pub(crate) async fn token(&self, ttl: &str, policies: &[&str]) -> String {
        let wish = json!({"ttl": ttl, "policies": policies, "renewable": true, "no_parent": true});
        let answer = self.post("auth/token/create", wish).await;
        answer["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// Puts certificates into the secret.
    pub(crate) async fn put(&self, ca: &Ca, pack: impl Fn(String) -> String) {
        self.put_at("secret/data/brownie/certs", ca, pack).await;
    }

    pub(crate) async fn put_at(&self, path: &str, ca: &Ca, pack: impl Fn(String) -> String) {
        let client = ca.client("brownie-server");
        let data = json!({"data": {
            "ca_cert": pack(ca.pem()),
            "client_cert": pack(pem(&client.certificate)),
            "client_key": pack(key_pem(&client.key)),
        }});
        self.post(path, data).await;
    }

    /// Issues certificates that live at most a minute.
    pub(crate) async fn pki(&self) {
        self.post("sys/mounts/pki", json!({"type": "pki"})).await;
        let root =
            json!({"common_name": "root", "ttl": "8760h", "key_type": "ec", "key_bits": 256});
        self.post("pki/root/generate/internal", root).await;
        let role = json!({
            "allow_any_name": true, "enforce_hostnames": false, "client_flag": true,
            "server_flag": false, "max_ttl": "60s", "key_type": "ec", "key_bits": 256,
        });
        self.post("pki/roles/brownie", role).await;
    }

    pub(crate) fn settings(&self, token: &str, certificates: VaultCertificates) -> VaultSettings {
        VaultSettings {
            address: self.address.parse().unwrap(),
            ca_file: None,
            namespace: None,
            timeout: Duration::from_secs(2),
            auth: VaultAuth::Token(SecretSource::Text(Secret::new(token))),
            certificates,
        }
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
