//! Key files: one PEM each (RFC 7468), a private key in PKCS#8 or a public one.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use openssl::pkey::{HasPublic, Id, PKey, PKeyRef};

pub(crate) use crate::jwks::PublicKey;
use crate::keys::BadKey;

/// A file that can be used.
pub(crate) struct KeyFile {
    pub(crate) path: String,
    pub(crate) kid: String,
    pub(crate) public: PublicKey,
    pub(crate) private: Option<EncodingKey>,
}

/// More bytes than any key has.
const MAX_BYTES: u64 = 64 * 1024;

/// RSA keys below are too weak, and those above cannot be verified with (bits).
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

/// Reads a directory: the files that can be used, in the order of their names, and the others.
/// Hidden files are passed over, as Kubernetes has some in a mounted secret; so is what does not end
/// in `.pem`.
pub(crate) fn read_dir(dir: &Path) -> (Vec<KeyFile>, Vec<BadKey>) {
    let (mut files, mut bad) = (Vec::new(), Vec::new());
    let mut names: Vec<String> = match fs::read_dir(dir) {
        Ok(entries) => {
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
        }
        Err(error) => {
            let fault = format!("cannot be read: {error}");
            bad.push(BadKey { path: dir.display().to_string(), fault });
            return (files, bad);
        }
    };
    names.sort_unstable();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let Some(stem) = name.strip_suffix(".pem") else { continue };
        let (kid, is_public) = match stem.strip_suffix(".pub") {
            Some(kid) => (kid, true),
            None => (stem, false),
        };
        let path = dir.join(name);
        let key = check_kid(kid)
            .and_then(|()| if is_public { read_public(&path) } else { read_private(&path) });
        let path = path.display().to_string();
        match key {
            Ok((public, private)) => {
                files.push(KeyFile { path, kid: kid.to_owned(), public, private });
            }
            Err(fault) => bad.push(BadKey { path, fault }),
        }
    }
    (files, bad)
}

type Halves = (PublicKey, Option<EncodingKey>);

fn check_kid(kid: &str) -> Result<(), String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if (1..=64).contains(&kid.len()) && kid.bytes().all(is_plain) {
        return Ok(());
    }
    Err("must be named by 1 to 64 letters, digits, - and _, and then .pem or .pub.pem".to_owned())
}

fn read_private(path: &Path) -> Result<Halves, String> {
    let pem = read(path, true)?;
    match label(&pem).as_deref() {
        Some("PRIVATE KEY") => {}
        Some("ENCRYPTED PRIVATE KEY") => {
            return Err("is encrypted; decrypt it: openssl pkcs8".to_owned());
        }
        Some("RSA PRIVATE KEY" | "EC PRIVATE KEY") => {
            return Err("is not in PKCS#8; convert it: openssl pkcs8 -topk8 -nocrypt".to_owned());
        }
        Some("PUBLIC KEY") => return Err("is a public key; name it <kid>.pub.pem".to_owned()),
        other => return Err(not_a_key(other)),
    }
    // Without the callback OpenSSL would ask on the terminal for a password.
    let key = PKey::private_key_from_pem_callback(&pem, |_| Ok(0)).map_err(|_| unreadable())?;
    let public = public_half(&key)?;
    let private = match public.algorithm() {
        Algorithm::EdDSA => key.private_key_to_pkcs8().map(|der| EncodingKey::from_ed_der(&der)),
        _ => key
            .rsa()
            .and_then(|rsa| rsa.private_key_to_der())
            .map(|der| EncodingKey::from_rsa_der(&der)),
    }
    .map_err(|_| unreadable())?;
    try_out(&public, &private).ok_or("does not sign what it verifies; it is damaged")?;
    Ok((public, Some(private)))
}

fn read_public(path: &Path) -> Result<Halves, String> {
    let pem = read(path, false)?;
    match label(&pem).as_deref() {
        Some("PUBLIC KEY") => {}
        Some(private) if private.ends_with("PRIVATE KEY") => {
            return Err("holds a private key; others may have read it, so make another".to_owned());
        }
        other => return Err(not_a_key(other)),
    }
    let key = PKey::public_key_from_pem(&pem).map_err(|_| unreadable())?;
    Ok((public_half(&key)?, None))
}

fn read(path: &Path, is_private: bool) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    if metadata.len() > MAX_BYTES {
        return Err(format!("has {} bytes, more than any key", metadata.len()));
    }
    if is_private {
        check_readers(metadata.mode(), metadata.uid())?;
    }
    fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

/// libpq's rule for a client's key: nobody but the owner; but where that is root, who cannot be kept
/// out, a group may read. That is how Kubernetes mounts a secret for a pod with an `fsGroup`.
fn check_readers(mode: u32, owner: u32) -> Result<(), String> {
    let (forbidden, advice) = if owner == 0 { (0o037, "0640") } else { (0o077, "0600") };
    if mode & forbidden == 0 {
        return Ok(());
    }
    Err(format!("is open to others (mode {:04o}); chmod {advice} or less", mode & 0o7777))
}

/// Finds what the first PEM block is labelled.
fn label(pem: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ")?;
    rest.split_once("-----").map(|(label, _)| label.to_owned())
}

fn not_a_key(label: Option<&str>) -> String {
    match label {
        Some(label) => format!("is not a key, but a {label:.40}"),
        None => "is not PEM".to_owned(),
    }
}

fn unreadable() -> String {
    "is PEM, but not of a key; it is damaged".to_owned()
}

fn public_half(key: &PKeyRef<impl HasPublic>) -> Result<PublicKey, String> {
    match key.id() {
        Id::ED25519 => {
            let x = key.raw_public_key().map_err(|_| unreadable())?;
            Ok(PublicKey::ed25519(&x))
        }
        Id::RSA => {
            let rsa = key.rsa().map_err(|_| unreadable())?;
            let bits = key.bits();
            if !RSA_BITS.contains(&bits) {
                return Err(format!("is an RSA key of {bits} bits; it must have 2048 to 8192"));
            }
            Ok(PublicKey::rsa(&rsa.n().to_vec(), &rsa.e().to_vec()))
        }
        _ => {
            Err("must be an Ed25519 or an RSA key (openssl genpkey -algorithm ed25519)".to_owned())
        }
    }
}

/// Signs something, and verifies it.
fn try_out(public: &PublicKey, private: &EncodingKey) -> Option<()> {
    let signature = crypto::sign(b"try", private, public.algorithm()).ok()?;
    let verifier: &DecodingKey = public.verifier();
    crypto::verify(&signature, b"try", verifier, public.algorithm()).ok()?.then_some(())
}
