//! What a database is made of, read from PostgreSQL's catalog as facts that can be compared.
//!
//! A [`Fact`] has a kind, a name and a definition, all of them text. The statements in
//! `src/catalog`, one for each kind, take care that the same migrations give the same facts on every
//! version of PostgreSQL. What they leave out, they say.

use std::{collections::BTreeSet, fmt};

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, IsolationLevel,
    Statement, TransactionTrait,
};
use serde::Serialize;

use crate::LEDGER;

/// What the migrations make. `just bless` writes it anew when they change.
const EXPECTED: &str = include_str!("schema.txt");

/// How the file of what is expected begins.
const HEADER: &str = "\
# What the migrations make, fact by fact: kind, name, definition. Generated: `just bless` writes it, and
# tests/architecture/generated.rs compares it with a migrated database.
";

/// What stands for the month in the name of a partition: they come and go, and are all the same.
const MONTH: &str = "_YYYY_MM";

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $word:literal $file:literal,)+) => {
        /// What a fact is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Kind { $($(#[$doc])* $kind,)+ }

        impl Kind {
            /// All kinds, in the order in which a catalog is told.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// Returns its name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => $word,)+ }
            }

            /// Returns the statement that reads all facts of it: rows of a name and a definition.
            const fn statement(self) -> &'static str {
                match self { $(Self::$kind => concat!(
                    include_str!("catalog/common.sql"),
                    include_str!(concat!("catalog/", $file, ".sql")),
                ),)+ }
            }
        }
    };
}

kinds! {
    /// A role of ours: they belong to the whole server.
    Role "role" "roles",
    /// An extension.
    Extension "extension" "extensions",
    /// A type that was made for itself.
    Type "type" "types",
    /// A sequence.
    Sequence "sequence" "sequences",
    /// A table, a view, or a partition.
    Table "table" "tables",
    /// A column.
    Column "column" "columns",
    /// A constraint, of keys and checks; NOT NULL is the column's.
    Constraint "constraint" "constraints",
    /// An index that is not a key's.
    Index "index" "indexes",
    /// A policy of row-level security.
    Policy "policy" "policies",
    /// A trigger.
    Trigger "trigger" "triggers",
    /// A rule that rewrites statements.
    Rule "rule" "rules",
    /// A function or procedure.
    Function "function" "functions",
    /// What a role may do with something.
    Grant "grant" "grants",
    /// What a role will be allowed to do with what is not there yet.
    DefaultPrivilege "default-privilege" "default_privileges",
    /// Anything else in the schema.
    Other "object" "others",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is so in a database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    /// What it is about.
    pub kind: Kind,
    /// Its name, unique in its kind: `incidents.status`.
    pub name: String,
    /// What PostgreSQL would say of it. It does not begin or end with a blank.
    pub definition: String,
}

impl Fact {
    /// Returns what a fact is looked up by: its kind and name, the same for all months.
    pub(crate) fn key(&self) -> (Kind, String) {
        let mut name = self.name.clone();
        let month = name
            .match_indices('_')
            .map(|(at, _)| at..at + MONTH.len())
            .find(|range| self.name.get(range.clone()).is_some_and(is_month));
        if let Some(range) = month {
            name.replace_range(range, MONTH);
        }
        (self.kind, name)
    }

    /// Returns what it is a part of, and is gone with.
    pub(crate) fn part_of(&self) -> Option<(Kind, &str)> {
        match self.kind {
            Kind::Column
            | Kind::Constraint
            | Kind::Index
            | Kind::Policy
            | Kind::Trigger
            | Kind::Rule => Some((Kind::Table, self.name.split_once('.')?.0)),
            Kind::Grant => {
                let (what, _) = self.name.strip_prefix("on ")?.rsplit_once(" to ")?;
                match what.split_once(' ')? {
                    ("table", name) => Some((Kind::Table, name)),
                    ("column", name) => Some((Kind::Table, name.split_once('.')?.0)),
                    ("sequence", name) => Some((Kind::Sequence, name)),
                    ("function", name) => Some((Kind::Function, name)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Tells whether it is `_2026_11`, or any other month.
fn is_month(text: &str) -> bool {
    text.bytes().zip(MONTH.bytes()).all(|(found, pattern)| match pattern {
        b'_' => found == b'_',
        _ => found.is_ascii_digit(),
    })
}

/// What a database is made of: facts in order, by kind and then by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    facts: Vec<Fact>,
}

impl Catalog {
    /// Returns what the migrations of this program make.
    pub fn expected() -> Self {
        Self::parse(EXPECTED)
    }

    /// Returns the names of the tables, but for the ledger and the partitions of months.
    pub(crate) fn tables(&self) -> Vec<&str> {
        let of_ours = |fact: &&Fact| {
            fact.kind == Kind::Table && fact.name != LEDGER && !fact.name.ends_with(MONTH)
        };
        self.facts.iter().filter(of_ours).map(|fact| fact.name.as_str()).collect()
    }

    /// Reads the catalog, in one snapshot. Any role may.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub(crate) async fn read(db: &DatabaseConnection) -> Result<Self, DbErr> {
        let (level, mode) = (IsolationLevel::RepeatableRead, AccessMode::ReadOnly);
        let transaction = db.begin_with_config(Some(level), Some(mode)).await?;
        transaction.execute_unprepared("SET LOCAL search_path = pg_catalog").await?;
        let mut facts = Vec::new();
        for kind in Kind::ALL {
            facts.extend(facts_of(&transaction, *kind).await?);
        }
        transaction.commit().await?;
        facts.sort();
        Ok(Self { facts })
    }

    /// Returns the facts, by kind and then by name.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Returns it without what is of the whole server.
    pub(crate) fn of_database(mut self) -> Self {
        self.facts.retain(|fact| fact.kind != Kind::Role);
        self
    }

    /// Reads what [`Catalog`] is displayed as. Whatever is not understood is passed over; a test
    /// minds.
    pub(crate) fn parse(text: &str) -> Self {
        let mut facts: Vec<Fact> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if line.is_empty() || line.starts_with(INDENT) {
                if let Some(last) = facts.last_mut() {
                    last.definition.push('\n');
                    last.definition.push_str(line.strip_prefix(INDENT).unwrap_or_default());
                }
            } else if let Some((word, rest)) = line.split_once(' ')
                && let Some((name, definition)) = rest.split_once(": ")
                && let Some(kind) = Kind::ALL.iter().find(|kind| kind.as_str() == word)
            {
                let (name, definition) = (name.to_owned(), definition.to_owned());
                facts.push(Fact { kind: *kind, name, definition });
            }
        }
        for fact in &mut facts {
            fact.definition.truncate(fact.definition.trim_end().len());
        }
        Self { facts }
    }
}

async fn facts_of(db: &DatabaseTransaction, kind: Kind) -> Result<Vec<Fact>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), kind.statement());
    let fact = |row: &sea_orm::QueryResult| {
        let definition: String = row.try_get("", "definition")?;
        let definition = definition.trim().to_owned();
        Ok(Fact { kind, name: row.try_get("", "name")?, definition })
    };
    db.query_all_raw(statement).await?.iter().map(fact).collect()
}

/// What stands before the further lines of a definition.
const INDENT: &str = "    ";

/// As the file of what is expected has it: each fact once, whatever its month.
impl fmt::Display for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        let facts: BTreeSet<_> =
            self.facts.iter().map(|fact| (fact.key(), &fact.definition)).collect();
        let mut last = None;
        for ((kind, name), definition) in facts {
            if last.replace(kind) != Some(kind) {
                writeln!(f)?;
            }
            let mut lines = definition.lines();
            writeln!(f, "{kind} {name}: {}", lines.next().unwrap_or_default())?;
            for line in lines {
                let indent = if line.is_empty() { "" } else { INDENT };
                writeln!(f, "{indent}{line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_understood_to_the_last_line() {
        assert_eq!(Catalog::expected().to_string(), EXPECTED);
        assert!(Catalog::expected().facts().len() > 500);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let fact = |kind, name: &str, definition: &str| Fact {
            kind,
            name: name.to_owned(),
            definition: definition.to_owned(),
        };
        let catalog = Catalog {
            facts: vec![
                fact(Kind::Column, "a.b", "text not null default 'a: b'::text"),
                fact(Kind::Function, "f(a text)", "owner x\nCREATE f\nBEGIN\n\n    RETURN;\nEND"),
                fact(Kind::Other, "c", "collation"),
            ],
        };
        assert_eq!(Catalog::parse(&catalog.to_string()), catalog);
    }

    #[test]
    fn all_months_of_a_table_are_one() {
        let key = |name: &str| {
            let (name, definition) = (name.to_owned(), String::new());
            Fact { kind: Kind::Table, name, definition }.key().1
        };
        assert_eq!(key("audit_log_2026_11"), "audit_log_YYYY_MM");
        assert_eq!(
            key("on table stats_2026_11 to \"brownie-server\""),
            "on table stats_YYYY_MM to \"brownie-server\""
        );
        for other in
            ["audit_log", "stats_2026", "stats_default", "a_20261_11", "_", "\u{e9}_2026_1"]
        {
            assert_eq!(key(other), other);
        }
    }
}
