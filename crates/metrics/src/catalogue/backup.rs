//! Backups: whether they are made, and whether they are good.

use super::metrics;

/// From a second to a working day.
const RUN: &[f64] =
    &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0];

metrics! {
    BACKUP_DURATION = "brownie_backup_duration_seconds", Histogram of Seconds, ["operation"] in RUN,
        "Seconds that runs took which succeeded, by operation: backup, verify, restore or cleanup.";
    BACKUP_LAST_SUCCESS = "brownie_backup_last_success_timestamp_seconds", Gauge of Timestamp, [],
        "When the newest complete backup was begun: what changed after it is not in it. 0 when there is none.";
    BACKUP_LAST_VERIFIED = "brownie_backup_last_verified_timestamp_seconds", Gauge of Timestamp, [],
        "When a backup was last read to its end and found good. 0 when none ever was.";
    BACKUP_RUNS = "brownie_backup_runs_total", Counter of Count, ["operation", "outcome"],
        "Runs, by operation (backup, verify, restore or cleanup) and outcome: succeeded, failed or skipped (another one was under way).";
    BACKUP_SIZE = "brownie_backup_size_bytes", Gauge of Bytes, [],
        "The size of the newest complete backup, as it is stored.";
    BACKUPS = "brownie_backups", Gauge of Count, [],
        "Complete backups that are kept.";
}
