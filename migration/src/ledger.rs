//! The ledger: what was applied, when, in how long, and from what text.
//!
//! sea-orm's own table, with two columns of ours. A migration that was applied is frozen: what came
//! after it was tried on what its text made, so a text that changed since is refused by name.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{History, LEDGER, Source};

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The migration.
    pub name: String,
    /// When it was applied, in seconds since 1970-01-01 UTC.
    pub applied_at: i64,
    /// How long it took, in milliseconds. Unknown when the migrator died before it could say so.
    pub duration_ms: Option<i64>,
    /// The SHA-256 of its text, in hexadecimal.
    pub checksum: Option<String>,
}

/// Returns the checksum of a migration: of both its ways.
pub(crate) fn checksum(source: &Source) -> String {
    let mut hash = Sha256::new();
    for text in [source.up, source.down] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the ledger, the oldest first. A database without one was never migrated.
pub(crate) async fn read(db: &DatabaseConnection) -> Result<Vec<Applied>, DbErr> {
    let backend = db.get_database_backend();
    let exists = Statement::from_sql_and_values(
        backend,
        "SELECT to_regclass($1) IS NOT NULL AS answer",
        [LEDGER.into()],
    );
    let exists = match db.query_one_raw(exists).await? {
        Some(row) => row.try_get("", "answer")?,
        None => false,
    };
    if !exists {
        return Ok(Vec::new());
    }
    // By way of JSON, for ledgers that have not our columns yet.
    let rows = format!(
        "SELECT version, applied_at, (to_jsonb(ledger) ->> 'duration_ms')::bigint AS duration_ms,
            to_jsonb(ledger) ->> 'checksum' AS checksum FROM {LEDGER} AS ledger ORDER BY version"
    );
    let rows = db.query_all_raw(Statement::from_string(backend, rows)).await?;
    let applied = rows.iter().map(|row| {
        Ok(Applied {
            name: row.try_get("", "version")?,
            applied_at: row.try_get("", "applied_at")?,
            duration_ms: row.try_get("", "duration_ms")?,
            checksum: row.try_get("", "checksum")?,
        })
    });
    applied.collect()
}

/// Returns the names of what was applied.
pub(crate) async fn names(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    Ok(read(db).await?.into_iter().map(|row| row.name).collect())
}

/// Adds our columns to the ledger, if they are missing. Whoever owns it may.
pub(crate) async fn widen(db: &DatabaseConnection) -> Result<(), DbErr> {
    db.execute_unprepared(&format!(
        "DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{LEDGER}'::regclass
                AND attname = 'checksum' AND NOT attisdropped)
            THEN
                ALTER TABLE {LEDGER} ADD COLUMN checksum text, ADD COLUMN duration_ms bigint;
            END IF;
        END $$"
    ))
    .await
    .map(drop)
}

/// Notes of what was just applied, and of all that is not noted yet, from what text it was; of the
/// former how long it took.
pub(crate) async fn note(
    db: &DatabaseConnection,
    history: &History,
    applied: &str,
    took: Duration,
) -> Result<(), DbErr> {
    widen(db).await?;
    for source in history.sources() {
        let took =
            (source.name == applied).then(|| i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        let statement = Statement::from_sql_and_values(
            db.get_database_backend(),
            format!(
                "UPDATE {LEDGER} SET checksum = $2, duration_ms = coalesce($3, duration_ms)
                WHERE version = $1 AND checksum IS NULL"
            ),
            [source.name.into(), checksum(source).into(), took.into()],
        );
        if source.name <= applied {
            db.execute_raw(statement).await?;
        }
    }
    Ok(())
}
