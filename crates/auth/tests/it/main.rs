//! The crate as its users see it.

#![expect(clippy::unwrap_used, reason = "in a test it is how a promise is found broken")]

mod keys;
mod oidc_bearer;
mod oidc_issuer;
mod oidc_log_in;
mod oidc_real;
mod tokens;
mod world;
