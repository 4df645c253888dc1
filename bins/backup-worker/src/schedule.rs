//! The long-running worker, and what a single run reports.

use std::{process::ExitCode, sync::Arc, time::Duration};

use brownie_backup::{Error, Setup, report};

use tokio::time::timeout;

use crate::{commands::Worker, stop::told_to_stop};

/// How long a run may take to say what it came to.
const PATIENCE: Duration = Duration::from_secs(10);

impl Worker {
    /// Follows the schedule until it is told to stop.
    pub(crate) async fn schedule(&self) -> anyhow::Result<ExitCode> {
        let way = self.way()?;
        let makes_databases = self.restore_way.as_ref().unwrap_or(way);
        let setup = Setup {
            dial: Arc::clone(way) as _,
            cluster: Some(makes_databases.cluster()),
            database: way.database().to_owned(),
            store: self.store.clone(),
            settings: self.settings.clone(),
            stop: told_to_stop(),
        };
        brownie_backup::Worker::new(setup)?.run().await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Reports what a run came to. A backup is as good as it is, whether or not that can be said.
    pub(crate) async fn report<T>(&self, outcome: &anyhow::Result<T>) {
        let ended = match outcome {
            Ok(_) => "succeeded",
            Err(error) => match error.downcast_ref() {
                Some(Error::Busy { .. }) => "skipped",
                Some(Error::Cancelled) => return,
                _ => "failed",
            },
        };
        let Some(way) = &self.way else { return };
        let dial = Arc::clone(way) as _;
        let runs = [("backup", ended)];
        // A store that is away was waited for long enough by the run itself.
        let said = timeout(PATIENCE, report(dial, &self.store, &self.settings, &runs)).await;
        if let Err(error) = said.unwrap_or(Err(Error::TimedOut { after: PATIENCE })) {
            tracing::warn!(error = %brownie_logging::chain(&error), "the run could not be reported; operators see what there was before");
        }
    }
}
