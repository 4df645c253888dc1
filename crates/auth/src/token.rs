//! Access tokens: JWTs (RFC 7519) signed with HMAC-SHA256.
//!
//! A token says who somebody is, never what they may do: roles are read from the database.

use std::time::Duration;

use brownie_domain::{OrganizationId, Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Who a token speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The organization.
    pub org_id: OrganizationId,
    /// The user.
    pub user_id: UserId,
}

/// A token for a client. It cannot be shown by accident.
pub struct AccessToken {
    text: String,
    /// How long it is good for.
    pub expires_in: Duration,
}

impl AccessToken {
    /// Returns the token, for its bearer.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[access token]")
    }
}

/// A token that was refused. One variant: what was wrong is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

/// What signs tokens.
pub struct TokenKey(Vec<u8>);

impl TokenKey {
    /// Takes a shared secret. Settings see to it that it is long enough.
    pub fn from_secret(secret: &str) -> Self {
        Self(secret.as_bytes().to_vec())
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[token key]")
    }
}

/// Signs and reads tokens.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    lifetime: Duration,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// Who issues the tokens, and for whom.
const ISSUER: &str = "brownie-metadata";
const AUDIENCE: &str = "brownie-api";

/// What a token carries.
#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: UserId,
    org_id: OrganizationId,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Tokens {
    /// Signs with `key` tokens that are good for `lifetime`.
    pub fn new(key: &TokenKey, lifetime: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        // Two machines' clocks may differ a little.
        validation.leeway = 5;
        Self {
            encoding: EncodingKey::from_secret(&key.0),
            decoding: DecodingKey::from_secret(&key.0),
            validation,
            lifetime,
        }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`Error::Failed`], which does not happen with a key of ours.
    pub fn issue(&self, claims: Claims, now: Timestamp) -> Result<AccessToken, Error> {
        let issued = now.timestamp();
        let lifetime = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        let payload = Payload {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: claims.user_id,
            org_id: claims.org_id,
            iat: issued,
            nbf: issued,
            exp: issued.saturating_add(lifetime),
        };
        let text = encode(&Header::new(Algorithm::HS256), &payload, &self.encoding)
            .map_err(|error| Error::Failed(Box::new(error)))?;
        Ok(AccessToken { text, expires_in: self.lifetime })
    }

    /// Reads a token.
    ///
    /// # Errors
    /// When it is not ours, was tampered with, is not for us, not yet or no longer valid.
    pub fn read(&self, token: &str) -> Result<Claims, InvalidToken> {
        let token =
            decode::<Payload>(token, &self.decoding, &self.validation).map_err(|_| InvalidToken)?;
        Ok(Claims { org_id: token.claims.org_id, user_id: token.claims.sub })
    }
}

#[cfg(test)]
mod tests {
    use brownie_domain::{Clock, SystemClock};
    use uuid::Uuid;

    use super::*;

    fn tokens(secret: &str) -> Tokens {
        Tokens::new(&TokenKey::from_secret(secret), Duration::from_mins(1))
    }

    fn claims() -> Claims {
        Claims {
            org_id: OrganizationId::from_uuid(Uuid::from_u128(1)),
            user_id: UserId::from_uuid(Uuid::from_u128(2)),
        }
    }

    #[test]
    fn a_token_reads_back() {
        let tokens = tokens("a secret of thirty-two characters");
        let token = tokens.issue(claims(), SystemClock.now()).unwrap();
        assert_eq!(tokens.read(token.expose()), Ok(claims()));
    }

    #[test]
    fn what_another_signed_is_refused() {
        let token = tokens("a secret").issue(claims(), SystemClock.now()).unwrap();
        assert_eq!(tokens("another").read(token.expose()), Err(InvalidToken));
    }

    #[test]
    fn what_is_over_or_not_begun_is_refused() {
        let tokens = tokens("a secret");
        for minutes in [-2, 2] {
            let then = SystemClock.now() + chrono::TimeDelta::minutes(minutes);
            let token = tokens.issue(claims(), then).unwrap();
            assert_eq!(tokens.read(token.expose()), Err(InvalidToken), "{minutes}");
        }
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        // {"alg":"none"} with the claims of a good token.
        let good = tokens("a secret").issue(claims(), SystemClock.now()).unwrap();
        let body = good.expose().split('.').nth(1).unwrap();
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.");
        assert_eq!(tokens("a secret").read(&unsigned), Err(InvalidToken));
    }
}
