//! Secrets that clients hold and we know only by their hash: refresh tokens and API keys.
//!
//! In text: a prefix, and then in base64url (RFC 4648 section 5, unpadded) the organization's id, the
//! id of what it opens, 256 random bits, and a CRC-32 of all that and the prefix. So a secret scanner
//! knows one when it sees it, a mistyped one is refused without asking the database, and the row is
//! found by its key within its organization.
//!
//! Stored is a SHA-256. A slow hash is for what people choose; 256 random bits cannot be guessed.

use std::{fmt, marker::PhantomData, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use brownie_domain::{ApiKeyId, OrganizationId, SessionId};
use openssl::{memcmp, sha::Sha256};
use uuid::Uuid;

use crate::{Error, InvalidToken, random};

mod kind {
    pub trait Sealed {}
}

/// A kind of secret.
pub trait Kind: kind::Sealed {
    /// What it opens.
    type Id: Copy + PartialEq + fmt::Debug;
    /// How its text begins.
    const PREFIX: &'static str;
    /// Makes the id of a UUID that a text holds.
    fn id(uuid: Uuid) -> Self::Id;
    /// Returns the bare UUID, for the text.
    fn uuid(id: Self::Id) -> Uuid;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($id:ident) = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $kind {}

        impl kind::Sealed for $kind {}

        impl Kind for $kind {
            type Id = $id;
            const PREFIX: &'static str = $prefix;

            fn id(uuid: Uuid) -> $id {
                $id::from_uuid(uuid)
            }

            fn uuid(id: $id) -> Uuid {
                id.as_uuid()
            }
        }
    )+};
}

kinds! {
    /// What a service comes in with.
    ForService(ApiKeyId) = "bak_";
    /// What a new access token is given for.
    ForSession(SessionId) = "brt_";
}

/// A key of a service: `bak_…`.
pub type ApiKey = ClientSecret<ForService>;

/// What continues a session: `brt_…`. Each use makes another one; which have been used is told by
/// their hashes.
pub type RefreshToken = ClientSecret<ForSession>;

/// A secret that a client holds. It cannot be shown by accident.
pub struct ClientSecret<K: Kind> {
    org_id: OrganizationId,
    id: K::Id,
    random: [u8; 32],
    kind: PhantomData<K>,
}

/// Bytes of the two ids and the random part.
const BODY: usize = 16 + 16 + 32;
/// Characters of these and four bytes of CRC.
const TEXT: usize = ((BODY + 4) * 4).div_ceil(3);

impl<K: Kind> ClientSecret<K> {
    /// Makes a new one, for what `id` names in an organization.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate(org_id: OrganizationId, id: K::Id) -> Result<Self, Error> {
        Ok(Self { org_id, id, random: random::bytes()?, kind: PhantomData })
    }

    /// Tells whether a text means to be one, so that no other reader need be asked.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(K::PREFIX)
    }

    /// Returns the organization.
    pub fn org_id(&self) -> OrganizationId {
        self.org_id
    }

    /// Returns what it opens.
    pub fn id(&self) -> K::Id {
        self.id
    }

    /// Returns what is stored of it. The kind is part of what is hashed, so that none can stand for
    /// one of another kind.
    pub fn hash(&self) -> SecretHash {
        let mut sha = Sha256::new();
        sha.update(K::PREFIX.as_bytes());
        sha.update(&self.body());
        SecretHash(sha.finish())
    }

    /// Gives out the text, once, to whom it is for.
    pub fn expose(self) -> String {
        let mut bytes = self.body().to_vec();
        bytes.extend(crc(K::PREFIX, &self.body()));
        format!("{}{}", K::PREFIX, URL_SAFE_NO_PAD.encode(bytes))
    }

    fn body(&self) -> [u8; BODY] {
        let mut body = [0; BODY];
        body[..16].copy_from_slice(self.org_id.as_uuid().as_bytes());
        body[16..32].copy_from_slice(K::uuid(self.id).as_bytes());
        body[32..].copy_from_slice(&self.random);
        body
    }
}

impl<K: Kind> FromStr for ClientSecret<K> {
    type Err = InvalidToken;

    /// Reads a text of this kind. There is one text for each secret.
    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let text = text.strip_prefix(K::PREFIX).ok_or(InvalidToken)?;
        if text.len() != TEXT {
            return Err(InvalidToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken)?;
        let (body, sum) = bytes.split_at_checked(BODY).ok_or(InvalidToken)?;
        if sum != crc(K::PREFIX, body) {
            return Err(InvalidToken);
        }
        let (org_id, rest) = body.split_first_chunk().ok_or(InvalidToken)?;
        let (id, rest) = rest.split_first_chunk().ok_or(InvalidToken)?;
        Ok(Self {
            org_id: OrganizationId::from_uuid(Uuid::from_bytes(*org_id)),
            id: K::id(Uuid::from_bytes(*id)),
            random: rest.try_into().map_err(|_| InvalidToken)?,
            kind: PhantomData,
        })
    }
}

impl<K: Kind> fmt::Debug for ClientSecret<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}secret]", K::PREFIX)
    }
}

/// What is stored of a secret: 32 bytes. It cannot be shown either.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Takes what was stored.
    pub fn from_stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, to be stored, or to look up by.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// In constant time, so that nobody learns from it how much was right.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        memcmp::eq(&self.0, &other.0)
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret hash]")
    }
}

fn crc(prefix: &str, body: &[u8]) -> [u8; 4] {
    crc32(prefix.bytes().chain(body.iter().copied())).to_be_bytes()
}

/// CRC-32 of ISO 3309, the one of zip and PNG.
fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> ApiKey {
        let org_id = OrganizationId::from_uuid(Uuid::from_u128(1));
        ApiKey::generate(org_id, ApiKeyId::from_uuid(Uuid::from_u128(2))).unwrap()
    }

    #[test]
    fn the_sum_is_the_one_that_scanners_know() {
        assert_eq!(crc32(b"123456789".iter().copied()), 0xCBF4_3926);
    }

    #[test]
    fn a_key_reads_back_and_names_its_row() {
        let key = key();
        let (org_id, id, hash) = (key.org_id(), key.id(), key.hash());
        let text = key.expose();
        assert!(ApiKey::is_meant_by(&text) && !RefreshToken::is_meant_by(&text));
        assert_eq!(text.len(), 4 + 91);
        let read: ApiKey = text.parse().unwrap();
        assert_eq!((read.org_id(), read.id(), read.hash()), (org_id, id, hash));
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(key().hash(), key().hash());
    }

    #[test]
    fn one_kind_cannot_stand_for_another() {
        let text = key().expose();
        let renamed = text.replacen("bak_", "brt_", 1);
        assert!(text.parse::<RefreshToken>().is_err());
        assert!(renamed.parse::<RefreshToken>().is_err(), "the sum covers the prefix");
        let key: ApiKey = text.parse().unwrap();
        let same_bytes = RefreshToken {
            org_id: key.org_id,
            id: SessionId::from_uuid(key.id.as_uuid()),
            random: key.random,
            kind: PhantomData,
        };
        assert_ne!(key.hash(), same_bytes.hash());
    }

    #[test]
    fn whatever_differs_in_a_character_is_refused() {
        let text = key().expose();
        for at in 0..text.len() {
            for other in ['A', 'z', '0', '-', '_', '=', '.', ' ', 'é', '\0'] {
                let mut changed: Vec<char> = text.chars().collect();
                if std::mem::replace(&mut changed[at], other) == other {
                    continue;
                }
                let changed: String = changed.into_iter().collect();
                assert!(changed.parse::<ApiKey>().is_err(), "{changed}");
            }
            assert!(text[..at].parse::<ApiKey>().is_err());
        }
        for around in
            [format!("{text}="), format!("{text}A"), format!(" {text}"), format!("{text}\n")]
        {
            assert!(around.parse::<ApiKey>().is_err());
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        let key = key();
        let hash = key.hash();
        let stored = format!("{:?}", hash.as_bytes());
        let shown = format!("{key:?} {hash:?}");
        assert_eq!(shown, "[bak_secret] [secret hash]");
        assert!(!shown.contains(&stored));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(bak_)?\\PC{0,120}") {
            prop_assert!(text.parse::<ApiKey>().is_err());
        }

        #[test]
        fn only_one_text_stands_for_a_secret(bytes in proptest::array::uniform32(any::<u8>())) {
            let secret = RefreshToken {
                org_id: OrganizationId::from_uuid(Uuid::from_u128(3)),
                id: SessionId::from_uuid(Uuid::from_u128(4)),
                random: bytes,
                kind: PhantomData,
            };
            let text = secret.expose();
            let again = text.parse::<RefreshToken>().map(ClientSecret::expose);
            prop_assert_eq!(again, Ok(text));
        }
    }
}
