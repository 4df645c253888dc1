//! PEM (RFC 7468) as people have it: keys of every form, chains, bundles, revocation lists.

use brownie_config::Secret;
use openssl::{
    pkey::{Id, PKey, Private},
    x509::{X509, X509Crl},
};

use crate::{Fault, raw::Piece};

/// The most authorities of a bundle. Mozilla's whole list has about 150; each connection to a listener
/// that asks for certificates is sent the names of all, and each connector holds them all. Whoever
/// gives more has given the wrong file.
pub(crate) const MAX_AUTHORITIES: usize = 256;

/// The most certificates of a chain, ours included.
pub(crate) const MAX_CHAIN: usize = 10;

/// The fewest bits of an RSA key, as OpenSSL and the browsers have it.
pub(crate) const MIN_RSA_BITS: u32 = 2048;

/// Certificates that belong to one key, ours first.
pub(crate) struct Chain {
    pub(crate) leaf: X509,
    pub(crate) rest: Vec<X509>,
}

impl Chain {
    /// Returns all of them, ours first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &X509> {
        std::iter::once(&self.leaf).chain(&self.rest)
    }
}

/// Reads a chain: our certificate, then those that lead from it to an authority.
pub(crate) fn chain(piece: &Piece) -> Result<Chain, Fault> {
    let mut all = certificates(piece, MAX_CHAIN)?.into_iter();
    match all.next() {
        Some(leaf) => Ok(Chain { leaf, rest: all.collect() }),
        None => Err(not_pem(piece, "certificate")),
    }
}

/// Reads a bundle of authorities, in any order.
pub(crate) fn authorities(piece: &Piece) -> Result<Vec<X509>, Fault> {
    certificates(piece, MAX_AUTHORITIES)
}

fn certificates(piece: &Piece, limit: usize) -> Result<Vec<X509>, Fault> {
    const WHAT: &str = "certificate";
    let is_certificate = |label: &str| label == "CERTIFICATE" || label == "X509 CERTIFICATE";
    let blocks = blocks(piece, WHAT, is_certificate)?;
    if blocks.len() > limit {
        return Err(Fault::TooMany { of: piece.of.clone(), count: blocks.len(), limit });
    }
    let read = |pem: &&str| X509::from_pem(pem.as_bytes()).map_err(|_| damaged(piece, WHAT));
    blocks.iter().map(read).collect()
}

/// Reads revocation lists (RFC 5280 section 5).
pub(crate) fn revocation_lists(piece: &Piece) -> Result<Vec<X509Crl>, Fault> {
    const WHAT: &str = "revocation list";
    let blocks = blocks(piece, WHAT, |label| label == "X509 CRL")?;
    let read = |pem: &&str| X509Crl::from_pem(pem.as_bytes()).map_err(|_| damaged(piece, WHAT));
    blocks.iter().map(read).collect()
}

/// Reads a private key in PKCS#8, encrypted or not (RFC 5958), or in the older forms of RSA (PKCS#1,
/// RFC 8017) and EC keys (SEC1, RFC 5915), encrypted or not.
pub(crate) fn private_key(
    piece: &Piece,
    passphrase: Option<&Secret>,
) -> Result<PKey<Private>, Fault> {
    const WHAT: &str = "private key";
    // An EC key may have its parameters before it, and a certificate may be in the same file.
    let blocks = blocks(piece, WHAT, |label| label.ends_with("PRIVATE KEY"))?;
    let Some(pem) = blocks.first() else { return Err(not_pem(piece, WHAT)) };
    let mut was_asked = false;
    // Without a callback OpenSSL would ask on the terminal.
    let key = PKey::private_key_from_pem_callback(pem.as_bytes(), |room| {
        was_asked = true;
        let secret = passphrase.map(Secret::expose).unwrap_or_default().as_bytes();
        Ok(room.get_mut(..secret.len()).map_or(0, |room| {
            room.copy_from_slice(secret);
            secret.len()
        }))
    });
    let of = piece.of.clone();
    let key = key.map_err(|_| match (was_asked, passphrase) {
        (true, None) => Fault::Encrypted { of: of.clone() },
        (true, Some(_)) => Fault::WrongPassphrase { of: of.clone() },
        (false, _) => damaged(piece, WHAT),
    })?;
    match key.id() {
        Id::RSA | Id::EC | Id::ED25519 => Ok(key),
        _ => Err(Fault::UnknownKey { of }),
    }
}

/// Finds the blocks with a label that is wanted, each with its first and last line.
fn blocks<'a>(
    piece: &'a Piece,
    expected: &'static str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<&'a str>, Fault> {
    let mut found = Vec::new();
    let mut rest = piece.text.as_str();
    while let Some(begin) = rest.find("-----BEGIN ") {
        let block = rest.get(begin..).unwrap_or_default();
        let after = block.get("-----BEGIN ".len()..).unwrap_or_default();
        let Some((label, _)) = after.split_once("-----") else {
            return Err(damaged(piece, expected));
        };
        let end = format!("-----END {label}-----");
        let Some(length) = block.find(&end).map(|at| at + end.len()) else {
            return Err(damaged(piece, expected));
        };
        let (block, behind) = block.split_at(length);
        if is_wanted(label) {
            found.push(block);
        }
        rest = behind;
    }
    if found.is_empty() { Err(not_pem(piece, expected)) } else { Ok(found) }
}

fn not_pem(piece: &Piece, expected: &'static str) -> Fault {
    Fault::NotPem { of: piece.of.clone(), expected }
}

fn damaged(piece: &Piece, expected: &'static str) -> Fault {
    Fault::Damaged { of: piece.of.clone(), expected }
}
