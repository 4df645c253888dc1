//! What a log-in gives: an access token for an hour, a refresh token for the next one.

use actix_web::{HttpRequest, web};
use brownie_auth::{Claims, Device, PasswordMark, RefreshToken};
use brownie_domain::{OrganizationId, SessionId, UserId};
use brownie_logging::SECURITY;
use brownie_persistence::{Error, Refreshed, Session, SystemContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Code, Deps, Problem,
    access::{Org, perm, request_id},
    answer::{Message, Plain},
    body::Body,
    meter::Method,
};

/// What lets somebody in (RFC 6749 section 5.1).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub(crate) struct TokenView {
    access_token: String,
    #[schemars(example = &"bearer")]
    token_type: &'static str,
    /// Seconds that the access token is good for.
    #[schemars(example = 3600)]
    expires_in: u64,
    /// Good once, for the next pair of tokens.
    refresh_token: String,
    /// Seconds that the session may be continued for.
    #[schemars(example = 2_592_000)]
    refresh_expires_in: i64,
    /// To be sent with the next log-in by password from this device; it opens nothing by itself. After such a
    /// log-in only.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_token: Option<String>,
}

impl TokenView {
    /// Adds a token for the device that has logged in: the one it is known by, or another.
    pub(super) fn on_device(
        self,
        deps: &Deps,
        (org_id, user_id): (OrganizationId, UserId),
        known: Option<Device>,
        stored: &str,
    ) -> Result<Self, Problem> {
        let id = known.map_or_else(|| deps.ids.next(deps.clock.now()), |device| device.id);
        let token = deps.tokens.issue_device(Device {
            org_id,
            user_id,
            id,
            password: PasswordMark::of(stored),
        })?;
        Ok(Self { device_token: Some(token.expose()), ..self })
    }
}

/// A refresh token.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshBody {
    #[schemars(example = &"brt_...")]
    refresh_token: String,
}

impl std::fmt::Debug for RefreshBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[refresh token]")
    }
}

/// A set of public keys; an empty one when tokens are signed by a shared secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(
    rename = "Jwks",
    example = serde_json::json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "2026-11",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }] })
)]
pub(crate) struct JwksView(serde_json::Value);

/// Begins a session of somebody who has shown who they are; by a password, if `shown` is its hash.
pub(super) async fn begin(
    deps: &Deps,
    request: &HttpRequest,
    (org_id, user_id): (OrganizationId, UserId),
    shown: Option<String>,
) -> Result<TokenView, Problem> {
    let now = deps.clock.now();
    let id = SessionId::from_uuid(deps.ids.next(now));
    let refresh = RefreshToken::generate(org_id, id)?;
    let hash = *refresh.hash().as_bytes();
    let expires_at = now + deps.session_lifetime;
    let ctx = SystemContext::for_visitor(request_id(request));
    let session = deps
        .store
        .system(&ctx)
        .begin_session(org_id, user_id, id, hash, expires_at, shown)
        .await
        .map_err(|error| match error {
            Error::NotFound { .. } => Problem::new(Code::WrongCredentials),
            other => other.into(),
        })?;
    tracing::info!(target: SECURITY, event = "logged_in", %org_id, %user_id, session_id = %id, "a session begins");
    pair(deps, session, refresh)
}

fn pair(deps: &Deps, session: Session, refresh: RefreshToken) -> Result<TokenView, Problem> {
    let token = deps.tokens.issue(Claims {
        org_id: session.org_id,
        user_id: session.user_id,
        session_id: session.id,
        generation: session.generation,
    })?;
    Ok(TokenView {
        access_token: token.expose().to_owned(),
        token_type: "bearer",
        expires_in: token.expires_in.as_secs(),
        refresh_token: refresh.expose(),
        refresh_expires_in: (session.expires_at - deps.clock.now()).num_seconds(),
        device_token: None,
    })
}

/// A refresh token is good once. Shown a second time it ends the session: one of the two who have it
/// stole it (RFC 9700 section 4.14.2).
pub(crate) async fn refresh(
    deps: web::Data<Deps>,
    request: HttpRequest,
    Body(body): Body<RefreshBody>,
) -> Result<Plain<TokenView>, Problem> {
    let outcome = by_refresh_token(&deps, &request, &body).await;
    Method::RefreshToken.tried(&outcome);
    outcome.map(Plain)
}

async fn by_refresh_token(
    deps: &Deps,
    request: &HttpRequest,
    body: &RefreshBody,
) -> Result<TokenView, Problem> {
    let refused = || Problem::new(Code::InvalidRefreshToken);
    let shown: RefreshToken = body.refresh_token.parse().map_err(|_| refused())?;
    let successor = RefreshToken::generate(shown.org_id(), shown.id())?;
    let hashes = (*shown.hash().as_bytes(), *successor.hash().as_bytes());
    let ctx = SystemContext::for_visitor(request_id(request));
    let system = deps.store.system(&ctx);
    match system.refresh_session(shown.org_id(), hashes.0, hashes.1).await? {
        Refreshed::Renewed(session) => pair(deps, session, successor),
        Refreshed::Reused(session_id) => {
            tracing::warn!(target: SECURITY, event = "refresh_token_reused", %session_id, "a refresh token was used again; its session is over");
            Err(refused())
        }
        Refreshed::Refused => Err(refused()),
    }
}

/// Ends the session that the access token belongs to: it and the refresh token are void.
pub(crate) async fn log_out(access: Org<perm::UsersRead>) -> Result<Plain<Message>, Problem> {
    let id = access.principal().session_id().ok_or_else(|| {
        Problem::with(Code::Forbidden, "There is no session to end: you did not log in here.")
    })?;
    access.write((), move |tx, ()| async move { Ok(tx.end_session(id).await?) }).await?;
    Ok(Plain(Message::new("Logged out")))
}

/// Ends all sessions of the caller, on whatever devices.
pub(crate) async fn log_out_everywhere(
    access: Org<perm::UsersRead>,
) -> Result<Plain<Message>, Problem> {
    let id = access.user_id()?;
    access.write((), move |tx, ()| async move { Ok(tx.end_all_sessions(id).await?) }).await?;
    Ok(Plain(Message::new("Logged out everywhere")))
}

/// The keys that access tokens are signed with, for those who check them themselves (RFC 7517).
pub(crate) async fn jwks(deps: web::Data<Deps>) -> Plain<JwksView> {
    Plain(JwksView(deps.tokens.keys().jwks()))
}
