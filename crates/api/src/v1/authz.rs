//! `/authz/explain`: what a caller may do, and why.

use brownie_domain::{Action, Reach, Role, TeamId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{Org, perm},
    answer::Plain,
    query::Query,
};

/// What is asked about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// One action; all of them unless given.
    action: Option<Action>,
    /// The team that an action of team scope is for; the home team unless given.
    team_id: Option<TeamId>,
}

/// What may be done, and why.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Explanations {
    items: Vec<Verdict>,
}

/// Whether one action is allowed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verdict {
    action: Action,
    allowed: bool,
    /// Whose role decides.
    #[schemars(example = &"team")]
    decided_by: &'static str,
    /// The team, where a team's role decides.
    team_id: Option<TeamId>,
    /// The role the caller has there; null if none.
    role: Option<Role>,
    /// The least role that may do it.
    least_role: Role,
    /// All of it in a sentence.
    #[schemars(example = &"incidents.write takes the role member or more in the team; you are admin there")]
    because: String,
}

/// A team of another organization is answered as one that is not there.
pub(crate) async fn explain(
    access: Org<perm::UsersRead>,
    Query(question): Query<Question>,
) -> Result<Plain<Explanations>, Problem> {
    let principal = access.principal();
    let team_id = question.team_id.or(principal.home_team());
    if let Some(asked) = team_id.filter(|team| !principal.belongs_to(*team)) {
        access.read().teams().get(asked).await?;
    }
    let in_team = team_id.and_then(|team| principal.role_in(team));
    let verdict = |action: Action| {
        let (decided_by, team_id, role) = match action.reach() {
            Reach::Organization => ("organization", None, principal.role()),
            Reach::Team => ("team", team_id, in_team),
        };
        let least_role = action.least_role();
        let standing = role
            .map_or("you have no role there".to_owned(), |role| format!("you are {role} there"));
        Verdict {
            action,
            allowed: principal.may(action, role),
            decided_by,
            team_id,
            role,
            least_role,
            because: if principal.has_scope(action) {
                format!(
                    "{action} takes the role {least_role} or more in the {decided_by}; {standing}"
                )
            } else {
                format!("the scopes of this API key do not name {action}")
            },
        }
    };
    let actions = question.action.map_or_else(|| Action::ALL.to_vec(), |action| vec![action]);
    Ok(Plain(Explanations { items: actions.into_iter().map(verdict).collect() }))
}
