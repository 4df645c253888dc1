//! Principals that were asked for a moment ago. Every request begins with the question who it is,
//! and most come from somebody who has just asked.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use brownie_domain::{ApiKeyId, OrganizationId, SessionId, UserId};

use crate::admission::Admission;

/// How long an answer is believed. What another process changes counts after this time; what this
/// one changes counts at once.
const FRESH: Duration = Duration::from_secs(1);

/// How many are remembered. Beyond, all are forgotten: asking again is cheap.
const MOST: usize = 10_000;

/// What a credential names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A user, by a session if that matters.
    User(UserId, Option<SessionId>),
    /// An API key.
    ApiKey(ApiKeyId),
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Principals(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_credential: HashMap<(OrganizationId, Who), (Instant, Admission)>,
    /// How often something was forgotten: an answer from before that may be out of date.
    forgotten: u64,
}

/// When a question was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked(u64);

impl Principals {
    /// Returns an answer that is still fresh, or what to hand in with the new one.
    pub(crate) fn get(&self, org_id: OrganizationId, who: Who) -> Result<Admission, Asked> {
        let known = self.known();
        match known.by_credential.get(&(org_id, who)) {
            Some((at, admission)) if at.elapsed() < FRESH => Ok(admission.clone()),
            _ => Err(Asked(known.forgotten)),
        }
    }

    /// Tells whether there has been an answer, however old.
    pub(crate) fn has_met(&self, org_id: OrganizationId, who: Who) -> bool {
        self.known().by_credential.contains_key(&(org_id, who))
    }

    /// Remembers an answer, unless something was forgotten since it was asked for.
    pub(crate) fn put(&self, asked: Asked, who: Who, admission: &Admission) {
        let mut known = self.known();
        if known.forgotten != asked.0 {
            return;
        }
        if known.by_credential.len() >= MOST {
            known.by_credential.clear();
        }
        let key = (admission.principal.org_id, who);
        known.by_credential.insert(key, (Instant::now(), admission.clone()));
    }

    /// Forgets everybody in an organization.
    pub(crate) fn forget(&self, org_id: OrganizationId) {
        let mut known = self.known();
        known.forgotten += 1;
        known.by_credential.retain(|(org, _), _| *org != org_id);
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
    use crate::{Principal, context::Subject};

    const ADA: Who = Who::User(UserId::from_uuid(Uuid::from_u128(2)), None);

    fn somebody() -> (OrganizationId, Admission) {
        let org_id = OrganizationId::from_uuid(Uuid::from_u128(1));
        let home = TeamId::from_uuid(Uuid::from_u128(3));
        let subject =
            Subject::User { id: UserId::from_uuid(Uuid::from_u128(2)), home, session: None };
        let (memberships, scopes) = (Vec::new(), Vec::new());
        let principal = Principal { org_id, subject, role: Role::Admin, memberships, scopes };
        (org_id, Admission::of_user(principal, 0))
    }

    #[test]
    fn an_answer_is_remembered_until_something_changes() {
        let (principals, (org_id, ada)) = (Principals::default(), somebody());
        let asked = principals.get(org_id, ADA).unwrap_err();
        principals.put(asked, ADA, &ada);
        assert!(principals.get(org_id, ADA).is_ok());
        principals.forget(org_id);
        assert!(principals.get(org_id, ADA).is_err());
    }

    #[test]
    fn an_answer_from_before_a_change_is_not_remembered_after_it() {
        let (principals, (org_id, ada)) = (Principals::default(), somebody());
        let asked = principals.get(org_id, ADA).unwrap_err();
        principals.forget(org_id);
        principals.put(asked, ADA, &ada);
        assert!(principals.get(org_id, ADA).is_err());
    }
}
