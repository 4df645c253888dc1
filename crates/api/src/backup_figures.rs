//! What metrics tell of backups: as the worker reported it, since it may be a process that is long
//! over when somebody asks.

use brownie_domain::{OperationKind, Timestamp};
use brownie_metrics::{
    BACKUP_DURATION, BACKUP_LAST_SUCCESS, BACKUP_LAST_VERIFIED, BACKUP_RUNS, BACKUP_SIZE, BACKUPS,
};
use brownie_persistence::{BackupReport, Result, SystemScope};
use metrics::{counter, gauge, histogram};

/// Runs of these are told of (docs/metrics.md); the others are rare, and asked for by somebody.
const TOLD: &[&str] = &["backup", "verify", "restore", "cleanup"];

/// Observes how long runs took, each once.
#[derive(Debug)]
pub(crate) struct Durations {
    since: Timestamp,
}

impl Durations {
    /// Begins with what ends from now on.
    pub(crate) fn from(now: Timestamp) -> Self {
        Self { since: now }
    }

    /// Observes the runs that ended since the last time.
    pub(crate) async fn observe(&mut self, system: &SystemScope) -> Result<()> {
        for (kind, ended_at, took) in system.operations_done(self.since).await? {
            self.since = self.since.max(ended_at);
            let verb = kind.parse().map(OperationKind::verb).unwrap_or_default();
            if TOLD.contains(&verb) {
                histogram!(BACKUP_DURATION, "operation" => verb).record(took);
            }
        }
        Ok(())
    }
}

/// Shows what was reported.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
pub(crate) fn show(report: &BackupReport) {
    for (verb, outcomes) in &report.runs {
        for (outcome, count) in outcomes.iter().filter(|_| TOLD.contains(&verb.as_str())) {
            let (operation, outcome) = (verb.clone(), outcome.clone());
            counter!(BACKUP_RUNS, "operation" => operation, "outcome" => outcome).absolute(*count);
        }
    }
    // Where nobody has looked, nothing is known.
    let Some(store) = &report.store else { return };
    let time = |at: Option<Timestamp>| at.map_or(0, |at| at.timestamp()) as f64;
    let newest = store.newest();
    gauge!(BACKUP_LAST_SUCCESS).set(time(newest.and_then(|backup| backup.created)));
    gauge!(BACKUP_LAST_VERIFIED).set(time(store.last_verified()));
    gauge!(BACKUP_SIZE).set(newest.map_or(0, |backup| backup.stored_size) as f64);
    gauge!(BACKUPS).set(store.total_backups as f64);
}
