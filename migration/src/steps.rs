//! One migration after the other, forth and back.

use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};
use sea_orm_migration::MigratorTrait;
use tokio::time::{Instant, sleep};

use crate::{
    Database, Error, Migrator, Source, Standing, ledger, lock, names, partitions,
    run::{as_owner, locked},
    sources,
};

/// How often a migration is tried that did not get a lock: each time the traffic before it passes.
const TRIES: u32 = 20;
/// How long to let the traffic pass.
const PAUSE: Duration = Duration::from_millis(500);

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

/// Finds a migration by its name, or by a part that no other name has.
///
/// # Errors
/// [`Error::UnknownRevision`] when there is none, or more than one.
pub fn revision(wanted: &str) -> Result<String, Error> {
    let names = names();
    let mut found = names.iter().filter(|name| *name == wanted);
    let mut similar = names.iter().filter(|name| name.contains(wanted));
    match (found.next(), similar.next(), similar.next()) {
        (Some(name), ..) | (None, Some(name), None) => Ok(name.clone()),
        _ => Err(Error::UnknownRevision { wanted: wanted.to_owned() }),
    }
}

/// Returns what [`apply_to`] would apply, the oldest first. Changes nothing.
///
/// # Errors
/// As [`apply_to`].
pub async fn pending(database: &Database, to: Option<&str>) -> Result<Vec<Source>, Error> {
    let db = database.connect().await?;
    let pending = outstanding(&db, to).await;
    let _ = db.close().await;
    let pending = pending?;
    Ok(sources().filter(|source| pending.iter().any(|name| name == source.name)).collect())
}

async fn outstanding(db: &DatabaseConnection, to: Option<&str>) -> Result<Vec<String>, Error> {
    let applied = ledger::read(db).await?;
    let changed = ledger::changed(&applied);
    if !changed.is_empty() {
        return Err(Error::Changed { names: changed });
    }
    let applied: Vec<String> = applied.into_iter().map(|row| row.name).collect();
    let Standing::Behind { mut pending } = Standing::of(&applied) else {
        // What a newer release made is its own to look after.
        return Ok(Vec::new());
    };
    if let Some(to) = to {
        let last = revision(to)?;
        pending.retain(|name| *name <= last);
    }
    Ok(pending)
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
    locked(database, async |db| {
        let pending = outstanding(db, to).await?;
        if pending.is_empty() {
            return Ok(pending);
        }
        as_owner(db).await?;
        let of = pending.len();
        for (name, number) in pending.iter().zip(1..) {
            tell(Step::Begins { name, number, of });
            let began = Instant::now();
            one(db, Way::Forth, name, &mut tell).await?;
            let took = began.elapsed();
            ledger::note(db, name, took).await?;
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
pub(crate) async fn advance(db: &DatabaseConnection, steps: u32) -> Result<(), Error> {
    as_owner(db).await?;
    Migrator::up(db, Some(steps)).await.map_err(Error::Failed)
}

/// Takes the last `steps` migrations back, the newest first.
pub(crate) async fn retreat(db: &DatabaseConnection, steps: u32) -> Result<(), Error> {
    as_owner(db).await?;
    Migrator::down(db, Some(steps)).await.map_err(Error::Failed)
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
    locked(database, async |db| {
        let applied = ledger::read(db).await?;
        let mut names: Vec<String> = applied.into_iter().map(|row| row.name).collect();
        if let Standing::Ahead { unknown } = Standing::of(&names) {
            return Err(Error::Ahead { unknown });
        }
        names.reverse();
        match back {
            Back::Steps(steps) => names.truncate(*steps),
            Back::To(wanted) => {
                let last = revision(wanted)?;
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
            one(db, Way::Back, name, &mut tell).await?;
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
    way: Way,
    name: &str,
    tell: &mut (impl FnMut(Step<'_>) + Send),
) -> Result<(), Error> {
    for attempt in 1.. {
        if !lock::is_held(db).await? {
            return Err(Error::Interrupted { name: name.to_owned() });
        }
        let outcome = match way {
            Way::Forth => Migrator::up(db, Some(1)).await,
            Way::Back => Migrator::down(db, Some(1)).await,
        };
        match outcome {
            Err(error) if is_locked(&error) && attempt < TRIES => tell(Step::Waits(name)),
            outcome => return outcome.map_err(Error::Failed),
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

/// SQLSTATE 55P03, `lock_not_available`.
pub(crate) fn is_locked(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    error.as_database_error().is_some_and(|error| error.code().is_some_and(|code| code == "55P03"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_found_by_its_name_or_by_a_part_of_it() {
        let name = "m20261121_000018_lookups";
        for wanted in [name, "lookups", "000018"] {
            assert_eq!(revision(wanted).unwrap(), name, "{wanted}");
        }
        assert!(revision("m2026").is_err() && revision("no_such").is_err());
    }
}
