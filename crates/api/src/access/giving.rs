//! Who may give somebody a role, and take it away.

use brownie_domain::{Reach, Role};
use brownie_persistence::Principal;

use crate::{Code, Problem};

/// Decides which roles a caller may give and take. Whoever manages people may do so; an API key with scopes,
/// only where it may itself do all that the role permits: a key for `users.write` makes no admins, and does
/// nothing to them.
#[derive(Debug, Clone)]
pub(crate) struct Giver {
    principal: Principal,
    reach: Reach,
}

impl Giver {
    pub(super) fn new(principal: &Principal, reach: Reach) -> Self {
        Self { principal: principal.clone(), reach }
    }

    /// The same, of roles in the organization.
    pub(crate) fn in_organization(self) -> Self {
        Self { reach: Reach::Organization, ..self }
    }

    /// Makes sure of a role.
    ///
    /// # Errors
    /// When the caller may not give it.
    pub(crate) fn may_give(&self, role: Role) -> Result<(), Problem> {
        if self.principal.may_give(role, self.reach) {
            return Ok(());
        }
        let why = format!(
            "The scopes of this API key do not name all that the role {role} permits, so it has nothing to do with \
             people who have it."
        );
        Err(Problem::with(Code::Forbidden, why))
    }
}
