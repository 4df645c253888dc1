//! Principals that were asked for a moment ago. Every request begins with the question who it is,
//! and most come from somebody who has just asked.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use brownie_domain::{OrganizationId, UserId};

use crate::Principal;

/// How long an answer is believed. What another process changes counts after this time; what this
/// one changes counts at once.
const FRESH: Duration = Duration::from_secs(1);

/// How many are remembered. Beyond, all are forgotten: asking again is cheap.
const MOST: usize = 10_000;

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Principals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_user: HashMap<(OrganizationId, UserId), (Instant, Principal)>,
    /// How often something was forgotten: an answer from before that may be out of date.
    forgotten: u64,
}

/// When a question was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked(u64);

impl Principals {
    /// Returns an answer that is still fresh, or what to hand in with the new one.
    pub(crate) fn get(&self, org_id: OrganizationId, user_id: UserId) -> Result<Principal, Asked> {
        let known = self.known();
        match known.by_user.get(&(org_id, user_id)) {
            Some((at, principal)) if at.elapsed() < FRESH => Ok(principal.clone()),
            _ => Err(Asked(known.forgotten)),
        }
    }

    /// Remembers an answer, unless something was forgotten since it was asked for.
    pub(crate) fn put(&self, asked: Asked, principal: &Principal) {
        let mut known = self.known();
        if known.forgotten != asked.0 {
            return;
        }
        if known.by_user.len() >= MOST {
            known.by_user.clear();
        }
        let key = (principal.org_id, principal.user_id);
        known.by_user.insert(key, (Instant::now(), principal.clone()));
    }

    /// Forgets everybody in an organization.
    pub(crate) fn forget(&self, org_id: OrganizationId) {
        let mut known = self.known();
        known.forgotten += 1;
        known.by_user.retain(|(org, _), _| *org != org_id);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use brownie_domain::{Role, TeamId};
    use uuid::Uuid;

    use super::*;

    fn somebody() -> Principal {
        Principal {
            org_id: OrganizationId::from_uuid(Uuid::from_u128(1)),
            user_id: UserId::from_uuid(Uuid::from_u128(2)),
            home_team: TeamId::from_uuid(Uuid::from_u128(3)),
            role: Role::Admin,
            memberships: Vec::new(),
        }
    }

    #[test]
    fn an_answer_is_remembered_until_something_changes() {
        let (principals, ada) = (Principals::default(), somebody());
        let asked = principals.get(ada.org_id, ada.user_id).unwrap_err();
        principals.put(asked, &ada);
        assert!(principals.get(ada.org_id, ada.user_id).is_ok());
        principals.forget(ada.org_id);
        assert!(principals.get(ada.org_id, ada.user_id).is_err());
    }

    #[test]
    fn an_answer_from_before_a_change_is_not_remembered_after_it() {
        let (principals, ada) = (Principals::default(), somebody());
        let asked = principals.get(ada.org_id, ada.user_id).unwrap_err();
        principals.forget(ada.org_id);
        principals.put(asked, &ada);
        assert!(principals.get(ada.org_id, ada.user_id).is_err());
    }
}
