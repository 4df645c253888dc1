//! The steps of an adoption, and how far it got.

use std::time::Duration;

use brownie_migration::Database;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, TransactionTrait,
};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::{
    Choices, Error, Report,
    columns::TYPES,
    copy,
    find::Finder,
    report,
    source::{is, recognise, statement},
    tables::TABLES,
    views,
};

/// Where the adoption is recorded.
pub(crate) const WORK: &str = "brownie_adoption";
/// Where the original's tables are kept, as they were.
pub(crate) const ORIGINAL: &str = "brownie_original";
/// Where the original's service finds its tables: views over ours.
pub(crate) const VIEWS: &str = "brownie_0_1";

/// Any number that nobody else uses: the bytes of "adopt".
const LOCK: i64 = 0x61_646f_7074;

/// Times without a zone are read as UTC, and nobody waits long behind us.
const SETTINGS: &str =
    "SET LOCAL TIME ZONE 'UTC'; SET LOCAL search_path = public; SET LOCAL lock_timeout = '5s'";

/// How long the lock of a run that ended may outlive it.
const ROLLBACK_LIMIT: Duration = Duration::from_secs(5);

/// What an adoption came to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Hazards were not told how to resolve. Nothing was changed.
    Refused(Report),
    /// The database is ours.
    Done {
        /// Whether it was before, so that nothing was done now.
        already: bool,
        /// What was compared.
        compared: Vec<Compared>,
    },
}

/// A table, there and here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Which table.
    pub table: String,
    /// How many rows the original has, and ours but for those that were made for orphans.
    pub rows: i64,
    /// The hash of what they hold, there and here: the sum of 60 bits of each row's MD5.
    pub hash: String,
}

/// Finds what stands in the way, and changes nothing.
///
/// # Errors
/// [`Error::NotTheOriginal`] when this is no database of Brownie 0.1, or it is adopted already.
pub async fn check(database: &Database, choices: &Choices) -> Result<Report, Error> {
    let db = database.connect().await?;
    let outcome = look(&db, choices).await;
    let _ = db.close().await;
    outcome
}

async fn look(db: &DatabaseConnection, choices: &Choices) -> Result<Report, Error> {
    let look = transaction(db).await?;
    let variant = recognise(&look).await?;
    Finder { db: &look, work: "pg_temp", choices }.find().await?;
    let report = report::read(&look, "pg_temp", "public", variant, choices).await?;
    look.rollback().await?;
    Ok(report)
}

/// Adopts a database, or goes on where an earlier run stopped. The way to resolve each hazard is
/// decided by the run that begins; later ones keep to it.
///
/// `batch` is how many rows a transaction copies.
///
/// # Errors
/// As [`Error`] tells. What was done until then is done, and the next run goes on from there.
pub async fn apply(database: &Database, choices: &Choices, batch: u32) -> Result<Outcome, Error> {
    let db = database.connect().await?;
    let outcome = locked(&db, database, choices, batch).await;
    let _ = db.close().await;
    outcome
}

async fn locked(
    db: &DatabaseConnection,
    database: &Database,
    choices: &Choices,
    batch: u32,
) -> Result<Outcome, Error> {
    if done(db, "views").await? {
        return Ok(Outcome::Done { already: true, compared: compared(db).await? });
    }
    if !done(db, "moved").await? {
        tracing::info!("looking for hazards");
        if let Some(report) = step(db, "moved", async |db| begin(db, choices).await).await? {
            return Ok(Outcome::Refused(report));
        }
    }
    if !done(db, "migrated").await? {
        tracing::info!("making our tables");
        brownie_migration::apply(database).await?;
        step(db, "migrated", async |_| Ok(())).await?;
    }
    for table in TABLES {
        copy::copy(db, table, batch).await?;
    }
    for table in TABLES {
        copy::compare(db, table).await?;
    }
    tracing::info!("making the views");
    step(db, "views", async |db| Ok(db.execute_unprepared(&views::sql()).await.map(drop)?)).await?;
    Ok(Outcome::Done { already: false, compared: compared(db).await? })
}

/// Begins a transaction, alone.
pub(crate) async fn transaction(db: &DatabaseConnection) -> Result<DatabaseTransaction, Error> {
    let transaction = db.begin().await?;
    transaction.execute_unprepared(SETTINGS).await?;
    // What a run that was killed had begun is still being rolled back.
    let deadline = Instant::now() + ROLLBACK_LIMIT;
    while !is(&transaction, &format!("pg_try_advisory_xact_lock({LOCK})")).await? {
        if Instant::now() >= deadline {
            return Err(Error::Busy);
        }
        #[expect(clippy::disallowed_methods, reason = "nobody says when a rollback is over")]
        sleep(Duration::from_millis(100)).await;
    }
    Ok(transaction)
}

/// Does a step and records it, in one transaction. One that refuses leaves nothing. One that met a deadlock, as
/// with another database of the server that is adopted at the same time (roles are of both), is done again.
async fn step<T: IsRefusal>(
    db: &DatabaseConnection,
    name: &'static str,
    work: impl AsyncFn(&DatabaseTransaction) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut tries = 1;
    let (transaction, value) = loop {
        let transaction = transaction(db).await?;
        match work(&transaction).await {
            Ok(value) => break (transaction, value),
            Err(Error::Database(source))
                if sqlstate(&source).as_deref() == Some(DEADLOCK) && tries < TRIES =>
            {
                tracing::warn!(
                    step = name,
                    "another transaction was in the way; the step is done again"
                );
                transaction.rollback().await?;
                tries += 1;
            }
            Err(Error::Database(source)) if sqlstate(&source).as_deref() == Some(LOCKED) => {
                return Err(Error::InUse(source));
            }
            Err(Error::Database(source)) => return Err(Error::Step { step: name, source }),
            Err(other) => return Err(other),
        }
    };
    if value.is_refusal() {
        transaction.rollback().await?;
        return Ok(value);
    }
    transaction
        .execute_unprepared(&format!("INSERT INTO {WORK}.steps (name) VALUES ('{name}')"))
        .await?;
    transaction.commit().await?;
    Ok(value)
}

/// Tells whether the outcome of a step means that it must not have happened.
trait IsRefusal {
    fn is_refusal(&self) -> bool;
}

impl IsRefusal for () {
    fn is_refusal(&self) -> bool {
        false
    }
}

impl IsRefusal for Option<Report> {
    fn is_refusal(&self) -> bool {
        self.is_some()
    }
}

/// SQLSTATE `lock_not_available`.
const LOCKED: &str = "55P03";
/// SQLSTATE `deadlock_detected`.
const DEADLOCK: &str = "40P01";
/// How often a step is tried that meets a deadlock each time.
const TRIES: u32 = 3;

/// Returns the SQLSTATE of what the database reported.
fn sqlstate(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return None;
    };
    error.as_database_error()?.code().map(Into::into)
}

pub(crate) async fn done(db: &impl ConnectionTrait, step: &str) -> Result<bool, DbErr> {
    if !is(db, &format!("to_regclass('{WORK}.steps') IS NOT NULL")).await? {
        return Ok(false);
    }
    is(db, &format!("EXISTS (SELECT FROM {WORK}.steps WHERE name = '{step}')")).await
}

/// Decides, and moves the original's tables out of the way. Returns what it refuses.
async fn begin(db: &DatabaseTransaction, choices: &Choices) -> Result<Option<Report>, Error> {
    let variant = recognise(db).await?;
    let tables =
        TABLES.iter().map(|table| format!("public.{}", table.name)).collect::<Vec<_>>().join(", ");
    // Nobody writes from here on, so that what is found is what is moved.
    db.execute_unprepared(&format!(
        "LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE;
         CREATE SCHEMA {WORK}; CREATE SCHEMA {ORIGINAL}; CREATE SCHEMA {VIEWS};
         CREATE TABLE {WORK}.steps (name text PRIMARY KEY, done_at timestamptz NOT NULL DEFAULT now());
         CREATE TABLE {WORK}.copied (tbl text PRIMARY KEY, last_id uuid, rows bigint NOT NULL);
         CREATE TABLE {WORK}.compared (tbl text PRIMARY KEY, rows bigint NOT NULL, hash text NOT NULL);
         CREATE TABLE {WORK}.resolved (hazard text PRIMARY KEY, way text NOT NULL)"
    ))
    .await?;
    Finder { db, work: WORK, choices }.find().await?;
    let report = report::read(db, WORK, "public", variant, choices).await?;
    if report.is_open() {
        return Ok(Some(report));
    }
    for finding in &report.findings {
        db.execute_unprepared(&format!(
            "INSERT INTO {WORK}.resolved VALUES ('{}', '{}') ON CONFLICT DO NOTHING",
            finding.hazard, finding.way
        ))
        .await?;
    }
    let mut moves = String::new();
    for table in TABLES {
        moves.push_str(&format!("ALTER TABLE public.{} SET SCHEMA {ORIGINAL};", table.name));
    }
    for of in TYPES {
        moves.push_str(&format!("ALTER TYPE public.{of} SET SCHEMA {VIEWS};"));
    }
    // The original's migration tool goes on finding its ledger.
    moves.push_str(&format!(
        "ALTER TABLE IF EXISTS public.alembic_version SET SCHEMA {VIEWS};
         DO $$ BEGIN
             IF to_regprocedure('public.update_updated_at_column()') IS NOT NULL THEN
                 ALTER FUNCTION public.update_updated_at_column() SET SCHEMA {ORIGINAL};
             END IF;
         END $$"
    ));
    db.execute_unprepared(&moves).await?;
    Ok(None)
}

async fn compared(db: &DatabaseConnection) -> Result<Vec<Compared>, DbErr> {
    let sql = format!("SELECT tbl, rows, hash FROM {WORK}.compared ORDER BY tbl");
    let rows = db.query_all_raw(statement(db, sql)).await?;
    rows.iter()
        .map(|row| {
            Ok(Compared {
                table: row.try_get("", "tbl")?,
                rows: row.try_get("", "rows")?,
                hash: row.try_get("", "hash")?,
            })
        })
        .collect()
}
