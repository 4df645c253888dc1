//! How a database differs from what the migrations make.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use serde::Serialize;

use crate::{Catalog, Database, Error, Fact, History, Kind, LEDGER, Standing, ledger};

/// One difference between what is expected and what was found. Displayed, it is a sentence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// It should be there, and is not.
    Missing {
        /// What it is.
        kind: Kind,
        /// Which.
        name: String,
        /// How it should be.
        expected: String,
    },
    /// It is there, and should not be.
    Unexpected {
        /// What it is.
        kind: Kind,
        /// Which.
        name: String,
        /// How it is.
        found: String,
    },
    /// It is not as it should be.
    Different {
        /// What it is.
        kind: Kind,
        /// Which.
        name: String,
        /// How it should be.
        expected: String,
        /// How it is.
        found: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        match self {
            Self::Missing { kind, name, expected } => {
                write!(f, "the {kind} {name} is missing; expected: {}", first(expected))
            }
            Self::Unexpected { kind, name, found } => {
                write!(f, "the {kind} {name} is unexpected; found: {}", first(found))
            }
            Self::Different { kind, name, expected, found } => {
                let (line, expected, found) = first_difference(expected, found);
                write!(f, "the {kind} {name} is different")?;
                if line > 1 {
                    write!(f, " in line {line}")?;
                }
                write!(f, "; expected: {expected}; found: {found}")
            }
        }
    }
}

/// Returns the first line in which two texts differ, its number and both its contents.
fn first_difference(expected: &str, found: &str) -> (usize, String, String) {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    let mut number = 0;
    loop {
        number += 1;
        let (one, other) = (expected.next(), found.next());
        if one != other || one.is_none() {
            let told = |line: Option<&str>| line.unwrap_or("nothing more").trim().to_owned();
            return (number, told(one), told(other));
        }
    }
}

/// Compares what was found with what is expected; what is the same is not mentioned, and neither are
/// the parts of what is missing or unexpected as a whole, nor extensions of the operator's.
pub(crate) fn compare(expected: &Catalog, found: &Catalog) -> Vec<Difference> {
    let wanted: BTreeMap<_, &Fact> =
        expected.facts().iter().map(|fact| (fact.key(), fact)).collect();
    let there: BTreeSet<_> = found.facts().iter().map(Fact::key).collect();

    let missing: Vec<&Fact> =
        wanted.iter().filter(|(key, _)| !there.contains(key)).map(|(_, fact)| *fact).collect();
    let unexpected: Vec<&Fact> = found
        .facts()
        .iter()
        .filter(|fact| fact.kind != Kind::Extension && !wanted.contains_key(&fact.key()))
        .collect();
    let different = found.facts().iter().filter_map(|fact| {
        let wanted = wanted.get(&fact.key())?;
        (wanted.definition != fact.definition).then(|| Difference::Different {
            kind: fact.kind,
            name: fact.name.clone(),
            expected: wanted.definition.clone(),
            found: fact.definition.clone(),
        })
    });

    let missing = without_parts(missing).map(|fact| Difference::Missing {
        kind: fact.kind,
        name: fact.name.clone(),
        expected: fact.definition.clone(),
    });
    let unexpected = without_parts(unexpected).map(|fact| Difference::Unexpected {
        kind: fact.kind,
        name: fact.name.clone(),
        found: fact.definition.clone(),
    });
    missing.chain(unexpected).chain(different).collect()
}

/// Leaves out what is a part of something that is among the facts itself.
fn without_parts(facts: Vec<&Fact>) -> impl Iterator<Item = &Fact> {
    let wholes: BTreeSet<_> = facts.iter().map(|fact| (fact.kind, fact.name.as_str())).collect();
    facts.into_iter().filter(move |fact| fact.part_of().is_none_or(|part| !wholes.contains(&part)))
}

/// How a database differs from what this program's migrations make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Where it stands; none when we may not read the ledger, or there is none. Of a database that
    /// is not current, the migrations between explain differences.
    pub standing: Option<Standing>,
    /// What differs: first what is missing, then what is unexpected, then what is different.
    pub differences: Vec<Difference>,
}

/// Compares a database with what the migrations of this program make: the schema `public` and our
/// roles. What an operator adds elsewhere is no drift: other schemas, roles and extensions. Any role
/// may ask; nothing is changed and no lock is taken that anybody waits for.
///
/// # Errors
/// When it cannot be reached or asked.
pub async fn drift(database: &Database) -> Result<Drift, Error> {
    let db = database.connect().await?;
    let found = Catalog::read(&db).await;
    let standing = standing(&db, &database.history).await;
    let _ = db.close().await;
    Ok(Drift { standing: standing?, differences: compare(&Catalog::expected(), &found?) })
}

/// Returns what a database is made of.
///
/// # Errors
/// When it cannot be reached or asked.
pub async fn describe(database: &Database) -> Result<Catalog, Error> {
    let db = database.connect().await?;
    let catalog = Catalog::read(&db).await;
    let _ = db.close().await;
    Ok(catalog?)
}

/// Tells where a database stands, if we may know.
async fn standing(db: &DatabaseConnection, history: &History) -> Result<Option<Standing>, DbErr> {
    let readable = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT coalesce(has_table_privilege(to_regclass($1), 'SELECT'), false) AS answer",
        [LEDGER.into()],
    );
    let readable = match db.query_one_raw(readable).await? {
        Some(row) => row.try_get("", "answer")?,
        None => false,
    };
    Ok(if readable { Some(history.standing(&ledger::names(db).await?)) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentences(expected: &str, found: &str) -> Vec<String> {
        let differences = compare(&Catalog::parse(expected), &Catalog::parse(found));
        differences.iter().map(ToString::to_string).collect()
    }

    const EXPECTED: &str = "\
extension plpgsql: in schema pg_catalog
table a: table, owner x
column a.b: text
index a.a_b_idx: CREATE INDEX a_b_idx
function f(): owner x
    CREATE FUNCTION f()
    BEGIN
    END
grant on table a to PUBLIC: SELECT
";

    #[test]
    fn the_same_has_no_differences() {
        assert!(sentences(EXPECTED, EXPECTED).is_empty());
    }

    #[test]
    fn each_difference_is_one_sentence() {
        let found = EXPECTED
            .replace("index a.a_b_idx: CREATE INDEX a_b_idx\n", "index a.c: CREATE INDEX c\n")
            .replace("column a.b: text", "column a.b: integer")
            .replace("    END\n", "        NULL;\n    END\n");
        assert_eq!(
            sentences(EXPECTED, &found),
            [
                "the index a.a_b_idx is missing; expected: CREATE INDEX a_b_idx",
                "the index a.c is unexpected; found: CREATE INDEX c",
                "the column a.b is different; expected: text; found: integer",
                "the function f() is different in line 4; expected: END; found: NULL;",
            ]
        );
    }

    #[test]
    fn of_a_table_that_is_not_there_nothing_else_is_said() {
        let found = "extension plpgsql: in schema pg_catalog\n";
        let sentences_of_missing = sentences(EXPECTED, found);
        assert_eq!(sentences_of_missing.len(), 2, "{sentences_of_missing:?}");
        assert!(sentences_of_missing[0].starts_with("the table a is missing"));
        assert!(sentences_of_missing[1].starts_with("the function f() is missing"));
        assert_eq!(sentences(found, EXPECTED).len(), 2);
    }

    #[test]
    fn an_extension_of_the_operators_is_no_drift_and_one_that_lacks_is() {
        let one = "extension plpgsql: in schema pg_catalog\n";
        let two = "extension plpgsql: in schema pg_catalog\nextension pg_trgm: in schema x\n";
        assert!(sentences(one, two).is_empty());
        assert_eq!(sentences(two, one).len(), 1);
    }

    #[test]
    fn a_month_is_compared_with_all_months() {
        let expected = "table s_YYYY_MM: partition, owner x\n";
        let found = "table s_2026_11: partition, owner x\ntable s_2026_12: partition, owner y\n";
        assert_eq!(
            sentences(expected, found),
            [
                "the table s_2026_12 is different; expected: partition, owner x; found: partition, owner y"
            ]
        );
        assert_eq!(sentences(expected, "").len(), 1);
    }
}
