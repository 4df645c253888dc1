//! Uploads of which nothing is left when they fail.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result, Store, part::Chunk, task::unless_cancelled};

/// How many chunks of one object are on their way at once.
const AT_ONCE: usize = 2;

/// How long an upload that failed is tried to be called off: the store may be what failed.
const ABORTING: Duration = Duration::from_secs(5);
const LEFT: &str = "an upload that failed could not be called off; the store may keep its parts until a clean-up, or its own rule for incomplete uploads, removes them";

/// Stores what is received as one object. What fits into one chunk is stored at once; more in the
/// parts of a multipart upload, which is called off when anything fails, when the sender gives up, or
/// when `cancel` says so: stores keep, and charge for, the parts of an upload that never ended.
///
/// # Errors
/// What the store said; [`Error::Cancelled`] when it was called off.
pub(crate) async fn upload(
    store: &Store,
    key: &str,
    mut chunks: mpsc::Receiver<Chunk>,
    cancel: &CancellationToken,
) -> Result<()> {
    let failed = |error| Error::store("writing", key, error);
    let first = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(Error::Cancelled),
        first = chunks.recv() => first.ok_or(Error::Cancelled)?,
    };
    let path = store.path(key);
    let first = match first {
        Chunk::Full(bytes) => bytes,
        Chunk::Last(bytes) => {
            let put =
                async { store.objects().put(&path, bytes.into()).await.map(drop).map_err(failed) };
            return unless_cancelled(cancel, put).await;
        }
    };
    let begin = async { store.objects().put_multipart(&path).await.map_err(failed) };
    let mut upload = unless_cancelled(cancel, begin).await?;
    let outcome = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::Cancelled),
        outcome = parts(upload.as_mut(), first.into(), &mut chunks) => {
            outcome.and_then(|outcome| outcome.map_err(failed))
        }
    };
    if outcome.is_err() {
        match tokio::time::timeout(ABORTING, upload.abort()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%key, %error, "{LEFT}"),
            Err(_) => tracing::warn!(%key, "{LEFT}"),
        }
    }
    outcome
}

/// Uploads a part for each chunk, and ends the upload. The outer error is ours, the inner one the
/// store's.
async fn parts(
    upload: &mut dyn MultipartUpload,
    first: PutPayload,
    chunks: &mut mpsc::Receiver<Chunk>,
) -> Result<object_store::Result<()>> {
    let mut under_way = FuturesUnordered::new();
    under_way.push(upload.put_part(first));
    let mut is_last = false;
    while !(is_last && under_way.is_empty()) {
        tokio::select! {
            Some(sent) = under_way.next() => {
                if let Err(error) = sent {
                    return Ok(Err(error));
                }
            }
            chunk = chunks.recv(), if !is_last && under_way.len() < AT_ONCE => {
                let bytes = match chunk.ok_or(Error::Cancelled)? {
                    Chunk::Full(bytes) => bytes,
                    Chunk::Last(bytes) => {
                        is_last = true;
                        bytes
                    }
                };
                // The last may be empty, which some stores refuse.
                if !bytes.is_empty() {
                    under_way.push(upload.put_part(bytes.into()));
                }
            }
        }
    }
    drop(under_way);
    Ok(upload.complete().await.map(drop))
}
