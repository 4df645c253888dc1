//! Who somebody is: passwords, access tokens, secrets of clients, and log-ins by OpenID Connect. No
//! SQL and no routes: `brownie-api` brings the requests and the rows. The one thing that is asked over
//! the network is the issuer of OpenID Connect.

mod device;
mod hashing;
mod jwks;
mod jws;
mod key_file;
mod keys;
mod oidc;
mod password;
mod random;
mod secret;
mod token;

pub use device::{Device, DeviceToken, PasswordMark};
pub use keys::{BadKey, BadKeys, KeyRing};
pub use oidc::{Begun, Identity, IssuerFault, Oidc, OidcError, OidcSetupError};
pub use password::{Password, PasswordHash, Passwords, Verified};
pub use secret::{ApiKey, ClientSecret, ForService, ForSession, Kind, RefreshToken, SecretHash};
pub use token::{AccessToken, Claims, InvalidToken, Tokens};

/// Why a credential could not be made or checked. Not: why it was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// All workers that hash are busy, and have been for too long.
    #[error("too many passwords are being checked; try again")]
    Busy,
    /// A stored hash cannot be read.
    #[error("a stored password hash cannot be read")]
    UnreadableHash,
    /// The library refused. A defect of ours.
    #[error("a credential could not be made")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
