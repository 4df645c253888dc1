//! Where backups are kept: objects below a prefix, whoever keeps them.

use std::{fmt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    path::Path,
};
use tokio::sync::mpsc;

use crate::{
    Error, Result,
    provider::{Unfinished, Uploads},
};

/// The largest document that is read into memory: a manifest of a hundred thousand parts.
const DOCUMENT: u64 = 64 << 20;

/// Who keeps the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// A directory of this machine, or one that is mounted.
    Directory,
    /// Amazon S3, or what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Provider {
    /// Returns its name, as `BACKUP_PROVIDER` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "local",
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place for backups.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    provider: Provider,
    /// Where a directory is.
    root: Option<PathBuf>,
    /// Who tells of uploads that were not ended.
    uploads: Option<Arc<dyn Uploads>>,
}

impl Store {
    /// Returns a store of backups below a prefix. [`crate::provider::open`] makes one by settings.
    pub fn new(objects: Arc<dyn ObjectStore>, prefix: Path, provider: Provider) -> Self {
        Self { objects, prefix, provider, root: None, uploads: None }
    }

    /// Says where the files of a directory are.
    pub(crate) fn in_directory(mut self, root: PathBuf) -> Self {
        self.root = Some(root);
        self
    }

    /// Says who tells of uploads that were not ended.
    pub(crate) fn with_uploads(mut self, uploads: Option<Arc<dyn Uploads>>) -> Self {
        self.uploads = uploads;
        self
    }

    /// Lists uploads that were not ended, each with its key below the prefix; none where the store
    /// cannot tell.
    pub(crate) async fn unfinished(&self) -> Result<Vec<(String, Unfinished)>> {
        let Some(uploads) = &self.uploads else { return Ok(Vec::new()) };
        let found = uploads.list(&self.prefix).await;
        let found = found.map_err(|error| Error::store("listing", "unfinished uploads", error))?;
        let keyed = |it: Unfinished| self.key(&it.path).map(|key| (key, it));
        Ok(found.into_iter().filter_map(keyed).collect())
    }

    /// Ends an upload, and has its parts removed.
    pub(crate) async fn abort(&self, key: &str, upload: &Unfinished) -> Result<()> {
        let Some(uploads) = &self.uploads else { return Ok(()) };
        let failed = |error| Error::store("deleting the unfinished upload of", key, error);
        uploads.abort(upload).await.map_err(failed)
    }

    /// Returns where the files of a directory are.
    pub(crate) fn root(&self) -> Option<&std::path::Path> {
        self.root.as_deref()
    }

    /// Returns who keeps the objects.
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Returns the objects themselves.
    pub(crate) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Returns where an object is, by its key below the prefix.
    pub(crate) fn path(&self, key: &str) -> Path {
        self.prefix.parts().chain(Path::from(key).parts()).collect()
    }

    /// Returns the key of an object below the prefix.
    fn key(&self, path: &Path) -> Option<String> {
        let parts: Path = path.prefix_match(&self.prefix)?.collect();
        Some(parts.to_string())
    }

    /// Stores a document under a key that nobody has yet.
    ///
    /// A store that did not answer may have stored it all the same, and a second try then says that
    /// there is one already. So what is there is read, and compared: it is told whether it is ours.
    ///
    /// # Errors
    /// [`Error::Store`]; returns false when another document has the key.
    pub(crate) async fn put_new(&self, key: &str, bytes: Bytes) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = self.path(key);
        match self.objects.put_opts(&path, PutPayload::from(bytes.clone()), options).await {
            Ok(_) => Ok(true),
            Err(error) => match self.read(key).await {
                Ok(Some(found)) => Ok(found == bytes),
                Ok(None) | Err(_) => Err(Error::store("writing", key, error)),
            },
        }
    }

    /// Stores a document, in place of what has the key.
    pub(crate) async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let put = self.objects.put(&self.path(key), PutPayload::from(bytes)).await;
        put.map(drop).map_err(|error| Error::store("writing", key, error))
    }

    /// Reads a document, if it is there.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<Bytes>> {
        let failed = |error| Error::store("reading", key, error);
        let found = match self.objects.get(&self.path(key)).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if found.meta.size > DOCUMENT {
            return Err(Error::Damaged {
                object: key.to_owned(),
                what: format!(
                    "it has {} bytes, more than such a document can have",
                    found.meta.size
                ),
            });
        }
        found.bytes().await.map(Some).map_err(failed)
    }

    /// Sends an object to whoever receives, until it is whole or nobody does.
    pub(crate) async fn stream(&self, key: &str, to: mpsc::Sender<Result<Bytes>>) {
        let outcome: Result<()> = async {
            let found = self.objects.get(&self.path(key)).await.map_err(|error| match error {
                StoreError::NotFound { .. } => Error::Missing { object: key.to_owned() },
                error => Error::store("reading", key, error),
            })?;
            let mut chunks = found.into_stream();
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|error| Error::store("reading", key, error))?;
                if to.send(Ok(chunk)).await.is_err() {
                    break;
                }
            }
            Ok(())
        }
        .await;
        if let Err(error) = outcome {
            // Nobody receives any more: nobody minds.
            let _ = to.send(Err(error)).await;
        }
    }

    /// Lists what is below a directory, or below the prefix: keys and what the store says of them.
    pub(crate) async fn list(&self, directory: Option<&str>) -> Result<Vec<(String, ObjectMeta)>> {
        let path = directory.map_or_else(|| self.prefix.clone(), |directory| self.path(directory));
        let failed = |error| Error::store("listing", directory.unwrap_or("the backups"), error);
        let mut found: Vec<(String, ObjectMeta)> = self
            .objects
            .list(Some(&path))
            .try_filter_map(|meta| {
                std::future::ready(Ok(self.key(&meta.location).map(|key| (key, meta))))
            })
            .try_collect()
            .await
            .map_err(failed)?;
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    /// Lists the names of the directories right below the prefix.
    pub(crate) async fn directories(&self) -> Result<Vec<String>> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listed = self.objects.list_with_delimiter(prefix).await;
        let listed = listed.map_err(|error| Error::store("listing", "the backups", error))?;
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|path| self.key(path)).collect();
        names.sort();
        Ok(names)
    }

    /// Removes an object; one that is not there is removed.
    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        match self.objects.delete(&self.path(key)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::store("deleting", key, error)),
        }
    }
}
