//! The migrations that a program knows.

use sea_orm_migration::{MigratorTraitSelf, prelude::*};

use crate::{Standing, concurrently, ledger};

/// What the first line of an `.up.sql` says that must not run in a transaction, because it does
/// something CONCURRENTLY. Such a file has one statement: several in one message are a transaction.
const NO_TRANSACTION: &str = "-- no-transaction";

/// A migration: two texts of SQL. Each runs in one transaction, unless it says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Its name, as in the ledger.
    pub name: &'static str,
    /// What it does.
    pub up: &'static str,
    /// What takes it back.
    pub down: &'static str,
}

impl Source {
    fn is_transactional(&self) -> bool {
        self.up.lines().next() != Some(NO_TRANSACTION)
    }
}

impl MigrationName for Source {
    fn name(&self) -> &str {
        self.name
    }
}

#[expect(elided_lifetimes_in_paths, reason = "the trait leaves them out, and async_trait minds")]
#[async_trait::async_trait]
impl MigrationTrait for Source {
    fn use_transaction(&self) -> Option<bool> {
        Some(self.is_transactional())
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if self.is_transactional() {
            db.execute_unprepared(self.up).await.map(drop)
        } else {
            concurrently::run(db, self.up).await
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if self.is_transactional() {
            db.execute_unprepared(self.down).await.map(drop)
        } else {
            concurrently::run(db, self.down).await
        }
    }
}

/// The migrations that a program knows, the oldest first.
#[derive(Debug, Clone)]
pub struct History(Vec<Source>);

impl History {
    /// Those of this release.
    pub fn shipped() -> Self {
        Self(crate::shipped())
    }

    /// These, and a newer one: what the next release will be, or an extension of somebody's own.
    #[must_use]
    pub fn and(mut self, newer: Source) -> Self {
        self.0.push(newer);
        self
    }

    /// Returns them, the oldest first.
    pub fn sources(&self) -> &[Source] {
        &self.0
    }

    /// Returns their names, the oldest first.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|source| source.name.to_owned()).collect()
    }

    /// Finds a migration by its name, or by a part that no other name has.
    ///
    /// # Errors
    /// [`crate::Error::UnknownRevision`] when there is none, or more than one.
    pub fn revision(&self, wanted: &str) -> Result<String, crate::Error> {
        let mut found = self.0.iter().filter(|source| source.name == wanted);
        let mut similar = self.0.iter().filter(|source| source.name.contains(wanted));
        match (found.next(), similar.next(), similar.next()) {
            (Some(source), ..) | (None, Some(source), None) => Ok(source.name.to_owned()),
            _ => Err(crate::Error::UnknownRevision { wanted: wanted.to_owned() }),
        }
    }

    /// Judges a database by the names in its ledger, in any order.
    pub fn standing(&self, applied: &[String]) -> Standing {
        let lacks = |source: &&Source| !applied.iter().any(|name| name == source.name);
        let pending: Vec<String> =
            self.0.iter().filter(lacks).map(|source| source.name.to_owned()).collect();
        if !pending.is_empty() {
            return Standing::Behind { pending };
        }
        match self.unknown(applied) {
            unknown if unknown.is_empty() => Standing::Current,
            unknown => Standing::Ahead { unknown },
        }
    }

    /// Returns those of what was applied that are not in this list, in order.
    pub(crate) fn unknown(&self, applied: &[String]) -> Vec<String> {
        let is_known = |name: &&String| self.0.iter().any(|source| source.name == **name);
        let mut unknown: Vec<String> =
            applied.iter().filter(|name| !is_known(name)).cloned().collect();
        unknown.sort();
        unknown
    }

    /// Returns the names of what was applied from another text than ours.
    pub(crate) fn changed(&self, applied: &[ledger::Applied]) -> Vec<String> {
        let is_changed = |row: &&ledger::Applied| {
            let ours = self.0.iter().find(|source| source.name == row.name);
            match (ours, &row.checksum) {
                (Some(ours), Some(theirs)) => ledger::checksum(ours) != *theirs,
                _ => false,
            }
        };
        applied.iter().filter(is_changed).map(|row| row.name.clone()).collect()
    }
}

impl MigratorTraitSelf for History {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        self.0.iter().map(|source| Box::new(*source) as _).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_runs_in_a_transaction_unless_its_first_line_says_otherwise() {
        let of = |up| Source { name: "m", up, down: "" }.use_transaction();
        assert_eq!(of("-- no-transaction\nCREATE INDEX CONCURRENTLY i ON t (a);"), Some(false));
        assert_eq!(of("CREATE INDEX i ON t (a);\n-- no-transaction\n"), Some(true));
    }

    #[test]
    fn a_revision_is_found_by_its_name_or_by_a_part_of_it() {
        let history = History::shipped();
        let name = "m20261121_000018_lookups";
        for wanted in [name, "lookups", "000018"] {
            assert_eq!(history.revision(wanted).unwrap(), name, "{wanted}");
        }
        assert!(history.revision("m2026").is_err() && history.revision("no_such").is_err());
    }
}
