//! The life of an incident: its states, the moves between them, and the times they leave behind.
//!
//! The states are the union of two worlds: the incident service's (`open`, `in_progress`,
//! `resolved`, `closed`, `cancelled`) and the monitoring hub's, which adds `investigating`.

use crate::{Timestamp, kinds::kinds};

kinds! {
    /// Where an incident stands.
    IncidentStatus("status") {
        /// Reported; nobody works on it.
        Open = "open",
        /// Somebody looks for the cause.
        Investigating = "investigating",
        /// Somebody works on the cure.
        InProgress = "in_progress",
        /// Cured; not yet confirmed.
        Resolved = "resolved",
        /// Over.
        Closed = "closed",
        /// Was none.
        Cancelled = "cancelled",
    }
}

impl IncidentStatus {
    /// Tells whether the incident still needs somebody.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Open | Self::Investigating | Self::InProgress)
    }

    /// Tells whether an incident in this state may move to `to`.
    ///
    /// While active it may move anywhere. What is resolved may be closed. What is resolved, closed
    /// or cancelled may be reopened, that is, become active again. Staying is always allowed.
    pub const fn may_become(self, to: Self) -> bool {
        match (self, to) {
            (Self::Open | Self::Investigating | Self::InProgress, _)
            | (_, Self::Open | Self::Investigating | Self::InProgress)
            | (Self::Resolved, Self::Resolved | Self::Closed)
            | (Self::Closed, Self::Closed)
            | (Self::Cancelled, Self::Cancelled) => true,
            (Self::Resolved, Self::Cancelled)
            | (Self::Closed, Self::Resolved | Self::Cancelled)
            | (Self::Cancelled, Self::Resolved | Self::Closed) => false,
        }
    }
}

/// A move that the states do not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an incident that is {from} cannot become {to}; reopen it first (open, investigating or in_progress)"
)]
pub struct IllegalTransition {
    /// Where it stands.
    pub from: IncidentStatus,
    /// Where it was told to go.
    pub to: IncidentStatus,
}

/// The state of an incident and the times that belong to it, which change together or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Where the incident stands.
    pub status: IncidentStatus,
    /// When somebody first took it up.
    pub started_at: Option<Timestamp>,
    /// When it was cured.
    pub resolved_at: Option<Timestamp>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Whole minutes from its creation to its first assignment.
    pub response_time_minutes: Option<i32>,
    /// Whole minutes from `started_at` to `resolved_at`.
    pub resolution_time_minutes: Option<i32>,
}

impl Progress {
    /// A new incident: open, with no times.
    pub const NEW: Self = Self {
        status: IncidentStatus::Open,
        started_at: None,
        resolved_at: None,
        closed_at: None,
        response_time_minutes: None,
        resolution_time_minutes: None,
    };

    /// Moves to `to` at `now` and sets the times that follow from it.
    ///
    /// A time that is set stays, except on reopening: that clears `resolved_at`, `closed_at` and
    /// `resolution_time_minutes`, which would no longer be true. What they were is in the audit
    /// log.
    ///
    /// # Errors
    /// When [`IncidentStatus::may_become`] says no. Nothing has changed then.
    pub fn transition(
        mut self,
        to: IncidentStatus,
        now: Timestamp,
    ) -> Result<Self, IllegalTransition> {
        let from = self.status;
        if !from.may_become(to) {
            return Err(IllegalTransition { from, to });
        }
        if !from.is_active() && to.is_active() {
            self.resolved_at = None;
            self.closed_at = None;
            self.resolution_time_minutes = None;
        }
        self.status = to;
        match to {
            IncidentStatus::Investigating | IncidentStatus::InProgress => {
                self.started_at.get_or_insert(now);
            }
            IncidentStatus::Resolved if self.resolved_at.is_none() => {
                self.resolved_at = Some(now);
                self.resolution_time_minutes =
                    self.started_at.map(|started_at| whole_minutes(started_at, now));
            }
            IncidentStatus::Closed => {
                self.closed_at.get_or_insert(now);
            }
            IncidentStatus::Open | IncidentStatus::Resolved | IncidentStatus::Cancelled => {}
        }
        Ok(self)
    }

    /// Notes that somebody was assigned at `now`: the first assignment starts the work and stops
    /// the response time.
    #[must_use]
    pub fn assigned(mut self, created_at: Timestamp, now: Timestamp) -> Self {
        if self.started_at.is_none() {
            self.started_at = Some(now);
            self.response_time_minutes = Some(whole_minutes(created_at, now));
        }
        self
    }
}

/// Clocks of two machines may disagree: a negative span counts as none.
fn whole_minutes(from: Timestamp, to: Timestamp) -> i32 {
    i32::try_from((to - from).num_minutes().max(0)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    fn at(minute: i64) -> Timestamp {
        DateTime::from_timestamp_micros(1_790_000_000_000_000).unwrap() + TimeDelta::minutes(minute)
    }

    #[test]
    fn the_table_of_moves_is_the_documented_one() {
        let table: Vec<String> = IncidentStatus::ALL
            .iter()
            .map(|from| {
                let to: Vec<&str> = IncidentStatus::ALL
                    .iter()
                    .filter(|to| *to != from && from.may_become(**to))
                    .map(|to| to.as_str())
                    .collect();
                format!("{from} -> {}", to.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "open -> investigating in_progress resolved closed cancelled",
                "investigating -> open in_progress resolved closed cancelled",
                "in_progress -> open investigating resolved closed cancelled",
                "resolved -> open investigating in_progress closed",
                "closed -> open investigating in_progress",
                "cancelled -> open investigating in_progress",
            ]
        );
    }

    #[test]
    fn the_times_follow_the_states() {
        let progress = Progress::NEW.transition(IncidentStatus::InProgress, at(5)).unwrap();
        assert_eq!(progress.started_at, Some(at(5)));

        let progress = progress.transition(IncidentStatus::Resolved, at(50)).unwrap();
        assert_eq!(progress.resolved_at, Some(at(50)));
        assert_eq!(progress.resolution_time_minutes, Some(45));

        let progress = progress.transition(IncidentStatus::Closed, at(60)).unwrap();
        assert_eq!(progress.closed_at, Some(at(60)));
    }

    #[test]
    fn reopening_forgets_how_it_ended_and_keeps_when_it_began() {
        let closed = Progress::NEW
            .transition(IncidentStatus::Investigating, at(1))
            .and_then(|progress| progress.transition(IncidentStatus::Resolved, at(2)))
            .and_then(|progress| progress.transition(IncidentStatus::Closed, at(3)))
            .unwrap();

        let reopened = closed.transition(IncidentStatus::Open, at(4)).unwrap();

        assert_eq!(reopened.started_at, Some(at(1)));
        assert_eq!((reopened.resolved_at, reopened.closed_at), (None, None));
        assert_eq!(reopened.resolution_time_minutes, None);
    }

    #[test]
    fn the_first_assignment_counts_the_response_time() {
        let progress = Progress::NEW.assigned(at(0), at(7)).assigned(at(0), at(90));
        assert_eq!(progress.started_at, Some(at(7)));
        assert_eq!(progress.response_time_minutes, Some(7));
    }

    #[test]
    fn an_illegal_move_says_what_would_be_legal() {
        let cancelled = Progress::NEW.transition(IncidentStatus::Cancelled, at(1)).unwrap();
        let error = cancelled.transition(IncidentStatus::Resolved, at(2)).unwrap_err();
        assert!(error.to_string().contains("reopen it first"), "{error}");
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_minutes() {
        let progress = Progress::NEW.assigned(at(10), at(3));
        assert_eq!(progress.response_time_minutes, Some(0));
    }
}
