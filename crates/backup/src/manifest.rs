//! What a backup is made of. A backup is there when its manifest is.

use brownie_domain::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{BackupName, Error, Hash, Result, plan::Table};

/// The file name of a manifest, beside the data.
pub(crate) const FILE: &str = "manifest.json";

/// The format that this release writes. A change that older releases would misread makes another.
pub const FORMAT: u32 = 1;

/// A backup: when it was made, of what, and all of its objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`] of the release that made it.
    pub format: u32,
    /// Its name.
    pub name: BackupName,
    /// The run that made it: the directory of its data.
    pub id: Uuid,
    /// Grows from run to run of one database cluster: the transaction id at which the run held the
    /// lock. Of two backups the one with the higher number is the later, whatever clocks said.
    pub fence: u64,
    /// When its snapshot was taken.
    pub created_at: Timestamp,
    /// When it was done.
    pub finished_at: Timestamp,
    /// The release that made it.
    pub program: String,
    /// Of which database.
    pub database: DatabaseInfo,
    /// The migrations that had been applied, the oldest first.
    pub migrations: Vec<AppliedMigration>,
    /// How it is sealed.
    pub seal: Seal,
    /// What is in it.
    pub tables: Vec<TableData>,
    /// Where its sequences stood, after the snapshot.
    pub sequences: Vec<Sequence>,
}

/// The database that was backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseInfo {
    /// Its name.
    pub name: String,
    /// The server's release, as it says: `15.18 (Debian ...)`.
    pub server_version: String,
    /// The write-ahead log's position at the snapshot.
    pub lsn: String,
}

/// A migration in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppliedMigration {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its text, where the ledger has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// How the data is compressed and encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Always `zstd`.
    pub compression: String,
    /// None when it is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// Encryption by age (age-encryption.org/v1) in two steps: the data to a key of this backup, and
/// that key to the recipients. So recipients can change without the data being written anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// The public half of the backup's key; the other is in [`Encryption::key_object`].
    pub recipient: String,
    /// The object that holds the identity that opens the data, encrypted to the recipients.
    pub key_object: String,
    /// Whom that was encrypted to when the backup was made.
    pub recipients: Vec<String>,
}

/// The rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableData {
    /// Which.
    pub table: Table,
    /// How many.
    pub rows: u64,
    /// What they are: the sum of their SHA-256s, whatever their order.
    pub content: Hash,
    /// Where they are, in order.
    pub parts: Vec<Part>,
}

impl TableData {
    /// Returns how many bytes its rows are.
    pub fn plain_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.plain_bytes).sum()
    }
}

/// An object with whole rows of one table: COPY's text, compressed, encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its key, below the backup's directory.
    pub object: String,
    /// How many rows.
    pub rows: u64,
    /// How many bytes of text.
    pub plain_bytes: u64,
    /// Of the text.
    pub plain_sha256: Hash,
    /// How many bytes are stored.
    pub stored_bytes: u64,
    /// Of what is stored.
    pub stored_sha256: Hash,
}

/// Where a sequence stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Its name.
    pub name: String,
    /// The number that was given last, or that will be given first.
    pub last_value: i64,
    /// Whether it was given.
    pub is_called: bool,
}

impl Manifest {
    /// Returns how many rows there are.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Returns how many bytes its rows are.
    pub fn plain_bytes(&self) -> u64 {
        self.tables.iter().map(TableData::plain_bytes).sum()
    }

    /// Returns how many bytes are stored.
    pub fn stored_bytes(&self) -> u64 {
        self.parts().map(|(_, part)| part.stored_bytes).sum()
    }

    /// Returns all parts, each with its table.
    pub fn parts(&self) -> impl Iterator<Item = (&TableData, &Part)> {
        self.tables.iter().flat_map(|table| table.parts.iter().map(move |part| (table, part)))
    }

    /// Refuses what a newer release made, and what does not agree with itself.
    pub(crate) fn judge(&self, name: &BackupName, object: &str) -> Result<()> {
        let damaged =
            |what: &str| Error::Damaged { object: object.to_owned(), what: what.to_owned() };
        if self.name != *name {
            return Err(damaged("it is of another backup"));
        }
        let directory = format!("{}/", self.id);
        for data in &self.tables {
            if data.rows != data.parts.iter().map(|part| part.rows).sum::<u64>() {
                return Err(damaged("the rows of the parts are not those of the table"));
            }
        }
        if self.parts().any(|(_, part)| !part.object.starts_with(&directory)) {
            return Err(damaged("it has parts of another backup"));
        }
        Ok(())
    }
}

/// What every manifest has, whatever its format: read first.
#[derive(Debug, Deserialize)]
pub(crate) struct FormatOnly {
    pub(crate) format: u32,
}
