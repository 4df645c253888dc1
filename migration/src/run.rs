//! Applying the migrations, and telling where a database stands.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, sqlx};
use tokio::time::{Instant, sleep};

use native_tls::TlsConnector;
use url::Url;

use crate::{Applied, History, Standing, TunnelError, apply_to, ledger, lock, tunnel::Tunnel};

/// How long a statement of a migration waits for a lock: for so long the traffic behind it stands,
/// which gives up after three seconds of its own (`DB_LOCK_TIMEOUT`). What it does then may take its
/// time, whatever limits the role or the database has.
const LIMITS: &str = "SET lock_timeout = '1s'; SET statement_timeout = 0; \
    SET idle_in_transaction_session_timeout = 0";

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
    /// It cannot be reached by TLS that is worth the name.
    #[error(
        "there is no trusted way to the database; see `brownie-migrator certs check --connect`"
    )]
    Tls(#[from] TunnelError),
    /// Another migrator held the lock for all the time given.
    #[error("another migrator is still at work after {} s; wait for it, or give a longer --wait", waited.as_secs())]
    Busy {
        /// How long was waited.
        waited: Duration,
    },
    /// A month could not be dropped or detached.
    #[error(
        "somebody reads or writes the table all the time, so an old month of it was neither dropped nor detached; try again later"
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
    /// There are tables, and no ledger that says we made them.
    #[error(
        "the database has tables that no migration of ours made ({}); one of Brownie 0.1 is taken over by `brownie-migrator adopt`, anything else needs a database of its own",
        tables.join(", ")
    )]
    Occupied {
        /// Their names.
        tables: Vec<String>,
    },
    /// A migration failed. The ones before it are applied.
    #[error(
        "a migration failed and left nothing that a next run minds; what came before it is applied; mend the cause and run it again"
    )]
    Failed(#[source] DbErr),
    /// The server has no room left. The migration left nothing.
    #[error(
        "the database server's disk is full; the migration was rolled back, what came before it is applied; make room there and run it again"
    )]
    DiskFull(#[source] DbErr),
    /// It is a standby, or was told to be read-only.
    #[error(
        "the database is read-only; if it is a standby, name the primary, otherwise see default_transaction_read_only"
    )]
    ReadOnly(#[source] DbErr),
    /// The role lacks a privilege.
    #[error("the role may not do this; `brownie-migrator test` says what it needs")]
    Forbidden(#[source] DbErr),
    /// Something else went wrong on the way.
    #[error("the database refused a question about its migrations")]
    Database(#[from] DbErr),
}

/// Which database, and how long to wait for it.
#[derive(Clone)]
pub struct Database {
    pub(crate) url: String,
    pub(crate) wait: Duration,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) history: History,
}

/// The URL may hold a password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("wait", &self.wait).finish_non_exhaustive()
    }
}

impl Database {
    /// A database by its PostgreSQL URL, which sqlx reads; and how long to wait for a connection, and
    /// then for other migrators.
    pub fn new(url: impl Into<String>, wait: Duration) -> Self {
        Self { url: url.into(), wait, tls: None, history: History::shipped() }
    }

    /// The same, to be brought to other migrations than those of this release.
    #[must_use]
    pub fn with_history(self, history: History) -> Self {
        Self { history, ..self }
    }

    /// The same, through this connector, which decides how far the server is verified; unless the URL
    /// says `sslmode=disable`. Without one sqlx's own TLS is used.
    #[must_use]
    pub fn with_tls(self, tls: TlsConnector) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Returns the connector, if there is one.
    pub fn tls(&self) -> Option<&TlsConnector> {
        self.tls.as_ref()
    }

    /// Returns the URL. It may hold a password.
    pub fn url(&self) -> &str {
        &self.url
    }

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
            // An embedded engine on a busy machine takes its time, and each try begins anew.
            .acquire_timeout(self.wait.clamp(Duration::from_secs(1), Duration::from_secs(15)))
            .sqlx_logging(false);
        // A pool replaces a connection that breaks, and the new one has neither the lock nor the role
        // nor the limits. This one is the only one there will be.
        let opened = Arc::new(AtomicBool::new(false));
        options.map_sqlx_postgres_pool_opts(move |pool| {
            let opened = Arc::clone(&opened);
            pool.after_connect(move |_, _| {
                let is_second = opened.swap(true, Ordering::Relaxed);
                Box::pin(
                    async move { if is_second { Err(sqlx::Error::PoolClosed) } else { Ok(()) } },
                )
            })
        });
        let started = Instant::now();
        loop {
            let source = match self.try_once(options.clone()).await {
                Ok(db) => return Ok(db),
                Err(Error::Database(error)) if is_refusal(&error) => {
                    return Err(Error::Refused(error));
                }
                Err(Error::Database(error)) => error,
                Err(Error::Tls(error @ TunnelError::Away { .. })) => {
                    DbErr::Custom(brownie_logging::chain(&error))
                }
                Err(error) => return Err(error),
            };
            if started.elapsed() >= self.wait {
                return Err(Error::Unreachable { waited: self.wait, source });
            }
            tracing::info!(error = %source, "the database does not answer yet; waiting");
            #[expect(
                clippy::disallowed_methods,
                reason = "a database that is away says nothing when it comes back"
            )]
            sleep(Duration::from_millis(500)).await;
        }
    }

    async fn try_once(&self, mut options: ConnectOptions) -> Result<DatabaseConnection, Error> {
        let Some((host, port, tls)) = self.far_end() else {
            return Ok(sea_orm::Database::connect(options).await?);
        };
        let tunnel = Tunnel::open(&host, port, tls).await?;
        let socket = tunnel.directory().to_owned();
        options.map_sqlx_postgres_opts(move |options| {
            options.socket(&socket).ssl_mode(sqlx::postgres::PgSslMode::Disable)
        });
        Ok(sea_orm::Database::connect(options).await?)
    }

    /// Returns where the server is, if the way there is by TLS of ours. A URL that cannot be read is
    /// left to sqlx, whose message is about that.
    fn far_end(&self) -> Option<(String, u16, TlsConnector)> {
        let tls = self.tls.clone()?;
        let url = Url::parse(&self.url).ok()?;
        let is_plain = url.query_pairs().any(|(name, value)| {
            (name == "sslmode" && value == "disable") || (name == "host" && value.starts_with('/'))
        });
        if is_plain {
            return None;
        }
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some((host, url.port().unwrap_or(5432), tls))
    }
}

impl Error {
    /// Names what a migration failed of (PostgreSQL manual, appendix A).
    pub(crate) fn of_migration(error: DbErr) -> Self {
        match sqlstate(&error).as_deref() {
            Some("53100") => Self::DiskFull(error),
            Some("25006") => Self::ReadOnly(error),
            Some("42501") => Self::Forbidden(error),
            _ => Self::Failed(error),
        }
    }
}

/// Returns what kind of error the server reported, if it did.
pub(crate) fn sqlstate(error: &DbErr) -> Option<Cow<'_, str>> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error()?.code()
}

/// Tells whether the server knows us and says no: SQLSTATE class 28 (authorization), or a database
/// that does not exist.
fn is_refusal(error: &DbErr) -> bool {
    sqlstate(error).is_some_and(|code| code.starts_with("28") || code == "3D000")
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
    db.execute_unprepared(LIMITS).await?;
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
    let history = &database.history;
    Ok(Report { standing: history.standing(&names), changed: history.changed(&applied), applied })
}
