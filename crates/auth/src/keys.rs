//! The keys of this service: one signs access tokens, all verify them.
//!
//! Either a shared secret (HS256, for a service that nobody else verifies for), or a directory of key
//! files (Ed25519 or RSA), whose public halves are published. To exchange a key without refusing
//! anybody: put `<new>.pub.pem` into the directory of every instance and have it read; put `<new>.pem`
//! in its place; when the tokens of the old one have run out, remove `<old>.pem` (device tokens, which
//! last longer, end with it: their owners log in as from a new device). The same way leads
//! from a secret to a directory: as long as that has public keys only, the secret goes on signing.

use std::{collections::BTreeMap, fmt, path::Path};

use brownie_config::TokenSettings;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, InvalidToken,
    jws::{Jws, OwnHeader},
    key_file::{self, KeyFile, PublicKey},
};

/// The keys of this service.
pub struct KeyRing {
    signer: Signer,
    secret: Option<DecodingKey>,
    public: BTreeMap<String, PublicKey>,
}

struct Signer {
    kid: Option<String>,
    algorithm: Algorithm,
    key: EncodingKey,
}

/// A file, or the directory, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKey {
    /// Its path.
    pub path: String,
    /// What is wrong, and what to do.
    pub fault: String,
}

/// Everything that is wrong with the keys.
#[derive(Debug, Clone, thiserror::Error)]
pub struct BadKeys(pub Vec<BadKey>);

impl fmt::Display for BadKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key(s) cannot be used:", self.0.len())?;
        for BadKey { path, fault } in &self.0 {
            write!(f, "\n  {path} {fault}")?;
        }
        Ok(())
    }
}

impl KeyRing {
    /// Takes a shared secret. Settings see to it that it is long enough.
    pub fn from_secret(secret: &str) -> Self {
        Self {
            signer: Signer::of_secret(secret),
            secret: Some(DecodingKey::from_secret(secret.as_bytes())),
            public: BTreeMap::new(),
        }
    }

    /// Reads the keys that the settings name. Doing so again finds what has been added or removed.
    ///
    /// # Errors
    /// All faults of all files together.
    pub fn load(settings: &TokenSettings) -> Result<Self, BadKeys> {
        let secret = settings.secret.as_ref().map(brownie_config::Secret::expose);
        match (&settings.keys_dir, secret) {
            (Some(dir), secret) => Self::from_dir(dir, settings.signing_kid.as_deref(), secret),
            (None, Some(secret)) => Ok(Self::from_secret(secret)),
            (None, None) => Err(BadKeys(vec![BadKey {
                path: "METADATA_JWT_SECRET".to_owned(),
                fault: "is not set, nor is METADATA_JWT_KEYS_DIR".to_owned(),
            }])),
        }
    }

    fn from_dir(dir: &Path, signing: Option<&str>, secret: Option<&str>) -> Result<Self, BadKeys> {
        let (files, mut bad) = key_file::read_dir(dir);
        let mut public = BTreeMap::new();
        let mut private = BTreeMap::new();
        for KeyFile { path, kid, public: half, private: other_half } in files {
            if let Some(key) = other_half {
                private.insert(kid.clone(), (half.algorithm(), key));
            }
            if public.insert(kid, half).is_some() {
                let fault = "belongs to a key that has a .pem, too; remove one".to_owned();
                bad.push(BadKey { path, fault });
            }
        }
        let signer = match signing {
            Some(kid) => private.remove_entry(kid),
            None => private.pop_last(),
        };
        let signer = match (signer, signing, secret) {
            (Some((kid, (algorithm, key))), ..) => Some(Signer { kid: Some(kid), algorithm, key }),
            (None, None, Some(secret)) => Some(Signer::of_secret(secret)),
            // The file that should have signed may be the one that is bad.
            (None, ..) if !bad.is_empty() => None,
            (None, signing, _) => {
                let fault = match signing {
                    Some(kid) => {
                        format!("has no {kid}.pem, which METADATA_JWT_SIGNING_KID says is to sign")
                    }
                    None => "has no private key (<kid>.pem), and METADATA_JWT_SECRET is not set"
                        .to_owned(),
                };
                bad.push(BadKey { path: dir.display().to_string(), fault });
                None
            }
        };
        match signer {
            Some(signer) if bad.is_empty() => Ok(Self {
                signer,
                secret: secret.map(|secret| DecodingKey::from_secret(secret.as_bytes())),
                public,
            }),
            _ => Err(BadKeys(bad)),
        }
    }

    /// Returns the public keys, for others to verify our tokens by, as a JWK set (RFC 7517 section
    /// 5): what `/.well-known/jwks.json` answers. A shared secret is not among them.
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self.public.iter().map(|(kid, key)| key.to_jwk(kid)).collect();
        serde_json::json!({ "keys": keys })
    }

    /// Returns the name of the key that signs; none for the shared secret, which has no name.
    pub fn signing_kid(&self) -> Option<&str> {
        self.signer.kid.as_deref()
    }

    /// Signs `payload`. `typ` says what for (RFC 8725 section 3.11).
    pub(crate) fn sign(&self, typ: &str, payload: &impl Serialize) -> Result<String, Error> {
        let mut header = Header::new(self.signer.algorithm);
        header.typ = Some(typ.to_owned());
        header.kid.clone_from(&self.signer.kid);
        jsonwebtoken::encode(&header, payload, &self.signer.key)
            .map_err(|error| Error::Failed(Box::new(error)))
    }

    /// Reads what one of these keys signed for that purpose. The key that the header names decides
    /// the algorithm (RFC 8725 section 3.1); a header that has more to say is none of ours.
    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        typ: &str,
        text: &str,
    ) -> Result<T, InvalidToken> {
        let jws = Jws::split(text, Jws::MAX_BYTES).ok_or(InvalidToken)?;
        let header: OwnHeader = jws.header().ok_or(InvalidToken)?;
        let (algorithm, key) = match &header.kid {
            None => (Algorithm::HS256, self.secret.as_ref().ok_or(InvalidToken)?),
            Some(kid) => {
                let public = self.public.get(kid).ok_or(InvalidToken)?;
                (public.algorithm(), public.verifier())
            }
        };
        if header.alg != algorithm || header.typ != typ {
            return Err(InvalidToken);
        }
        jws.verified(algorithm, key).ok_or(InvalidToken)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("signs", &self.signer.kid)
            .field("secret", &self.secret.is_some())
            .field("public", &self.public.keys())
            .finish()
    }
}

impl Signer {
    fn of_secret(secret: &str) -> Self {
        Self {
            kid: None,
            algorithm: Algorithm::HS256,
            key: EncodingKey::from_secret(secret.as_bytes()),
        }
    }
}
