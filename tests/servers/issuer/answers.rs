//! How the issuer of ours answers.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use openssl::{
    pkey::{PKey, Private},
    sha::{sha256, sha512},
};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::{Issuer, Manner};
use crate::pass_blocking;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) url: String,
    state: Mutex<State>,
    pub(super) is_over: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) keys: Vec<(String, PKey<Private>)>,
    pub(super) more_keys: Vec<Value>,
    pub(super) manners: HashMap<String, Manner>,
    pub(super) asked: HashMap<String, usize>,
    pub(super) log_ins: HashMap<String, LogIn>,
    pub(super) userinfo: Map<String, Value>,
    pub(super) methods: Value,
}

#[derive(Debug)]
pub(super) struct LogIn {
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) claims: Map<String, Value>,
}

impl State {
    pub(super) fn sign(&self, claims: &Map<String, Value>, header: &Value) -> Result<String> {
        let (kid, key) = self.keys.last().context("no key")?;
        let mut full = json!({"alg": "EdDSA", "kid": kid}).as_object().cloned().unwrap_or_default();
        full.extend(header.as_object().cloned().unwrap_or_default());
        full.retain(|_, value| !value.is_null());
        let part = |part: &Map<String, Value>| {
            serde_json::to_vec(part).map(|json| URL_SAFE_NO_PAD.encode(json))
        };
        let message = format!("{}.{}", part(&full)?, part(claims)?);
        let key = EncodingKey::from_ed_der(&key.private_key_to_pkcs8()?);
        let signature = crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA)?;
        Ok(format!("{message}.{signature}"))
    }

    fn jwks(&self) -> Value {
        let own = self.keys.iter().filter_map(|(kid, key)| {
            let x = URL_SAFE_NO_PAD.encode(key.raw_public_key().ok()?);
            Some(json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x}))
        });
        json!({"keys": own.chain(self.more_keys.iter().cloned()).collect::<Vec<_>>()})
    }
}

struct Request {
    path: String,
    authorization: Option<String>,
    form: HashMap<String, String>,
}

impl Shared {
    pub(super) fn new(url: String) -> Self {
        Self { url, state: Mutex::default(), is_over: AtomicBool::new(false) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let Ok(request) = read(&stream) else { return };
        let manner = {
            let mut state = self.state();
            *state.asked.entry(request.path.clone()).or_default() += 1;
            state.manners.get(&request.path).cloned()
        };
        let (status, location, body) = match manner {
            Some(Manner::Gone) => return,
            Some(Manner::Slow) => return self.drip(&mut stream),
            Some(Manner::Status(status)) => (status, String::new(), Value::Null.to_string()),
            Some(Manner::Redirect(to)) => (302, format!("Location: {to}\r\n"), String::new()),
            Some(Manner::Says(value)) => (200, String::new(), value.to_string()),
            Some(Manner::Huge) => (200, String::new(), format!("{{}}{}", " ".repeat(1024 * 1024))),
            None => {
                let (status, value) = self.answer(&request);
                (status, String::new(), value.to_string())
            }
        };
        // No length: the end of the connection is the end of the answer.
        let head = format!("HTTP/1.1 {status} X\r\n{location}Connection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    }

    fn drip(&self, stream: &mut TcpStream) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        for _ in 0..100 {
            pass_blocking(Duration::from_millis(200), "an answer that comes byte by byte");
            if self.is_over.load(Ordering::SeqCst) || stream.write_all(b" ").is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &Request) -> (u16, Value) {
        let url = &self.url;
        match request.path.as_str() {
            Issuer::DISCOVERY => {
                let document = json!({
                    "issuer": url,
                    "authorization_endpoint": format!("{url}/authorize"),
                    "token_endpoint": format!("{url}{}", Issuer::TOKEN),
                    "jwks_uri": format!("{url}{}", Issuer::KEYS),
                    "userinfo_endpoint": format!("{url}{}", Issuer::USERINFO),
                    "token_endpoint_auth_methods_supported": self.state().methods,
                });
                (200, document)
            }
            Issuer::KEYS => (200, self.state().jwks()),
            Issuer::TOKEN => self.exchange(request),
            Issuer::USERINFO => match request.authorization.as_deref() {
                Some("Bearer access-token") => (200, json!(self.state().userinfo)),
                _ => (401, json!({})),
            },
            _ => (404, json!({})),
        }
    }

    fn exchange(&self, request: &Request) -> (u16, Value) {
        let mut state = self.state();
        if !is_known_client(request, &state.methods) {
            return (401, json!({"error": "invalid_client"}));
        }
        let get = |name: &str| request.form.get(name).map(String::as_str).unwrap_or_default();
        let log_in = state.log_ins.remove(get("code")).filter(|log_in| {
            let challenge = URL_SAFE_NO_PAD.encode(sha256(get("code_verifier").as_bytes()));
            get("grant_type") == "authorization_code"
                && log_in.redirect_uri == get("redirect_uri")
                && log_in.challenge == challenge
        });
        let Some(mut log_in) = log_in else {
            let said = format!("no such code: {}", get("code"));
            return (400, json!({"error": "invalid_grant", "error_description": said}));
        };
        let hash = sha512(b"access-token");
        let hash = URL_SAFE_NO_PAD.encode(hash.get(..32).unwrap_or_default());
        log_in.claims.entry("at_hash").or_insert(json!(hash));
        match state.sign(&log_in.claims, &Value::Null) {
            Ok(token) => (
                200,
                json!({"access_token": "access-token", "token_type": "Bearer", "id_token": token}),
            ),
            Err(_) => (500, json!({})),
        }
    }
}

/// The client proves itself by the first of the methods that the issuer says it takes.
fn is_known_client(request: &Request, methods: &Value) -> bool {
    let get = |name: &str| request.form.get(name).map(String::as_str);
    if methods.get(0).and_then(Value::as_str) == Some("client_secret_post") {
        return request.authorization.is_none()
            && get("client_id") == Some(Issuer::CLIENT_ID)
            && get("client_secret") == Some(Issuer::CLIENT_SECRET);
    }
    if methods.get(0).and_then(Value::as_str) == Some("none") {
        return request.authorization.is_none()
            && get("client_id") == Some(Issuer::CLIENT_ID)
            && get("client_secret").is_none();
    }
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(Issuer::CLIENT_ID), encode(Issuer::CLIENT_SECRET));
    let expected = format!("Basic {}", STANDARD.encode(pair));
    request.authorization.as_deref() == Some(&expected) && get("client_secret").is_none()
}

fn read(stream: &TcpStream) -> Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).context("no path")?.to_owned();
    let (mut authorization, mut length) = (None, 0);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("authorization") {
            authorization = Some(value.to_owned());
        } else if name.eq_ignore_ascii_case("content-length") {
            length = value.parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let form = form_urlencoded::parse(&body).into_owned().collect();
    Ok(Request { path, authorization, form })
}
