//! Issuers of OpenID Connect: one that does as it is told, good or bad, and one that others wrote.

mod answers;
mod openbao;

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering},
    thread,
};

use anyhow::{Context, Result, ensure};
use openssl::pkey::PKey;
use serde_json::{Map, Value, json};
use url::Url;

use answers::{LogIn, Shared};
pub use openbao::{OpenBao, OpenBaoOptions, OpenBaoTokens};

/// How something that is asked for is answered.
#[derive(Debug, Clone)]
pub enum Manner {
    /// With this status and nothing else.
    Status(u16),
    /// By pointing elsewhere.
    Redirect(String),
    /// With this instead.
    Says(Value),
    /// With a megabyte.
    Huge,
    /// With a byte now and then, for twenty seconds.
    Slow,
    /// By hanging up.
    Gone,
}

/// What the issuer sends a browser back with.
#[derive(Debug, Clone)]
pub struct Callback {
    /// What the log-in was begun with.
    pub state: String,
    /// What tokens are given for, once.
    pub code: String,
}

/// A running issuer of ours, with Ed25519 keys. Honest until told otherwise.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Issuer {
    /// The client that it knows.
    pub const CLIENT_ID: &'static str = "brownie & co";
    /// The client's secret, with what must be encoded.
    pub const CLIENT_SECRET: &'static str = "hunter2: 100% +/&=";
    /// Where its discovery document is.
    pub const DISCOVERY: &'static str = "/.well-known/openid-configuration";
    /// Where its keys are.
    pub const KEYS: &'static str = "/keys";
    /// Where it exchanges codes.
    pub const TOKEN: &'static str = "/token";
    /// Where it tells about people.
    pub const USERINFO: &'static str = "/userinfo";

    /// Starts one on a free port, with a key named `first`.
    ///
    /// # Errors
    /// When there is no port, or no key.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(format!("http://{address}")));
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.is_over.load(Ordering::SeqCst) {
                    break;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.serve(stream));
            }
        });
        let issuer = Self { address, shared };
        issuer.rotate("first")?;
        Ok(issuer)
    }

    /// Returns its name, which is its URL.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Answers what is asked for at a path in this manner from now on.
    pub fn set(&self, path: &str, manner: Manner) {
        self.shared.state().manners.insert(path.to_owned(), manner);
    }

    /// Is honest again.
    pub fn repent(&self) {
        self.shared.state().manners.clear();
    }

    /// Tells how often something was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.shared.state().asked.get(path).copied().unwrap_or_default()
    }

    /// Signs with a new key from now on. The old ones stay published.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn rotate(&self, kid: &str) -> Result<()> {
        let key = PKey::generate_ed25519()?;
        self.shared.state().keys.push((kid.to_owned(), key));
        Ok(())
    }

    /// No longer publishes a key.
    pub fn withdraw(&self, kid: &str) {
        self.shared.state().keys.retain(|(name, _)| name != kid);
    }

    /// Publishes this among its keys.
    pub fn publish(&self, jwk: Value) {
        self.shared.state().more_keys.push(jwk);
    }

    /// Says that it takes a client's secret by these methods.
    pub fn take_secrets_by(&self, methods: Value) {
        self.shared.state().methods = methods;
    }

    /// Tells this about whoever asks with an access token.
    pub fn tell(&self, userinfo: &Value) {
        self.shared.state().userinfo = userinfo.as_object().cloned().unwrap_or_default();
    }

    /// Returns the claims of a good ID token for now, with these instead or besides; null leaves one
    /// out.
    pub fn claims(&self, now: i64, with: &Value) -> Map<String, Value> {
        let mut claims = Map::new();
        for (name, value) in [
            ("iss", json!(self.url())),
            ("sub", json!("ada-1")),
            ("aud", json!(Self::CLIENT_ID)),
            ("iat", json!(now)),
            ("exp", json!(now + 300)),
            ("email", json!("ada@example.com")),
            ("email_verified", json!(true)),
            ("name", json!("Ada Lovelace")),
        ] {
            claims.insert(name.to_owned(), value);
        }
        claims.extend(with.as_object().cloned().unwrap_or_default());
        claims.retain(|_, value| !value.is_null());
        claims
    }

    /// Signs claims, under a header with these instead or besides; null leaves one out.
    ///
    /// # Errors
    /// When it has no key.
    pub fn sign(&self, claims: &Map<String, Value>, header: &Value) -> Result<String> {
        self.shared.state().sign(claims, header)
    }

    /// Logs somebody in who was sent to `url`, as a browser and a person would, and returns what the
    /// browser is sent back with. Their ID token will have these claims, and the nonce unless they
    /// have one.
    ///
    /// # Errors
    /// When the request is not as it should be (RFC 6749 section 4.1.1, RFC 7636 section 4.3).
    pub fn log_in(&self, url: &str, mut claims: Map<String, Value>) -> Result<Callback> {
        let url = Url::parse(url)?;
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let get = |name: &str| query.get(name).cloned().with_context(|| format!("no {name}"));
        ensure!(url.as_str().starts_with(&format!("{}/authorize?", self.url())), "{url}");
        ensure!(get("response_type")? == "code" && get("client_id")? == Self::CLIENT_ID, "{url}");
        ensure!(get("code_challenge_method")? == "S256", "{url}");
        ensure!(get("scope")?.split(' ').any(|scope| scope == "openid"), "{url}");
        let (state, challenge) = (get("state")?, get("code_challenge")?);
        ensure!(state.len() == 43 && challenge.len() == 43, "{url}");
        if !claims.contains_key("nonce") {
            claims.insert("nonce".to_owned(), json!(get("nonce")?));
        }
        let mut shared = self.shared.state();
        let code = format!("code-{}", shared.log_ins.len());
        let log_in = LogIn { redirect_uri: get("redirect_uri")?, challenge, claims };
        shared.log_ins.insert(code.clone(), log_in);
        Ok(Callback { state, code })
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // It waits for somebody to come.
        let _ = TcpStream::connect(self.address);
    }
}
