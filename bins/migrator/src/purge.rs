//! `brownie-migrator purge`.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use brownie_domain::{Clock, IdSource, RandomIds, RequestId, SystemClock};
use brownie_migration::{Database, End, Maintained, TimeTable, maintain};
use brownie_persistence::{Purged, SystemContext};
use chrono::TimeDelta;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::rows;

/// Ages are whole numbers with a unit: 30d, 12h, 90m.
#[derive(Debug, Args)]
pub(crate) struct Purge {
    /// Remove what was deleted longer ago than this, unless something still refers to it.
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Duration,
    /// Drop the months of events that are older than this. A reader that has not come for so long
    /// must start anew.
    #[arg(long, value_name = "AGE", value_parser = age)]
    events_older_than: Option<Duration>,
    /// Drop the months of the audit log that are older than this.
    #[arg(long, value_name = "AGE", value_parser = age)]
    audit_older_than: Option<Duration>,
    /// Drop the months of statistics that are older than this.
    #[arg(long, value_name = "AGE", value_parser = age)]
    stats_older_than: Option<Duration>,
    /// Only say what would be removed at most.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("{text:?} is no age; write a whole number and d, h or m, such as 30d");
    let (number, unit) =
        text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(expected)?;
    let seconds = match unit {
        "d" => 24 * 60 * 60,
        "h" => 60 * 60,
        "m" => 60,
        _ => return Err(expected()),
    };
    // Beyond ten thousand years times cannot be told.
    let number: u64 = number.parse().map_err(|_| expected())?;
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds < 315_000_000_000);
    seconds.map(Duration::from_secs).ok_or_else(expected)
}

impl Purge {
    pub(crate) async fn run(&self, database: &Database, json: bool) -> anyhow::Result<ExitCode> {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let stopper = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            stopper.cancel();
        });

        let purged = self.rows(database, &stop).await?;
        let maintained = if purged.stopped {
            Maintained::default()
        } else {
            maintain(database, &self.retention(), End::Drop, self.dry_run).await?
        };
        self.report(&purged, &maintained, json);
        let all = !purged.stopped && purged.left.is_empty();
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn rows(&self, database: &Database, stop: &CancellationToken) -> anyhow::Result<Purged> {
        let store = rows::open(database)?;
        let now = SystemClock.now();
        let before = now
            .checked_sub_signed(TimeDelta::from_std(self.older_than)?)
            .context("--older-than reaches back before all time")?;
        let ctx = SystemContext::for_visitor(RequestId::from_uuid(RandomIds.next(now)));
        let system = store.system(&ctx);
        let purged = if self.dry_run {
            system.purge_dry(before, stop).await
        } else {
            system.purge(before, stop).await
        };
        store.close().await;
        Ok(purged?)
    }

    fn retention(&self) -> Vec<(TimeTable, Duration)> {
        [
            (TimeTable::Outbox, self.events_older_than),
            (TimeTable::AuditLog, self.audit_older_than),
            (TimeTable::Stats, self.stats_older_than),
        ]
        .into_iter()
        .filter_map(|(table, age)| Some((table, age?)))
        .collect()
    }

    fn report(&self, purged: &Purged, maintained: &Maintained, json: bool) {
        let verb = if self.dry_run { "would remove" } else { "removed" };
        if json {
            let rows: serde_json::Map<_, _> =
                purged.rows.iter().map(|(what, rows)| (what.to_string(), (*rows).into())).collect();
            let report = serde_json::json!({
                "dry_run": self.dry_run, "stopped": purged.stopped, "rows": rows,
                "expired": purged.expired,
                "left": purged.left.iter().map(|(org_id, what, why)| serde_json::json!({
                    "org_id": org_id.to_string(), "what": what.to_string(), "why": why,
                })).collect::<Vec<_>>(),
                "partitions_made": maintained.made, "partitions_dropped": maintained.ended,
            });
            println!("{report}");
            return;
        }
        for (what, rows) in &purged.rows {
            println!("{verb} {rows} of {what}");
        }
        if !self.dry_run {
            println!("{verb} {} kept answers and sessions whose time is over", purged.expired);
        }
        for partition in &maintained.ended {
            println!("{verb} the partition {partition}");
        }
        for partition in &maintained.made {
            println!("made the partition {partition}");
        }
        for (org_id, what, why) in &purged.left {
            println!("left some of {what} of the organization {org_id}: {why}");
        }
        if purged.stopped {
            println!("stopped before the end; run it again to go on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_number_and_a_unit() {
        assert_eq!(age("30d"), Ok(Duration::from_hours(30 * 24)));
        assert_eq!(age("12h"), Ok(Duration::from_hours(12)));
        for bad in ["", "d", "30", "-1d", "1.5h", "30 d", "99999999999d", "3\u{e9}"] {
            assert!(age(bad).unwrap_err().contains("such as 30d"), "{bad}");
        }
    }
}
