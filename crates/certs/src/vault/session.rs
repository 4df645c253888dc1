//! For how long we are logged in.

use std::time::{Duration, Instant};

use brownie_config::Secret;
use serde::Deserialize;

/// A token, and for how long it is good.
pub(super) struct Session {
    pub(super) token: Secret,
    pub(super) renewable: bool,
    /// When to renew it, or to log in anew; never, for one without an end.
    pub(super) renew_at: Option<Instant>,
    ends: Option<Instant>,
    /// How long it was good for at first, and since it was renewed.
    first: Duration,
    latest: Duration,
}

/// What Vault grants.
#[derive(Deserialize)]
pub(super) struct Lease {
    #[serde(rename = "client_token")]
    token: String,
    #[serde(rename = "lease_duration")]
    seconds: u64,
    #[serde(default)]
    renewable: bool,
}

impl Session {
    /// A token that is good for so many seconds; for ever if that is none.
    pub(super) fn of(token: Secret, seconds: u64, renewable: bool) -> Self {
        let life = Duration::from_secs(seconds);
        let session =
            Self { token, renewable, renew_at: None, ends: None, first: life, latest: life };
        session.good_for(life)
    }

    pub(super) fn granted(lease: Lease) -> Self {
        Self::of(Secret::new(lease.token), lease.seconds, lease.renewable)
    }

    pub(super) fn renewed(&self, lease: &Lease) -> Self {
        let latest = Duration::from_secs(lease.seconds);
        let token = self.token.clone();
        let session = Self { token, latest, renewable: lease.renewable, ..*self };
        session.good_for(latest)
    }

    fn good_for(mut self, life: Duration) -> Self {
        let (now, has_end) = (Instant::now(), !life.is_zero());
        self.ends = has_end.then(|| now + life);
        self.renew_at = has_end.then(|| now + life * 2 / 3);
        self
    }

    pub(super) fn is_due(&self) -> bool {
        self.renew_at.is_some_and(|at| at <= Instant::now())
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends.is_some_and(|at| at <= Instant::now())
    }

    /// Returns whether it is renewed for less than half of what it was good for at first.
    pub(super) fn is_waning(&self) -> bool {
        self.latest < self.first / 2
    }

    /// Puts off renewing it, as Vault is away.
    pub(super) fn later(mut self) -> Self {
        self.renew_at = Some(Instant::now() + (self.first / 10).min(Duration::from_secs(30)));
        self
    }

    /// Uses it to its end.
    pub(super) fn unrenewable(mut self) -> Self {
        self.renew_at = None;
        self
    }
}
