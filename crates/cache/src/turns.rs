//! Which values of an organization are out of date.
//!
//! A value is asked for in a turn, and served in that turn only. A bump begins the next one. Redis has
//! turns of its own, the generations of `read.lua`, which all instances see. They may be lost: Redis is
//! away when a bump comes, or comes back without its last moments. So this instance remembers its own
//! bumps for as long as a value may live, and names to Redis the generation it must not go back behind.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use brownie_domain::OrganizationId;

/// The longest that a value is served.
pub(crate) const LONGEST: Duration = Duration::from_hours(1);

/// What this instance knows of an organization's turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The turn in this process; 0 if nothing was bumped for long.
    pub(crate) number: u64,
    /// What Redis may serve.
    pub(crate) shared: Floor,
}

/// What Redis may serve of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// Values of this generation, or of a later one.
    From(u64),
    /// Nothing yet: it has not been told of the last bump.
    NotYet,
}

/// The bumps of this instance that still matter.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Bumps>);

#[derive(Debug, Default)]
struct Bumps {
    last: u64,
    by_org: HashMap<Option<OrganizationId>, (Instant, Turn)>,
    /// How many there may be before those that no longer matter are looked for.
    many: usize,
}

impl Turns {
    /// Returns the turn that an organization is in.
    pub(crate) fn of(&self, org_id: Option<OrganizationId>) -> Turn {
        match self.bumps().by_org.get(&org_id) {
            Some((_, turn)) => *turn,
            None => Turn { number: 0, shared: Floor::From(0) },
        }
    }

    /// Begins the next turn, and returns it.
    pub(crate) fn bump(&self, org_id: Option<OrganizationId>) -> Turn {
        let mut bumps = self.bumps();
        if bumps.by_org.len() >= bumps.many {
            bumps.by_org.retain(|_, (at, _)| at.elapsed() <= LONGEST);
            bumps.many = 1_000.max(bumps.by_org.len() * 2);
        }
        bumps.last += 1;
        let turn = Turn { number: bumps.last, shared: Floor::NotYet };
        bumps.by_org.insert(org_id, (Instant::now(), turn));
        turn
    }

    /// Notes that Redis was told of a turn, by the generation it answered with.
    pub(crate) fn settle(&self, org_id: Option<OrganizationId>, number: u64, generation: u64) {
        if let Some((_, turn)) = self.bumps().by_org.get_mut(&org_id)
            && turn.number == number
            && turn.shared == Floor::NotYet
        {
            turn.shared = Floor::From(generation);
        }
    }

    fn bumps(&self) -> MutexGuard<'_, Bumps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_serves_nothing_until_it_knows_of_the_last_bump() {
        let turns = Turns::default();
        assert_eq!(turns.of(None).shared, Floor::From(0));
        let first = turns.bump(None);
        let second = turns.bump(None);
        assert_ne!(first.number, second.number);
        // The answer to the first says nothing about the second.
        turns.settle(None, first.number, 7);
        assert_eq!(turns.of(None).shared, Floor::NotYet);
        turns.settle(None, second.number, 8);
        assert_eq!(turns.of(None), Turn { number: second.number, shared: Floor::From(8) });
    }

    #[test]
    fn bumps_that_still_matter_are_not_dropped() {
        let turns = Turns::default();
        let org = |i| Some(OrganizationId::from_uuid(uuid::Uuid::from_u128(i)));
        for i in 0..5_000 {
            turns.bump(org(i));
        }
        assert!((0..5_000).all(|i| turns.of(org(i)).number > 0));
    }
}
