//! `/auth`: coming in.

pub(crate) mod oidc;
pub(crate) mod password;
pub(crate) mod tokens;

use std::net::IpAddr;

use actix_web::{HttpRequest, web};
use brownie_auth::{Password, PasswordHash};
use brownie_domain::{EmailAddress, FullName, OrganizationName, Slug, TeamName, Username};
use brownie_logging::SECURITY;
use brownie_persistence::{Account, Error, Resource, SignUp, SystemContext};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    Code, Deps, Problem,
    access::{Org, perm, request_id},
    answer::{Made, One, Plain},
    body::Body,
    limits,
    meter::Method,
};

use self::tokens::TokenView;
use super::users::UserView;

/// Somebody who founds an organization.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUpBody {
    email: EmailAddress,
    password: Password,
    username: Username,
    #[serde(default)]
    full_name: Option<FullName>,
    organization_name: OrganizationName,
    /// Made of the name unless given.
    #[serde(default)]
    organization_slug: Option<Slug>,
    team_name: TeamName,
}

/// Somebody who comes back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInBody {
    email: EmailAddress,
    password: Password,
    /// The slug of an organization. Without it, the mailbox must be known to one organization only.
    #[serde(default)]
    organization: Option<Slug>,
}

/// Returns who is at the other end.
fn address_of(deps: &Deps, request: &HttpRequest) -> IpAddr {
    limits::address_of(request, &deps.limits.proxies).unwrap_or(limits::UNKNOWN)
}

pub(crate) async fn sign_up(
    deps: web::Data<Deps>,
    request: HttpRequest,
    Body(body): Body<SignUpBody>,
) -> Result<Made<TokenView>, Problem> {
    if !deps.signup {
        return Err(Problem::with(
            Code::Forbidden,
            "Sign-up is closed here. Whoever operates this installation founds organizations: brownie-migrator organization create, or METADATA_SIGNUP=open.",
        ));
    }
    // A name without a letter of ASCII makes no slug; one of its own keeps two such apart.
    let fallback = format!("organization-{}", deps.ids.next(deps.clock.now()).simple());
    let slug = body
        .organization_slug
        .unwrap_or_else(|| Slug::from_name(body.organization_name.as_str(), &fallback));
    let new = SignUp {
        organization: body.organization_name,
        slug,
        team: body.team_name,
        email: body.email,
        username: body.username,
        full_name: body.full_name,
        password_hash: deps.passwords.hash(body.password).await?.into_stored(),
    };
    let ctx = SystemContext::for_visitor(request_id(&request));
    let user = deps.store.system(&ctx).sign_up(new).await.map_err(|error| match error {
        Error::AlreadyExists { resource: Resource::Organization, .. } => Problem::with(
            Code::AlreadyExists,
            "an organization with this slug already exists; choose another organization_name, or send an organization_slug",
        ),
        other => other.into(),
    })?;
    tokens::begin(&deps, &request, (user.org_id, user.id), None).await.map(Made)
}

/// Takes the same time whether or not there is such an account ([`brownie_auth::Passwords`]).
pub(crate) async fn log_in(
    deps: web::Data<Deps>,
    request: HttpRequest,
    Body(body): Body<LogInBody>,
) -> Result<Plain<TokenView>, Problem> {
    let outcome = by_password(&deps, &request, body).await;
    Method::Password.tried(&outcome);
    outcome.map(Plain)
}

/// What tries are counted by: the mailbox and the organization, as they were named. Another organization's
/// account of the same mailbox is another door, and who comes in by one has not come in by the other.
fn door(email: &EmailAddress, organization: Option<&Slug>) -> String {
    // Neither has a space in it.
    format!("{email} {}", organization.map(Slug::as_str).unwrap_or_default())
}

async fn by_password(
    deps: &Deps,
    request: &HttpRequest,
    body: LogInBody,
) -> Result<TokenView, Problem> {
    let LogInBody { email, password, organization } = body;
    let address = address_of(deps, request);
    let door = door(&email, organization.as_ref());
    let attempt = deps.throttle.attempt(&door, address).await.map_err(Problem::too_many)?;
    let ctx = SystemContext::for_visitor(request_id(request));
    let accounts = deps.store.system(&ctx).accounts(&email, organization.as_ref()).await?;
    // A mailbox that several organizations know opens nothing by itself: which of them a password fits is
    // nobody's to find out, and anybody may found an organization with anybody's mailbox.
    let account = match &accounts[..] {
        [account] => Some(account),
        _ => None,
    };
    let stored = account.map(|account| PasswordHash::from_stored(&account.password_hash));
    let verified = deps.passwords.verify_account(password.clone(), stored).await?;
    let (Some(account), Some(verified)) = (account, verified.filter(|verified| verified.ok)) else {
        if let Some(Account { org_id, user_id, .. }) = account {
            tracing::warn!(target: SECURITY, event = "wrong_password", %org_id, %user_id, client_ip = %address, "a log-in failed");
        }
        return Err(Problem::new(Code::WrongCredentials));
    };
    attempt.succeeded().await;
    let (who, shown) = ((account.org_id, account.user_id), account.password_hash.clone());
    let token = tokens::begin(deps, request, who, Some(shown)).await?;
    if verified.rehash {
        renew_hash(deps, &ctx, account, password).await;
    }
    Ok(token)
}

/// Stores the password by today's parameters. A log-in does not fail because of it.
async fn renew_hash(deps: &Deps, ctx: &SystemContext, account: &Account, password: Password) {
    let renewed = async {
        let hash = deps.passwords.hash(password).await?.into_stored();
        Ok::<_, Problem>(deps.store.system(ctx).renew_password_hash(account, hash).await?)
    };
    if let Err(problem) = renewed.await {
        tracing::warn!(%problem, user_id = %account.user_id, "a password was not hashed anew");
    }
}

pub(crate) async fn me(access: Org<perm::UsersRead>) -> Result<One<UserView>, Problem> {
    let id = access.user_id()?;
    Ok(One(access.read().users().get(id).await?.into()))
}
