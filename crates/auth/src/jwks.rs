//! Public keys as others read them: JSON Web Keys (RFC 7517, 7518 and 8037).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

/// A public key of ours, and the one algorithm it is used with.
pub(crate) struct PublicKey {
    verifier: DecodingKey,
    numbers: Numbers,
}

/// What the key is made of, in base64url.
enum Numbers {
    Ed25519 { x: String },
    Rsa { n: String, e: String },
}

impl PublicKey {
    /// Takes an Ed25519 key: 32 bytes (RFC 8032).
    pub(crate) fn ed25519(x: &[u8]) -> Self {
        let numbers = Numbers::Ed25519 { x: URL_SAFE_NO_PAD.encode(x) };
        Self { verifier: DecodingKey::from_ed_der(x), numbers }
    }

    /// Takes an RSA key: modulus and exponent, big-endian, without leading zeros.
    pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Self {
        let verifier = DecodingKey::from_rsa_raw_components(n, e);
        let numbers = Numbers::Rsa { n: URL_SAFE_NO_PAD.encode(n), e: URL_SAFE_NO_PAD.encode(e) };
        Self { verifier, numbers }
    }

    /// Returns the algorithm it is used with.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self.numbers {
            Numbers::Ed25519 { .. } => Algorithm::EdDSA,
            Numbers::Rsa { .. } => Algorithm::RS256,
        }
    }

    /// Returns what verifies by it.
    pub(crate) fn verifier(&self) -> &DecodingKey {
        &self.verifier
    }

    /// Returns it as others read it.
    pub(crate) fn to_jwk(&self, kid: &str) -> Value {
        match &self.numbers {
            Numbers::Ed25519 { x } => {
                json!({"kid": kid, "use": "sig", "alg": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": x})
            }
            Numbers::Rsa { n, e } => {
                json!({"kid": kid, "use": "sig", "alg": "RS256", "kty": "RSA", "n": n, "e": e})
            }
        }
    }
}
