//! `/auth/oidc`: coming in by the word of an issuer (OpenID Connect Core 1.0, authorization code flow
//! with PKCE). `/okta/...` are the original's names for it.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    cookie::{Cookie, SameSite, time::Duration},
    http::header,
    web,
};
use brownie_auth::{Begun, Oidc, OidcError, Password};
use brownie_domain::Slug;
use brownie_persistence::SystemContext;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    password,
    tokens::{self, TokenView},
};
use crate::{
    Code, Deps, Problem,
    access::{Org, perm, request_id},
    answer::{Message, Plain},
    body::Body,
    meter::Method,
    openapi::{Describe, Operation},
    query::Query,
};

/// `__Host-`: no neighbouring host can plant it (RFC 6265bis section 4.1.3).
const COOKIE: &str = "__Host-brownie-login";

/// What the issuer sends the browser back with (RFC 6749 section 4.1.2).
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Callback {
    /// What the issuer gives tokens for.
    code: Option<String>,
    /// What the log-in was begun with.
    state: Option<String>,
    /// Why the issuer let nobody in.
    error: Option<String>,
}

/// Whose account it is to be, of several that are linked to the same person.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogInQuery {
    /// The slug of an organization.
    organization: Option<Slug>,
}

/// Where a browser is to go, and what it is to keep meanwhile.
#[derive(Debug)]
pub(crate) struct Away {
    begun: Begun,
    organization: Option<Slug>,
    /// Whether to send it there, or to say where.
    redirect: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct AwayView {
    authorization_url: String,
}

fn oidc(deps: &Deps) -> Result<&Oidc, Problem> {
    deps.oidc.as_ref().ok_or_else(|| Problem::new(Code::NotImplemented))
}

fn refused(error: &OidcError) -> Problem {
    if error.is_callers() {
        return Problem::with(Code::LogInRefused, error.to_string());
    }
    tracing::warn!(error = %brownie_logging::chain(error), "the issuer could not be asked");
    Problem::new(Code::Unavailable)
}

/// Sends a browser to the issuer.
pub(crate) async fn log_in(
    deps: web::Data<Deps>,
    Query(query): Query<LogInQuery>,
) -> Result<Away, Problem> {
    let begun = oidc(&deps)?.authorize().await.map_err(|error| refused(&error))?;
    Ok(Away { begun, organization: query.organization, redirect: true })
}

/// Says where to send a browser, as the original does.
pub(crate) async fn log_in_by_url(
    deps: web::Data<Deps>,
    Query(query): Query<LogInQuery>,
) -> Result<Away, Problem> {
    let begun = oidc(&deps)?.authorize().await.map_err(|error| refused(&error))?;
    Ok(Away { begun, organization: query.organization, redirect: false })
}

/// Takes the browser back. An account opens if it was linked to this person before
/// (`/auth/oidc/link`), and never because an e-mail address is the same.
pub(crate) async fn callback(
    deps: web::Data<Deps>,
    request: HttpRequest,
    Query(callback): Query<Callback>,
) -> Result<Plain<TokenView>, Problem> {
    let outcome = by_issuer(&deps, &request, callback).await;
    Method::Oidc.tried(&outcome);
    outcome.map(Plain)
}

async fn by_issuer(
    deps: &Deps,
    request: &HttpRequest,
    callback: Callback,
) -> Result<TokenView, Problem> {
    let oidc = oidc(deps)?;
    if let Some(error) = callback.error {
        // Whoever sent the browser wrote this: only what can be a code of RFC 6749 is repeated.
        let is_code =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let error = Some(error).filter(|error| error.len() <= 40 && is_code(error));
        tracing::info!(error, "the issuer let nobody in");
        return Err(Problem::with(Code::LogInRefused, "The issuer let nobody in. Begin again."));
    }
    let begin_again = || {
        let why = "This browser has begun no log-in, or too long ago. Begin again.";
        Problem::with(Code::LogInRefused, why)
    };
    let (Some(code), Some(state)) = (callback.code, callback.state) else {
        return Err(begin_again());
    };
    let cookie = request.cookie(COOKIE).ok_or_else(begin_again)?;
    let (kept, organization) = match cookie.value().split_once('~') {
        Some((kept, slug)) => (kept, slug.parse::<Slug>().ok()),
        None => (cookie.value(), None),
    };
    let identity = oidc.finish(kept, &state, &code).await.map_err(|error| refused(&error))?;
    let ctx = SystemContext::for_visitor(request_id(request));
    let accounts = deps
        .store
        .system(&ctx)
        .linked_accounts(&identity.issuer, &identity.subject, organization.as_ref())
        .await?;
    match accounts.as_slice() {
        [] => Err(Problem::with(
            Code::LogInRefused,
            "No active account is linked to you. Log in with your password and link it (POST /api/v1/auth/oidc/link), or ask an admin.",
        )),
        [account] => tokens::begin(deps, request, *account, None).await,
        _ => Err(Problem::new(Code::OrganizationNeeded)),
    }
}

/// A token of the issuer, which says who the caller is there.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkBody {
    /// An ID token, or an access token, for this service.
    token: String,
    /// The password, of an account that has one: a stolen access token must not make itself a way in.
    #[serde(default)]
    current_password: Option<Password>,
}

impl std::fmt::Debug for LinkBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[token]")
    }
}

/// Links the caller's account to whom the issuer's token names: from then on either opens it.
pub(crate) async fn link(
    access: Org<perm::UsersRead>,
    deps: web::Data<Deps>,
    request: HttpRequest,
    Body(body): Body<LinkBody>,
) -> Result<Plain<Message>, Problem> {
    let id = access.user_id()?;
    password::show(&access, &deps, &request, id, body.current_password).await?;
    let identity = oidc(&deps)?.identify(&body.token).await.map_err(|error| refused(&error))?;
    let linked = (identity.issuer, identity.subject);
    access
        .write(linked, move |tx, (issuer, subject)| async move {
            Ok(tx.users().link(id, issuer, subject).await?)
        })
        .await?;
    Ok(Plain(Message::new("Linked")))
}

impl Responder for Away {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let Self { begun, organization, redirect } = self;
        let kept = match organization {
            Some(slug) => format!("{}~{slug}", begun.cookie()),
            None => begun.cookie().to_owned(),
        };
        let lifetime = i64::try_from(begun.expires_in.as_secs()).unwrap_or_default();
        // Lax: the issuer sends the browser back by a link.
        let cookie = Cookie::build(COOKIE, kept)
            .path("/")
            .secure(true)
            .http_only(true)
            .same_site(SameSite::Lax)
            .max_age(Duration::seconds(lifetime))
            .finish();
        if redirect {
            return HttpResponse::Found()
                .cookie(cookie)
                .insert_header((header::LOCATION, begun.url))
                .finish();
        }
        HttpResponse::Ok().cookie(cookie).json(AwayView { authorization_url: begun.url })
    }
}

impl Describe for Away {
    fn describe(operation: &mut Operation<'_>) {
        let location = ("Location", "Where the issuer asks who somebody is.");
        operation.answers_with(302, "The browser goes to the issuer.", &[location], None);
        operation.answers::<AwayView>(200, "Where the browser is to go (`/okta/login`).", &[]);
    }
}
