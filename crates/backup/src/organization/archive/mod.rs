//! One organization as a file that can be carried to another database.
//!
//! A stream of JSON lines (NDJSON), compressed by zstd, and encrypted by age where recipients are given.
//! By hand: `age -d -i mine.key acme.ndjson.zst.age | zstd -d | jq`.
//!
//! ```text
//! {"archive":"brownie-organization","format":1,"organization":"...","slug":"acme",...}  what it is
//! {"table":"teams","row":{"id":"...","name":"Platform",...}}                            row by row
//! {"sha256":"...","document":{"rows":12,"sha256":"...","tables":[...]}}                 the manifest
//! ```
//!
//! A column without a value is left out. Tables come in the order of references. The manifest has the
//! SHA-256 of all lines before it, and stands in an envelope as a backup's does: signed where there is
//! a key. It comes last, so that a file that was cut has none.
//!
//! It has what a restore would bring back ([`Rule::Restored`](super::Rule)), but for [`SECRETS`]: no hash
//! of a password, no session, no key. Nor has it the audit log, which is evidence of where it was made.

mod export;
mod file;
mod import;
mod read;
mod write;

use brownie_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

pub use self::{
    export::{ExportOrganization, Exported, Output, export_organization},
    import::{ImportOrganization, import_organization},
};
use super::{Problem, Rule, SECRETS, tables::TenantTable};
use crate::Hash;

/// What the first line calls it.
const KIND: &str = "brownie-organization";

/// The format that this release writes. A change that older releases would misread makes another.
pub const ARCHIVE_FORMAT: u32 = 1;

/// What the manifest's envelope is signed as.
const PURPOSE: &str = "organization.ndjson";

/// The longest line. A row that is longer is neither written nor read.
const LINE: usize = 64 << 20;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    archive: String,
    format: u32,
    /// Which organization.
    organization: Uuid,
    slug: String,
    created_at: Timestamp,
    /// The release that made it.
    program: String,
    /// The migrations that had been applied, the oldest first.
    migrations: Vec<String>,
    /// In the order of references.
    tables: Vec<HeaderTable>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderTable {
    name: String,
    columns: Vec<String>,
}

/// The first line of whatever format.
#[derive(Debug, Deserialize)]
struct HeaderOnly {
    archive: String,
    format: u32,
}

/// A row, whose values are handed on as they are written: numbers would lose digits otherwise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    #[serde(borrow)]
    table: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    row: &'a RawValue,
}

/// The document of the last line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    rows: u64,
    /// Of all lines before, each with its end.
    sha256: Option<Hash>,
    tables: Vec<Count>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    name: String,
    rows: u64,
}

/// Returns the columns of a table that an archive has; none for a table that it does not have.
fn exported(table: &TenantTable) -> Vec<&super::tables::Column> {
    if table.rule != Rule::Restored {
        return Vec::new();
    }
    let is_secret = |column: &str| SECRETS.contains(&(table.name.as_str(), column));
    table.columns.iter().filter(|column| !is_secret(&column.name)).collect()
}

/// Returns what is wrong with an archive, in words.
fn wrong(file: &str, what: impl Into<String>) -> Problem {
    Problem::Archive { file: file.to_owned(), what: what.into() }
}
