//! Log-ins by OpenID Connect: the authorization code flow with PKCE (OpenID Connect Core 1.0 section
//! 3.1, RFC 7636), and tokens of the issuer as bearer tokens.
//!
//! The issuer is the one that settings name. It is asked for its discovery document, for its keys, and
//! for tokens in exchange for a code, never at a URL that a token brings.

mod claims;
mod error;
mod exchange;
mod http;
mod identity;
mod keys;
mod login;
mod metadata;
mod provider;

use std::{fmt, sync::Arc};

use brownie_config::{OidcSettings, is_private_way};
use url::Url;

pub use error::{IssuerFault, OidcError, OidcSetupError};
pub use identity::Identity;
pub use login::Begun;

use crate::{Tokens, jws::Jws};
use claims::Unproven;
use provider::Provider;

/// The longest ID token that the issuer may answer with (bytes). It does not come in a header.
const MAX_ID_TOKEN: usize = 64 * 1024;

/// Log-ins by one issuer. Clones share what is known of it.
#[derive(Clone)]
pub struct Oidc {
    settings: Arc<OidcSettings>,
    provider: Arc<Provider>,
    tokens: Tokens,
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

impl Oidc {
    /// Sets up log-ins. The issuer is not asked yet, so that we start when it is away. `tokens` lends
    /// the keys that sign what a browser keeps during a log-in, and the clock.
    ///
    /// # Errors
    /// When a URL is not private, or the certificates cannot be used.
    pub fn new(settings: OidcSettings, tokens: &Tokens) -> Result<Self, OidcSetupError> {
        let private = |text: &str| match Url::parse(text) {
            Ok(url) if is_private_way(&url) => Ok(url),
            _ => Err(OidcSetupError::Url(text.to_owned())),
        };
        let issuer = private(&settings.issuer)?;
        private(&settings.redirect_uri)?;
        let http = http::Http::new(&issuer, settings.ca_file.as_deref())?;
        let provider = Provider::new(http, settings.issuer.clone(), tokens.clock());
        Ok(Self { settings: Arc::new(settings), provider, tokens: tokens.clone() })
    }

    /// Begins a log-in.
    ///
    /// # Errors
    /// [`OidcError::Issuer`] when the issuer has never been heard of and cannot be asked.
    pub async fn authorize(&self) -> Result<Begun, OidcError> {
        let known = self.provider.known().await?;
        let endpoint = &known.metadata.authorization_endpoint;
        Ok(login::begin(&self.settings, endpoint, &self.tokens)?)
    }

    /// Ends a log-in: `state` and `code` are what the issuer sent the browser back with, `cookie` is
    /// what the browser has kept.
    ///
    /// # Errors
    /// [`OidcError::BadState`] and [`OidcError::BadCode`] are the caller's fault,
    /// [`OidcError::Issuer`] is not.
    pub async fn finish(
        &self,
        cookie: &str,
        state: &str,
        code: &str,
    ) -> Result<Identity, OidcError> {
        let Self { settings, provider, tokens } = self;
        let login = login::recall(cookie, state, tokens).map_err(|_| OidcError::BadState)?;
        let known = provider.known().await?;
        let (http, metadata) = (&provider.http, &known.metadata);
        let exchanged = exchange::exchange(http, settings, metadata, code, &login.verifier).await?;
        let access_token = exchanged.access_token.as_deref();
        let claims = self
            .open(&exchanged.id_token, MAX_ID_TOKEN, |signed| {
                signed.check_login(settings, &login.nonce, access_token)
            })
            .await
            .map_err(|unproven| match unproven {
                Unproven::OtherLogin => OidcError::BadCode,
                Unproven::Issuer(fault) => fault.into(),
                Unproven::Bad(fault) => {
                    IssuerFault::Nonsense(format!("its ID token {fault}")).into()
                }
            })?;
        let (subject, mut profile) = (claims.sub, claims.profile);
        exchange::complete(http, settings, metadata, access_token, &subject, &mut profile).await?;
        Ok(Identity::of(&settings.issuer, subject, &profile))
    }

    /// Tells who sends a token of the issuer as a bearer token: an ID token for our client, or an
    /// access token (a JWT) for the audience that settings name.
    ///
    /// # Errors
    /// [`OidcError::BadToken`] is the caller's fault, [`OidcError::Issuer`] is not.
    pub async fn identify(&self, bearer: &str) -> Result<Identity, OidcError> {
        let settings = &self.settings;
        let claims = self
            .open(bearer, Jws::MAX_ISSUER_BYTES, |signed| signed.check_bearer(settings))
            .await
            .map_err(|unproven| match unproven {
                Unproven::Issuer(fault) => fault.into(),
                Unproven::Bad(_) | Unproven::OtherLogin => OidcError::BadToken,
            })?;
        Ok(Identity::of(&settings.issuer, claims.sub, &claims.profile))
    }

    async fn open(
        &self,
        token: &str,
        max: usize,
        check: impl FnOnce(&claims::Signed) -> Result<(), Unproven>,
    ) -> Result<claims::IssuerClaims, Unproven> {
        let now = self.tokens.now();
        let signed = claims::open(token, max, &self.settings.issuer, &self.provider, now).await?;
        check(&signed)?;
        Ok(signed.claims)
    }
}
