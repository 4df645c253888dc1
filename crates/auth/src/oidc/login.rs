//! Sending somebody to the issuer, and what is remembered until they come back.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use brownie_config::OidcSettings;
use openssl::{memcmp, sha::sha256};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Error, InvalidToken, Tokens, random,
    token::{EARLY, ISSUER, end, is_in_time},
};

/// A log-in that was begun. Send the browser to `url`, and have it keep `cookie`.
///
/// The cookie is signed, not encrypted. It holds the state, the nonce and the PKCE verifier of this
/// one log-in. They are no secrets before the browser that has it, for that is whose log-in it is; and
/// the verifier is of use only together with a code, which the issuer gives to the same browser. The
/// signature sees to it that nobody chooses these values for somebody else, nor uses them after ten
/// minutes; its audience and type are not those of an access token, so that neither is taken for the
/// other. What else it needs is the cookie's own: `HttpOnly; Secure; SameSite=Lax; Path=/` and a name
/// that begins with `__Host-`, so that no neighbouring host can plant one (RFC 6265bis section 4.1.3).
/// `Lax`, because the issuer sends the browser back by a link. Delete it when the browser is back.
pub struct Begun {
    /// Where the issuer asks who somebody is.
    pub url: String,
    cookie: String,
    /// How long the log-in may take, and the cookie be kept.
    pub expires_in: Duration,
}

impl Begun {
    /// Returns what the browser is to keep.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[log-in begun]")
    }
}

/// How long somebody may take to log in.
const LIFETIME: Duration = Duration::from_mins(10);

/// Whom the cookie is for, and what its header calls it. Access tokens have others.
const AUDIENCE: &str = "brownie-login";
const TYPE: &str = "brownie-login+jwt";

/// What is remembered. 256 random bits each.
#[derive(Serialize, Deserialize)]
pub(super) struct Remembered {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    state: String,
    pub(super) nonce: String,
    /// The PKCE verifier (RFC 7636 section 4.1).
    pub(super) verifier: String,
}

/// Begins a log-in at an issuer's authorization endpoint.
pub(super) fn begin(
    settings: &OidcSettings,
    endpoint: &Url,
    tokens: &Tokens,
) -> Result<Begun, Error> {
    let now = tokens.now();
    let remembered = Remembered {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        iat: now.timestamp(),
        exp: end(now, LIFETIME),
        state: random::text()?,
        nonce: random::text()?,
        verifier: random::text()?,
    };
    let mut url = endpoint.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", &settings.redirect_uri)
        .append_pair("scope", &settings.scopes)
        .append_pair("state", &remembered.state)
        .append_pair("nonce", &remembered.nonce)
        .append_pair("code_challenge", &challenge(&remembered.verifier))
        .append_pair("code_challenge_method", "S256");
    let cookie = tokens.keys().sign(TYPE, &remembered)?;
    Ok(Begun { url: url.into(), cookie, expires_in: LIFETIME })
}

/// Reads what is remembered of the log-in that `state` belongs to.
pub(super) fn recall(
    cookie: &str,
    state: &str,
    tokens: &Tokens,
) -> Result<Remembered, InvalidToken> {
    let remembered: Remembered = tokens.keys().open(TYPE, cookie)?;
    let is_ours = remembered.iss == ISSUER && remembered.aud == AUDIENCE;
    let is_in_time = is_in_time(tokens.now(), remembered.iat, remembered.exp, EARLY, 0);
    let (ours, theirs) = (remembered.state.as_bytes(), state.as_bytes());
    let is_same = ours.len() == theirs.len() && memcmp::eq(ours, theirs);
    (is_ours && is_in_time && is_same).then_some(remembered).ok_or(InvalidToken)
}

/// RFC 7636 section 4.2.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
