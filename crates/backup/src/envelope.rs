//! How a small document is stored so that a change to it is noticed.
//!
//! The document stands in an envelope of JSON with the SHA-256 of its very bytes, which finds any
//! accident. Whoever can write to the store can compute that, too. So there is a signature besides,
//! HMAC-SHA-256 (RFC 2104) by a key that the store's keepers do not have (`BACKUP_SIGNING_KEY`); where
//! one is set, only what is signed by it is trusted. Encryption is no substitute: recipients are
//! public, so anybody could encrypt a backup of their own making to them.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use sha2::Sha256;

use crate::{Error, Hash, Result};

/// The key that signs manifests. It has no `Display`, and its `Debug` says nothing.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

impl SigningKey {
    /// Takes a key of 32 characters or more.
    ///
    /// # Errors
    /// [`Error::Settings`] when it is shorter.
    pub fn new(key: &str) -> Result<Self> {
        if key.len() < 32 {
            return Err(Error::Settings(
                "BACKUP_SIGNING_KEY must have 32 characters or more; `openssl rand -base64 48` makes one"
                    .to_owned(),
            ));
        }
        Ok(Self(key.as_bytes().to_vec()))
    }

    /// Begins a signature; the purpose is signed with it, so that one document cannot stand in for
    /// another.
    fn mac(&self, purpose: &str, document: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        mac.update(document.as_bytes());
        Some(mac)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    sha256: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hmac_sha256: Option<Hash>,
    document: Box<RawValue>,
}

/// Puts a document into an envelope. `purpose` is what it is: its file name.
pub(crate) fn close<T: Serialize>(
    purpose: &str,
    document: &T,
    key: Option<&SigningKey>,
) -> Result<Vec<u8>> {
    let unreadable = |error| Error::Damaged {
        object: purpose.to_owned(),
        what: format!("it cannot be written as JSON: {error}"),
    };
    let document = serde_json::value::to_raw_value(document).map_err(unreadable)?;
    let hmac_sha256 = key.and_then(|key| key.mac(purpose, document.get())).map(|mac| {
        let tag: [u8; 32] = mac.finalize().into_bytes().into();
        Hash::from(tag)
    });
    let envelope = Envelope { sha256: Hash::of(document.get().as_bytes()), hmac_sha256, document };
    serde_json::to_vec(&envelope).map_err(unreadable)
}

/// Takes a document out of its envelope, if it is as it was put in.
///
/// # Errors
/// [`Error::Damaged`] and [`Error::Forged`], which name `object`.
pub(crate) fn open<T: DeserializeOwned>(
    purpose: &str,
    object: &str,
    bytes: &[u8],
    key: Option<&SigningKey>,
) -> Result<T> {
    let damaged = |what: &str| Error::Damaged { object: object.to_owned(), what: what.to_owned() };
    let envelope: Envelope =
        serde_json::from_slice(bytes).map_err(|_| damaged("it is not what was written"))?;
    // There is one way to write it, so that not even a blank can be changed.
    let is_canonical = serde_json::to_vec(&envelope).is_ok_and(|again| again == bytes);
    if !is_canonical || Hash::of(envelope.document.get().as_bytes()) != envelope.sha256 {
        return Err(damaged("its SHA-256 is not the one in it"));
    }
    if let Some(key) = key {
        let forged = |what| Error::Forged { object: object.to_owned(), what };
        let tag = envelope.hmac_sha256.ok_or_else(|| forged("is not signed"))?;
        let mac =
            key.mac(purpose, envelope.document.get()).ok_or_else(|| forged("cannot be judged"))?;
        mac.verify_slice(tag.as_bytes())
            .map_err(|_| forged("is signed with another key, or was changed"))?;
    }
    serde_json::from_str(envelope.document.get())
        .map_err(|error| damaged(&format!("its document cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: (&str, u32) = ("a\u{e4}", 7);

    fn read(bytes: &[u8], key: Option<&SigningKey>) -> Result<(String, u32)> {
        open("a.json", "x/a.json", bytes, key)
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let key = SigningKey::new(&"k".repeat(32)).unwrap();
        for key in [None, Some(&key)] {
            let written = close("a.json", &DOCUMENT, key).unwrap();
            assert_eq!(read(&written, key).unwrap(), ("a\u{e4}".to_owned(), 7));
            for at in 0..written.len() {
                for flip in [1, 2, 4, 0x20, 0x80] {
                    let mut changed = written.clone();
                    changed[at] ^= flip;
                    let error = read(&changed, key).unwrap_err().to_string();
                    assert!(error.starts_with("x/a.json"), "{error}");
                }
            }
        }
    }

    #[test]
    fn blanks_cannot_be_added() {
        let written = close("a.json", &DOCUMENT, None).unwrap();
        let text = String::from_utf8(written).unwrap().replace("{\"sha", "{ \"sha");
        assert!(read(text.as_bytes(), None).is_err());
    }

    #[test]
    fn who_has_no_key_cannot_write_what_is_believed() {
        let key = SigningKey::new(&"k".repeat(32)).unwrap();
        let other = SigningKey::new(&"o".repeat(40)).unwrap();
        let refusal = |bytes: &[u8]| read(bytes, Some(&key)).unwrap_err().to_string();
        assert!(refusal(&close("a.json", &DOCUMENT, None).unwrap()).contains("is not signed"));
        let by_another = close("a.json", &DOCUMENT, Some(&other)).unwrap();
        assert!(refusal(&by_another).contains("signed with another key"));
        // What is signed as something else, too.
        let another = close("b.json", &DOCUMENT, Some(&key)).unwrap();
        assert!(refusal(&another).contains("signed with another key"));
        // Without a key, a signature is no obstacle.
        assert!(read(&by_another, None).is_ok());
    }

    #[test]
    fn a_key_is_not_short_and_not_shown() {
        assert!(SigningKey::new("hunter2").is_err());
        assert!(!format!("{:?}", SigningKey::new(&"k".repeat(32)).unwrap()).contains("kk"));
    }
}
