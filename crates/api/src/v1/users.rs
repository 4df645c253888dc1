//! `/organizations/{org_id}/users` and `/users/{user_id}`.

use actix_web::{HttpRequest, HttpResponse, web};
use brownie_auth::{Password, PasswordHash};
use brownie_domain::{
    Action, AvatarUrl, Change, Document, EmailAddress, FullName, List, OrganizationId, Role,
    TeamId, UserId, Username,
};
use brownie_persistence::{NewUser, User, UserPatch};
use serde::{Deserialize, Serialize};

use crate::{
    Deps, Problem,
    access::{Org, perm},
    body::{Body, IfMatch, Paging, Path, Query, same, some},
    view::{self, StampsView},
};

use super::yes;

/// A user to be created.
#[derive(Debug, Deserialize)]
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
    preferences: Document,
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserUpdate {
    #[serde(default, deserialize_with = "some")]
    email: Option<EmailAddress>,
    #[serde(default, deserialize_with = "some")]
    username: Option<Username>,
    #[serde(default)]
    full_name: Change<FullName>,
    #[serde(default)]
    avatar_url: Change<AvatarUrl>,
    #[serde(default, deserialize_with = "some")]
    is_active: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    is_verified: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    team_id: Option<TeamId>,
    #[serde(default, deserialize_with = "some")]
    role: Option<Role>,
    #[serde(default, deserialize_with = "some")]
    preferences: Option<Document>,
}

/// A user as clients see them.
#[derive(Serialize)]
pub(super) struct UserView {
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
    #[serde(flatten)]
    stamps: StampsView,
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
            stamps: stamps.into(),
        }
    }
}

pub(super) fn one(user: User) -> HttpResponse {
    let version = user.stamps.version;
    view::one(&UserView::from(user), version)
}

pub(crate) async fn list(
    access: Org<perm::UsersRead>,
    request: HttpRequest,
    Query(paging): Query<Paging>,
) -> Result<HttpResponse, Problem> {
    let page = Paging::of(paging.limit, paging.cursor.as_deref(), List::Users)?;
    let users = access.read().users().list(page).await?;
    Ok(view::page(&request, List::Users, users, UserView::from))
}

pub(crate) async fn create(
    access: Org<perm::UsersWrite>,
    deps: web::Data<Deps>,
    Body(body): Body<UserCreate>,
) -> Result<HttpResponse, Problem> {
    same(body.organization_id, access.org_id(), "/organization_id")?;
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
        preferences: body.preferences,
    };
    let user =
        access.write(new, move |tx, new| async move { Ok(tx.users().create(new).await?) }).await?;
    let location = format!("/api/v1/users/{}", user.id);
    let version = user.stamps.version;
    Ok(view::created(&UserView::from(user), version, &location))
}

pub(crate) async fn get(
    access: Org<perm::UsersRead>,
    Path(id): Path<UserId>,
) -> Result<HttpResponse, Problem> {
    Ok(one(access.read().users().get(id).await?))
}

/// Everybody may change their own profile; anything else takes [`Action::UsersWrite`]. So nobody
/// raises their own role.
pub(crate) async fn update(
    access: Org<perm::UsersRead>,
    Path(id): Path<UserId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<UserUpdate>,
) -> Result<HttpResponse, Problem> {
    let UserUpdate {
        email,
        username,
        full_name,
        avatar_url,
        is_active,
        is_verified,
        team_id,
        role,
        preferences,
    } = body;
    let patch = UserPatch {
        email,
        username,
        full_name,
        avatar_url,
        is_active,
        is_verified,
        team_id,
        role,
        preferences,
    };
    if id != access.principal().user_id() || patch.is_administrative() {
        access.require(Action::UsersWrite)?;
    }
    let user = access
        .write(
            patch,
            move |tx, patch| async move { Ok(tx.users().update(id, expected, patch).await?) },
        )
        .await?;
    Ok(one(user))
}

pub(crate) async fn delete(
    access: Org<perm::UsersWrite>,
    Path(id): Path<UserId>,
    IfMatch(expected): IfMatch,
) -> Result<HttpResponse, Problem> {
    let user = access
        .write((), move |tx, ()| async move { Ok(tx.users().delete(id, expected).await?) })
        .await?;
    Ok(view::deleted("User", user.stamps.version))
}

pub(crate) async fn restore(
    access: Org<perm::UsersWrite>,
    Path(id): Path<UserId>,
    IfMatch(expected): IfMatch,
) -> Result<HttpResponse, Problem> {
    let user = access
        .write((), move |tx, ()| async move { Ok(tx.users().restore(id, expected).await?) })
        .await?;
    Ok(one(user))
}
