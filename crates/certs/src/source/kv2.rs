//! Certificates in a secret of Vault's KV engine, version 2.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;

use crate::{
    Fault, VaultFault,
    raw::{Piece, Raw, RawPair},
    vault::Client,
};

/// Where Vault's development server, and many another, has the engine.
const USUAL_MOUNT: &str = "secret";

/// A secret that holds certificates.
pub(crate) struct Kv2 {
    client: Client,
    /// Where the secret may be, the likeliest first.
    candidates: Vec<String>,
    /// Where it was found.
    found: Option<String>,
}

/// What the engine answers.
#[derive(Deserialize)]
struct Version {
    data: Map<String, Value>,
}

impl Kv2 {
    pub(crate) fn new(client: Client, path: &str) -> Self {
        Self { client, candidates: candidates(path), found: None }
    }

    pub(crate) async fn read(&mut self) -> Result<Raw, Fault> {
        let places = self.found.take().map_or_else(|| self.candidates.clone(), |path| vec![path]);
        let mut fault = None;
        for path in places {
            match self.client.get::<Version>(&path).await {
                Ok(version) => {
                    let raw = raw(&path, &version.data);
                    self.found = Some(path);
                    return Ok(raw?);
                }
                // A mount that is not there, or not ours to know of.
                Err(reason @ (VaultFault::NotFound { .. } | VaultFault::Denied { .. })) => {
                    fault.get_or_insert(reason);
                }
                Err(reason) => return Err(reason.into()),
            }
        }
        Err(fault.unwrap_or(VaultFault::NotFound { path: String::new() }).into())
    }

    /// Returns when the token has to be renewed.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.client.due()
    }
}

/// Returns what a path may mean: people write it with its mount or without, with the `data` that the
/// API wants or without.
fn candidates(path: &str) -> Vec<String> {
    let path = path.trim_matches('/');
    let unmounted = format!("{USUAL_MOUNT}/data/{path}");
    match path.split_once('/') {
        Some((_, rest)) if rest.starts_with("data/") => vec![path.to_owned()],
        Some(("data", _)) => vec![format!("{USUAL_MOUNT}/{path}")],
        Some((mount, rest)) if mount == USUAL_MOUNT => vec![format!("{mount}/data/{rest}")],
        Some((mount, rest)) => vec![format!("{mount}/data/{rest}"), unmounted],
        None => vec![unmounted],
    }
}

fn raw(path: &str, fields: &Map<String, Value>) -> Result<Raw, VaultFault> {
    let name = |field: &str| format!("the field {field} of Vault's {path}");
    let piece = |field: &str| match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(Piece { of: name(field), text: pem(text) })),
        Some(_) => {
            let why = format!("its field {field} is not a text");
            Err(VaultFault::Nonsense { path: path.to_owned(), why })
        }
    };
    let pair = |role: &str| {
        let (cert, key) = (format!("{role}_cert"), format!("{role}_key"));
        Ok(RawPair {
            chain: piece(&cert)?,
            key: piece(&key)?,
            passphrase: None,
            names: (name(&cert), name(&key)),
        })
    };
    Ok(Raw {
        ca: piece("ca_cert")?,
        ca_name: name("ca_cert"),
        crls: piece("ca_crl")?.into_iter().collect(),
        client: pair("client")?,
        server: pair("server")?,
        faults: Vec::new(),
    })
}

/// Returns a value as PEM if it is base64 of it. Anything else is for the reader of PEM to refuse.
fn pem(value: &str) -> String {
    let packed: String = value.split_whitespace().collect();
    let decoded = STANDARD.decode(packed).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or_else(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_understood_with_and_without_its_mount() {
        for (path, expected) in [
            ("secret/brownie/certs", vec!["secret/data/brownie/certs"]),
            ("secret/data/brownie/certs", vec!["secret/data/brownie/certs"]),
            ("/secret/brownie/certs/", vec!["secret/data/brownie/certs"]),
            ("kv/brownie", vec!["kv/data/brownie", "secret/data/kv/brownie"]),
            ("kv/data/brownie", vec!["kv/data/brownie"]),
            ("data/brownie", vec!["secret/data/brownie"]),
            ("certs", vec!["secret/data/certs"]),
        ] {
            assert_eq!(candidates(path), expected, "{path}");
        }
    }

    #[test]
    fn a_value_is_pem_or_base64_of_it() {
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(pem(text), text);
        assert_eq!(pem(&STANDARD.encode(text)), text);
        let mut wrapped = STANDARD.encode(text);
        wrapped.insert(20, '\n');
        assert_eq!(pem(&wrapped), text);
    }
}
