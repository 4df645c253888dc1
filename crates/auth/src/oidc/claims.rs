//! Tokens of an issuer, read and verified (OpenID Connect Core 1.0 section 3.1.3.7, RFC 8725).

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use brownie_config::OidcSettings;
use brownie_domain::Timestamp;
use jsonwebtoken::Algorithm;
use openssl::hash::{MessageDigest, hash};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::{error::IssuerFault, keys::asymmetric, provider::Provider};
use crate::{jws::Jws, token::is_in_time};

/// The issuer's clock and ours may differ (seconds).
const LEEWAY: i64 = 30;

/// The longest name that an issuer gives to somebody (OpenID Connect Core 1.0 section 2).
const MAX_SUBJECT: usize = 255;

/// What the header says. Where keys or certificates may be found by what it says otherwise is none of
/// our business: the key set of the issuer has them all.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

/// What a token says, once it is known that the issuer says it.
#[derive(Deserialize)]
pub(super) struct IssuerClaims {
    iss: String,
    pub(super) sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: Seconds,
    iat: Seconds,
    #[serde(default)]
    nbf: Option<Seconds>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    at_hash: Option<String>,
    /// What tells a logout token from an ID token.
    #[serde(default)]
    events: Option<IgnoredAny>,
    /// The rest: who somebody is.
    #[serde(flatten)]
    pub(super) profile: Map<String, Value>,
}

/// A `NumericDate` (RFC 7519 section 2), which may have a fraction; the second that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "f64")]
struct Seconds(i64);

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(date: f64) -> Result<Self, Self::Error> {
        // Whole numbers beyond are not told apart, and are no date of this world.
        const LATEST: f64 = 9_007_199_254_740_992.0;
        if !(-LATEST..=LATEST).contains(&date) {
            return Err("must be a time in seconds");
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is a whole number below 2^53")]
        Ok(Self(date.floor() as i64))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

#[derive(Deserialize)]
struct Speaker {
    iss: String,
}

/// Why a token proves nothing.
pub(super) enum Unproven {
    /// There is this wrong with it.
    Bad(&'static str),
    /// It answers another log-in than ours.
    OtherLogin,
    /// The issuer cannot be asked for its keys.
    Issuer(IssuerFault),
}

impl From<IssuerFault> for Unproven {
    fn from(fault: IssuerFault) -> Self {
        Self::Issuer(fault)
    }
}

/// A token that the issuer signed, and that is neither too early nor too late.
pub(super) struct Signed {
    pub(super) claims: IssuerClaims,
    algorithm: Algorithm,
}

/// Reads a token of at most `max` bytes. The issuer is asked for a key only if the token pretends to
/// be its own.
pub(super) async fn open(
    token: &str,
    max: usize,
    issuer: &str,
    provider: &Arc<Provider>,
    now: Timestamp,
) -> Result<Signed, Unproven> {
    let jws = Jws::split(token, max).ok_or(Unproven::Bad("is no token"))?;
    let header: Header = jws.header().ok_or(Unproven::Bad("has an unreadable header"))?;
    let algorithm = asymmetric(&header.alg).ok_or(Unproven::Bad("has no usable algorithm"))?;
    if header.crit.is_some() {
        return Err(Unproven::Bad("demands what we do not know (crit)"));
    }
    if !header.typ.as_deref().is_none_or(is_ordinary) {
        return Err(Unproven::Bad("is of another type"));
    }
    let speaker: Option<Speaker> = jws.unverified();
    if speaker.is_none_or(|speaker| speaker.iss != issuer) {
        return Err(Unproven::Bad("is of another issuer"));
    }
    let key = provider.key(header.kid.as_deref()).await?;
    let key = key.ok_or(Unproven::Bad("names a key that the issuer does not have"))?;
    if !key.is_for(algorithm) {
        return Err(Unproven::Bad("uses a key for what it is not for"));
    }
    let claims: IssuerClaims = jws
        .verified(algorithm, &key.key)
        .ok_or(Unproven::Bad("is not signed by the issuer, or lacks a claim"))?;
    if claims.iss != issuer {
        return Err(Unproven::Bad("is of another issuer"));
    }
    let begins = claims.nbf.unwrap_or(claims.iat).max(claims.iat);
    if !is_in_time(now, begins.0, claims.exp.0, LEEWAY, LEEWAY) {
        return Err(Unproven::Bad("is too early or too late"));
    }
    if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT {
        return Err(Unproven::Bad("names nobody, or by too long a name"));
    }
    if claims.events.is_some() {
        return Err(Unproven::Bad("tells of an event"));
    }
    Ok(Signed { claims, algorithm })
}

/// ID tokens and access tokens (RFC 9068) have these types, or none.
fn is_ordinary(typ: &str) -> bool {
    ["JWT", "at+jwt", "application/at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(typ))
}

impl Signed {
    /// Verifies that this is the ID token of the log-in with this nonce, and of this access token.
    pub(super) fn check_login(
        &self,
        settings: &OidcSettings,
        nonce: &str,
        access_token: Option<&str>,
    ) -> Result<(), Unproven> {
        self.check_client(settings)?;
        if self.claims.nonce.as_deref() != Some(nonce) {
            return Err(Unproven::OtherLogin);
        }
        match (&self.claims.at_hash, access_token) {
            (None, _) => Ok(()),
            (Some(hash), Some(token)) if *hash == half_hash(self.algorithm, token) => Ok(()),
            (Some(_), _) => Err(Unproven::Bad("belongs to another access token (at_hash)")),
        }
    }

    /// Verifies that a bearer token is for us: an access token for our audience, whichever client has
    /// it, or an ID token for us as a client.
    pub(super) fn check_bearer(&self, settings: &OidcSettings) -> Result<(), Unproven> {
        match &settings.audience {
            Some(audience) if self.claims.aud.all().contains(audience) => Ok(()),
            _ => self.check_client(settings),
        }
    }

    /// An ID token for several must say which of them asked for it.
    fn check_client(&self, settings: &OidcSettings) -> Result<(), Unproven> {
        let (all, ours) = (self.claims.aud.all(), &settings.client_id);
        if !all.contains(ours) {
            return Err(Unproven::Bad("is for another audience"));
        }
        match &self.claims.azp {
            Some(party) if party != ours => Err(Unproven::Bad("was made for another client (azp)")),
            None if all.len() > 1 => Err(Unproven::Bad("is for several, and does not say whose")),
            _ => Ok(()),
        }
    }
}

/// The left half of a hash of the signature's algorithm (OpenID Connect Core 1.0 section 3.1.3.6).
/// For Ed25519 that is SHA-512.
fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let digest = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => MessageDigest::sha384(),
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => MessageDigest::sha512(),
        _ => MessageDigest::sha256(),
    };
    let hash = hash(digest, token.as_bytes()).map(|hash| hash.to_vec()).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(hash.get(..hash.len() / 2).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_may_have_a_fraction() {
        for (text, seconds) in [
            ("1796052939", Some(1_796_052_939)),
            ("1796052939.0", Some(1_796_052_939)),
            ("1796052939.5", Some(1_796_052_939)),
            ("1.796052939e9", Some(1_796_052_939)),
            ("-0.5", Some(-1)),
            ("1e300", None),
            ("\"1796052939\"", None),
            ("null", None),
        ] {
            let read = serde_json::from_str::<Seconds>(text).ok().map(|read| read.0);
            assert_eq!(read, seconds, "{text}");
        }
    }

    /// The example of OpenID Connect Core 1.0 appendix A.3 and A.4.
    #[test]
    fn the_hash_is_that_of_the_specification() {
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(half_hash(Algorithm::RS256, token), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
