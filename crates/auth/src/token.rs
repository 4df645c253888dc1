//! Access tokens: JWTs (RFC 7519).
//!
//! A token says who somebody is, never what they may do: roles are read from the database.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use brownie_domain::{Clock, IdSource, OrganizationId, SessionId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, KeyRing};

/// Who a token speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// The organization.
    pub org_id: OrganizationId,
    /// The user.
    pub user_id: UserId,
    /// The log-in that the token comes from. When that has ended, so has the token.
    pub session_id: SessionId,
    /// The user's token generation when the token was made. A later one ends all tokens before.
    pub generation: i64,
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

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[access token]")
    }
}

/// A token that was refused. One variant: what was wrong is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct InvalidToken;

/// Signs and reads tokens. Clones share their keys.
#[derive(Debug, Clone)]
pub struct Tokens {
    keys: Arc<RwLock<Arc<KeyRing>>>,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// Who issues the tokens.
pub(crate) const ISSUER: &str = "brownie-metadata";
/// Whom access tokens are for, and what the header calls them.
const AUDIENCE: &str = "brownie-api";
const TYPE: &str = "JWT";

/// The clocks of two instances may differ as much as an issuer's and ours (seconds): who has just logged in on
/// one must not be told by another that it is too early.
pub(crate) const EARLY: i64 = 30;
/// And how long after its end a token is still taken.
const LATE: i64 = 5;

/// What a token carries. All of it must be there, of these types; what else there is, such as a claim
/// of a later release, is passed over.
#[derive(Serialize, Deserialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: UserId,
    org_id: OrganizationId,
    sid: SessionId,
    #[serde(rename = "gen")]
    generation: i64,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Tokens {
    /// Signs with `keys` tokens that are good for `lifetime`.
    pub fn new(
        keys: KeyRing,
        lifetime: Duration,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self { keys: Arc::new(RwLock::new(Arc::new(keys))), lifetime, clock, ids }
    }

    /// Exchanges the keys, of all clones at once. Tokens of keys that are no longer there end.
    pub fn replace_keys(&self, keys: KeyRing) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Returns the keys as they are now.
    pub fn keys(&self) -> Arc<KeyRing> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`Error::Failed`], which does not happen with keys of ours.
    pub fn issue(&self, claims: Claims) -> Result<AccessToken, Error> {
        let now = self.clock.now();
        let payload = Payload {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: claims.user_id,
            org_id: claims.org_id,
            sid: claims.session_id,
            generation: claims.generation,
            jti: self.ids.next(now),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: end(now, self.lifetime),
        };
        let text = self.keys().sign(TYPE, &payload)?;
        Ok(AccessToken { text, expires_in: self.lifetime })
    }

    /// Reads a token.
    ///
    /// # Errors
    /// When it is not ours, was tampered with, is not for us, not yet or no longer valid.
    pub fn read(&self, token: &str) -> Result<Claims, InvalidToken> {
        let payload: Payload = self.keys().open(TYPE, token)?;
        let is_ours = payload.iss == ISSUER && payload.aud == AUDIENCE;
        if !is_ours || !is_in_time(self.clock.now(), payload.nbf, payload.exp, EARLY, LATE) {
            return Err(InvalidToken);
        }
        Ok(Claims {
            org_id: payload.org_id,
            user_id: payload.sub,
            session_id: payload.sid,
            generation: payload.generation,
        })
    }

    /// Returns the clock that these tokens go by.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Returns the time by that clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Returns when what begins now and lasts for `lifetime` ends, in seconds since 1970.
pub(crate) fn end(now: Timestamp, lifetime: Duration) -> i64 {
    now.timestamp().saturating_add(i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX))
}

/// Tells whether it is time between `nbf` and `exp`, the latter excluded (RFC 7519 section 4.1.4),
/// or some seconds too early or too late.
pub(crate) fn is_in_time(now: Timestamp, nbf: i64, exp: i64, early: i64, late: i64) -> bool {
    let now = now.timestamp();
    nbf <= now.saturating_add(early) && now < exp.saturating_add(late)
}
