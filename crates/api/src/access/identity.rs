//! Who asks: from the credential that came with a request to somebody the database knows.

use std::{collections::BTreeMap, sync::Arc};

use actix_web::{
    HttpMessage, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Extensions, ServiceRequest, ServiceResponse},
    http::{ConnectionType, header},
    middleware::Next,
    web,
};
use brownie_auth::{ApiKey, Claims, Oidc, SecretHash};
use brownie_cache::Cache;
use brownie_config::ServiceSettings;
use brownie_domain::{ApiKeyId, OrganizationId};
use brownie_persistence::{
    Error, OrgContext, OrgTx, Principal, Resource, Store, SystemContext, SystemScope, TokenClaims,
};
use tracing::field::display;

use super::request_id;
use crate::{
    Code, Deps, Problem, limits,
    meter::{self, Method},
    repeat::{self, Keep, Key, Once},
    service::Peer,
};

/// What the middleware found out.
#[derive(Clone)]
pub(super) enum Identity {
    Known(Box<Principal>),
    /// Somebody who operates the installation, by name.
    Operator(Arc<str>),
    /// A credential came, and it is not good.
    Refused(Problem),
}

/// Finds out who asks. Whether it matters is for the handler to say.
pub(crate) async fn identify<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let _in_flight = meter::InFlight::begin();
    if let Some(problem) = outlived(request.request()) {
        let mut response = request.error_response(problem).map_into_right_body();
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        return Ok(response);
    }
    if let Some(identity) = identity_of(request.request()).await {
        if let Identity::Known(principal) = &identity {
            tell(principal);
        }
        request.extensions_mut().insert(identity);
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// Says why nothing is answered on a connection any more whose client's certificate is over, or revoked: it was
/// judged when the connection was opened, and that may be long ago.
fn outlived(request: &HttpRequest) -> Option<Problem> {
    let holds = request.conn_data::<Peer>().is_none_or(|peer| (peer.holds)());
    (!holds).then(|| {
        Problem::with(
            Code::Unauthenticated,
            "The certificate that opened this connection is over, or has been revoked. Connect again, with another.",
        )
    })
}

/// Which API key a client's certificate stands for, by its CN.
#[derive(Debug, Clone, Default)]
pub struct Certified(BTreeMap<String, (OrganizationId, ApiKeyId)>);

impl Certified {
    pub(crate) fn of(settings: &ServiceSettings) -> Self {
        let certified = settings.certified.iter().map(|(name, (org, key))| {
            (name.clone(), (OrganizationId::from_uuid(*org), ApiKeyId::from_uuid(*key)))
        });
        Self(certified.collect())
    }
}

/// Says in every line from here on who asks.
fn tell(principal: &Principal) {
    let (span, actor) = (tracing::Span::current(), principal.actor());
    span.record("org_id", display(principal.org_id())).record("actor_kind", actor.kind());
    if let Some(id) = actor.id() {
        span.record("actor_id", display(id));
    }
}

pub(super) async fn identity_of(request: &HttpRequest) -> Option<Identity> {
    // A stream asks again and again; its connection may have outlived the certificate.
    if let Some(problem) = outlived(request) {
        return Some(Identity::Refused(problem));
    }
    let deps = request.app_data::<web::Data<Deps>>()?;
    let Some(credential) = credential(request) else { return certified(request, deps).await };
    let refused = || Identity::Refused(Problem::new(Code::Unauthenticated));
    let credential = match credential {
        Ok(Some(credential)) => credential,
        Ok(None) => {
            Method::Unreadable.shown::<()>(&Ok(None));
            return Some(refused());
        }
        Err(problem) => {
            Method::Unreadable.shown::<()>(&Ok(None));
            return Some(Identity::Refused(problem));
        }
    };
    if let Some(name) = deps.operators.by_token(credential) {
        Method::Operator.shown(&Ok(Some(())));
        return Some(Identity::Operator(name));
    }
    let system = deps.store.system(&SystemContext::for_visitor(request_id(request)));
    let guesses = guesses(request, deps, &system, credential);
    if let Some((key, rule)) = &guesses
        && let Some(wait) = deps.cache.peek(key, *rule).await.retry_after
    {
        return Some(Identity::Refused(Problem::too_many(wait)));
    }
    let (method, outcome) = principal(deps, &system, credential).await;
    if let (Some((key, rule)), Ok(None)) = (&guesses, &outcome) {
        deps.cache.limit(key, *rule, 1).await;
    }
    method.shown(&outcome);
    Some(match outcome {
        Ok(Some(principal)) => Identity::Known(Box::new(principal)),
        Ok(None) => refused(),
        Err(problem) => Identity::Refused(problem),
    })
}

/// Finds out who asks by the certificate of the connection. One that stands for nobody is none: it was
/// good enough to come in, and what is open to everybody is open to it.
async fn certified(request: &HttpRequest, deps: &Deps) -> Option<Identity> {
    let name = request.conn_data::<Peer>()?.name.as_deref()?;
    if let Some(name) = deps.operators.by_certificate(name) {
        return Some(Identity::Operator(name));
    }
    let (org_id, id) = *deps.certified.0.get(name)?;
    let system = deps.store.system(&SystemContext::for_visitor(request_id(request)));
    Some(match system.api_key(org_id, id).await {
        Ok(Some(known)) => {
            if known.asked_now {
                system.note_use(org_id, id);
            }
            Identity::Known(Box::new(known.principal))
        }
        Ok(None) => Identity::Refused(Problem::with(
            Code::Unauthenticated,
            "The API key that this certificate stands for is revoked, over, or unknown.",
        )),
        Err(error) => Identity::Refused(error.into()),
    })
}

/// Returns what bad API keys of an address are counted by, and how many there may be, unless this key has been
/// good before: once they are used up, no more are looked up. Apart from its other requests, so that nobody who has
/// a good key is kept out by what others at the address ask for.
fn guesses(
    request: &HttpRequest,
    deps: &Deps,
    system: &SystemScope,
    credential: &str,
) -> Option<(brownie_cache::Key, brownie_cache::Rule)> {
    let key = credential.parse::<ApiKey>().ok()?;
    if system.has_met_key(key.org_id(), key.id()) {
        return None;
    }
    limits::by_address("guesses", request, deps)
}

/// Returns the credential that came with a request, if one did, and if it can be read as one. Of
/// several, a proxy in front may have looked at another than we would.
fn credential(request: &HttpRequest) -> Option<Result<Option<&str>, Problem>> {
    let mut bearers = request.headers().get_all(header::AUTHORIZATION);
    let mut keys = request.headers().get_all("x-api-key");
    let credential = match (bearers.next(), keys.next()) {
        (Some(header), None) => header.to_str().ok().and_then(bearer),
        (None, Some(header)) => header.to_str().ok().filter(|text| ApiKey::is_meant_by(text)),
        (Some(_), Some(_)) => return Some(Err(several())),
        (None, None) => return None,
    };
    if bearers.next().or(keys.next()).is_some() {
        return Some(Err(several()));
    }
    Some(Ok(credential))
}

fn several() -> Problem {
    Problem::with(Code::Unauthenticated, "The request has several credentials: send one.")
}

/// Asks whom a credential names: an API key, a user by an access token of ours, or a user by a token
/// of the issuer that we were told to believe.
async fn principal(
    deps: &Deps,
    system: &SystemScope,
    credential: &str,
) -> (Method, Result<Option<Principal>, Problem>) {
    if ApiKey::is_meant_by(credential) {
        return (Method::ApiKey, by_api_key(system, credential).await);
    }
    if let Ok(claims) = deps.tokens.read(credential) {
        let Claims { org_id, user_id, session_id, generation } = claims;
        let claims = TokenClaims { org_id, user_id, session_id, generation };
        return (Method::AccessToken, system.admit(claims).await.map_err(Problem::from));
    }
    match &deps.oidc {
        Some(oidc) => (Method::IssuerToken, by_issuer(oidc, system, credential).await),
        None => (Method::Unreadable, Ok(None)),
    }
}

async fn by_api_key(system: &SystemScope, credential: &str) -> Result<Option<Principal>, Problem> {
    let Ok(key) = credential.parse::<ApiKey>() else { return Ok(None) };
    let Some(known) = system.api_key(key.org_id(), key.id()).await? else { return Ok(None) };
    let shown = key.hash();
    let good = known
        .hashes
        .iter()
        .filter_map(|hash| <[u8; 32]>::try_from(hash.as_slice()).ok())
        .any(|hash| SecretHash::from_stored(hash) == shown);
    if good && known.asked_now {
        system.note_use(key.org_id(), key.id());
    }
    Ok(good.then_some(known.principal))
}

async fn by_issuer(
    oidc: &Oidc,
    system: &SystemScope,
    credential: &str,
) -> Result<Option<Principal>, Problem> {
    let identity = match oidc.identify(credential).await {
        Ok(identity) => identity,
        Err(error) if error.is_callers() => return Ok(None),
        Err(error) => {
            tracing::warn!(error = %brownie_logging::chain(&error), "the issuer could not be asked");
            return Err(Problem::new(Code::Unavailable));
        }
    };
    let accounts = system.linked_accounts(&identity.issuer, &identity.subject, None).await?;
    match accounts.as_slice() {
        [(org_id, user_id)] => Ok(system.principal(*org_id, *user_id).await?),
        _ => Ok(None),
    }
}

/// Returns who asks, if they have shown it.
pub(crate) fn known(extensions: &Extensions) -> Option<&Principal> {
    match extensions.get::<Identity>() {
        Some(Identity::Known(principal)) => Some(principal),
        _ => None,
    }
}

/// The scheme's name is read in any case (RFC 9110 section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Somebody the database knows, and their way to the store.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) ctx: OrgContext,
    pub(super) store: Store,
    pub(super) cache: Cache,
}

impl Caller {
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        Self::known_as(request.extensions().get::<Identity>(), request)
    }

    pub(super) fn known_as(
        identity: Option<&Identity>,
        request: &HttpRequest,
    ) -> Result<Self, Problem> {
        let principal = match identity {
            Some(Identity::Known(principal)) => (**principal).clone(),
            Some(Identity::Refused(problem)) => return Err(problem.clone()),
            Some(Identity::Operator(_)) => {
                return Err(Problem::with(
                    Code::Forbidden,
                    "An operator is of no organization, and reaches nothing of any.",
                ));
            }
            None => return Err(Problem::new(Code::Unauthenticated)),
        };
        let deps =
            request.app_data::<web::Data<Deps>>().ok_or_else(|| Problem::new(Code::Internal))?;
        let caller = Self {
            ctx: principal.context(request_id(request)),
            store: deps.store.clone(),
            cache: deps.cache.clone(),
            principal,
        };
        // Another organization's path is nobody's path.
        if let Some(org_id) = request.match_info().get("org_id")
            && org_id.parse() != Ok(caller.principal.org_id())
        {
            return Err(Error::NotFound { resource: Resource::Organization }.into());
        }
        Ok(caller)
    }

    pub(super) async fn write<I, T, F, Fut>(&self, input: I, work: F) -> Result<T, Problem>
    where
        I: Clone + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(OrgTx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        self.store.write(&self.ctx, move |tx| work(tx, input.clone())).await
    }

    pub(super) async fn once<I, A, F, Fut>(
        &self,
        key: Key,
        input: I,
        work: F,
    ) -> Result<Once<A>, Problem>
    where
        I: Clone + Send + Sync + 'static,
        A: Keep + Send + 'static,
        F: Fn(OrgTx, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        let (request, work) = (key.into_inner(), Arc::new(work));
        let work = move |tx: OrgTx| {
            let (request, input, work) = (request.clone(), input.clone(), Arc::clone(&work));
            async move { repeat::once(&tx, request.as_ref(), || work(tx.clone(), input)).await }
        };
        self.store.write(&self.ctx, work).await
    }
}
