//! `/teams/{team_id}/members`: who is in a team, and as what.

use brownie_domain::{Action, List, Role, TeamId, UserId, Version};
use brownie_persistence::{Member, UserPatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Code, Problem,
    access::{InTeam, Org, perm},
    answer::{Addressed, Created, Deleted, One, PageOf},
    body::{Body, IfMatch, Path},
    query::{Paging, Query},
    repeat::{Keyed, Once},
};

use super::users::{UserView, member};

/// Somebody to be added.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberAdd {
    user_id: UserId,
    #[serde(default = "member")]
    role: Role,
}

/// Another role for a member.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberUpdate {
    role: Role,
}

/// A member as clients see them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Member")]
pub(crate) struct MemberView {
    team_id: TeamId,
    user_id: UserId,
    role: Role,
    is_home: bool,
    version: Version,
    user: UserView,
}

impl Addressed for MemberView {
    fn location(&self) -> String {
        format!("/api/v1/teams/{}/members/{}", self.team_id, self.user_id)
    }

    fn version(&self) -> Version {
        self.version
    }
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        let Member { team_id, role, is_home, version, user } = member;
        Self { team_id, user_id: user.id, role, is_home, version, user: user.into() }
    }
}

pub(crate) async fn list(
    access: Org<perm::TeamsRead>,
    Path(team_id): Path<TeamId>,
    Query(paging): Query<Paging>,
) -> Result<PageOf<MemberView>, Problem> {
    let page = Paging::of(paging.limit, paging.cursor.as_deref(), List::Users)?;
    let members = access.read().memberships().list(team_id, page).await?;
    Ok(PageOf::of(List::Users, members, MemberView::from))
}

pub(crate) async fn get(
    access: Org<perm::TeamsRead>,
    Path((team_id, user_id)): Path<(TeamId, UserId)>,
) -> Result<One<MemberView>, Problem> {
    let member = access.read().memberships().get(team_id, user_id).await?;
    Ok(One(MemberView::from(member)))
}

pub(crate) async fn add(
    access: InTeam<perm::MembersWrite>,
    Keyed(MemberAdd { user_id, role }, key): Keyed<MemberAdd>,
) -> Result<Once<Created<MemberView>>, Problem> {
    let team_id = access.team_id;
    access.giver().may_give(role)?;
    access
        .once(key, (), move |tx, ()| async move {
            Ok(Created(MemberView::from(tx.memberships().add(team_id, user_id, role).await?)))
        })
        .await
}

/// In a user's home team the role is the one in the organization: to change that takes more than
/// to be admin of the team, or an admin of one team could make admins of all.
pub(crate) async fn change_role(
    access: InTeam<perm::MembersWrite>,
    Path((team_id, user_id)): Path<(TeamId, UserId)>,
    IfMatch(expected): IfMatch,
    Body(MemberUpdate { role }): Body<MemberUpdate>,
) -> Result<One<MemberView>, Problem> {
    let may_change_users = access.may(Action::UsersWrite);
    let member = access
        .write(access.giver(), move |tx, giver| async move {
            // Whose home it is by then changes nothing: the store refuses to change a role in the
            // organization by way of a team.
            let before = tx.memberships().get(team_id, user_id).await?;
            let giver = if before.is_home { giver.in_organization() } else { giver };
            giver.may_give(before.role)?;
            giver.may_give(role)?;
            if !before.is_home {
                return Ok(tx.memberships().change_role(team_id, user_id, expected, role).await?);
            }
            if !may_change_users {
                return Err(Problem::with(
                    Code::Forbidden,
                    "This is the user's home team, where the role is the one in the organization: that takes an admin of the organization.",
                ));
            }
            let patch = UserPatch { role: Some(role), ..UserPatch::default() };
            tx.users().update(user_id, expected, patch).await?;
            Ok(tx.memberships().get(team_id, user_id).await?)
        })
        .await?;
    Ok(One(MemberView::from(member)))
}

pub(crate) async fn remove(
    access: InTeam<perm::MembersWrite>,
    Path((team_id, user_id)): Path<(TeamId, UserId)>,
    IfMatch(expected): IfMatch,
) -> Result<Deleted, Problem> {
    access
        .write(access.giver(), move |tx, giver| async move {
            giver.may_give(tx.memberships().get(team_id, user_id).await?.role)?;
            Ok(tx.memberships().remove(team_id, user_id, expected).await?)
        })
        .await?;
    Ok(Deleted::for_good("Member"))
}
