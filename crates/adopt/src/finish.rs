//! The end of the change-over: what the adoption kept for the original's service goes.

use brownie_migration::Database;
use sea_orm::{ConnectionTrait, DatabaseConnection};

use crate::{
    Error,
    run::{ORIGINAL, VIEWS, WORK, done, transaction},
    tables::TABLES,
};

/// Removes the views, the original's tables with all their rows, and the adoption's record. Returns
/// false when there was nothing to remove. What is ours stays as it is.
///
/// # Errors
/// [`Error::Unfinished`] while the adoption has not ended; otherwise as [`Error`] tells. What failed
/// left everything as it was.
pub async fn finish(database: &Database) -> Result<bool, Error> {
    let db = database.connect().await?;
    let outcome = remove(&db).await;
    let _ = db.close().await;
    outcome
}

async fn remove(db: &DatabaseConnection) -> Result<bool, Error> {
    let transaction = transaction(db).await?;
    if !done(&transaction, "moved").await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    if !done(&transaction, "views").await? {
        return Err(Error::Unfinished);
    }
    let mut sql = format!("DROP SCHEMA {VIEWS}, {ORIGINAL}, {WORK} CASCADE;");
    for table in TABLES {
        let name = table.name;
        sql.push_str(&format!(
            "DROP POLICY {name}_adopted ON {name}; DROP INDEX {name}_adopted_id_idx;"
        ));
    }
    sql.push_str("DROP OWNED BY \"brownie-adopted\"");
    transaction.execute_unprepared(&sql).await?;
    transaction.commit().await?;
    // It stays while another database of this server has things of its own for it.
    if let Err(error) = db.execute_unprepared("DROP ROLE \"brownie-adopted\"").await {
        tracing::info!(%error, "the role brownie-adopted stays");
    }
    Ok(true)
}
