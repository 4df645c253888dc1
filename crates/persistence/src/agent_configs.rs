//! Agent configurations of a team.

use brownie_domain::{
    AgentConfigId, AgentType, Change, ConfigName, Description, Document, OrganizationId, Page,
    PageRequest, Position, Tags, TeamId, Version,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, QueryFilter};

use crate::{
    Error, OrgScope, Resource, Result, Writing,
    entity::{agent_configs, teams},
    patch::{Stamps, Stored, change, set, stamps},
};

/// How an agent works for a team.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentConfig {
    /// Whose it is.
    pub org_id: OrganizationId,
    /// Which it is.
    pub id: AgentConfigId,
    /// The team it works for.
    pub team_id: TeamId,
    /// Unique in the team.
    pub name: ConfigName,
    /// What it does.
    pub description: Option<Description>,
    /// What kind of agent it configures.
    pub agent_type: AgentType,
    /// Whether the agent runs.
    pub is_active: bool,
    /// The agent's own settings.
    pub config: Document,
    /// How long one run may take, in seconds.
    pub execution_timeout_seconds: i32,
    /// How often a failed run is repeated.
    pub max_retries: i32,
    /// How long to wait before that, in seconds.
    pub retry_delay_seconds: i32,
    /// What starts it.
    pub triggers: Document,
    /// What must hold for it to start.
    pub conditions: Document,
    /// Words to find it by.
    pub tags: Tags,
    /// Whatever the sender wants kept with it.
    pub metadata: Document,
    /// Who wrote the row, when, and how often.
    pub stamps: Stamps,
}

/// An agent configuration to be created.
#[derive(Debug, Clone)]
pub struct NewAgentConfig {
    /// Unique in the team.
    pub name: ConfigName,
    /// What it does.
    pub description: Option<Description>,
    /// What kind of agent it configures.
    pub agent_type: AgentType,
    /// Whether the agent runs.
    pub is_active: bool,
    /// The agent's own settings.
    pub config: Document,
    /// In seconds, 1 or more.
    pub execution_timeout_seconds: i32,
    /// 0 or more.
    pub max_retries: i32,
    /// In seconds, 1 or more.
    pub retry_delay_seconds: i32,
    /// What starts it.
    pub triggers: Document,
    /// What must hold for it to start.
    pub conditions: Document,
    /// Words to find it by.
    pub tags: Tags,
    /// Whatever the sender wants kept with it.
    pub metadata: Document,
}

/// Changes to an agent configuration.
#[derive(Debug, Clone, Default)]
pub struct AgentConfigPatch {
    /// Another name.
    pub name: Option<ConfigName>,
    /// Another description, or none.
    pub description: Change<Description>,
    /// Another kind.
    pub agent_type: Option<AgentType>,
    /// Runs or not.
    pub is_active: Option<bool>,
    /// Other settings, as a whole.
    pub config: Option<Document>,
    /// In seconds, 1 or more.
    pub execution_timeout_seconds: Option<i32>,
    /// 0 or more.
    pub max_retries: Option<i32>,
    /// In seconds, 1 or more.
    pub retry_delay_seconds: Option<i32>,
    /// Other triggers, as a whole.
    pub triggers: Option<Document>,
    /// Other conditions, as a whole.
    pub conditions: Option<Document>,
    /// Other tags.
    pub tags: Option<Tags>,
    /// Other metadata, as a whole.
    pub metadata: Option<Document>,
}

/// Which agent configurations of a team are wanted. What is not said does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct AgentConfigFilter {
    /// Of this kind.
    pub agent_type: Option<AgentType>,
    /// Those that run, or those that do not.
    pub is_active: Option<bool>,
}

impl AgentConfigFilter {
    fn condition(self) -> Condition {
        use agent_configs::Column;
        let Self { agent_type, is_active } = self;
        Condition::all()
            .add_option(agent_type.map(|kind| Column::AgentType.eq(kind.as_str())))
            .add_option(is_active.map(|is_active| Column::IsActive.eq(is_active)))
    }
}

/// The agent configurations of an organization: what [`OrgScope::agent_configs`] gives out.
#[derive(Debug)]
pub struct AgentConfigs<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// The organization's agent configurations.
    pub fn agent_configs(&self) -> AgentConfigs<'_, Mode> {
        AgentConfigs { scope: self }
    }
}

impl<Mode> AgentConfigs<'_, Mode> {
    /// Returns an agent configuration.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this organization has no such configuration, or it is deleted.
    pub async fn get(&self, id: AgentConfigId) -> Result<AgentConfig> {
        self.scope.get::<agent_configs::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Returns the agent configurations of a team that match, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(
        &self,
        team_id: TeamId,
        filter: AgentConfigFilter,
        page: PageRequest,
    ) -> Result<Page<AgentConfig>> {
        let select = self
            .scope
            .select::<agent_configs::Entity>()
            .filter(agent_configs::Column::TeamId.eq(team_id.as_uuid()))
            .filter(filter.condition());
        let position = |row: &agent_configs::Model| Position { at: row.created_at, id: row.id };
        self.scope
            .page(select, agent_configs::Column::CreatedAt, page, position)
            .await?
            .try_map(AgentConfig::try_from)
    }
}

impl AgentConfigs<'_, Writing> {
    /// Creates an agent configuration.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such team, [`Error::AlreadyExists`] when the team has
    /// one of that name.
    pub async fn create(&self, team_id: TeamId, new: NewAgentConfig) -> Result<AgentConfig> {
        let row = agent_configs::ActiveModel {
            team_id: Set(team_id.as_uuid()),
            name: Set(new.name.into()),
            description: Set(new.description.map(Into::into)),
            agent_type: Set(new.agent_type.as_str().to_owned()),
            is_active: Set(new.is_active),
            config: Set(new.config.into()),
            execution_timeout_seconds: Set(new.execution_timeout_seconds),
            max_retries: Set(new.max_retries),
            retry_delay_seconds: Set(new.retry_delay_seconds),
            triggers: Set(new.triggers.into()),
            conditions: Set(new.conditions.into()),
            tags: Set(serde_json::json!(new.tags)),
            config_metadata: Set(new.metadata.into()),
            ..Default::default()
        };
        // Nobody deletes the team meanwhile and leaves this behind.
        self.scope
            .insert_into::<teams::Entity, agent_configs::Entity>(team_id.as_uuid(), row, None)
            .await?
            .ok_or(Error::UnitOver)?
            .try_into()
    }

    /// Changes an agent configuration that is still at version `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionConflict`], or [`Error::AlreadyExists`] when the team
    /// has another of the new name.
    pub async fn update(
        &self,
        id: AgentConfigId,
        expected: Version,
        patch: AgentConfigPatch,
    ) -> Result<AgentConfig> {
        let changes = agent_configs::ActiveModel {
            name: set(patch.name),
            description: change(patch.description),
            agent_type: set(patch.agent_type.map(AgentType::as_str)),
            is_active: set(patch.is_active),
            config: set(patch.config),
            execution_timeout_seconds: set(patch.execution_timeout_seconds),
            max_retries: set(patch.max_retries),
            retry_delay_seconds: set(patch.retry_delay_seconds),
            triggers: set(patch.triggers),
            conditions: set(patch.conditions),
            tags: set(patch.tags.map(|tags| serde_json::json!(tags))),
            config_metadata: set(patch.metadata),
            ..Default::default()
        };
        self.scope
            .update::<agent_configs::Entity>(id.as_uuid(), expected, changes)
            .await?
            .try_into()
    }

    /// Returns an agent configuration, deleted or not.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such one.
    pub async fn live_or_deleted(&self, id: AgentConfigId) -> Result<AgentConfig> {
        self.scope.live_or_deleted::<agent_configs::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Deletes an agent configuration that is still at version `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::VersionConflict`].
    pub async fn delete(&self, id: AgentConfigId, expected: Version) -> Result<AgentConfig> {
        self.scope.delete::<agent_configs::Entity>(id.as_uuid(), expected).await?.try_into()
    }

    /// Brings a deleted agent configuration back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such deleted one, [`Error::VersionConflict`], or
    /// [`Error::AlreadyExists`] when the team has another of its name.
    pub async fn restore(&self, id: AgentConfigId, expected: Version) -> Result<AgentConfig> {
        let team_id = self.scope.deleted::<agent_configs::Entity>(id.as_uuid()).await?.team_id;
        self.scope.hold::<teams::Entity>(team_id).await?;
        self.scope.restore::<agent_configs::Entity>(id.as_uuid(), expected).await?.try_into()
    }
}

impl TryFrom<agent_configs::Model> for AgentConfig {
    type Error = Error;

    fn try_from(row: agent_configs::Model) -> Result<Self> {
        let stored = Stored { resource: Resource::AgentConfig, id: row.id };
        Ok(Self {
            org_id: OrganizationId::from_uuid(row.org_id),
            id: AgentConfigId::from_uuid(row.id),
            team_id: TeamId::from_uuid(row.team_id),
            name: stored.read("name", row.name)?,
            description: stored.read_optional("description", row.description)?,
            agent_type: stored.read("agent_type", row.agent_type)?,
            is_active: row.is_active,
            config: stored.read("config", row.config)?,
            execution_timeout_seconds: row.execution_timeout_seconds,
            max_retries: row.max_retries,
            retry_delay_seconds: row.retry_delay_seconds,
            triggers: stored.read("triggers", row.triggers)?,
            conditions: stored.read("conditions", row.conditions)?,
            tags: stored.read_json("tags", row.tags)?,
            metadata: stored.read("config_metadata", row.config_metadata)?,
            stamps: stamps!(row, stored),
        })
    }
}
