//! The HTTP API of the metadata database.
//!
//! [`routes`] has the whole URL map on one screen. A handler reads what came in ([`body`]), says in
//! its first parameter who may call it ([`access`]), asks the store, and answers ([`answer`]) or
//! returns a [`Problem`]. [`Service`] listens.

pub mod access;
mod answer;
mod backup_figures;
pub mod body;
mod bulkhead;
mod compose;
mod edges;
mod figures;
mod health;
mod limits;
mod meter;
mod ndjson;
mod observe;
mod openapi;
mod problem;
mod query;
mod repeat;
pub mod routes;
mod sending;
mod service;
mod v1;

use std::sync::Arc;

use brownie_auth::{Oidc, Passwords, Tokens};
use brownie_cache::Cache;
use brownie_domain::{Clock, IdSource};
use brownie_metrics::Exporter;
use brownie_persistence::Store;
use chrono::TimeDelta;

pub use bulkhead::Bulkheads;
pub use compose::{Settings, SetupError};
pub use edges::Origins;
pub use health::{Certificates, Engine};
pub use limits::Limits;
pub use openapi::document as openapi_document;
pub use problem::{Code, FieldError, Problem};
pub use service::{Holds, Listen, PeerOf, Service, Tls, stop_signal};

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The rows.
    pub store: Store,
    /// Signs and reads access tokens.
    pub tokens: Tokens,
    /// Knows people by the word of an issuer, if one is set.
    pub oidc: Option<Oidc>,
    /// How long a session may be continued.
    pub session_lifetime: TimeDelta,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// What instances share for a short time.
    pub cache: Cache,
    /// Whether anybody may found an organization.
    pub signup: bool,
    /// Whether `/metrics` of the API's listener is for everybody.
    pub public_metrics: bool,
    /// How much anybody may ask for.
    pub limits: Limits,
    /// How much of an instance one organization may have.
    pub bulkheads: Bulkheads,
    /// Prints the metrics.
    pub exporter: Exporter,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
    /// Which API key a client's certificate stands for, by its CN.
    pub certified: access::Certified,
    /// Who operates the installation.
    pub operators: access::Operators,
    /// Tells how the certificates are.
    pub certificates: Certificates,
    /// Whether the database of the same process runs, where there is one.
    pub engine: Engine,
    /// Judges whether the database's schema can be served.
    pub schema: SchemaRule,
}

/// The rule of which schema can be served, lent by the crate that makes the schema.
#[derive(Debug, Clone, Copy)]
pub struct SchemaRule {
    /// The table that records the applied migrations.
    pub ledger: &'static str,
    /// Judges by their names.
    pub judge: fn(&[String]) -> Schema,
}

/// What the rule says of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Whether requests can be served on it.
    pub servable: bool,
    /// Why, or why not.
    pub detail: String,
    /// How many migrations of this release the database lacks.
    pub pending: usize,
}
