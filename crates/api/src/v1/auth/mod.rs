//! `/auth`: coming in.

mod guesses;
pub(crate) mod oidc;
pub(crate) mod password;
pub(crate) mod tokens;

use actix_web::{HttpRequest, web};
use brownie_auth::{Password, PasswordHash, PasswordMark};
use brownie_domain::{EmailAddress, FullName, OrganizationName, Slug, TeamName, Username};
use brownie_logging::SECURITY;
use brownie_persistence::{Account, Error, Guessed, Resource, SignUp, SystemContext};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    Code, Deps, Problem,
    access::{Org, perm, request_id},
    answer::{Made, One, Plain},
    body::Body,
    meter::Method,
};

use self::{
    guesses::{Guess, ShownDevice, address_of},
    tokens::TokenView,
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

/// Somebody who comes back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInBody {
    email: EmailAddress,
    password: Password,
    /// The slug of an organization. Without it, the mailbox must be known to one organization only.
    #[serde(default)]
    organization: Option<Slug>,
    /// What the last log-in to this account from this device gave. With it the wrong passwords of others do
    /// not count.
    #[serde(default)]
    device_token: Option<ShownDevice>,
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
    let stored = new.password_hash.clone();
    let ctx = SystemContext::for_visitor(request_id(&request));
    let user = deps.store.system(&ctx).sign_up(new).await.map_err(|error| match error {
        Error::AlreadyExists { resource: Resource::Organization, .. } => Problem::with(
            Code::AlreadyExists,
            "an organization with this slug already exists; choose another organization_name, or send an organization_slug",
        ),
        other => other.into(),
    })?;
    let who = (user.org_id, user.id);
    let token = tokens::begin(&deps, &request, who, None).await?;
    Ok(Made(token.on_device(&deps, who, None, &stored)?))
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

async fn by_password(
    deps: &Deps,
    request: &HttpRequest,
    body: LogInBody,
) -> Result<TokenView, Problem> {
    let LogInBody { email, password, organization, device_token } = body;
    let address = address_of(deps, request);
    let device = device_token.and_then(|shown| shown.read(deps));
    let mut guess = match device {
        Some(_) => Guess::of_nobody(),
        None => Guess::from(deps, address).await?,
    };
    let ctx = SystemContext::for_visitor(request_id(request));
    let accounts = deps.store.system(&ctx).accounts(&email, organization.as_ref()).await?;
    // A mailbox that several organizations know opens nothing by itself: which of them a password fits is
    // nobody's to find out, and anybody may found an organization with anybody's mailbox.
    let account = match &accounts[..] {
        [account] => Some(account),
        _ => None,
    };
    let known = device.filter(|device| {
        account.is_some_and(|account| {
            (account.org_id, account.user_id) == (device.org_id, device.user_id)
                && PasswordMark::of(&account.password_hash) == device.password
        })
    });
    if device.is_some() && known.is_none() {
        guess = Guess::from(deps, address).await?;
    }
    // All organizations of a mailbox together, whether or not they know it: a count for each would tell which do,
    // or be as many guesses as there are ways to name the account.
    let guessed = known.map_or(Guessed::Mailbox(email), |device| Guessed::Device(device.id));
    let guess = guess.at(guessed, deps, &ctx).await?;
    let stored = account.map(|account| PasswordHash::from_stored(&account.password_hash));
    let verified = match deps.passwords.verify_account(password.clone(), stored).await {
        Ok(verified) => verified,
        Err(error) => {
            guess.take_back(deps, &ctx).await;
            return Err(error.into());
        }
    };
    let (Some(account), Some(verified)) = (account, verified.filter(|verified| verified.ok)) else {
        if let Some(Account { org_id, user_id, .. }) = account {
            tracing::warn!(target: SECURITY, event = "wrong_password", %org_id, %user_id, client_ip = %address, "a log-in failed");
        }
        return Err(Problem::new(Code::WrongCredentials));
    };
    guess.take_back(deps, &ctx).await;
    let (who, shown) = ((account.org_id, account.user_id), account.password_hash.clone());
    let token = tokens::begin(deps, request, who, Some(shown.clone())).await?;
    let stored = if verified.rehash {
        renew_hash(deps, &ctx, account, password).await.unwrap_or(shown)
    } else {
        shown
    };
    token.on_device(deps, who, known, &stored)
}

/// Stores the password by today's parameters, and returns what is stored. A log-in does not fail because of it.
async fn renew_hash(
    deps: &Deps,
    ctx: &SystemContext,
    account: &Account,
    password: Password,
) -> Option<String> {
    let renewed = async {
        let hash = deps.passwords.hash(password).await?.into_stored();
        deps.store.system(ctx).renew_password_hash(account, hash.clone()).await?;
        Ok::<_, Problem>(hash)
    };
    renewed
        .await
        .inspect_err(|problem| {
            tracing::warn!(%problem, user_id = %account.user_id, "a password was not hashed anew");
        })
        .ok()
}

pub(crate) async fn me(access: Org<perm::UsersRead>) -> Result<One<UserView>, Problem> {
    let id = access.user_id()?;
    Ok(One(access.read().users().get(id).await?.into()))
}
