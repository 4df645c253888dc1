//! `/auth`: coming in.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::{HttpRequest, web};
use brownie_auth::{Claims, Password, PasswordHash};
use brownie_domain::{EmailAddress, FullName, OrganizationName, Slug, TeamName, Username};
use brownie_persistence::{Error, Resource, SignUp, SystemContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Code, Deps, Problem,
    access::{Org, perm, request_id},
    answer::{Made, One, Plain},
    body::Body,
    limits,
};

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

/// For a socket without an address, which TCP does not have.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Somebody who comes back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInBody {
    email: EmailAddress,
    password: Password,
    /// The slug of an organization, for whoever has accounts in several.
    #[serde(default)]
    organization: Option<Slug>,
}

/// What lets somebody in (RFC 6749 section 5.1).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub(crate) struct TokenView {
    access_token: String,
    #[schemars(example = &"bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schemars(example = 3600)]
    expires_in: u64,
}

fn token(deps: &Deps, claims: Claims) -> Result<TokenView, Problem> {
    let token = deps.tokens.issue(claims, deps.clock.now())?;
    Ok(TokenView {
        access_token: token.expose().to_owned(),
        token_type: "bearer",
        expires_in: token.expires_in.as_secs(),
    })
}

pub(crate) async fn sign_up(
    deps: web::Data<Deps>,
    request: HttpRequest,
    Body(body): Body<SignUpBody>,
) -> Result<Made<TokenView>, Problem> {
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
    token(&deps, Claims { org_id: user.org_id, user_id: user.id }).map(Made)
}

/// An account that is not there costs one password check, as most that are there do; one whose hash
/// is older or stronger than ours, or several of one mailbox, take longer.
pub(crate) async fn log_in(
    deps: web::Data<Deps>,
    request: HttpRequest,
    Body(body): Body<LogInBody>,
) -> Result<Plain<TokenView>, Problem> {
    let LogInBody { email, password, organization } = body;
    let address = limits::address_of(&request, &deps.limits.proxies).unwrap_or(NOWHERE);
    let attempt =
        deps.throttle.attempt(email.as_str(), address).await.map_err(Problem::too_many)?;
    let ctx = SystemContext::for_visitor(request_id(&request));
    let accounts = deps.store.system(&ctx).accounts(&email, organization.as_ref()).await?;
    if accounts.is_empty() {
        deps.passwords.verify_nothing(password.clone()).await?;
    }
    let mut open = Vec::new();
    for account in accounts {
        let hash = PasswordHash::from_stored(account.password_hash);
        if deps.passwords.verify(password.clone(), hash).await? {
            open.push(Claims { org_id: account.org_id, user_id: account.user_id });
        }
    }
    match open.as_slice() {
        [] => Err(Problem::new(Code::WrongCredentials)),
        [claims] => {
            attempt.succeeded().await;
            token(&deps, *claims).map(Plain)
        }
        _ => Err(Problem::new(Code::OrganizationNeeded)),
    }
}

pub(crate) async fn me(access: Org<perm::UsersRead>) -> Result<One<UserView>, Problem> {
    let id = access.principal().user_id().ok_or_else(|| {
        Problem::with(
            Code::Forbidden,
            "An API key is no user; /api/v1/authz/explain tells what it may do.",
        )
    })?;
    Ok(One(access.read().users().get(id).await?.into()))
}
