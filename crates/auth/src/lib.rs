//! Passwords and access tokens. No HTTP and no SQL: `brownie-api` brings the requests and the rows.

mod password;
mod token;

pub use password::{Password, PasswordHash, Passwords};
pub use token::{AccessToken, Claims, InvalidToken, TokenKey, Tokens};

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
