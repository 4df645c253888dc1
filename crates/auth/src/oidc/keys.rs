//! The keys that an issuer signs with (RFC 7517).

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// A key of an issuer, and what it verifies.
pub(super) struct IssuerKey {
    kid: Option<String>,
    /// The algorithm that it names, or the usual one of its kind.
    algorithm: Algorithm,
    is_named: bool,
    pub(super) key: DecodingKey,
}

impl IssuerKey {
    /// Tells whether tokens by this algorithm are verified with it. An RSA key that names none is for all of RSA
    /// (`alg` is optional, RFC 7517 section 4.4); an elliptic curve has one algorithm.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        let is_rsa = self.algorithm == Algorithm::RS256;
        self.algorithm == algorithm
            || (is_rsa && !self.is_named && self.algorithm.family() == algorithm.family())
    }
}

/// The keys of an issuer, as far as they can be used.
pub(super) struct IssuerKeys(Vec<Arc<IssuerKey>>);

/// A key set, whatever is in it.
#[derive(Deserialize)]
pub(super) struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl IssuerKeys {
    /// Takes a key set. Passed over is what is not for signatures, what we do not know, and above
    /// all shared secrets, which have no place in what everybody may read.
    pub(super) fn of(document: Document) -> Self {
        let jwks = document.keys.into_iter().filter_map(|jwk| serde_json::from_value(jwk).ok());
        Self(jwks.filter_map(|jwk: Jwk| jwk.into_key()).map(Arc::new).collect())
    }

    /// Returns the key of a name; without a name the only key, if there is just one.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<Arc<IssuerKey>> {
        match (kid, self.0.as_slice()) {
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)).cloned(),
            (None, [only]) => Some(Arc::clone(only)),
            (None, _) => None,
        }
    }
}

/// Reads the name of an algorithm with a public key. All others, `none` and `HS256` among them, are
/// none for us.
pub(super) fn asymmetric(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        // The same by its newer name (RFC 9864).
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

impl Jwk {
    fn into_key(self) -> Option<IssuerKey> {
        let verifies = self.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !verifies || self.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        // The algorithm that a key of this kind is for unless it names another of the same kind.
        let (usual, key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => {
                let key = DecodingKey::from_rsa_components(&self.n?, &self.e?).ok()?;
                (Algorithm::RS256, key)
            }
            ("EC", Some(curve)) => {
                let usual = match curve {
                    "P-256" => Algorithm::ES256,
                    "P-384" => Algorithm::ES384,
                    _ => return None,
                };
                (usual, DecodingKey::from_ec_components(&self.x?, &self.y?).ok()?)
            }
            ("OKP", Some("Ed25519")) => {
                (Algorithm::EdDSA, DecodingKey::from_ed_components(&self.x?).ok()?)
            }
            _ => return None,
        };
        let is_named = self.alg.is_some();
        let algorithm = match self.alg {
            Some(name) => asymmetric(&name)?,
            None => usual,
        };
        let fits = match usual {
            Algorithm::RS256 => algorithm.family() == usual.family(),
            _ => algorithm == usual,
        };
        fits.then_some(IssuerKey { kid: self.kid, algorithm, is_named, key })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn find(jwk: Value) -> Option<Algorithm> {
        let keys = IssuerKeys::of(Document { keys: vec![jwk] });
        keys.find(Some("1")).map(|key| key.algorithm)
    }

    /// FAULTS M-10.
    #[test]
    fn m10_an_rsa_key_that_names_no_algorithm_is_for_all_of_rsa() {
        let all = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];
        let verified = |jwk: Value| {
            let keys = IssuerKeys::of(Document { keys: vec![jwk] });
            let key = keys.find(Some("1")).unwrap();
            let is_for =
                |name: &&str| asymmetric(name).is_some_and(|algorithm| key.is_for(algorithm));
            all.into_iter().filter(is_for).collect::<Vec<_>>()
        };
        let rsa = json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB"});
        assert_eq!(verified(rsa), all[..6]);
        let named = json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS256"});
        assert_eq!(verified(named), ["RS256"]);
        let curve = json!({"kid": "1", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"});
        assert_eq!(verified(curve), ["ES256"]);
    }

    #[test]
    fn a_key_verifies_one_algorithm() {
        for (jwk, algorithm) in [
            (json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB"}), Algorithm::RS256),
            (
                json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "PS512"}),
                Algorithm::PS512,
            ),
            (
                json!({"kid": "1", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
                Algorithm::ES256,
            ),
            (
                json!({"kid": "1", "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
                Algorithm::ES384,
            ),
            (json!({"kid": "1", "kty": "OKP", "crv": "Ed25519", "x": "AA"}), Algorithm::EdDSA),
            (
                json!({"kid": "1", "kty": "OKP", "crv": "Ed25519", "x": "AA", "alg": "Ed25519", "use": "sig", "key_ops": ["verify"]}),
                Algorithm::EdDSA,
            ),
        ] {
            assert_eq!(find(jwk.clone()), Some(algorithm), "{jwk}");
        }
    }

    #[test]
    fn what_is_not_for_verifying_is_passed_over() {
        for jwk in [
            json!({"kid": "1", "kty": "oct", "k": "AAAA", "alg": "HS256"}),
            json!({"kid": "1", "kty": "oct", "k": "AAAA"}),
            json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "HS256"}),
            json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "none"}),
            json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "ES256"}),
            json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RSA-OAEP"}),
            json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"}),
            json!({"kid": "1", "kty": "RSA", "n": "AQAB", "e": "AQAB", "key_ops": ["encrypt"]}),
            json!({"kid": "1", "kty": "RSA", "n": "AQAB"}),
            json!({"kid": "1", "kty": "RSA", "n": "!", "e": "AQAB"}),
            json!({"kid": "1", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "alg": "ES384"}),
            json!({"kid": "1", "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}),
            json!({"kid": "1", "kty": "OKP", "crv": "Ed448", "x": "AA"}),
            json!({"kid": 1, "kty": "RSA", "n": "AQAB", "e": "AQAB"}),
            json!({"kid": "2", "kty": "RSA", "n": "AQAB", "e": "AQAB"}),
            json!("1"),
        ] {
            assert_eq!(find(jwk.clone()), None, "{jwk}");
        }
    }

    #[test]
    fn without_a_name_only_an_only_key_will_do() {
        let key = json!({"kid": "1", "kty": "OKP", "crv": "Ed25519", "x": "AA"});
        let other = json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"});
        let keys = |keys: &[&Value]| {
            IssuerKeys::of(Document { keys: keys.iter().map(|key| (*key).clone()).collect() })
        };
        assert!(keys(&[&key]).find(None).is_some());
        assert!(keys(&[&key, &other]).find(None).is_none());
        assert!(keys(&[]).find(None).is_none());
    }
}
