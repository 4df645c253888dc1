//! Hierarchical configurations of an organization.

mod candidates;

use brownie_domain::{
    Change, ConfigId, ConfigName, ConfigStatus, ConfigType, Description, Document, OrganizationId,
    Page, PageRequest, Position, ShortLabel, Tags, TeamId, Version,
    config::{BodyFormat, ConfigBody, ConfigSchema, Pattern},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, QueryFilter};

use crate::{
    Error, OrgScope, Resource, Result, Writing,
    entity::{configs, organizations, teams},
    patch::{Stamps, Stored, change, set, stamps},
};

/// A part of what applies to teams, alerts and agents.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whose it is.
    pub org_id: OrganizationId,
    /// Which it is.
    pub id: ConfigId,
    /// The one team that it is for.
    pub team_id: Option<TeamId>,
    /// Its name, for people.
    pub name: ConfigName,
    /// What it is about.
    pub description: Option<Description>,
    /// Its layer.
    pub config_type: ConfigType,
    /// Where it stands in its life.
    pub status: ConfigStatus,
    /// What names it is for.
    pub name_pattern: Option<Pattern>,
    /// What severities it is for.
    pub severity_pattern: Option<Pattern>,
    /// What teams it is for.
    pub team_pattern: Option<Pattern>,
    /// What somebody wrote, byte for byte.
    pub source: String,
    /// In which language.
    pub source_format: BodyFormat,
    /// What it says.
    pub body: Document,
    /// What the body must satisfy.
    pub schema: Option<Document>,
    /// The writer's own name for this version.
    pub config_version: Option<ShortLabel>,
    /// Decides inside a layer; the greater is stronger.
    pub priority: i32,
    /// Applies to every team.
    pub is_global: bool,
    /// Switched off when false.
    pub is_active: bool,
    /// Words to find it by.
    pub tags: Tags,
    /// Whatever the sender wants kept with it.
    pub metadata: Document,
    /// Who wrote the row, when, and how often.
    pub stamps: Stamps,
}

/// A configuration to be created.
#[derive(Debug, Clone)]
pub struct NewConfig {
    /// The one team that it is for.
    pub team_id: Option<TeamId>,
    /// Its name, for people.
    pub name: ConfigName,
    /// What it is about.
    pub description: Option<Description>,
    /// Its layer.
    pub config_type: ConfigType,
    /// Where it stands in its life.
    pub status: ConfigStatus,
    /// What names it is for.
    pub name_pattern: Option<Pattern>,
    /// What severities it is for.
    pub severity_pattern: Option<Pattern>,
    /// What teams it is for.
    pub team_pattern: Option<Pattern>,
    /// What somebody wrote, and what it says. Whether it satisfies the schema was checked.
    pub body: ConfigBody,
    /// What the body must satisfy.
    pub schema: Option<ConfigSchema>,
    /// The writer's own name for this version.
    pub config_version: Option<ShortLabel>,
    /// Decides inside a layer; the greater is stronger.
    pub priority: i32,
    /// Applies to every team.
    pub is_global: bool,
    /// Switched off when false.
    pub is_active: bool,
    /// Words to find it by.
    pub tags: Tags,
    /// Whatever the sender wants kept with it.
    pub metadata: Document,
}

/// Changes to a configuration.
#[derive(Debug, Clone, Default)]
pub struct ConfigPatch {
    /// Another name.
    pub name: Option<ConfigName>,
    /// Another description, or none.
    pub description: Change<Description>,
    /// Another place in its life.
    pub status: Option<ConfigStatus>,
    /// Other names, or any.
    pub name_pattern: Change<Pattern>,
    /// Other severities, or any.
    pub severity_pattern: Change<Pattern>,
    /// Other teams, or any.
    pub team_pattern: Change<Pattern>,
    /// Another body. Whether it satisfies the schema was checked.
    pub body: Option<ConfigBody>,
    /// Another schema, or none. Whether the body satisfies it was checked.
    pub schema: Change<ConfigSchema>,
    /// Another name for this version, or none.
    pub config_version: Change<ShortLabel>,
    /// Another priority.
    pub priority: Option<i32>,
    /// For every team, or not.
    pub is_global: Option<bool>,
    /// On or off.
    pub is_active: Option<bool>,
    /// Other tags.
    pub tags: Option<Tags>,
    /// Other metadata, as a whole.
    pub metadata: Option<Document>,
}

/// Which configurations are wanted. What is not said does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConfigFilter {
    /// Of this layer.
    pub config_type: Option<ConfigType>,
    /// At this place in their life.
    pub status: Option<ConfigStatus>,
    /// For this team alone.
    pub team_id: Option<TeamId>,
    /// Those that are on, or those that are off.
    pub is_active: Option<bool>,
}

impl ConfigFilter {
    fn condition(self) -> Condition {
        use configs::Column;
        let Self { config_type, status, team_id, is_active } = self;
        Condition::all()
            .add_option(config_type.map(|kind| Column::ConfigType.eq(kind.as_str())))
            .add_option(status.map(|status| Column::Status.eq(status.as_str())))
            .add_option(team_id.map(|id| Column::TeamId.eq(id.as_uuid())))
            .add_option(is_active.map(|is_active| Column::IsActive.eq(is_active)))
    }
}

/// The most configurations that an organization may have: each question reads all that are in use.
const MOST: i32 = 1000;

/// The configurations of an organization: what [`OrgScope::configs`] gives out.
#[derive(Debug)]
pub struct Configs<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// The organization's configurations.
    pub fn configs(&self) -> Configs<'_, Mode> {
        Configs { scope: self }
    }
}

impl<Mode> Configs<'_, Mode> {
    /// Returns a configuration.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this organization has no such configuration, or it is deleted.
    pub async fn get(&self, id: ConfigId) -> Result<Config> {
        self.scope.get::<configs::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Returns the configurations that match, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(&self, filter: ConfigFilter, page: PageRequest) -> Result<Page<Config>> {
        let select = self.scope.select::<configs::Entity>().filter(filter.condition());
        let position = |row: &configs::Model| Position { at: row.created_at, id: row.id };
        self.scope
            .page(select, configs::Column::CreatedAt, page, position)
            .await?
            .try_map(Config::try_from)
    }
}

impl Configs<'_, Writing> {
    /// Creates a configuration.
    ///
    /// # Errors
    /// [`Error::InvalidReference`] when there is no such team, [`Error::LimitReached`] when the
    /// organization has as many as it may.
    pub async fn create(&self, new: NewConfig) -> Result<Config> {
        self.make_room().await?;
        if let Some(team) = new.team_id {
            let held = self.scope.hold::<teams::Entity>(team.as_uuid()).await;
            held.map_err(|error| error.of_reference("team_id"))?;
        }
        let row = configs::ActiveModel {
            team_id: Set(new.team_id.map(|id| id.as_uuid())),
            name: Set(new.name.into()),
            description: Set(new.description.map(Into::into)),
            config_type: Set(new.config_type.as_str().to_owned()),
            status: Set(new.status.as_str().to_owned()),
            name_pattern: Set(new.name_pattern.map(Into::into)),
            severity_pattern: Set(new.severity_pattern.map(Into::into)),
            team_pattern: Set(new.team_pattern.map(Into::into)),
            source: Set(new.body.text().to_owned()),
            source_format: Set(new.body.format().as_str().to_owned()),
            config_json: Set(new.body.into_document().into()),
            body_schema: Set(new.schema.map(|schema| Document::from(schema).into())),
            config_version: Set(new.config_version.map(Into::into)),
            priority: Set(new.priority),
            is_global: Set(new.is_global),
            is_active: Set(new.is_active),
            tags: Set(serde_json::json!(new.tags)),
            config_metadata: Set(new.metadata.into()),
            ..Default::default()
        };
        self.scope.insert::<configs::Entity>(row).await?.try_into()
    }

    /// Changes a configuration that is still at version `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::VersionConflict`].
    pub async fn update(
        &self,
        id: ConfigId,
        expected: Version,
        patch: ConfigPatch,
    ) -> Result<Config> {
        let mut changes = configs::ActiveModel {
            name: set(patch.name),
            description: change(patch.description),
            status: set(patch.status.map(ConfigStatus::as_str)),
            name_pattern: change(patch.name_pattern),
            severity_pattern: change(patch.severity_pattern),
            team_pattern: change(patch.team_pattern),
            config_version: change(patch.config_version),
            priority: set(patch.priority),
            is_global: set(patch.is_global),
            is_active: set(patch.is_active),
            tags: set(patch.tags.map(|tags| serde_json::json!(tags))),
            config_metadata: set(patch.metadata),
            ..Default::default()
        };
        if let Some(body) = patch.body {
            changes.source = Set(body.text().to_owned());
            changes.source_format = Set(body.format().as_str().to_owned());
            changes.config_json = Set(body.into_document().into());
        }
        match patch.schema {
            Change::Keep => {}
            Change::Clear => changes.body_schema = Set(None),
            Change::Set(schema) => changes.body_schema = Set(Some(Document::from(schema).into())),
        }
        self.scope.update::<configs::Entity>(id.as_uuid(), expected, changes).await?.try_into()
    }

    /// Deletes a configuration that is still at version `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::VersionConflict`].
    pub async fn delete(&self, id: ConfigId, expected: Version) -> Result<Config> {
        self.scope.delete::<configs::Entity>(id.as_uuid(), expected).await?.try_into()
    }

    /// Brings a deleted configuration back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such deleted one, or its team is deleted;
    /// [`Error::VersionConflict`]; [`Error::LimitReached`].
    pub async fn restore(&self, id: ConfigId, expected: Version) -> Result<Config> {
        let team_id = self.scope.deleted::<configs::Entity>(id.as_uuid()).await?.team_id;
        self.make_room().await?;
        if let Some(team) = team_id {
            self.scope.hold::<teams::Entity>(team).await?;
        }
        self.scope.restore::<configs::Entity>(id.as_uuid(), expected).await?.try_into()
    }

    /// Makes sure that the organization may have one more. The lock makes the count exact.
    async fn make_room(&self) -> Result<()> {
        let org_id = self.scope.org_id().as_uuid();
        self.scope.lock::<organizations::Entity>(org_id).await?;
        let count = self.scope.count(self.scope.select::<configs::Entity>()).await?;
        if count >= i64::from(MOST) {
            return Err(Error::LimitReached { what: "configurations", max: MOST });
        }
        Ok(())
    }
}

impl TryFrom<configs::Model> for Config {
    type Error = Error;

    fn try_from(row: configs::Model) -> Result<Self> {
        let stored = Stored { resource: Resource::Config, id: row.id };
        Ok(Self {
            org_id: OrganizationId::from_uuid(row.org_id),
            id: ConfigId::from_uuid(row.id),
            team_id: row.team_id.map(TeamId::from_uuid),
            name: stored.read("name", row.name)?,
            description: stored.read_optional("description", row.description)?,
            config_type: stored.read("config_type", row.config_type)?,
            status: stored.read("status", row.status)?,
            name_pattern: stored.read_optional("name_pattern", row.name_pattern)?,
            severity_pattern: stored.read_optional("severity_pattern", row.severity_pattern)?,
            team_pattern: stored.read_optional("team_pattern", row.team_pattern)?,
            source: row.source,
            source_format: stored.read("source_format", row.source_format)?,
            body: stored.read("config_json", row.config_json)?,
            schema: stored.read_optional("body_schema", row.body_schema)?,
            config_version: stored.read_optional("config_version", row.config_version)?,
            priority: row.priority,
            is_global: row.is_global,
            is_active: row.is_active,
            tags: stored.read_json("tags", row.tags)?,
            metadata: stored.read("config_metadata", row.config_metadata)?,
            stamps: stamps!(row, stored),
        })
    }
}
