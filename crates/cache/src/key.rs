//! What a limit or a value is kept under.

use std::{fmt, net::IpAddr};

use brownie_config::Secret;
use brownie_domain::OrganizationId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use uuid::Uuid;

/// The name of a limit, a count or a value.
///
/// It is made of a word of the program's, the organization where there is one, ids, and digests.
/// Text of somebody's cannot get into it but through [`Key::private`], which keeps a digest.
///
/// ```
/// # use brownie_cache::Key;
/// # use brownie_domain::{OrganizationId, UserId};
/// # fn f(org_id: OrganizationId, user_id: UserId) {
/// let requests_of_a_user = Key::new("requests").of(org_id).id(user_id.as_uuid());
/// let log_ins_of_an_account = Key::new("log-ins").private("ada@example.com");
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    kind: &'static str,
    org_id: Option<OrganizationId>,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Part {
    Id(Uuid),
    Digest([u8; 32]),
}

impl Key {
    /// Begins a key of a kind: one word, the same for all keys that mean the same.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, org_id: None, parts: Vec::new() }
    }

    /// Says whose it is. Every key that belongs to an organization says so.
    #[must_use]
    pub fn of(mut self, org_id: OrganizationId) -> Self {
        self.org_id = Some(org_id);
        self
    }

    /// Adds an id.
    #[must_use]
    pub fn id(mut self, id: Uuid) -> Self {
        self.parts.push(Part::Id(id));
        self
    }

    /// Adds text of somebody's, such as an e-mail address, by its digest.
    #[must_use]
    pub fn private(mut self, text: impl AsRef<[u8]>) -> Self {
        self.parts.push(Part::Digest(Sha256::digest(text).into()));
        self
    }

    /// Adds where somebody comes from, by its digest. Whoever has an address of version 6 has the
    /// 2^64 beside it, too, so these count as one; one of version 4 is the same however it is written.
    #[must_use]
    pub fn address(self, address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => self.private(address.octets()),
            IpAddr::V6(address) => self.private((address.to_bits() >> 64).to_be_bytes()),
        }
    }

    pub(crate) fn org_id(&self) -> Option<OrganizationId> {
        self.org_id
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}", self.kind)?;
        for part in &self.parts {
            match part {
                Part::Id(id) => write!(f, ":{id}")?,
                Part::Digest(_) => f.write_str(":[private]")?,
            }
        }
        f.write_str(")")
    }
}

/// Writes keys as Redis has them. Digests are keyed: there are few enough addresses of version 4, and
/// few enough e-mail addresses in use, to try them all on a plain one.
#[derive(Debug, Clone)]
pub(crate) struct Scribe {
    prefix: String,
    pepper: Hmac<Sha256>,
}

impl Scribe {
    /// Writes keys that begin with `prefix`. Instances that share a Redis have the same `pepper`.
    pub(crate) fn new(prefix: &str, pepper: &Secret) -> Self {
        // A key of its own, of the length that is best.
        let key = Sha512::new_with_prefix("cache keys ").chain_update(pepper.expose()).finalize();
        Self { prefix: prefix.to_owned(), pepper: Hmac::new(&key) }
    }

    /// Returns `prefix:organization:kind:parts`, the organization being `-` where there is none.
    pub(crate) fn write(&self, key: &Key) -> String {
        let mut text = self.of(key.org_id, key.kind);
        for part in &key.parts {
            text.push(':');
            match part {
                Part::Id(id) => text.push_str(&id.to_string()),
                Part::Digest(digest) => {
                    let mut mac = self.pepper.clone();
                    mac.update(key.kind.as_bytes());
                    mac.update(digest);
                    // Half of it is enough to tell 2^64 of them apart.
                    for byte in mac.finalize().into_bytes().iter().take(16) {
                        text.push_str(&format!("{byte:02x}"));
                    }
                }
            }
        }
        text
    }

    /// Returns the name of a thing of an organization that is there once. Kinds of our own begin with
    /// `#`, which none of a caller's does.
    pub(crate) fn of(&self, org_id: Option<OrganizationId>, kind: &str) -> String {
        match org_id {
            Some(org_id) => format!("{}:{org_id}:{kind}", self.prefix),
            None => format!("{}:-:{kind}", self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: &Key) -> String {
        Scribe::new("brownie", &Secret::new("pepper")).write(key)
    }

    #[test]
    fn the_organization_comes_first_and_ids_are_plain() {
        let org_id = OrganizationId::from_uuid(Uuid::from_u128(1));
        let key = Key::new("requests").of(org_id).id(Uuid::from_u128(2));
        assert_eq!(
            write(&key),
            "brownie:00000000-0000-0000-0000-000000000001:requests:00000000-0000-0000-0000-000000000002"
        );
    }

    #[test]
    fn what_is_private_is_in_no_key_and_no_log() {
        let key = Key::new("log-ins").private("ada@example.com");
        let text = write(&key);
        assert_eq!(text.len(), "brownie:-:log-ins:".len() + 32);
        assert!(!format!("{text} {key:?}").contains("ada"));
    }

    #[test]
    fn a_digest_depends_on_the_pepper_the_kind_and_the_text() {
        let key = Key::new("log-ins").private("ada@example.com");
        let of = |text: String| text.rsplit(':').next().unwrap().to_owned();
        let digest = of(write(&key));
        assert_eq!(digest, of(write(&Key::new("log-ins").private("ada@example.com"))));
        assert_ne!(digest, of(write(&Key::new("log-ins").private("bob@example.com"))));
        assert_ne!(digest, of(write(&Key::new("resets").private("ada@example.com"))));
        assert_ne!(digest, of(Scribe::new("brownie", &Secret::new("salt")).write(&key)));
    }

    #[test]
    fn addresses_that_one_person_has_are_one() {
        let write = |text: &str| write(&Key::new("requests").address(text.parse().unwrap()));
        assert_eq!(write("192.0.2.7"), write("::ffff:192.0.2.7"));
        assert_ne!(write("192.0.2.7"), write("192.0.2.8"));
        assert_eq!(write("2001:db8::1"), write("2001:db8::ffff:2"));
        assert_ne!(write("2001:db8::1"), write("2001:db8:0:1::1"));
    }
}
