//! Reads a backup from end to end.

use std::sync::Arc;

use brownie_domain::Clock;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    BackupName, Error, Identities, Manifest, Progress, Result, SigningKey, Stage, Store, Tell,
    digest::Rows,
    list::{self, Verified},
    manifest::{Part, TableData},
    part::{Inbox, read_part},
    seal::BackupKey,
    task::unless_cancelled,
};

/// What a backup is read with.
#[derive(Clone)]
pub struct Read {
    /// What opens it. Of no use where it is not encrypted.
    pub identities: Identities,
    /// What its manifest must be signed with, if that is said.
    pub signing_key: Option<SigningKey>,
    /// How many objects are read at once. 1 or more.
    pub jobs: usize,
    /// Calls it off.
    pub cancel: CancellationToken,
    /// Who is told how it goes.
    pub tell: Tell,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            identities: Identities::default(),
            signing_key: None,
            jobs: 2,
            cancel: CancellationToken::new(),
            tell: crate::silent(),
        }
    }
}

/// Does not show who listens.
impl std::fmt::Debug for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read").field("identities", &self.identities).finish_non_exhaustive()
    }
}

/// Reads every byte of a backup, and compares it with its manifest: what is stored, what it is
/// decrypted and decompressed to, the rows and what is in them. Then marks it as verified.
///
/// # Errors
/// [`Error::Damaged`], [`Error::Missing`] and [`Error::Forged`], which name the object;
/// [`Error::WrongKey`]; what the store said. The mark does not move then.
pub async fn verify(
    store: &Store,
    name: &BackupName,
    clock: &dyn Clock,
    how: &Read,
) -> Result<Manifest> {
    let (manifest, manifest_sha256) = list::read(store, name, how.signing_key.as_ref()).await?;
    let key = open_key(store, &manifest, &how.identities).await?.map(Arc::new);
    (how.tell)(Progress::Begins { stage: Stage::Verify, expected: manifest.plain_bytes() });
    unless_cancelled(&how.cancel, read_all(store, &manifest, key, how)).await?;
    let mark = Verified { at: clock.now(), manifest_sha256, restored: false };
    list::put_mark(store, name, &mark, how.signing_key.as_ref()).await?;
    Ok(manifest)
}

async fn read_all(
    store: &Store,
    manifest: &Manifest,
    key: Option<Arc<BackupKey>>,
    how: &Read,
) -> Result<()> {
    let parts = manifest.parts().enumerate().map(|(number, (data, part))| {
        let key = key.clone();
        async move {
            let tell = Arc::clone(&how.tell);
            let table = data.table.name.clone();
            let quiet = move |bytes: Bytes| {
                tell(Progress::Moved { table: &table, rows: 0, plain: bytes.len() as u64 });
                true
            };
            read_one(store, manifest, part, key, quiet).await.map(|rows| (number, rows))
        }
    });
    let parts: Vec<_> = parts.collect();
    let mut read: Vec<(usize, Rows)> =
        stream::iter(parts).buffer_unordered(how.jobs.max(1)).try_collect().await?;
    read.sort_by_key(|(number, _)| *number);
    let mut read = read.into_iter().map(|(_, rows)| rows);
    for data in &manifest.tables {
        let mut whole = Rows::default();
        read.by_ref().take(data.parts.len()).for_each(|rows| whole.extend(&rows));
        compare(manifest, data, &whole)?;
        (how.tell)(Progress::Done { table: &data.table.name, rows: data.rows });
    }
    Ok(())
}

fn compare(manifest: &Manifest, data: &TableData, rows: &Rows) -> Result<()> {
    if rows.count == data.rows && rows.content() == data.content {
        return Ok(());
    }
    Err(Error::Damaged {
        object: format!("{}/{}", manifest.name, crate::manifest::FILE),
        what: format!("the rows of {} are not what it says", data.table.name),
    })
}

/// Reads one part on a thread of its own, and hands its text to `take`, which says whether it wants
/// more.
pub(crate) async fn read_one(
    store: &Store,
    manifest: &Manifest,
    part: &Part,
    key: Option<Arc<BackupKey>>,
    take: impl FnMut(Bytes) -> bool + Send + 'static,
) -> Result<Rows> {
    let object = format!("{}/{}", manifest.name, part.object);
    let (chunks, received) = mpsc::channel(2);
    let (wanted, name) = (part.clone(), object.clone());
    let reading = tokio::task::spawn_blocking(move || {
        read_part(&wanted, &name, key.as_deref(), Inbox::new(received), take)
    });
    store.stream(&object, chunks).await;
    reading.await.unwrap_or(Err(Error::Cancelled))
}

/// Opens the key of a backup, if it has one.
pub(crate) async fn open_key(
    store: &Store,
    manifest: &Manifest,
    identities: &Identities,
) -> Result<Option<BackupKey>> {
    let Some(encryption) = &manifest.seal.encryption else { return Ok(None) };
    let object = format!("{}/{}", manifest.name, encryption.key_object);
    let wrapped =
        store.read(&object).await?.ok_or_else(|| Error::Missing { object: object.clone() })?;
    BackupKey::unwrap(&wrapped, identities, &object, encryption).map(Some)
}
