//! One migrator at a time, by a session-level advisory lock (PostgreSQL manual, section 13.3.5).

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use tokio::time::{Instant, sleep};

/// Any number will do, as long as all migrators use the same: the first eight bytes of "brownie-".
const KEY: i64 = 0x6272_6f77_6e69_652d;

/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Tries until `deadline` to become the only migrator. Returns whether it did.
///
/// It polls because a session that *waits* for an advisory lock holds a snapshot, and CREATE INDEX
/// CONCURRENTLY in the lock's holder waits for that snapshot to end: a deadlock that leaves an
/// invalid index. The lock goes with the connection, so a migrator that dies leaves none behind.
pub(crate) async fn acquire(db: &DatabaseConnection, deadline: Instant) -> Result<bool, DbErr> {
    loop {
        if ask(db, "SELECT pg_try_advisory_lock($1) AS answer").await? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tracing::info!("another migrator is at work; waiting");
        #[expect(
            clippy::disallowed_methods,
            reason = "who waits for an advisory lock in one statement holds a snapshot"
        )]
        sleep(PAUSE).await;
    }
}

/// Tells whether this session still has the lock: an administrator can take it away.
pub(crate) async fn is_held(db: &DatabaseConnection) -> Result<bool, DbErr> {
    // How a bigint key is shown: PostgreSQL manual, section 54.12.
    let sql = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND pid = pg_backend_pid() AND objsubid = 1
        AND (classid::bigint << 32 | objid::bigint) = $1) AS answer";
    ask(db, sql).await
}

/// Gives the lock up. Closing the connection would, too.
pub(crate) async fn release(db: &DatabaseConnection) -> Result<(), DbErr> {
    ask(db, "SELECT pg_advisory_unlock($1) AS answer").await.map(drop)
}

async fn ask(db: &DatabaseConnection, sql: &str) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [KEY.into()]);
    match db.query_one_raw(statement).await? {
        Some(row) => row.try_get("", "answer"),
        None => Ok(false),
    }
}
