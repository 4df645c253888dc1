//! What is told of the whole database and not of one request: figures, and the schema's standing.

use std::time::{Duration, Instant};

use brownie_domain::{RequestId, Timestamp};
use brownie_metrics::{
    AGENT_CONFIGS, BUSINESS_COLLECTED, INCIDENTS, INCIDENTS_ACTIVE, MIGRATIONS_APPLIED,
    MIGRATIONS_PENDING, ORGANIZATIONS, OUTBOX_LAG_EVENTS, OUTBOX_LAG_SECONDS, TEAMS, USERS,
    USERS_ACTIVE,
};
use brownie_persistence::{Figures, SystemContext};
use metrics::gauge;

use crate::{
    Deps,
    backup_figures::{self, Durations},
};

/// Looks every `interval`, for ever. Does nothing if that is zero.
pub(crate) async fn watch(deps: Deps, interval: Duration) {
    if interval.is_zero() {
        return;
    }
    let mut observer = deps.store.observer(interval);
    let mut lag = Lag::default();
    let ctx = SystemContext::for_visitor(RequestId::from_uuid(uuid::Uuid::nil()));
    let system = deps.store.system(&ctx);
    let mut durations = Durations::from(deps.clock.now());
    loop {
        let began = Instant::now();
        standing(&deps).await;
        match observer.look().await {
            Ok(Some(figures)) => {
                let waited = lag.after(&figures, began);
                let backups = system.backup_report().await.unwrap_or_default();
                deps.exporter.publish(|| {
                    show(&figures, waited, deps.clock.now());
                    backup_figures::show(&backups);
                });
                if let Err(error) = durations.observe(&system).await {
                    tracing::warn!(error = %brownie_logging::chain(&error), "no durations of backups for the metrics");
                }
            }
            Ok(None) => deps.exporter.withdraw(),
            Err(error) => {
                deps.exporter.withdraw();
                tracing::warn!(error = %brownie_logging::chain(&error), "no figures for the metrics");
            }
        }
        #[expect(clippy::disallowed_methods, reason = "figures are made at an interval")]
        tokio::time::sleep(observer.rest()).await;
    }
}

/// Notes which migrations the database has. What cannot be asked stays as it was: that the database is
/// away is told elsewhere.
async fn standing(deps: &Deps) {
    let ctx = SystemContext::for_visitor(RequestId::from_uuid(uuid::Uuid::nil()));
    if let Ok(applied) = deps.store.system(&ctx).applied_migrations(deps.schema.ledger).await {
        gauge!(MIGRATIONS_APPLIED).set(number(applied.len()));
        gauge!(MIGRATIONS_PENDING).set(number((deps.schema.judge)(&applied).pending));
    }
}

/// Since when the order of events has not been settled any further.
#[derive(Debug, Default)]
struct Lag(Option<(i64, Instant)>);

impl Lag {
    /// Returns for how long what was settled has been the same, if there is more to settle.
    fn after(&mut self, figures: &Figures, now: Instant) -> Duration {
        if figures.events_taken <= figures.events_settled {
            self.0 = None;
            return Duration::ZERO;
        }
        match self.0 {
            Some((settled, since)) if settled == figures.events_settled => now - since,
            _ => {
                self.0 = Some((figures.events_settled, now));
                Duration::ZERO
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
fn show(figures: &Figures, lag: Duration, now: Timestamp) {
    let set = |name: &'static str, amount: i64| gauge!(name).set(amount as f64);
    set(BUSINESS_COLLECTED, now.timestamp());
    set(ORGANIZATIONS, figures.organizations);
    set(TEAMS, figures.teams);
    set(USERS, figures.users);
    set(USERS_ACTIVE, figures.users_active);
    set(AGENT_CONFIGS, figures.agent_configs);
    set(OUTBOX_LAG_EVENTS, (figures.events_taken - figures.events_settled).max(0));
    gauge!(OUTBOX_LAG_SECONDS).set(lag.as_secs_f64());
    let mut active = 0;
    for (status, priority, amount) in &figures.incidents {
        if matches!(status.as_str(), "open" | "investigating" | "in_progress") {
            active += amount;
        }
        let (status, priority) = (status.clone(), priority.clone());
        gauge!(INCIDENTS, "priority" => priority, "status" => status).set(*amount as f64);
    }
    set(INCIDENTS_ACTIVE, active);
}

#[expect(clippy::cast_precision_loss, reason = "there are not many")]
fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(taken: i64, settled: i64) -> Figures {
        Figures { events_taken: taken, events_settled: settled, ..Figures::default() }
    }

    #[test]
    fn events_lag_while_the_same_one_is_waited_for() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let seconds = |looks: &mut Lag, figures, at| looks.after(&figures, at).as_secs();
        assert_eq!(seconds(&mut lag, looked(5, 5), at(0)), 0);
        assert_eq!(seconds(&mut lag, looked(9, 7), at(30)), 0);
        assert_eq!(seconds(&mut lag, looked(12, 7), at(60)), 30, "nothing moved");
        assert_eq!(seconds(&mut lag, looked(20, 19), at(90)), 0, "it moved: that is no lag");
        assert_eq!(seconds(&mut lag, looked(20, 20), at(120)), 0);
    }
}
