//! Partitions of the tables that grow with time: made ahead, dropped when they are old.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use tokio::time::sleep;

use crate::{
    Database, Error,
    run::{as_owner, locked},
    steps::is_locked,
};

/// How many months ahead there is a partition. Whoever runs the migrator once in that time never
/// needs the default partition.
const MONTHS_AHEAD: i32 = 3;

/// A table that is dropped by the month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeTable {
    /// Who did what.
    AuditLog,
    /// What others are told.
    Outbox,
    /// Measured values.
    Stats,
}

impl TimeTable {
    /// All of them; a test compares them with the schema.
    pub const ALL: &'static [Self] = &[Self::AuditLog, Self::Outbox, Self::Stats];

    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuditLog => "audit_log",
            Self::Outbox => "outbox",
            Self::Stats => "stats",
        }
    }
}

/// How a month ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is dropped, with all its rows.
    Drop,
    /// It becomes a table of its own, for whoever archives it and drops it then.
    Detach,
}

/// What was done, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Partitions that were made.
    pub made: Vec<String>,
    /// Partitions that were ended: dropped, or detached.
    pub ended: Vec<String>,
}

/// Makes the partitions of the months to come, and ends those that hold nothing younger than
/// `retention` says of their table. With `dry_run` it only says which it would end.
///
/// # Errors
/// As [`Error`] tells. What was done until then is done.
pub async fn maintain(
    database: &Database,
    retention: &[(TimeTable, Duration)],
    end: End,
    dry_run: bool,
) -> Result<Maintained, Error> {
    locked(database, async |db| {
        as_owner(db).await?;
        let mut maintained = Maintained::default();
        if !dry_run {
            maintained.made = make_ahead(db).await?;
        }
        db.execute_unprepared(DROP_PATIENCE).await?;
        for (table, older_than) in retention {
            for partition in expired(db, *table, *older_than).await? {
                // Of our own naming, and quoted all the same.
                let name = partition.replace('"', "\"\"");
                let sql = match end {
                    End::Drop => format!("DROP TABLE public.\"{name}\""),
                    // CONCURRENTLY is refused where there is a default partition.
                    End::Detach => format!(
                        "ALTER TABLE public.{} DETACH PARTITION public.\"{name}\"",
                        table.as_str()
                    ),
                };
                if !dry_run {
                    patiently(db, &sql).await?;
                }
                maintained.ended.push(partition);
            }
        }
        Ok(maintained)
    })
    .await
}

/// Either waits for everybody who reads or writes the table, and everybody after it waits behind
/// it: so it waits shortly, and often.
const DROP_PATIENCE: &str = "SET lock_timeout = '300ms'";
const DROP_TRIES: u32 = 20;

async fn patiently(db: &DatabaseConnection, sql: &str) -> Result<(), Error> {
    for _ in 0..DROP_TRIES {
        match db.execute_unprepared(sql).await {
            Ok(_) => return Ok(()),
            #[expect(
                clippy::disallowed_methods,
                reason = "a lock that was not got in time is tried for again"
            )]
            Err(error) if is_locked(&error) => sleep(Duration::from_millis(700)).await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::InUse)
}

/// Makes the partitions of this month and those to come, as far as they are missing.
pub(crate) async fn make_ahead(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    names(db, "SELECT make_partitions($1) AS name", [MONTHS_AHEAD.into()]).await
}

async fn expired(
    db: &DatabaseConnection,
    table: TimeTable,
    older_than: Duration,
) -> Result<Vec<String>, DbErr> {
    let sql =
        "SELECT expired_partitions($1::text::regclass, now() - make_interval(secs => $2)) AS name";
    names(db, sql, [table.as_str().into(), older_than.as_secs_f64().into()]).await
}

async fn names<const N: usize>(
    db: &DatabaseConnection,
    sql: &str,
    values: [sea_orm::Value; N],
) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    db.query_all_raw(statement).await?.iter().map(|row| row.try_get("", "name")).collect()
}
