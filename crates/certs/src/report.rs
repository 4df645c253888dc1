//! What others get to know: log lines and metrics.

use brownie_domain::Timestamp;
use brownie_metrics::{CERTIFICATE_EXPIRY, CERTIFICATE_REFUSED, CERTIFICATE_RELOADS};
use chrono::TimeDelta;
use metrics::{counter, gauge};

use crate::{Current, Facts, Faults, Policy, Role};

/// How often is reminded of what is wrong, but not wrong enough.
const REMINDER: TimeDelta = TimeDelta::days(1);

/// Reports each thing once, and what lasts once a day.
#[derive(Default)]
pub(crate) struct Reporter {
    refused: Option<Faults>,
    reminded: Option<Timestamp>,
}

impl Reporter {
    /// Reports that certificates are in use from now on.
    pub(crate) fn taken(&mut self, current: &Current, policy: &Policy, now: Timestamp) {
        counter!(CERTIFICATE_RELOADS, "outcome" => "taken").increment(1);
        let generation = current.generation();
        for (role, name) in [(Role::Client, "client"), (Role::Server, "server")] {
            if let Some(Facts { subject, serial, not_after, .. }) =
                current.facts(role).into_iter().next()
            {
                tracing::info!(generation, role = name, subject, serial, %not_after, "certificate in use");
            }
        }
        self.refused = None;
        self.reminded = None;
        self.observe(current, policy, now);
    }

    /// Reports that nothing new is there.
    pub(crate) fn unchanged(&mut self, current: &Current, policy: &Policy, now: Timestamp) {
        if self.refused.take().is_some() {
            tracing::info!("the certificates in use are again those that there are");
        }
        self.observe(current, policy, now);
    }

    /// Reports that what is there is not used.
    pub(crate) fn refused(
        &mut self,
        current: &Current,
        faults: &Faults,
        policy: &Policy,
        now: Timestamp,
    ) {
        if self.refused.as_ref().is_none_or(|before| !before.are_those_of(faults)) {
            counter!(CERTIFICATE_RELOADS, "outcome" => "refused").increment(1);
            let generation = current.generation();
            tracing::error!(generation, %faults, "new certificates are not used, the old ones serve on");
        }
        self.refused = Some(faults.clone());
        self.observe(current, policy, now);
    }

    fn observe(&mut self, current: &Current, policy: &Policy, now: Timestamp) {
        gauge!(CERTIFICATE_REFUSED).set(f64::from(u8::from(self.refused.is_some())));
        for (role, name) in [(Role::Ca, "ca"), (Role::Client, "client"), (Role::Server, "server")] {
            set_expiry(name, current.expiry(role, now));
        }
        set_expiry("crl", current.next_revocation_list());
        if self.reminded.is_some_and(|reminded| now - reminded < REMINDER) {
            return;
        }
        self.reminded = Some(now);
        for fault in current.judge(policy, now) {
            tracing::warn!("{fault}");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact until the year 285 million")]
fn set_expiry(role: &'static str, ends: Option<Timestamp>) {
    if let Some(ends) = ends {
        gauge!(CERTIFICATE_EXPIRY, "role" => role).set(ends.timestamp() as f64);
    }
}
