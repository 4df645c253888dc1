//! `/configs/resolve`: what applies, and why (docs/configuration.md).

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    web::{self, Bytes},
};
use brownie_cache::Key;
use brownie_domain::{
    ConfigName, Document, Severity,
    config::{AskedTeam, Question, Resolution, resolve},
};
use brownie_persistence::{Error, OrgScope, Reading, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Code, Deps, Problem,
    access::{Org, perm},
    openapi::{Describe, Operation},
    query::Query,
};

/// How long an answer is kept for the next who asks. A change made here counts at once; one that
/// another instance made while Redis was away, after this time.
const KEPT: Duration = Duration::from_secs(10);

/// What is asked about. What is left out is not asked about: a configuration that makes a condition
/// of it does not apply.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveQuery {
    /// The id or the slug of a team.
    team: Option<ConfigName>,
    /// The name of the alert, or of whatever looks for its configuration.
    name: Option<ConfigName>,
    /// How bad it is.
    severity: Option<Severity>,
    /// The name of an agent.
    agent: Option<ConfigName>,
    /// Whether to tell of each candidate why it won or lost, and where each key came from.
    #[serde(default)]
    explain: bool,
}

/// What applies.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Resolved {
    document: Document,
}

/// An answer, as JSON text.
#[derive(Debug)]
pub(crate) struct Answer(Bytes);

pub(crate) async fn get(
    access: Org<perm::ConfigsRead>,
    deps: web::Data<Deps>,
    Query(query): Query<ResolveQuery>,
) -> Result<Answer, Problem> {
    let ResolveQuery { team, name, severity, agent, explain } = query;
    let asked = serde_json::json!([team, name, severity, agent, explain]).to_string();
    let key = Key::new("resolve").of(access.org_id()).private(asked);
    let find = Box::pin(async {
        let scope = access.read();
        let team = match team {
            Some(team) => Some(find_team(&scope, &team).await?),
            None => None,
        };
        let question = Question { team, name, severity, agent };
        let candidates = scope.configs().candidates(&question, explain).await?;
        let found = web::block(move || resolve(&candidates, &question)).await.map_err(|error| {
            tracing::error!(%error, "a configuration could not be resolved");
            Problem::new(Code::Internal)
        })?;
        let found = found.map_err(|why| Problem::with(Code::Invalid, why.to_string()))?;
        let text = if explain {
            serde_json::to_vec(&found)
        } else {
            serde_json::to_vec(&Resolved { document: found.document })
        };
        let text = text.map_err(|error| {
            tracing::error!(%error, "an answer cannot be written");
            Problem::new(Code::Internal)
        })?;
        Ok::<_, Problem>(Bytes::from(text))
    });
    deps.cache.remember(&key, KEPT, find).await.map(Answer)
}

async fn find_team(scope: &OrgScope<Reading>, named: &ConfigName) -> Result<AskedTeam, Problem> {
    let team = match named.as_str().parse() {
        Ok(id) => scope.teams().get(id).await?,
        Err(_) => match named.as_str().parse() {
            Ok(slug) => scope.teams().by_slug(&slug).await?,
            Err(_) => return Err(Error::NotFound { resource: Resource::Team }.into()),
        },
    };
    Ok(AskedTeam { id: team.id, slug: team.slug, name: team.name })
}

impl Responder for Answer {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().content_type("application/json").body(self.0)
    }
}

impl Describe for Answer {
    fn describe(operation: &mut Operation<'_>) {
        let plain = operation.schemas.of_output.subschema_for::<Resolved>().to_value();
        let explained = operation.schemas.of_output.subschema_for::<Resolution>().to_value();
        let either = serde_json::json!({ "anyOf": [plain, explained] });
        let said = "What applies; with `explain=true`, the whole story.";
        operation.answers_with(200, said, &[], Some(("application/json", either)));
        operation.may_fail([Code::NotFound]);
    }
}
