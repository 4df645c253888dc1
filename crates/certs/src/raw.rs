//! What a source holds, before anybody has looked at it.

use brownie_config::Secret;
use openssl::sha::Sha256;

use crate::Fault;

/// One file, or one field of a secret. It may be a key, so it cannot be shown.
pub(crate) struct Piece {
    /// Its name for people.
    pub(crate) of: String,
    /// What is in it. What is not UTF-8 is not PEM either, and was replaced.
    pub(crate) text: String,
}

/// A certificate and its key, as far as they are there.
#[derive(Default)]
pub(crate) struct RawPair {
    pub(crate) chain: Option<Piece>,
    pub(crate) key: Option<Piece>,
    pub(crate) passphrase: Option<Secret>,
    /// What each is called if it is not there.
    pub(crate) names: (String, String),
}

/// All that a source holds at one moment.
#[derive(Default)]
pub(crate) struct Raw {
    pub(crate) ca: Option<Piece>,
    /// What the authorities are called if they are not there.
    pub(crate) ca_name: String,
    pub(crate) crls: Vec<Piece>,
    pub(crate) client: RawPair,
    pub(crate) server: RawPair,
    /// What was found wrong while reading, and keeps nobody from going on.
    pub(crate) faults: Vec<Fault>,
}

/// Tells two readings apart without keeping what was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

impl Raw {
    /// Holds nothing yet. What it is found to lack is called what it is, and why it is not there.
    pub(crate) fn named(why: &str) -> Self {
        let pair = |role: &str| RawPair {
            names: (format!("the {role}'s certificate{why}"), format!("the {role}'s key{why}")),
            ..RawPair::default()
        };
        let ca_name = format!("the CA{why}");
        Self { ca_name, client: pair("client"), server: pair("server"), ..Self::default() }
    }

    /// Returns the digest of all that was read, and of what was wrong with it.
    pub(crate) fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        // Lengths keep what belongs to one piece from counting as another's.
        let mut add = |text: Option<&str>| {
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            hash.update(&length.to_be_bytes());
            hash.update(text.unwrap_or_default().as_bytes());
        };
        add(text(self.ca.as_ref()));
        for pair in [&self.client, &self.server] {
            add(text(pair.chain.as_ref()));
            add(text(pair.key.as_ref()));
            add(pair.passphrase.as_ref().map(Secret::expose));
        }
        for piece in &self.crls {
            add(Some(&piece.text));
        }
        for fault in &self.faults {
            add(Some(&fault.to_string()));
        }
        Digest(hash.finish())
    }
}

fn text(piece: Option<&Piece>) -> Option<&str> {
    piece.map(|piece| piece.text.as_str())
}
