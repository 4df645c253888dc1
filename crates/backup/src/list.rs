//! Which backups there are.

use brownie_domain::Timestamp;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::{
    BackupName, Error, Hash, Manifest, Result, SigningKey, Store, envelope,
    manifest::{self, FORMAT, FormatOnly},
};

/// The file name of the mark that a backup was verified.
pub(crate) const MARK_FILE: &str = "verified.json";

/// How far clocks may differ.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// That a backup was read from end to end, and found to be what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// When.
    pub at: Timestamp,
    /// Of the manifest, so that the mark counts for no other.
    pub manifest_sha256: Hash,
    /// Whether it was restored, too, and compared.
    pub restored: bool,
}

/// A backup in a list.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name.
    pub name: BackupName,
    /// What it is made of; or why that cannot be known. One that cannot be read is not one that is
    /// not there: it is shown, and nothing is decided by it.
    pub manifest: Result<Manifest>,
    /// When it was last verified.
    pub verified: Option<Verified>,
}

/// Reads the manifest of a backup.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Damaged`], [`Error::Forged`] and [`Error::TooNew`] of the manifest.
pub async fn find(store: &Store, name: &BackupName, key: Option<&SigningKey>) -> Result<Manifest> {
    read(store, name, key).await.map(|(manifest, _)| manifest)
}

/// As [`find`], and with the SHA-256 of the file.
pub(crate) async fn read(
    store: &Store,
    name: &BackupName,
    key: Option<&SigningKey>,
) -> Result<(Manifest, Hash)> {
    let object = format!("{name}/{}", manifest::FILE);
    let bytes =
        store.read(&object).await?.ok_or_else(|| Error::NotFound { name: name.to_string() })?;
    // The format first: of another one, nothing else can be said.
    let FormatOnly { format } = envelope::open(manifest::FILE, &object, &bytes, key)?;
    if format > FORMAT {
        return Err(Error::TooNew {
            name: name.to_string(),
            what: format!("its format is {format}"),
        });
    }
    let manifest: Manifest = envelope::open(manifest::FILE, &object, &bytes, key)?;
    manifest.judge(name, &object)?;
    Ok((manifest, Hash::of(&bytes)))
}

/// Lists all backups, the newest first; those whose manifest cannot be read come last.
///
/// # Errors
/// When the store cannot be listed. A list is whole, or there is none.
pub async fn list(store: &Store, key: Option<&SigningKey>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for directory in store.directories().await? {
        let Ok(name) = directory.parse::<BackupName>() else { continue };
        let (manifest, verified) = match read(store, &name, key).await {
            Ok((manifest, hash)) => (Ok(manifest), mark(store, &name, hash, key).await?),
            // It was begun, and not sealed.
            Err(Error::NotFound { .. }) => continue,
            Err(error) => (Err(error), None),
        };
        entries.push(Entry { name, manifest, verified });
    }
    let age = |entry: &Entry| {
        entry.manifest.as_ref().ok().map(|manifest| (manifest.created_at, manifest.fence))
    };
    entries.sort_by(|one, other| age(other).cmp(&age(one)).then_with(|| other.name.cmp(&one.name)));
    Ok(entries)
}

/// Reads the mark of a backup, if it counts.
async fn mark(
    store: &Store,
    name: &BackupName,
    manifest_sha256: Hash,
    key: Option<&SigningKey>,
) -> Result<Option<Verified>> {
    let object = format!("{name}/{MARK_FILE}");
    let Some(bytes) = store.read(&object).await? else { return Ok(None) };
    let mark: Result<Verified> = envelope::open(MARK_FILE, &object, &bytes, key);
    Ok(mark.ok().filter(|mark| mark.manifest_sha256 == manifest_sha256))
}

/// Marks a backup as verified.
pub(crate) async fn put_mark(
    store: &Store,
    name: &BackupName,
    mark: &Verified,
    key: Option<&SigningKey>,
) -> Result<()> {
    let document = envelope::close(MARK_FILE, mark, key)?;
    store.put(&format!("{name}/{MARK_FILE}"), document.into()).await
}

/// Refuses to make a backup that would look older than the ones there are.
pub(crate) async fn judge_clock(store: &Store, now: Timestamp) -> Result<()> {
    // Whether they are signed is of no matter here.
    let newest = list(store, None).await?.into_iter().find_map(|entry| entry.manifest.ok());
    match newest {
        Some(newest) if newest.created_at > now + SKEW => Err(Error::Clock {
            now: now.to_rfc3339(),
            what: "the newest backup was made at",
            other: newest.created_at.to_rfc3339(),
        }),
        _ => Ok(()),
    }
}
