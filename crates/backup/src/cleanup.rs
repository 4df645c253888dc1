//! Removes backups: those that may go, those that somebody names, and what runs left behind that died.

use std::{error::Error as _, fs, path::Path, time::UNIX_EPOCH};

use brownie_domain::{Clock, Timestamp};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::{
    BackupName, Decision, Dial, Error, Fate, Known, Policy, Result, SigningKey, Store,
    list::{self, list},
    lock::{Lock, Work},
    manifest,
    provider::Unfinished,
    retain,
};

/// How old must be what belongs to no backup, unless somebody says otherwise. Longer than any run.
const ORPHAN: TimeDelta = TimeDelta::days(1);
/// How far our clock and the store's may differ.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// What the store is asked for the time with.
const CLOCK_FILE: &str = "clock";

/// What a clean-up has done, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What became of each backup, the newest first.
    pub decisions: Vec<Decision>,
    /// Backups whose manifest cannot be read. Nothing is decided about them.
    pub unreadable: Vec<BackupName>,
    /// Objects that belonged to no backup.
    pub orphans: Vec<String>,
    /// Objects whose upload was begun and not ended, where the store tells: S3 and Google's.
    pub uploads: Vec<String>,
}

/// Removes what the policy does not want, and what belongs to no backup and is a day old. With
/// `dry_run` it only says what it would remove.
///
/// # Errors
/// [`Error::Clock`] when our clock and the store's disagree; [`Error::Busy`]; what the store said. What
/// was removed until then is removed; whatever could not be listed has decided nothing.
pub async fn cleanup(
    dial: &dyn Dial,
    store: &Store,
    clock: &dyn Clock,
    policy: &Policy,
    key: Option<&SigningKey>,
    dry_run: bool,
) -> Result<Cleaned> {
    cleanup_older_than(dial, store, clock, policy, key, dry_run, ORPHAN).await
}

/// As [`cleanup()`], for somebody who knows how old must be what belongs to no backup, so that it is not
/// of a run that goes on: one of this database would be noticed, one of another that has its backups in
/// the same place would not.
///
/// # Errors
/// As [`cleanup()`].
pub async fn cleanup_older_than(
    dial: &dyn Dial,
    store: &Store,
    clock: &dyn Clock,
    policy: &Policy,
    key: Option<&SigningKey>,
    dry_run: bool,
    age: TimeDelta,
) -> Result<Cleaned> {
    let _lock = Lock::take(dial, None, Work::Backup).await?;
    let now = clock.now();
    if !dry_run {
        judge_clock(store, now).await?;
    }
    let objects = store.list(None).await?;
    let stored_at = |name: &BackupName| {
        let key = format!("{name}/{}", manifest::FILE);
        objects.iter().find(|(found, _)| *found == key).map(|(_, meta)| meta.last_modified)
    };
    let (mut history, mut ids, mut cleaned) = (Vec::new(), Vec::new(), Cleaned::default());
    for entry in list(store, key).await? {
        match entry.manifest {
            Ok(manifest) => {
                history.push(Known {
                    name: entry.name.clone(),
                    created_at: manifest.created_at,
                    stored_at: stored_at(&entry.name).unwrap_or(now),
                    fence: manifest.fence,
                    verified: entry.verified.is_some(),
                });
                ids.push((entry.name.to_string(), manifest.id));
            }
            Err(_) => cleaned.unreadable.push(entry.name),
        }
    }
    cleaned.decisions = retain::plan(&history, now, policy);
    for (object, meta) in objects {
        let unreadable = cleaned.unreadable.iter().map(BackupName::as_str);
        if is_orphan(&object, (meta.last_modified, now, age), &ids, unreadable) {
            cleaned.orphans.push(object);
        }
    }
    let uploads = stale_uploads(store, now, age).await;
    cleaned.uploads = uploads.iter().map(|(object, _)| object.clone()).collect();
    if dry_run {
        return Ok(cleaned);
    }
    for decision in cleaned.decisions.iter().filter(|decision| decision.fate == Fate::Removed) {
        remove(store, &decision.name).await?;
    }
    for object in &cleaned.orphans {
        store.delete(object).await?;
    }
    for (object, upload) in &uploads {
        store.abort(object, upload).await?;
    }
    if let Some(root) = store.root() {
        sweep(root, now, age);
    }
    Ok(cleaned)
}

/// Removes one backup, whatever the policy says; but not the only one that is known to be good.
///
/// # Errors
/// [`Error::NotFound`], [`Error::LastVerified`], [`Error::Busy`], what the store said.
pub async fn delete(
    dial: &dyn Dial,
    store: &Store,
    name: &BackupName,
    key: Option<&SigningKey>,
) -> Result<()> {
    let _lock = Lock::take(dial, None, Work::Backup).await?;
    if store.read(&format!("{name}/{}", manifest::FILE)).await?.is_none() {
        return Err(Error::NotFound { name: name.to_string() });
    }
    let mut verified = list(store, key).await?;
    verified.retain(|entry| entry.manifest.is_ok() && entry.verified.is_some());
    if let [only] = &verified[..]
        && only.name == *name
    {
        return Err(Error::LastVerified { name: name.to_string() });
    }
    remove(store, name).await
}

/// Removes the manifest first: from then on there is no such backup, even if the rest stays.
async fn remove(store: &Store, name: &BackupName) -> Result<()> {
    store.delete(&format!("{name}/{}", manifest::FILE)).await?;
    for (object, _) in store.list(Some(name.as_str())).await? {
        store.delete(&object).await?;
    }
    Ok(())
}

/// Tells whether an object is of a run that ended without a backup: `<name>/<run>/...` with a run of
/// which the backup is not, old by its id and by the store's clock; or what is left of a backup that
/// was removed.
fn is_orphan<'a>(
    object: &str,
    (stored_at, now, age): (Timestamp, Timestamp, TimeDelta),
    ids: &[(String, Uuid)],
    mut unreadable: impl Iterator<Item = &'a str>,
) -> bool {
    let Some((name, rest)) = object.split_once('/') else { return false };
    if name.parse::<BackupName>().is_err()
        || unreadable.any(|unreadable| unreadable == name)
        || now - stored_at < age
    {
        return false;
    }
    let sealed = ids.iter().find(|(sealed, _)| sealed == name).map(|(_, id)| id);
    match rest.split_once('/') {
        None => rest == list::MARK_FILE && sealed.is_none(),
        Some((run, _)) => match run.parse::<Uuid>() {
            Ok(run) => {
                Some(&run) != sealed && began_at(run).is_some_and(|began| now - began >= age)
            }
            // Not ours.
            Err(_) => false,
        },
    }
}

/// Returns uploads of ours that were begun so long ago, by the store's clock and by the run's id, that
/// nobody will end them. A store that does not say so keeps nothing else from being cleaned.
async fn stale_uploads(store: &Store, now: Timestamp, age: TimeDelta) -> Vec<(String, Unfinished)> {
    let mut found = match store.unfinished().await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, source = error.source().map(ToString::to_string), "the store does not tell which uploads were not ended; have a rule of its own for incomplete uploads remove them");
            return Vec::new();
        }
    };
    found.retain(|(object, upload)| {
        let mut steps = object.split('/');
        let (name, run) = (steps.next().unwrap_or_default(), steps.next().unwrap_or_default());
        let run = run.parse::<Uuid>().ok().and_then(began_at);
        let is_old = |time: Timestamp| now - time >= age;
        name.parse::<BackupName>().is_ok() && run.is_some_and(is_old) && is_old(upload.begun)
    });
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// Returns when a run began, by its id.
fn began_at(run: Uuid) -> Option<Timestamp> {
    let (seconds, nanos) = run.get_timestamp()?.to_unix();
    Timestamp::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

/// Asks the store what time it is, by storing something.
async fn judge_clock(store: &Store, now: Timestamp) -> Result<()> {
    store.put(CLOCK_FILE, now.to_rfc3339().into()).await?;
    let stored = store.list(None).await?.into_iter().find(|(key, _)| key == CLOCK_FILE);
    store.delete(CLOCK_FILE).await?;
    match stored {
        Some((_, meta)) if (meta.last_modified - now).abs() > SKEW => Err(Error::Clock {
            now: now.to_rfc3339(),
            what: "the store's shows",
            other: meta.last_modified.to_rfc3339(),
        }),
        _ => Ok(()),
    }
}

/// Removes files that a directory's writers left half-written, `<file>#<number>`, and are old: they are in
/// no list. What cannot be removed is left for the next time.
fn sweep(directory: &Path, now: Timestamp, age: TimeDelta) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            sweep(&path, now, age);
            // Only if it is empty.
            let _ = fs::remove_dir(&path);
            continue;
        }
        let is_half =
            name.to_str().and_then(|name| name.rsplit_once('#')).is_some_and(|(_, end)| {
                !end.is_empty() && end.bytes().all(|digit| digit.is_ascii_digit())
            });
        let changed = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.and_then(|since| TimeDelta::from_std(since).ok());
        let changed = changed.map(|since| Timestamp::UNIX_EPOCH + since);
        if is_half && changed.is_some_and(|changed| now - changed >= age) {
            tracing::info!(path = %path.display(), "removing what was left half-written");
            let _ = fs::remove_file(&path);
        }
    }
}
