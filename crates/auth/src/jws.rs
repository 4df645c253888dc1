//! Signed tokens in compact form (RFC 7515 section 7.1), taken apart.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::{Deserialize, de::DeserializeOwned};

/// The three parts of a token. Nothing is verified yet.
pub(crate) struct Jws<'a> {
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// A header as we write it. What has other fields (`crit`, `jku`, `jwk`, `x5u`) is not from us.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnHeader {
    pub(crate) alg: Algorithm,
    pub(crate) typ: String,
    #[serde(default)]
    pub(crate) kid: Option<String>,
}

impl<'a> Jws<'a> {
    /// The longest token of ours that is looked at.
    pub(crate) const MAX_BYTES: usize = 8 * 1024;
    /// The longest of an issuer's: those of people who are in many groups name all of them.
    pub(crate) const MAX_ISSUER_BYTES: usize = 64 * 1024;

    /// Takes a token apart, unless it is longer than `max` bytes.
    pub(crate) fn split(token: &'a str, max: usize) -> Option<Self> {
        if token.len() > max {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Self { signed, header, payload, signature })
    }

    /// Reads the header, which nobody has vouched for.
    pub(crate) fn header<T: DeserializeOwned>(&self) -> Option<T> {
        json(self.header)
    }

    /// Reads the payload, which nobody has vouched for. Good for finding out whom to ask.
    pub(crate) fn unverified<T: DeserializeOwned>(&self) -> Option<T> {
        json(self.payload)
    }

    /// Reads the payload if the key signed it.
    pub(crate) fn verified<T: DeserializeOwned>(
        &self,
        algorithm: Algorithm,
        key: &DecodingKey,
    ) -> Option<T> {
        let is_good = crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm);
        if is_good.unwrap_or(false) { json(self.payload) } else { None }
    }
}

fn json<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
