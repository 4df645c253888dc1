//! What is told of the backups that there are.

use std::sync::Arc;

use brownie_config::{BackupProvider, BackupSettings};
use brownie_domain::{BackupEntry, BackupStore};

use super::desk::Desk;
use crate::{Dial, Entry, Manifest, Result, SigningKey, Store, list};

/// How many are told of.
const MOST: usize = 1000;

/// Reports a run that nobody queued: `brownie-backup backup`, from a cron job or by hand. `runs` says
/// which verbs ended how.
///
/// # Errors
/// When store or database cannot be asked. The backup itself is as good as it was.
pub async fn report(
    dial: Arc<dyn Dial>,
    store: &Store,
    settings: &BackupSettings,
    runs: &[(&str, &str)],
) -> Result<()> {
    let desk = Desk::new(dial, String::new());
    for (verb, outcome) in runs {
        desk.count(verb, outcome).await?;
    }
    let key = settings.signing_key.as_ref();
    let key = key.map(|key| SigningKey::new(key.expose())).transpose()?;
    desk.report_store(&look(store, settings, key.as_ref()).await?).await
}

/// Looks which backups there are.
pub(crate) async fn look(
    store: &Store,
    settings: &BackupSettings,
    key: Option<&SigningKey>,
) -> Result<BackupStore> {
    let entries = list(store, key).await?;
    let stored = |entry: &Entry| entry.manifest.as_ref().map_or(0, Manifest::stored_bytes);
    Ok(BackupStore {
        provider: store.provider().to_string(),
        destination: destination(&settings.provider),
        encryption: !settings.recipients.is_empty(),
        compression: true,
        retention_days: settings.retention.days,
        total_backups: entries.iter().filter(|entry| entry.manifest.is_ok()).count() as u64,
        total_size: entries.iter().map(stored).sum(),
        backups: entries.iter().take(MOST).map(told).collect(),
    })
}

fn told(entry: &Entry) -> BackupEntry {
    let manifest = entry.manifest.as_ref();
    BackupEntry {
        backup_name: entry.name.to_string(),
        created: manifest.ok().map(|manifest| manifest.created_at),
        finished: manifest.ok().map(|manifest| manifest.finished_at),
        size: manifest.map_or(0, Manifest::plain_bytes),
        stored_size: manifest.map_or(0, Manifest::stored_bytes),
        status: if manifest.is_ok() { "completed" } else { "unreadable" }.to_owned(),
        detail: manifest.err().map(|error| super::chain(error)),
        verified_at: entry.verified.as_ref().map(|mark| mark.at),
        path: entry.name.to_string(),
    }
}

/// Where they are kept, without keys.
fn destination(provider: &BackupProvider) -> String {
    match provider {
        BackupProvider::Directory(path) => path.display().to_string(),
        BackupProvider::S3(bucket)
        | BackupProvider::Gcs(bucket)
        | BackupProvider::Azure(bucket) => match bucket.prefix.as_str() {
            "" => bucket.name.clone(),
            prefix => format!("{}/{prefix}", bucket.name),
        },
    }
}
