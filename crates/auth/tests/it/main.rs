//! The crate as its users see it.

#![expect(clippy::unwrap_used, reason = "in a test it is how a promise is found broken")]

mod keys;
mod tokens;
