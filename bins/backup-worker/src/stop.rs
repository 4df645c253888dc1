//! How it is told to stop.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns what is cancelled when somebody ends the process (SIGTERM, SIGINT).
pub(crate) fn told_to_stop() -> CancellationToken {
    let token = CancellationToken::new();
    let stopper = token.clone();
    drop(tokio::spawn(async move {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            }
            Err(_) => drop(tokio::signal::ctrl_c().await),
        }
        stopper.cancel();
    }));
    token
}
