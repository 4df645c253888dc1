//! `/teams/{team_id}/agent-configs` and `/agent-configs/{config_id}`.

use brownie_domain::{
    AgentConfigId, AgentType, AtLeast, Change, ConfigName, Description, Document, List,
    OrganizationId, Tags, TeamId, Version,
};
use brownie_persistence::{
    AgentConfig, AgentConfigFilter, AgentConfigPatch, NewAgentConfig, OrgTx,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{Gate, InTeam, Item, perm},
    answer::{Addressed, Created, Deleted, One, PageOf, StampsView},
    body::{Body, Given, IfMatch, Path, same},
    query::{Flag, Limit, Paging, Query},
    repeat::{Key, Keyed, Once},
};

use super::yes;

/// An agent configuration to be created.
#[derive(Debug, Deserialize, JsonSchema)]
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
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AgentConfigUpdate {
    name: Given<ConfigName>,
    description: Change<Description>,
    agent_type: Given<AgentType>,
    is_active: Given<bool>,
    config: Given<Document>,
    execution_timeout_seconds: Given<AtLeast<1>>,
    max_retries: Given<AtLeast<0>>,
    retry_delay_seconds: Given<AtLeast<1>>,
    triggers: Given<Document>,
    conditions: Given<Document>,
    tags: Given<Tags>,
    config_metadata: Given<Document>,
}

/// Which agent configurations, and which part of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentConfigQuery {
    /// How many at most.
    limit: Option<Limit>,
    /// Where the page before ended: its `next_cursor`.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
    /// Of this type.
    agent_type: Option<AgentType>,
    /// Active ones, or inactive ones.
    is_active: Option<Flag>,
}

/// An agent configuration as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AgentConfig")]
pub(crate) struct AgentConfigView {
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

impl Addressed for AgentConfigView {
    fn location(&self) -> String {
        format!("/api/v1/agent-configs/{}", self.id)
    }

    fn version(&self) -> Version {
        self.stamps.version
    }
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

pub(crate) async fn list(
    access: InTeam<perm::AgentConfigsRead>,
    Query(query): Query<AgentConfigQuery>,
) -> Result<PageOf<AgentConfigView>, Problem> {
    let AgentConfigQuery { limit, cursor, agent_type, is_active } = query;
    let page = Paging::of(limit, cursor.as_deref(), List::AgentConfigs)?;
    let filter = AgentConfigFilter { agent_type, is_active: is_active.map(|flag| flag.0) };
    let configs = access.read().await?.agent_configs().list(access.team_id, filter, page).await?;
    Ok(PageOf::of(List::AgentConfigs, configs, AgentConfigView::from))
}

pub(crate) async fn create(
    access: InTeam<perm::AgentConfigsWrite>,
    Keyed(body, key): Keyed<AgentConfigCreate>,
) -> Result<Once<Created<AgentConfigView>>, Problem> {
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
    access
        .once(key, new, move |tx, new| async move {
            Ok(Created(AgentConfigView::from(tx.agent_configs().create(team_id, new).await?)))
        })
        .await
}

pub(crate) async fn get(
    access: Item<perm::AgentConfigsRead>,
    Path(id): Path<AgentConfigId>,
) -> Result<One<AgentConfigView>, Problem> {
    let config = access
        .read(|scope, gate| async move {
            let config = scope.agent_configs().get(id).await?;
            Ok((gate.admit(config.team_id)?, config))
        })
        .await?;
    Ok(One(AgentConfigView::from(config)))
}

pub(crate) async fn update(
    access: Item<perm::AgentConfigsWrite>,
    Path(id): Path<AgentConfigId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<AgentConfigUpdate>,
) -> Result<One<AgentConfigView>, Problem> {
    let patch = AgentConfigPatch {
        name: body.name.0,
        description: body.description,
        agent_type: body.agent_type.0,
        is_active: body.is_active.0,
        config: body.config.0,
        execution_timeout_seconds: body.execution_timeout_seconds.0.map(AtLeast::get),
        max_retries: body.max_retries.0.map(AtLeast::get),
        retry_delay_seconds: body.retry_delay_seconds.0.map(AtLeast::get),
        triggers: body.triggers.0,
        conditions: body.conditions.0,
        tags: body.tags.0,
        metadata: body.config_metadata.0,
    };
    let config = access
        .write(patch, move |tx, gate, patch| async move {
            let pass = gate.admit(tx.agent_configs().get(id).await?.team_id)?;
            Ok((pass, tx.agent_configs().update(id, expected, patch).await?))
        })
        .await?;
    Ok(One(AgentConfigView::from(config)))
}

pub(crate) async fn delete(
    access: Item<perm::AgentConfigsDelete>,
    Path(id): Path<AgentConfigId>,
    IfMatch(expected): IfMatch,
) -> Result<Deleted, Problem> {
    let config = access
        .write((), move |tx, gate, ()| async move {
            let pass = gate.admit(tx.agent_configs().get(id).await?.team_id)?;
            Ok((pass, tx.agent_configs().delete(id, expected).await?))
        })
        .await?;
    Ok(Deleted::at("Agent configuration", config.stamps.version))
}

pub(crate) async fn restore(
    access: Item<perm::AgentConfigsDelete>,
    Path(id): Path<AgentConfigId>,
    IfMatch(expected): IfMatch,
    key: Key,
) -> Result<Once<One<AgentConfigView>>, Problem> {
    let find = move |tx: OrgTx, gate: Gate| async move {
        gate.admit(tx.agent_configs().live_or_deleted(id).await?.team_id)
    };
    let work = move |tx: OrgTx| async move {
        Ok(One(AgentConfigView::from(tx.agent_configs().restore(id, expected).await?)))
    };
    access.once(key, find, work).await
}
