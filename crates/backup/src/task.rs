//! Work that is not cut off in the middle.

use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// Does work in a task of its own. When whoever waits for it is gone, `cancel` is told, and the work
/// still comes to an end by itself: it takes back what it has begun.
pub(crate) async fn uncut<T: Send + 'static>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let _stop = cancel.clone().drop_guard();
    // A task that panicked has published nothing.
    tokio::spawn(work).await.unwrap_or(Err(Error::Cancelled))
}

/// Waits for work until it is called off.
pub(crate) async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::Cancelled),
        outcome = work => outcome,
    }
}
