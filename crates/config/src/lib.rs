//! Settings from the environment.
//!
//! A variable is declared once, as a [`Variable`]; what reads it, `env.example` and the warning
//! about unknown names all know it from there. A [`Reader`] collects every problem and reports them
//! together, so that nobody fixes one only to meet the next.

mod address;
mod backup;
mod cache;
mod certs;
mod database;
mod listener;
mod log;
mod look;
mod oidc;
mod operators;
mod reader;
mod secret;
mod service;
mod ssl;
mod tokens;
mod vault;

pub use address::Address;
pub use backup::{BackupProvider, BackupRetention, BackupSettings, Bucket};
pub use cache::{CacheSettings, RedisSettings};
pub use certs::{CertFiles, CertSettings};
pub use database::{DatabaseSettings, PoolerKind};
pub use listener::{CertifiedKey, ListenerTls};
pub use log::{LogFileSettings, LogSettings, TraceSettings};
pub use oidc::{OidcSettings, is_private_way};
pub use operators::OperatorSettings;
pub use reader::{Problem, Problems, Reader, Variable};
pub use secret::{Secret, SecretSource};
pub use service::ServiceSettings;
pub use ssl::{SslMode, UrlFiles};
pub use tokens::TokenSettings;
pub use vault::{VaultAuth, VaultCertificates, VaultSettings};

/// Every variable of every program, in the order of `env.example`.
pub fn all_variables() -> Vec<&'static Variable> {
    [
        database::VARIABLES,
        certs::VARIABLES,
        vault::VARIABLES,
        cache::VARIABLES,
        service::VARIABLES,
        listener::VARIABLES,
        operators::VARIABLES,
        log::VARIABLES,
        tokens::VARIABLES,
        oidc::VARIABLES,
        backup::VARIABLES,
        backup::OLD_VARIABLES,
    ]
    .into_iter()
    .flatten()
    .collect()
}
