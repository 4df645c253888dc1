//! Starts the embedded database again when it has died: it runs in this process, and nobody else would.

use std::time::Duration;

use anyhow::{Context, Result};
use brownie_api::Engine;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::embedded::Embedded;

/// How often it is looked whether it lives.
const LOOK: Duration = Duration::from_millis(250);

/// Watches over the embedded database.
#[derive(Debug)]
pub(crate) struct Supervisor {
    stop: CancellationToken,
    task: JoinHandle<Option<Embedded>>,
}

impl Supervisor {
    /// Begins to watch, and tells `engine` what it sees.
    pub(crate) fn over(database: Embedded, engine: Engine) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(watch(database, engine, stop.clone()));
        Self { stop, task }
    }

    /// Stops the database.
    pub(crate) async fn end(self) -> Result<()> {
        self.stop.cancel();
        let database = self.task.await.context("nobody watched over the embedded PostgreSQL")?;
        let Some(database) = database else { return Ok(()) };
        tokio::task::spawn_blocking(move || database.stop()).await?
    }
}

/// Returns the database to be stopped; none if it could not even be tried to start it again.
async fn watch(
    mut database: Embedded,
    engine: Engine,
    stop: CancellationToken,
) -> Option<Embedded> {
    while !stop.is_cancelled() {
        // Not yet told to stop: it is looked again.
        let _ = timeout(LOOK, stop.cancelled()).await;
        if database.listens() || stop.is_cancelled() {
            continue;
        }
        engine.set_up(false);
        tracing::error!("the embedded PostgreSQL has died; it is started again");
        let started = tokio::task::spawn_blocking(move || {
            let outcome = database.start_again();
            (database, outcome)
        });
        let outcome;
        (database, outcome) = started.await.ok()?;
        match outcome {
            Ok(()) => {
                engine.set_up(true);
                tracing::info!("the embedded PostgreSQL runs again");
            }
            Err(error) => {
                let error = brownie_logging::chain(error.as_ref());
                tracing::error!(%error, "the embedded PostgreSQL cannot be started again; it is tried on");
            }
        }
    }
    Some(database)
}
