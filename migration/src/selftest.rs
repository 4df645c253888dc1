//! Whether every migration can be taken back: tried on a database that is made for it and dropped.

use sea_orm::{ConnectionTrait, DbErr};
use sea_orm_migration::MigratorTraitSelf;
use serde::Serialize;
use url::Url;

use crate::{
    Catalog, Database, Difference, Error, describe,
    drift::compare,
    ledger,
    run::locked,
    steps::{advance, retreat},
};

/// Why the migrations could not be tried to the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelftestError {
    /// The server cannot be reached.
    #[error("the server cannot be asked for a database to try the migrations on")]
    Server(#[from] Error),
    /// There is no database to try on.
    #[error(
        "no database could be made to try the migrations on; the role must be allowed to \
         (ALTER ROLE ... CREATEDB), and the URL must name a database that is there"
    )]
    Make(#[source] DbErr),
    /// The URL cannot be changed to name another database.
    #[error("DATABASE_URL is no URL of which the database's name can be replaced")]
    Url,
    /// A step failed where it should have worked.
    #[error("{step} failed")]
    Step {
        /// Which.
        step: String,
        /// What PostgreSQL said.
        #[source]
        source: Error,
    },
    /// Somebody asked to stop.
    #[error("stopped before the end")]
    Stopped,
    /// The database could not be dropped.
    #[error(
        "the database {name} was made for this and could not be dropped; run: DROP DATABASE {name} WITH (FORCE)"
    )]
    Left {
        /// Its name.
        name: String,
        /// What PostgreSQL said.
        #[source]
        source: Error,
    },
}

/// Something that a step did not leave as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// After which step.
    pub after: String,
    /// What is not as it should be.
    #[serde(flatten)]
    pub difference: Difference,
}

/// What was tried, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// How often what was there was compared with what should be.
    pub comparisons: usize,
    /// What was not as it should be; nothing, if all is well.
    pub findings: Vec<Finding>,
}

/// Tries the migrations on a new database called `name` on the server of `server`, whose role must be
/// allowed to make databases: all up, which must give what is expected; all down, which must leave
/// nothing but the ledger; all up again, which must give the same. Then one after the other: up, down,
/// which must leave what was there before, and up again, which must give the same as before.
///
/// The database is dropped at the end, also after a failure and when `stop` comes first. Roles are left
/// out: they belong to the whole server and other databases may need them, so migrating makes those
/// that lack and nothing removes them.
///
/// # Errors
/// When a migration fails in either direction, or the database can be neither made nor dropped.
pub async fn selftest(
    server: &Database,
    name: &str,
    stop: impl Future<Output = ()>,
) -> Result<Tested, SelftestError> {
    let throwaway = Database { url: renamed(&server.url, name)?, ..server.clone() };
    // Without what an operator put into template1.
    execute(server, &format!("CREATE DATABASE {} TEMPLATE template0", quoted(name)))
        .await?
        .map_err(SelftestError::Make)?;
    let outcome = tokio::select! {
        outcome = round_trips(&throwaway) => outcome,
        () = stop => Err(SelftestError::Stopped),
    };
    let dropping = format!("DROP DATABASE {} WITH (FORCE)", quoted(name));
    let dropped = match execute(server, &dropping).await {
        Ok(outcome) => outcome.map_err(Error::from),
        Err(error) => Err(error),
    };
    let left = |source| SelftestError::Left { name: name.to_owned(), source };
    match (outcome, dropped.map_err(left)) {
        (outcome, Ok(())) => outcome,
        (Ok(_), Err(left)) => Err(left),
        (Err(error), Err(left)) => {
            tracing::error!("{left}");
            Err(error)
        }
    }
}

/// Returns the URL of another database on the same server.
fn renamed(url: &str, name: &str) -> Result<String, SelftestError> {
    let mut url = Url::parse(url).map_err(|_| SelftestError::Url)?;
    if url.cannot_be_a_base() {
        return Err(SelftestError::Url);
    }
    url.set_path(name);
    Ok(url.into())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn execute(server: &Database, sql: &str) -> Result<Result<(), DbErr>, Error> {
    let db = server.connect().await?;
    let outcome = db.execute_unprepared(sql).await.map(drop);
    let _ = db.close().await;
    Ok(outcome)
}

async fn round_trips(database: &Database) -> Result<Tested, SelftestError> {
    let mut trial = Trial { database, tested: Tested::default() };
    let all = u32::try_from(database.history.sources().len()).unwrap_or(u32::MAX);

    trial.make_ledger().await?;
    let base = trial.catalog("making the ledger").await?;
    trial.up(all, "all migrations up").await?;
    let head = trial.expect(&Catalog::expected().of_database(), "all migrations up").await?;
    trial.down(all, "all migrations down").await?;
    trial.expect(&base, "all migrations down").await?;
    trial.up(all, "all migrations up again").await?;
    trial.expect(&head, "all migrations up again").await?;
    trial.down(all, "all migrations down again").await?;

    let mut before = trial.expect(&base, "all migrations down again").await?;
    for name in database.history.names() {
        trial.up(1, &format!("{name} up")).await?;
        let after = trial.catalog(&format!("{name} up")).await?;
        trial.down(1, &format!("{name} down")).await?;
        trial.expect(&before, &format!("{name} down")).await?;
        trial.up(1, &format!("{name} up again")).await?;
        before = trial.expect(&after, &format!("{name} up again")).await?;
    }
    Ok(trial.tested)
}

/// A database under trial. Each step has a connection of its own, as each run of the migrator has.
struct Trial<'a> {
    database: &'a Database,
    tested: Tested,
}

impl Trial<'_> {
    async fn make_ledger(&self) -> Result<(), SelftestError> {
        let made = locked(self.database, async |db| {
            self.database.history.install(db).await?;
            Ok(ledger::widen(db).await?)
        })
        .await;
        made.map_err(failed("making the ledger"))
    }

    async fn up(&self, steps: u32, step: &str) -> Result<(), SelftestError> {
        tracing::info!("{step}");
        let history = &self.database.history;
        locked(self.database, async |db| advance(db, history, steps).await)
            .await
            .map_err(failed(step))
    }

    async fn down(&self, steps: u32, step: &str) -> Result<(), SelftestError> {
        tracing::info!("{step}");
        let history = &self.database.history;
        locked(self.database, async |db| retreat(db, history, steps).await)
            .await
            .map_err(failed(step))
    }

    async fn catalog(&self, step: &str) -> Result<Catalog, SelftestError> {
        Ok(describe(self.database).await.map_err(failed(step))?.of_database())
    }

    /// Compares what is there with what should be, and returns what is there.
    async fn expect(&mut self, expected: &Catalog, after: &str) -> Result<Catalog, SelftestError> {
        let found = self.catalog(after).await?;
        let finding = |difference| Finding { after: after.to_owned(), difference };
        self.tested.comparisons += 1;
        self.tested.findings.extend(compare(expected, &found).into_iter().map(finding));
        Ok(found)
    }
}

fn failed(step: &str) -> impl FnOnce(Error) -> SelftestError {
    |source| SelftestError::Step { step: step.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_has_the_same_url_but_for_its_name() {
        for (url, expected) in [
            ("postgres://a:b@h:5432/x?sslmode=disable", "postgres://a:b@h:5432/n?sslmode=disable"),
            ("postgres://h", "postgres://h/n"),
            ("postgres:///x?host=/run/pg", "postgres:///n?host=/run/pg"),
        ] {
            assert_eq!(renamed(url, "n").unwrap(), expected);
        }
        assert!(renamed("no url", "n").is_err());
    }
}
