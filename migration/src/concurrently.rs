//! Migrations that run outside of a transaction, because traffic must go on while they do.
//!
//! PostgreSQL leaves an invalid index behind where `CREATE INDEX CONCURRENTLY` was stopped (manual,
//! "Building Indexes Concurrently"), and the ledger is written after the index, not with it. So a
//! run looks first for what the run before it left.

use sea_orm::{ConnectionTrait, DbErr, Statement};

/// Runs the one statement of such a migration.
///
/// Without a limit on waiting for locks: it waits for every transaction that was there before it, and
/// nobody waits behind it.
pub(crate) async fn run(db: &impl ConnectionTrait, sql: &str) -> Result<(), DbErr> {
    if let Some(index) = index_built_by(sql) {
        match is_valid(db, index).await? {
            // It was finished, and its migrator ended before it could say so.
            Some(true) => return Ok(()),
            Some(false) => {
                tracing::warn!(index, "an index that was left half-built is dropped first");
                let drop = format!("DROP INDEX CONCURRENTLY {index}");
                unhurried(db, &drop).await?;
            }
            None => {}
        }
    }
    unhurried(db, sql).await
}

async fn unhurried(db: &impl ConnectionTrait, sql: &str) -> Result<(), DbErr> {
    let limit = Statement::from_string(
        db.get_database_backend(),
        "SELECT current_setting('lock_timeout') AS answer",
    );
    let limit: Option<String> =
        db.query_one_raw(limit).await?.map(|row| row.try_get("", "answer")).transpose()?;
    db.execute_unprepared("SET lock_timeout = 0").await?;
    let outcome = db.execute_unprepared(sql).await;
    db.execute_unprepared(&format!("SET lock_timeout = '{}'", limit.unwrap_or_default())).await?;
    outcome.map(drop)
}

/// Tells whether an index of this name can be used; nothing, if there is none.
async fn is_valid(db: &impl ConnectionTrait, index: &str) -> Result<Option<bool>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT indisvalid AS answer FROM pg_index WHERE indexrelid = to_regclass($1)",
        [index.into()],
    );
    db.query_one_raw(statement).await?.map(|row| row.try_get("", "answer")).transpose()
}

/// Returns the name of the index that a statement builds, as it is written there.
fn index_built_by(sql: &str) -> Option<&str> {
    let code = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let mut words = code.flat_map(str::split_whitespace).peekable();
    let mut next_is = |word: &str| words.next_if(|it| it.eq_ignore_ascii_case(word)).is_some();
    if !next_is("CREATE") {
        return None;
    }
    next_is("UNIQUE");
    if !(next_is("INDEX") && next_is("CONCURRENTLY")) {
        return None;
    }
    if next_is("IF") && !(next_is("NOT") && next_is("EXISTS")) {
        return None;
    }
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_that_is_built_is_known_by_name() {
        let of = index_built_by;
        assert_eq!(
            of("-- no-transaction\n-- why\nCREATE INDEX CONCURRENTLY a\n  ON b (c)"),
            Some("a")
        );
        assert_eq!(of("create unique index concurrently \"A\" on b (c)"), Some("\"A\""));
        assert_eq!(of("CREATE INDEX CONCURRENTLY IF NOT EXISTS s.a ON b (c)"), Some("s.a"));
        assert_eq!(of("CREATE INDEX a ON b (c)"), None);
        assert_eq!(of("DROP INDEX CONCURRENTLY IF EXISTS a"), None);
        assert_eq!(of("ALTER TYPE x ADD VALUE 'y'"), None);
    }
}
