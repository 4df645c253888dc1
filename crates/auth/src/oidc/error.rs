//! Whose fault it is when a log-in by an issuer fails.

use std::sync::Arc;

use crate::Error;

/// Why nobody was identified. No message holds a token, a code or a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// The caller's: the log-in was not begun in this browser, or too long ago.
    #[error("the log-in was not begun in this browser, or too long ago; begin again")]
    BadState,
    /// The caller's: the issuer does not know the code, or gave it for another log-in.
    #[error("the issuer did not give this code for this log-in; begin again")]
    BadCode,
    /// The caller's: the bearer token is not the issuer's, not for us, or no longer valid.
    #[error("the token is not valid")]
    BadToken,
    /// The issuer's. Whoever tries again later may have more luck.
    #[error(transparent)]
    Issuer(#[from] IssuerFault),
    /// Ours: no random numbers, or no key to sign with.
    #[error(transparent)]
    Failed(Arc<Error>),
}

impl OidcError {
    /// Tells whether the caller sent what cannot be taken. Otherwise it is not their fault.
    pub fn is_callers(&self) -> bool {
        matches!(self, Self::BadState | Self::BadCode | Self::BadToken)
    }
}

impl From<Error> for OidcError {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

/// What is wrong with the issuer, in words for an operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerFault {
    /// It does not answer, or not in time, or that it cannot now.
    #[error("the issuer is away: {0}")]
    Away(String),
    /// What it answers cannot be used.
    #[error("the issuer answers what cannot be used: {0}")]
    Nonsense(String),
    /// It does not know us as we are set up; the RFC 6749 section 5.2 code says why.
    #[error(
        "the issuer refuses us ({0}); compare METADATA_OIDC_CLIENT_ID, METADATA_OIDC_CLIENT_SECRET and METADATA_OIDC_REDIRECT_URI with what it has"
    )]
    Refusal(&'static str),
}

/// Why log-ins by an issuer cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcSetupError {
    /// The issuer or the redirect URI is no URL that a secret may be sent to.
    #[error("{0:?} must be an https:// URL (http:// on this machine only)")]
    Url(String),
    /// The certificates cannot be used.
    #[error("METADATA_OIDC_CA_FILE {path} {fault}")]
    CaFile {
        /// Its path.
        path: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
}
