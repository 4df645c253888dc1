//! Applying the migrations, and telling where a database stands.

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, Statement};
use sea_orm_migration::MigratorTrait;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::{LEDGER, Migrator, Standing, lock, partitions};

/// How long a statement of a migration waits for a lock. Longer, and the traffic behind it stops.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '5s'";

/// What a migration makes belongs to the owner of the schema, whoever runs the migration. The first
/// run finds no such role yet; the migration that makes it ends with the same.
const ACT_AS_OWNER: &str = r#"DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('public.organizations')
        AND pg_get_userbyid(relowner) = 'brownie-migrator')
    THEN
        SET ROLE "brownie-migrator";
    END IF;
END $$"#;

/// Why a database could not be migrated or looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection within the time given.
    #[error("the database does not answer after {} s; is it there, and is the URL right?", waited.as_secs())]
    Unreachable {
        /// How long was waited.
        waited: Duration,
        /// What the last try said.
        #[source]
        source: DbErr,
    },
    /// The server answers, and does not let us in. Waiting would not help.
    #[error(
        "the database server refuses; are role, password, certificate and the database's name right?"
    )]
    Refused(#[source] DbErr),
    /// Another migrator held the lock for all the time given.
    #[error("another migrator is still at work after {} s; wait for it, or give a longer --wait", waited.as_secs())]
    Busy {
        /// How long was waited.
        waited: Duration,
    },
    /// A month could not be dropped.
    #[error(
        "somebody reads or writes the table all the time, so an old month of it was not dropped; try again later"
    )]
    InUse,
    /// A migration failed. It left nothing behind; the ones before it are applied.
    #[error("a migration failed and was rolled back; what came before it is applied")]
    Failed(#[source] DbErr),
    /// Something else went wrong on the way.
    #[error("the database refused a question about its migrations")]
    Database(#[from] DbErr),
}

/// Which database, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct Database {
    /// A PostgreSQL URL, read by sqlx.
    pub url: String,
    /// How long to wait for a connection, and then for other migrators.
    pub wait: Duration,
}

impl Database {
    /// Opens one connection. More would be wrong: the lock belongs to a session, and embedded
    /// PostgreSQL has only one.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Refused`].
    pub async fn connect(&self) -> Result<DatabaseConnection, Error> {
        let mut options = ConnectOptions::new(&self.url);
        options
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None::<Duration>)
            .max_lifetime(None::<Duration>)
            .test_before_acquire(false)
            .connect_timeout(Duration::from_secs(5))
            .acquire_timeout(self.wait.clamp(Duration::from_secs(1), Duration::from_secs(5)))
            .sqlx_logging(false);
        let started = Instant::now();
        loop {
            match sea_orm::Database::connect(options.clone()).await {
                Ok(db) => return Ok(db),
                Err(error) if is_refusal(&error) => return Err(Error::Refused(error)),
                Err(source) if started.elapsed() >= self.wait => {
                    return Err(Error::Unreachable { waited: self.wait, source });
                }
                Err(error) => {
                    tracing::info!(%error, "the database does not answer yet; waiting");
                    sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }
}

/// Tells whether the server knows us and says no: SQLSTATE class 28 (authorization), or a database
/// that does not exist.
fn is_refusal(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else { return false };
    let Some(reported) = error.as_database_error() else { return false };
    reported.code().is_some_and(|code| code.starts_with("28") || code == "3D000")
}

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The migration.
    pub name: String,
    /// When it was applied, in seconds since 1970-01-01 UTC.
    pub applied_at: i64,
}

/// Where a database stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was applied, the oldest first.
    pub applied: Vec<Applied>,
    /// What that means for this program.
    pub standing: Standing,
}

/// Applies what is pending and returns the names, the oldest first. Any number of processes may do
/// so at once: one does the work, the others wait for it and find nothing left to do.
///
/// # Errors
/// As [`Error`] tells. Migrations run one to a transaction, so that a failed one leaves nothing.
pub async fn apply(database: &Database) -> Result<Vec<String>, Error> {
    locked(database, async |db| {
        let pending = match Standing::of(&names_of(&ledger(db).await?)) {
            Standing::Behind { pending } => pending,
            Standing::Current => Vec::new(),
            // What a newer release made is its own to look after.
            Standing::Ahead { .. } => return Ok(Vec::new()),
        };
        as_owner(db).await?;
        Migrator::up(db, None).await.map_err(Error::Failed)?;
        partitions::make_ahead(db).await?;
        Ok(pending)
    })
    .await
}

/// Does work on a connection of its own, as the only migrator.
pub(crate) async fn locked<T>(
    database: &Database,
    work: impl AsyncFnOnce(&DatabaseConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    let db = database.connect().await?;
    if !lock::acquire(&db, Instant::now() + database.wait).await? {
        return Err(Error::Busy { waited: database.wait });
    }
    let outcome = work(&db).await;
    // A broken connection has lost its lock already.
    let _ = lock::release(&db).await;
    let _ = db.close().await;
    outcome
}

/// Becomes the owner of the schema and limits how long a statement waits for a lock.
pub(crate) async fn as_owner(db: &DatabaseConnection) -> Result<(), DbErr> {
    db.execute_unprepared(LOCK_TIMEOUT).await?;
    db.execute_unprepared(ACT_AS_OWNER).await.map(drop)
}

/// Tells where a database stands, without changing it.
///
/// # Errors
/// When it cannot be reached or asked.
pub async fn status(database: &Database) -> Result<Report, Error> {
    let db = database.connect().await?;
    let applied = ledger(&db).await?;
    let _ = db.close().await;
    Ok(Report { standing: Standing::of(&names_of(&applied)), applied })
}

fn names_of(applied: &[Applied]) -> Vec<String> {
    applied.iter().map(|row| row.name.clone()).collect()
}

/// Reads the ledger. A database without one was never migrated.
async fn ledger(db: &DatabaseConnection) -> Result<Vec<Applied>, DbErr> {
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
    let rows = Statement::from_string(
        backend,
        format!("SELECT version, applied_at FROM {LEDGER} ORDER BY version"),
    );
    db.query_all_raw(rows)
        .await?
        .iter()
        .map(|row| {
            Ok(Applied {
                name: row.try_get("", "version")?,
                applied_at: row.try_get("", "applied_at")?,
            })
        })
        .collect()
}
