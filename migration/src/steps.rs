//! One migration after the other, forth and back.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use sea_orm_migration::MigratorTraitSelf;
use tokio::time::{Instant, sleep};

use crate::{
    Catalog, Database, Error, History, Source, Standing, ledger, lock, partitions,
    run::{as_owner, locked, sqlstate},
};

/// How often a migration is tried that did not get a lock: each time the traffic before it passes.
const TRIES: u32 = 100;
/// How long to let the traffic pass.
const PAUSE: Duration = Duration::from_secs(2);

/// What a migrator is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// It begins with a migration, the `number`th `of` so many.
    Begins {
        /// Its name.
        name: &'a str,
        /// Counted from 1.
        number: usize,
        /// How many there are to do.
        of: usize,
    },
    /// It could not get a lock, and lets the traffic pass.
    Waits(&'a str),
    /// It is done with a migration.
    Done(&'a str, Duration),
}

/// Returns what [`apply_to`] would apply, the oldest first. Changes nothing.
///
/// # Errors
/// As [`apply_to`].
pub async fn pending(database: &Database, to: Option<&str>) -> Result<Vec<Source>, Error> {
    let db = database.connect().await?;
    let pending = outstanding(&db, &database.history, to).await;
    let _ = db.close().await;
    let pending = pending?;
    let is_pending = |source: &&Source| pending.iter().any(|name| name == source.name);
    Ok(database.history.sources().iter().filter(is_pending).copied().collect())
}

async fn outstanding(
    db: &DatabaseConnection,
    history: &History,
    to: Option<&str>,
) -> Result<Vec<String>, Error> {
    let applied = ledger::read(db).await?;
    let changed = history.changed(&applied);
    if !changed.is_empty() {
        return Err(Error::Changed { names: changed });
    }
    let applied: Vec<String> = applied.into_iter().map(|row| row.name).collect();
    let Standing::Behind { mut pending } = history.standing(&applied) else {
        // What a newer release made is its own to look after.
        return Ok(Vec::new());
    };
    let unknown = history.unknown(&applied);
    if !unknown.is_empty() {
        return Err(Error::Ahead { unknown });
    }
    if applied.is_empty() {
        let tables = occupants(db).await?;
        if !tables.is_empty() {
            return Err(Error::Occupied { tables });
        }
    }
    if let Some(to) = to {
        let last = history.revision(to)?;
        pending.retain(|name| *name <= last);
    }
    Ok(pending)
}

/// Returns the tables that are where ours are to be, and are not ours: those of our names, and the
/// ledger of the original's migration tool.
async fn occupants(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let expected = Catalog::expected();
    let names = expected.tables();
    let names = names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "SELECT relname::text AS name FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
             AND relname IN ('alembic_version', {names}) ORDER BY 1"
    );
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}

/// Applies what is pending, as far as `to` if that is said, and returns the names, the oldest first. Any
/// number of processes may do so at once: one does the work, the others wait for it and find nothing
/// left to do.
///
/// # Errors
/// As [`Error`] tells. Migrations run one to a transaction, so that a failed one leaves nothing.
pub async fn apply_to(
    database: &Database,
    to: Option<&str>,
    mut tell: impl FnMut(Step<'_>) + Send,
) -> Result<Vec<String>, Error> {
    let history = &database.history;
    locked(database, async |db| {
        let pending = outstanding(db, history, to).await?;
        if pending.is_empty() {
            return Ok(pending);
        }
        as_owner(db).await?;
        let of = pending.len();
        for (name, number) in pending.iter().zip(1..) {
            tell(Step::Begins { name, number, of });
            let began = Instant::now();
            one(db, history, Way::Forth, name, &mut tell).await?;
            let took = began.elapsed();
            ledger::note(db, history, name, took).await?;
            tell(Step::Done(name, took));
        }
        if to.is_none() {
            partitions::make_ahead(db).await?;
        }
        Ok(pending)
    })
    .await
}

/// Applies the next `steps` migrations.
pub(crate) async fn advance(
    db: &DatabaseConnection,
    history: &History,
    steps: u32,
) -> Result<(), Error> {
    as_owner(db).await?;
    history.up(db, Some(steps)).await.map_err(Error::of_migration)
}

/// Takes the last `steps` migrations back, the newest first.
pub(crate) async fn retreat(
    db: &DatabaseConnection,
    history: &History,
    steps: u32,
) -> Result<(), Error> {
    as_owner(db).await?;
    history.down(db, Some(steps)).await.map_err(Error::of_migration)
}

/// How far back to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Back {
    /// So many migrations.
    Steps(usize),
    /// Until this one is the newest.
    To(String),
    /// To an empty database.
    Base,
}

/// Takes migrations back, the newest first, and returns their names in that order.
///
/// # Errors
/// As [`Error`] tells; [`Error::Ahead`] when the newest are not ours to take back.
pub async fn revert(
    database: &Database,
    back: &Back,
    mut tell: impl FnMut(Step<'_>) + Send,
) -> Result<Vec<String>, Error> {
    let history = &database.history;
    locked(database, async |db| {
        let applied = ledger::read(db).await?;
        let mut names: Vec<String> = applied.into_iter().map(|row| row.name).collect();
        if let Standing::Ahead { unknown } = history.standing(&names) {
            return Err(Error::Ahead { unknown });
        }
        names.reverse();
        match back {
            Back::Steps(steps) => names.truncate(*steps),
            Back::To(wanted) => {
                let last = history.revision(wanted)?;
                names.retain(|name| *name > last);
            }
            Back::Base => {}
        }
        if names.is_empty() {
            return Ok(names);
        }
        as_owner(db).await?;
        let of = names.len();
        for (name, number) in names.iter().zip(1..) {
            tell(Step::Begins { name, number, of });
            let began = Instant::now();
            one(db, history, Way::Back, name, &mut tell).await?;
            tell(Step::Done(name, began.elapsed()));
        }
        Ok(names)
    })
    .await
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Forth,
    Back,
}

/// Does one migration, again and again while it does not get its lock in time: one that waited on
/// would stop the traffic behind it.
async fn one(
    db: &DatabaseConnection,
    history: &History,
    way: Way,
    name: &str,
    tell: &mut (impl FnMut(Step<'_>) + Send),
) -> Result<(), Error> {
    for attempt in 1.. {
        if !matches!(lock::is_held(db).await, Ok(true)) {
            return Err(Error::Interrupted { name: name.to_owned() });
        }
        let outcome = match way {
            Way::Forth => history.up(db, Some(1)).await,
            Way::Back => history.down(db, Some(1)).await,
        };
        match outcome {
            Err(error) if is_locked(&error) && attempt < TRIES => tell(Step::Waits(name)),
            outcome => return outcome.map_err(Error::of_migration),
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a lock that was not got in time is tried for again"
        )]
        sleep(PAUSE).await;
    }
    Ok(())
}

/// `lock_not_available` and `deadlock_detected` (PostgreSQL manual, appendix A): the traffic was in
/// the way, and will not be for ever.
pub(crate) fn is_locked(error: &DbErr) -> bool {
    sqlstate(error).is_some_and(|code| ["55P03", "40P01"].contains(&&*code))
}
