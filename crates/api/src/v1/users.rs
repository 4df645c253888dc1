//! `/organizations/{org_id}/users` and `/users/{user_id}`.

use actix_web::web;
use brownie_auth::{Password, PasswordHash};
use brownie_domain::{
    Action, AvatarUrl, Change, Document, EmailAddress, FullName, List, OrganizationId, Role,
    TeamId, Timestamp, UserId, Username, Version,
};
use brownie_persistence::{NewUser, User, UserPatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Deps, Problem,
    access::{Org, perm},
    answer::{Addressed, Created, Deleted, One, PageOf, StampsView},
    body::{Body, Given, IfMatch, Path, same},
    query::{Paging, Query},
    repeat::{Key, Keyed, Once},
};

use super::yes;

/// A user to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserCreate {
    email: EmailAddress,
    username: Username,
    #[serde(default)]
    full_name: Option<FullName>,
    #[serde(default)]
    avatar_url: Option<AvatarUrl>,
    #[serde(default = "yes")]
    is_active: bool,
    #[serde(default)]
    is_verified: bool,
    #[serde(default)]
    preferences: Option<Document>,
    #[serde(default)]
    password: Option<Password>,
    team_id: TeamId,
    #[serde(default = "member")]
    role: Role,
    #[serde(default)]
    organization_id: Option<OrganizationId>,
}

pub(super) fn member() -> Role {
    Role::Member
}

/// Changes to a user.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct UserUpdate {
    email: Given<EmailAddress>,
    username: Given<Username>,
    full_name: Change<FullName>,
    avatar_url: Change<AvatarUrl>,
    is_active: Given<bool>,
    is_verified: Given<bool>,
    team_id: Given<TeamId>,
    role: Given<Role>,
    preferences: Given<Document>,
}

/// A user as clients see them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "User")]
pub(crate) struct UserView {
    id: UserId,
    org_id: OrganizationId,
    organization_id: OrganizationId,
    email: EmailAddress,
    username: Username,
    full_name: Option<FullName>,
    avatar_url: Option<AvatarUrl>,
    is_active: bool,
    is_verified: bool,
    team_id: TeamId,
    role: Role,
    preferences: Document,
    /// Null, as is `deleted_by`: who is deleted is not shown. The original's clients read both.
    deleted_at: Option<Timestamp>,
    deleted_by: Option<UserId>,
    #[serde(flatten)]
    stamps: StampsView,
}

impl Addressed for UserView {
    fn location(&self) -> String {
        format!("/api/v1/users/{}", self.id)
    }

    fn version(&self) -> Version {
        self.stamps.version
    }
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let User {
            org_id,
            id,
            email,
            username,
            full_name,
            avatar_url,
            is_active,
            is_verified,
            team_id,
            role,
            preferences,
            stamps,
        } = user;
        Self {
            id,
            org_id,
            organization_id: org_id,
            email,
            username,
            full_name,
            avatar_url,
            is_active,
            is_verified,
            team_id,
            role,
            preferences,
            deleted_at: None,
            deleted_by: None,
            stamps: stamps.into(),
        }
    }
}

pub(crate) async fn list(
    access: Org<perm::UsersRead>,
    Query(paging): Query<Paging>,
) -> Result<PageOf<UserView>, Problem> {
    let page = Paging::of(paging.limit, paging.cursor.as_deref(), List::Users)?;
    let users = access.read().users().list(page).await?;
    Ok(PageOf::of(List::Users, users, UserView::from))
}

pub(crate) async fn create(
    access: Org<perm::UsersWrite>,
    deps: web::Data<Deps>,
    Keyed(body, key): Keyed<UserCreate>,
) -> Result<Once<Created<UserView>>, Problem> {
    same(body.organization_id, access.org_id(), "/organization_id")?;
    access.giver().may_give(body.role)?;
    let password_hash = match body.password {
        Some(password) => Some(deps.passwords.hash(password).await?),
        None => None,
    };
    let new = NewUser {
        email: body.email,
        username: body.username,
        full_name: body.full_name,
        avatar_url: body.avatar_url,
        password_hash: password_hash.map(PasswordHash::into_stored),
        is_active: body.is_active,
        is_verified: body.is_verified,
        team_id: body.team_id,
        role: body.role,
        preferences: body.preferences.unwrap_or_default(),
    };
    access
        .once(key, new, move |tx, new| async move {
            Ok(Created(UserView::from(tx.users().create(new).await?)))
        })
        .await
}

pub(crate) async fn get(
    access: Org<perm::UsersRead>,
    Path(id): Path<UserId>,
) -> Result<One<UserView>, Problem> {
    Ok(One(UserView::from(access.read().users().get(id).await?)))
}

/// Everybody may change their own profile; anything else takes [`Action::UsersWrite`]. So nobody
/// raises their own role.
pub(crate) async fn update(
    access: Org<perm::UsersRead>,
    Path(id): Path<UserId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UserUpdate>,
) -> Result<One<UserView>, Problem> {
    let patch = UserPatch {
        email: body.email.0,
        username: body.username.0,
        full_name: body.full_name,
        avatar_url: body.avatar_url,
        is_active: body.is_active.0,
        is_verified: body.is_verified.0,
        team_id: body.team_id.0,
        role: body.role.0,
        preferences: body.preferences.0,
    };
    if Some(id) != access.principal().user_id() || patch.is_administrative() {
        access.require(Action::UsersWrite)?;
    }
    let giver = access.giver();
    let user = access
        .write(patch, move |tx, patch| {
            let giver = giver.clone();
            async move {
                let before = tx.users().get(id).await?;
                giver.may_give(before.role)?;
                let user = tx.users().update(id, expected, patch).await?;
                giver.may_give(user.role)?;
                Ok(user)
            }
        })
        .await?;
    Ok(One(UserView::from(user)))
}

pub(crate) async fn delete(
    access: Org<perm::UsersWrite>,
    Path(id): Path<UserId>,
    IfMatch(expected): IfMatch,
) -> Result<Deleted, Problem> {
    let user = access
        .write(access.giver(), move |tx, giver| async move {
            let user = tx.users().delete(id, expected).await?;
            giver.may_give(user.role)?;
            Ok(user)
        })
        .await?;
    Ok(Deleted::at("User", user.stamps.version))
}

pub(crate) async fn restore(
    access: Org<perm::UsersWrite>,
    Path(id): Path<UserId>,
    IfMatch(expected): IfMatch,
    key: Key,
) -> Result<Once<One<UserView>>, Problem> {
    access
        .once(key, access.giver(), move |tx, giver| async move {
            let user = tx.users().restore(id, expected).await?;
            giver.may_give(user.role)?;
            Ok(One(UserView::from(user)))
        })
        .await
}
