//! Settings from the environment.
//!
//! A variable is declared once, as a [`Variable`]; what reads it, `env.example` and the warning
//! about unknown names all know it from there. A [`Reader`] collects every problem and reports them
//! together, so that nobody fixes one only to meet the next.

mod backup;
mod cache;
mod database;
mod oidc;
mod reader;
mod secret;
mod service;
mod tokens;

pub use backup::{BackupProvider, BackupRetention, BackupSettings, Bucket};
pub use cache::{CacheSettings, RedisSettings};
pub use database::DatabaseSettings;
pub use oidc::{OidcSettings, is_private_way};
pub use reader::{Problem, Problems, Reader, Variable};
pub use secret::Secret;
pub use service::{LogSettings, ServiceSettings};
pub use tokens::TokenSettings;

/// Every variable of every program, in the order of `env.example`.
pub fn all_variables() -> Vec<&'static Variable> {
    [
        database::VARIABLES,
        cache::VARIABLES,
        service::VARIABLES,
        tokens::VARIABLES,
        oidc::VARIABLES,
        backup::VARIABLES,
    ]
    .into_iter()
    .flatten()
    .collect()
}
