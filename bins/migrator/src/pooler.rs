//! Whether a pooler in transaction mode is in between: the lock that keeps migrators apart belongs to a session, and
//! would be shared with whoever has the session next.

use anyhow::bail;
use brownie_domain::RequestId;
use brownie_migration::Database;
use brownie_persistence::{Error, PoolOptions, Result, Store, SystemContext, Tls};

/// Finds out, by a connection of its own.
///
/// # Errors
/// When the database cannot be asked.
pub(crate) async fn is_between(url: &str, tls: Option<Tls>) -> Result<bool> {
    let store = Store::new(&PoolOptions { tls, max_connections: 1, ..PoolOptions::new(url) })?;
    let nobody = SystemContext::for_visitor(RequestId::from_uuid(uuid::Uuid::nil()));
    let footing = store.system(&nobody).footing().await;
    store.close().await;
    match footing {
        Ok(footing) => Ok(footing.pooled),
        // One that is not even good for a service.
        Err(Error::Settings(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Refuses to change anything through one.
pub(crate) async fn refuse(database: &Database) -> anyhow::Result<()> {
    let tls = || database.tls().cloned().map(Tls::fixed);
    let between = match is_between(database.url(), tls()).await {
        Ok(between) => Ok(between),
        Err(_) => {
            // A database that is not there yet is waited for.
            drop(database.connect().await?.close().await);
            is_between(database.url(), tls()).await
        }
    };
    // What else may be wrong, the command itself will say.
    if let Ok(true) = between {
        bail!(
            "there is a pooler in transaction mode in between (such as PgBouncer), which would share the lock that keeps migrators apart: name the server itself in DATABASE_URL or DB_HOST"
        );
    }
    Ok(())
}
