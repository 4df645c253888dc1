//! `/teams/{team_id}/agent-configs` and `/agent-configs/{config_id}`.

use actix_web::{HttpRequest, HttpResponse};
use brownie_domain::{
    AgentConfigId, AgentType, AtLeast, Change, ConfigName, Description, Document, List,
    OrganizationId, Tags, TeamId,
};
use brownie_persistence::{AgentConfig, AgentConfigFilter, AgentConfigPatch, NewAgentConfig};
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{InTeam, Item, perm},
    body::{Body, IfMatch, Paging, Path, Query, same, some},
    view::{self, StampsView},
};

use super::yes;

/// An agent configuration to be created.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentConfigCreate {
    name: ConfigName,
    #[serde(default)]
    description: Option<Description>,
    agent_type: AgentType,
    #[serde(default = "yes")]
    is_active: bool,
    #[serde(default)]
    config: Document,
    #[serde(default)]
    execution_timeout_seconds: Option<AtLeast<1>>,
    #[serde(default)]
    max_retries: Option<AtLeast<0>>,
    #[serde(default)]
    retry_delay_seconds: Option<AtLeast<1>>,
    #[serde(default)]
    triggers: Document,
    #[serde(default)]
    conditions: Document,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    config_metadata: Document,
    #[serde(default)]
    team_id: Option<TeamId>,
}

/// Changes to an agent configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentConfigUpdate {
    #[serde(default, deserialize_with = "some")]
    name: Option<ConfigName>,
    #[serde(default)]
    description: Change<Description>,
    #[serde(default, deserialize_with = "some")]
    agent_type: Option<AgentType>,
    #[serde(default, deserialize_with = "some")]
    is_active: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    config: Option<Document>,
    #[serde(default, deserialize_with = "some")]
    execution_timeout_seconds: Option<AtLeast<1>>,
    #[serde(default, deserialize_with = "some")]
    max_retries: Option<AtLeast<0>>,
    #[serde(default, deserialize_with = "some")]
    retry_delay_seconds: Option<AtLeast<1>>,
    #[serde(default, deserialize_with = "some")]
    triggers: Option<Document>,
    #[serde(default, deserialize_with = "some")]
    conditions: Option<Document>,
    #[serde(default, deserialize_with = "some")]
    tags: Option<Tags>,
    #[serde(default, deserialize_with = "some")]
    config_metadata: Option<Document>,
}

/// Which agent configurations, and which part of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentConfigQuery {
    limit: Option<u64>,
    cursor: Option<String>,
    agent_type: Option<AgentType>,
    is_active: Option<bool>,
}

/// An agent configuration as clients see it.
#[derive(Serialize)]
struct AgentConfigView {
    id: AgentConfigId,
    org_id: OrganizationId,
    organization_id: OrganizationId,
    team_id: TeamId,
    name: ConfigName,
    description: Option<Description>,
    agent_type: AgentType,
    is_active: bool,
    config: Document,
    execution_timeout_seconds: i32,
    max_retries: i32,
    retry_delay_seconds: i32,
    triggers: Document,
    conditions: Document,
    tags: Tags,
    config_metadata: Document,
    #[serde(flatten)]
    stamps: StampsView,
}

impl From<AgentConfig> for AgentConfigView {
    fn from(config: AgentConfig) -> Self {
        let AgentConfig {
            org_id,
            id,
            team_id,
            name,
            description,
            agent_type,
            is_active,
            config,
            execution_timeout_seconds,
            max_retries,
            retry_delay_seconds,
            triggers,
            conditions,
            tags,
            metadata,
            stamps,
        } = config;
        Self {
            id,
            org_id,
            organization_id: org_id,
            team_id,
            name,
            description,
            agent_type,
            is_active,
            config,
            execution_timeout_seconds,
            max_retries,
            retry_delay_seconds,
            triggers,
            conditions,
            tags,
            config_metadata: metadata,
            stamps: stamps.into(),
        }
    }
}

fn one(config: AgentConfig) -> HttpResponse {
    let version = config.stamps.version;
    view::one(&AgentConfigView::from(config), version)
}

pub(crate) async fn list(
    access: InTeam<perm::AgentConfigsRead>,
    request: HttpRequest,
    Query(query): Query<AgentConfigQuery>,
) -> Result<HttpResponse, Problem> {
    let AgentConfigQuery { limit, cursor, agent_type, is_active } = query;
    let page = Paging::of(limit, cursor.as_deref(), List::AgentConfigs)?;
    let filter = AgentConfigFilter { agent_type, is_active };
    let configs = access.read().await?.agent_configs().list(access.team_id, filter, page).await?;
    Ok(view::page(&request, List::AgentConfigs, configs, AgentConfigView::from))
}

pub(crate) async fn create(
    access: InTeam<perm::AgentConfigsWrite>,
    Body(body): Body<AgentConfigCreate>,
) -> Result<HttpResponse, Problem> {
    let team_id = access.team_id;
    same(body.team_id, team_id, "/team_id")?;
    let new = NewAgentConfig {
        name: body.name,
        description: body.description,
        agent_type: body.agent_type,
        is_active: body.is_active,
        config: body.config,
        execution_timeout_seconds: body.execution_timeout_seconds.map_or(300, AtLeast::get),
        max_retries: body.max_retries.map_or(3, AtLeast::get),
        retry_delay_seconds: body.retry_delay_seconds.map_or(60, AtLeast::get),
        triggers: body.triggers,
        conditions: body.conditions,
        tags: body.tags,
        metadata: body.config_metadata,
    };
    let config = access
        .write(
            new,
            move |tx, new| async move { Ok(tx.agent_configs().create(team_id, new).await?) },
        )
        .await?;
    let location = format!("/api/v1/agent-configs/{}", config.id);
    let version = config.stamps.version;
    Ok(view::created(&AgentConfigView::from(config), version, &location))
}

pub(crate) async fn get(
    access: Item<perm::AgentConfigsRead>,
    Path(id): Path<AgentConfigId>,
) -> Result<HttpResponse, Problem> {
    let config = access
        .read(|scope, gate| async move {
            let config = scope.agent_configs().get(id).await?;
            Ok((gate.admit(config.team_id)?, config))
        })
        .await?;
    Ok(one(config))
}

pub(crate) async fn update(
    access: Item<perm::AgentConfigsWrite>,
    Path(id): Path<AgentConfigId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<AgentConfigUpdate>,
) -> Result<HttpResponse, Problem> {
    let patch = AgentConfigPatch {
        name: body.name,
        description: body.description,
        agent_type: body.agent_type,
        is_active: body.is_active,
        config: body.config,
        execution_timeout_seconds: body.execution_timeout_seconds.map(AtLeast::get),
        max_retries: body.max_retries.map(AtLeast::get),
        retry_delay_seconds: body.retry_delay_seconds.map(AtLeast::get),
        triggers: body.triggers,
        conditions: body.conditions,
        tags: body.tags,
        metadata: body.config_metadata,
    };
    let config = access
        .write(patch, move |tx, gate, patch| async move {
            let pass = gate.admit(tx.agent_configs().get(id).await?.team_id)?;
            Ok((pass, tx.agent_configs().update(id, expected, patch).await?))
        })
        .await?;
    Ok(one(config))
}

pub(crate) async fn delete(
    access: Item<perm::AgentConfigsDelete>,
    Path(id): Path<AgentConfigId>,
    IfMatch(expected): IfMatch,
) -> Result<HttpResponse, Problem> {
    let config = access
        .write((), move |tx, gate, ()| async move {
            let pass = gate.admit(tx.agent_configs().get(id).await?.team_id)?;
            Ok((pass, tx.agent_configs().delete(id, expected).await?))
        })
        .await?;
    Ok(view::deleted("Agent configuration", config.stamps.version))
}

pub(crate) async fn restore(
    access: Item<perm::AgentConfigsDelete>,
    Path(id): Path<AgentConfigId>,
    IfMatch(expected): IfMatch,
) -> Result<HttpResponse, Problem> {
    let config = access
        .write((), move |tx, gate, ()| async move {
            let pass = gate.admit(tx.agent_configs().live_or_deleted(id).await?.team_id)?;
            Ok((pass, tx.agent_configs().restore(id, expected).await?))
        })
        .await?;
    Ok(one(config))
}
