//! `/api-keys`: keys for programs. A key's text is shown once, when it is made.

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody};
use brownie_auth::ApiKey as Secret;
use brownie_domain::{Action, ApiKeyId, ConfigName, List, Role, TeamId, Timestamp, Version};
use brownie_persistence::{ApiKey, KeptAnswer, NewApiKey};
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{Org, perm},
    answer::{Addressed, Created, Deleted, One, PageOf, StampsView},
    body::{IfMatch, Path, When},
    openapi::{Describe, Operation},
    query::{Paging, Query},
    repeat::{Keep, Keyed, Once},
};

/// A key to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyCreate {
    name: ConfigName,
    /// What it may do at most.
    role: Role,
    /// The team it is for; the whole organization unless given.
    #[serde(default)]
    team_id: Option<TeamId>,
    /// Of what the role may do, these actions only; all of it if this is left out.
    #[serde(default)]
    #[schemars(example = [Action::IncidentsWrite], length(min = 1))]
    scopes: Option<Vec<Action>>,
    /// When it ends by itself.
    #[serde(default)]
    expires_at: Option<When>,
}

/// How a key gets another text.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ApiKeyRotate {
    /// For how many seconds the text before is good, too: at most a week.
    #[schemars(range(max = 604_800))]
    grace_seconds: u32,
}

const LONGEST_GRACE: u32 = 604_800;

/// A key as clients see it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(crate) struct ApiKeyView {
    id: ApiKeyId,
    name: ConfigName,
    role: Role,
    team_id: Option<TeamId>,
    scopes: Vec<Action>,
    expires_at: Option<Timestamp>,
    /// Until when the text before this one is good, too.
    previous_until: Option<Timestamp>,
    #[serde(flatten)]
    stamps: StampsView,
}

/// A key with its text.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "NewApiKey")]
pub(crate) struct NewApiKeyView {
    /// To be sent as `Authorization: Bearer ...` or `X-API-Key: ...`. It is shown this once; null in
    /// the answer to a request that was sent again.
    #[schemars(example = &"bak_...")]
    key: Option<String>,
    #[serde(flatten)]
    api_key: ApiKeyView,
}

impl Addressed for ApiKeyView {
    fn location(&self) -> String {
        format!("/api/v1/api-keys/{}", self.id)
    }

    fn version(&self) -> Version {
        self.stamps.version
    }
}

impl Addressed for NewApiKeyView {
    fn location(&self) -> String {
        self.api_key.location()
    }

    fn version(&self) -> Version {
        self.api_key.version()
    }
}

impl From<ApiKey> for ApiKeyView {
    fn from(key: ApiKey) -> Self {
        let ApiKey {
            org_id: _,
            id,
            team_id,
            name,
            role,
            scopes,
            expires_at,
            previous_until,
            stamps,
        } = key;
        let stamps = stamps.into();
        Self { id, name, role, team_id, scopes, expires_at, previous_until, stamps }
    }
}

/// What is answered once with a secret, and again without.
#[derive(Debug)]
pub(crate) struct Shown<A>(A);

impl Keep for Shown<Created<NewApiKeyView>> {
    fn keep(&self) -> Result<KeptAnswer, Problem> {
        let Self(Created(view)) = self;
        Created(NewApiKeyView { key: None, ..view.clone() }).keep()
    }
}

impl Keep for Shown<One<NewApiKeyView>> {
    fn keep(&self) -> Result<KeptAnswer, Problem> {
        let Self(One(view)) = self;
        One(NewApiKeyView { key: None, ..view.clone() }).keep()
    }
}

impl<A: Responder<Body = BoxBody>> Responder for Shown<A> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        self.0.respond_to(request)
    }
}

impl<A: Describe> Describe for Shown<A> {
    fn describe(operation: &mut Operation<'_>) {
        A::describe(operation);
    }
}

pub(crate) async fn list(
    access: Org<perm::ApiKeysManage>,
    Query(paging): Query<Paging>,
) -> Result<PageOf<ApiKeyView>, Problem> {
    let page = Paging::of(paging.limit, paging.cursor.as_deref(), List::ApiKeys)?;
    let keys = access.read().api_keys().list(page).await?;
    Ok(PageOf::of(List::ApiKeys, keys, ApiKeyView::from))
}

pub(crate) async fn get(
    access: Org<perm::ApiKeysManage>,
    Path(id): Path<ApiKeyId>,
) -> Result<One<ApiKeyView>, Problem> {
    Ok(One(access.read().api_keys().get(id).await?.into()))
}

pub(crate) async fn create(
    access: Org<perm::ApiKeysManage>,
    Keyed(body, key): Keyed<ApiKeyCreate>,
) -> Result<Once<Shown<Created<NewApiKeyView>>>, Problem> {
    // A key with few scopes would make itself one with many.
    access.user_id()?;
    let org_id = access.org_id();
    if body.scopes.as_ref().is_some_and(Vec::is_empty) {
        let why = "must name an action; leave it out for all that the role may do";
        return Err(Problem::field("/scopes", why));
    }
    let new = NewApiKey {
        team_id: body.team_id,
        name: body.name,
        role: body.role,
        scopes: body.scopes.unwrap_or_default(),
        expires_at: body.expires_at.map(|when| when.0),
    };
    access
        .once(key, new, move |tx, new| async move {
            let id = tx.api_keys().next_id();
            let secret = Secret::generate(org_id, id)?;
            let made = tx.api_keys().create(id, *secret.hash().as_bytes(), new).await?;
            let view = NewApiKeyView { key: Some(secret.expose()), api_key: made.into() };
            Ok(Shown(Created(view)))
        })
        .await
}

/// Gives a key another text.
pub(crate) async fn rotate(
    access: Org<perm::ApiKeysManage>,
    Path(id): Path<ApiKeyId>,
    IfMatch(expected): IfMatch,
    Keyed(body, key): Keyed<ApiKeyRotate>,
) -> Result<Once<Shown<One<NewApiKeyView>>>, Problem> {
    access.user_id()?;
    let org_id = access.org_id();
    let grace = body.grace_seconds;
    if grace > LONGEST_GRACE {
        return Err(Problem::field("/grace_seconds", format!("must be {LONGEST_GRACE} or less")));
    }
    let grace = (grace > 0).then(|| TimeDelta::seconds(grace.into()));
    access
        .once(key, (), move |tx, ()| async move {
            let secret = Secret::generate(org_id, id)?;
            let hash = *secret.hash().as_bytes();
            let rotated = tx.api_keys().rotate(id, expected, hash, grace).await?;
            let view = NewApiKeyView { key: Some(secret.expose()), api_key: rotated.into() };
            Ok(Shown(One(view)))
        })
        .await
}

/// Revokes a key, for good.
pub(crate) async fn revoke(
    access: Org<perm::ApiKeysManage>,
    Path(id): Path<ApiKeyId>,
    IfMatch(expected): IfMatch,
) -> Result<Deleted, Problem> {
    access
        .write((), move |tx, ()| async move { Ok(tx.api_keys().revoke(id, expected).await?) })
        .await?;
    Ok(Deleted::for_good("API key"))
}
