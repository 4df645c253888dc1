//! `/users/{user_id}/password`: another password, and no session that the old one began.

use actix_web::{HttpRequest, web};
use brownie_auth::{Password, PasswordHash};
use brownie_domain::{Action, UserId};
use brownie_persistence::{Guessed, SystemContext};
use schemars::JsonSchema;
use serde::Deserialize;

use super::guesses::{Guess, address_of};
use crate::{
    Code, Deps, Problem,
    access::{Org, perm, request_id},
    answer::{Message, Plain},
    body::{Body, Path},
};

/// Another password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordChange {
    /// The password so far; whoever changes their own sends it.
    #[serde(default)]
    current_password: Option<Password>,
    new_password: Password,
}

/// Everybody changes their own password by showing the one before; an admin gives anybody another
/// one. All sessions of the user end.
pub(crate) async fn change(
    access: Org<perm::UsersRead>,
    deps: web::Data<Deps>,
    request: HttpRequest,
    Path(id): Path<UserId>,
    Body(body): Body<PasswordChange>,
) -> Result<Plain<Message>, Problem> {
    if access.user_id()? == id {
        let stored = read_hash(&access, id).await?;
        if stored.is_none() && access.require(Action::UsersWrite).is_err() {
            let why = "You come in by an issuer and have no password; an admin can give you one.";
            return Err(Problem::with(Code::Forbidden, why));
        }
        show(&access, &deps, &request, id, body.current_password).await?;
    } else {
        access.require(Action::UsersWrite)?;
    }
    let hash = deps.passwords.hash(body.new_password).await?.into_stored();
    access
        .write(hash, move |tx, hash| async move {
            tx.users().set_password(id, hash).await?;
            Ok(tx.end_all_sessions(id).await?)
        })
        .await?;
    Ok(Plain(Message::new("Password changed")))
}

/// Makes sure that the caller knows their password, if they have one.
pub(super) async fn show(
    access: &Org<perm::UsersRead>,
    deps: &Deps,
    request: &HttpRequest,
    id: UserId,
    shown: Option<Password>,
) -> Result<(), Problem> {
    let stored = read_hash(access, id).await?;
    // Who came by an issuer has none to show.
    let Some(stored) = stored else { return Ok(()) };
    let wrong = || Problem::field("/current_password", "is not your password so far");
    let shown = shown.ok_or_else(wrong)?;
    let ctx = SystemContext::for_visitor(request_id(request));
    let guess = Guess::from(deps, address_of(deps, request)).await?;
    let guess = guess.at(Guessed::User(id), deps, &ctx).await?;
    let verified = deps.passwords.verify(shown, PasswordHash::from_stored(stored)).await;
    if matches!(&verified, Ok(verified) if !verified.ok) {
        return Err(wrong());
    }
    guess.take_back(deps, &ctx).await;
    Ok(verified.map(drop)?)
}

async fn read_hash(access: &Org<perm::UsersRead>, id: UserId) -> Result<Option<String>, Problem> {
    access.write((), move |tx, ()| async move { Ok(tx.users().password_hash(id).await?) }).await
}

/// Ends all sessions of a user.
pub(crate) async fn revoke_sessions(
    access: Org<perm::UsersWrite>,
    Path(id): Path<UserId>,
) -> Result<Plain<Message>, Problem> {
    access
        .write(access.giver(), move |tx, giver| async move {
            giver.may_give(tx.users().get(id).await?.role)?;
            Ok(tx.end_all_sessions(id).await?)
        })
        .await?;
    Ok(Plain(Message::new("All sessions ended")))
}
