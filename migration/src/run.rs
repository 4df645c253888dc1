//! Applying the migrations, and telling where a database stands.

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr};
use tokio::time::{Instant, sleep};

use crate::{Applied, Standing, apply_to, ledger, lock};

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
    /// Migrations whose texts are not those that were applied.
    #[error(
        "the text of {} is not the one that was applied; a released migration is frozen: undo the change, and make it in a new migration",
        names.join(", ")
    )]
    Changed {
        /// Their names.
        names: Vec<String>,
    },
    /// No migration is called so, or several are.
    #[error(
        "no migration, or more than one, is called {wanted}; `brownie-migrator history` lists them"
    )]
    UnknownRevision {
        /// What was asked for.
        wanted: String,
    },
    /// The connection broke, and with it went the lock.
    #[error(
        "the connection to the database was lost before {name}; what came before it is applied; run it again"
    )]
    Interrupted {
        /// The migration that was next.
        name: String,
    },
    /// The newest migrations are of a newer release.
    #[error("the database has migrations that this program does not know ({}); take them back with the release that made them", unknown.join(", "))]
    Ahead {
        /// Their names.
        unknown: Vec<String>,
    },
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

/// Where a database stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was applied, the oldest first.
    pub applied: Vec<Applied>,
    /// What was applied from another text than this program has.
    pub changed: Vec<String>,
    /// What that means for this program.
    pub standing: Standing,
}

/// Applies what is pending and returns the names, the oldest first: [`apply_to`] with nothing to say.
///
/// # Errors
/// As [`apply_to`].
pub async fn apply(database: &Database) -> Result<Vec<String>, Error> {
    apply_to(database, None, |_| {}).await
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
    let applied = ledger::read(&db).await?;
    let _ = db.close().await;
    let names: Vec<String> = applied.iter().map(|row| row.name.clone()).collect();
    Ok(Report { standing: Standing::of(&names), changed: ledger::changed(&applied), applied })
}
