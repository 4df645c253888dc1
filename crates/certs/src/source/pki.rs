//! Certificates that Vault's PKI issues to us. The key comes with the answer and stays in memory.

use std::{path::PathBuf, time::Duration};

use brownie_domain::Timestamp;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::files;
use crate::{
    Fault, VaultFault,
    facts::moment,
    pem,
    raw::{Piece, Raw, RawPair},
    vault::Client,
};

/// How soon, at the earliest and at the latest, one that is due is asked for again.
const AGAIN: std::ops::RangeInclusive<TimeDelta> = TimeDelta::seconds(1)..=TimeDelta::seconds(30);

/// An issuer of certificates to us.
pub(crate) struct Pki {
    client: Client,
    path: String,
    request: Value,
    /// The authorities to believe, instead of those that issue.
    ca_file: Option<PathBuf>,
    issued: Option<Issued>,
}

/// What was issued last.
struct Issued {
    chain: String,
    key: String,
    authorities: String,
    renew_at: Timestamp,
    ends: Timestamp,
}

/// What Vault answers.
#[derive(Deserialize)]
struct Answer {
    certificate: String,
    private_key: String,
    issuing_ca: String,
    #[serde(default)]
    ca_chain: Vec<String>,
}

impl Pki {
    pub(crate) fn new(
        client: Client,
        path: String,
        common_name: &str,
        ttl: Option<&str>,
        ca_file: Option<PathBuf>,
    ) -> Self {
        let mut request = Map::new();
        request.insert("common_name".to_owned(), common_name.into());
        request.insert("private_key_format".to_owned(), "pkcs8".into());
        request.extend(ttl.map(|ttl| ("ttl".to_owned(), ttl.into())));
        Self { client, path, request: request.into(), ca_file, issued: None }
    }

    /// Returns what was issued last, or anew if that is past two thirds of its life.
    pub(crate) async fn read(&mut self, now: Timestamp) -> Result<Raw, Fault> {
        if self.issued.as_ref().is_none_or(|issued| issued.renew_at <= now) {
            let answer = self.client.post::<Answer>(&self.path, &self.request).await?;
            self.issued = Some(self.issued(answer, now)?);
        } else {
            // It must not end while nothing is asked. Whether it did shows when something is.
            let _ = self.client.keep_token().await;
        }
        let of = |field: &str| format!("the field {field} of what Vault issues by {}", self.path);
        let piece = |field, text: &String| Piece { of: of(field), text: text.clone() };
        let raw = Raw::named(" (Vault's PKI is asked for a client's alone)");
        let Some(issued) = &self.issued else { return Ok(raw) };
        let (ca, ca_name) = match &self.ca_file {
            None => (Some(piece("ca_chain", &issued.authorities)), of("ca_chain")),
            Some(path) => (files::piece(path)?, path.display().to_string()),
        };
        let client = RawPair {
            chain: Some(piece("certificate", &issued.chain)),
            key: Some(piece("private_key", &issued.key)),
            passphrase: None,
            names: (of("certificate"), of("private_key")),
        };
        Ok(Raw { ca, ca_name, client, ..raw })
    }

    fn issued(&self, answer: Answer, now: Timestamp) -> Result<Issued, Fault> {
        let of = format!("the certificate that Vault issues by {}", self.path);
        let leaf = pem::chain(&Piece { of, text: answer.certificate.clone() })?.leaf;
        let ends = moment(leaf.not_after());
        if ends <= now {
            let why = format!("its certificate ended at {ends}, and our clock shows {now}");
            return Err(VaultFault::Nonsense { path: self.path.clone(), why }.into());
        }
        let mut authorities = answer.ca_chain;
        if !authorities.iter().any(|ca| ca.trim() == answer.issuing_ca.trim()) {
            authorities.insert(0, answer.issuing_ca);
        }
        let authorities = lines(authorities);
        Ok(Issued {
            // The chain is sent along, so that a peer who believes the root alone can follow it.
            chain: lines([answer.certificate, authorities.clone()]),
            key: answer.private_key,
            authorities,
            renew_at: now + (ends - now) * 2 / 3,
            ends,
        })
    }

    /// Returns when something is to be done: a new certificate, or a renewed token.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Duration> {
        let issued = self.issued.as_ref().map(|issued| match issued.renew_at - now {
            early if early > TimeDelta::zero() => early,
            // It failed. Again, the more often the nearer the end is.
            _ => ((issued.ends - now) / 10).clamp(*AGAIN.start(), *AGAIN.end()),
        });
        let issued = issued.and_then(|due| due.to_std().ok());
        [issued, self.client.due()].into_iter().flatten().min()
    }
}

/// Puts texts one under the other.
fn lines(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().map(|text| format!("{}\n", text.trim())).collect()
}
