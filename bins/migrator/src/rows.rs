//! The rows of a database, for the commands that read and write them as the service does.

use brownie_migration::Database;
use brownie_persistence::{PoolOptions, Result, Store, Tls};

/// Opens a store as the owner, so that row-level security holds whoever logs in.
pub(crate) fn open(database: &Database) -> Result<Store> {
    Store::new(&PoolOptions {
        max_connections: 1,
        role: Some("brownie-migrator".to_owned()),
        tls: database.tls().cloned().map(Tls::fixed),
        ..PoolOptions::new(database.url())
    })
}
