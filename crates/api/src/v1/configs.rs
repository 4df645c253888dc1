//! `/configs`: hierarchical configurations, as somebody wrote them.

use brownie_domain::{
    Change, ConfigId, ConfigName, ConfigStatus, ConfigType, Description, Document, List,
    OrganizationId, ShortLabel, Tags, TeamId, Version,
    config::{BodyFormat, ConfigBody, ConfigSchema, Pattern},
};
use brownie_persistence::{Config, ConfigFilter, ConfigPatch, NewConfig, OrgTx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::yes;
use crate::{
    Code, Problem,
    access::{Org, perm},
    answer::{Addressed, Created, Deleted, One, PageOf, StampsView},
    body::{Body, Given, IfMatch, Path},
    problem::FieldError,
    query::{Flag, Limit, Paging, Query},
    repeat::{Key, Keyed, Once},
};

/// A configuration to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigCreate {
    name: ConfigName,
    #[serde(default)]
    description: Option<Description>,
    config_type: ConfigType,
    #[serde(default = "draft")]
    status: ConfigStatus,
    /// The one team that it is for.
    #[serde(default)]
    team_id: Option<TeamId>,
    /// Must match the name that is asked about, as a whole.
    #[serde(default)]
    name_pattern: Option<Pattern>,
    #[serde(default)]
    severity_pattern: Option<Pattern>,
    /// Must match the slug or the name of the team.
    #[serde(default)]
    team_pattern: Option<Pattern>,
    /// YAML or JSON, kept byte for byte: an object of at most 256 KiB.
    #[schemars(example = &"escalation:\n  after_minutes: 15\n")]
    source: String,
    #[schemars(example = BodyFormat::Yaml)]
    source_format: BodyFormat,
    /// A JSON Schema that the source must satisfy.
    #[serde(default)]
    schema: Option<ConfigSchema>,
    /// The writer's own name for this version.
    #[serde(default)]
    config_version: Option<ShortLabel>,
    /// Decides inside a layer; the greater is stronger.
    #[serde(default)]
    priority: i32,
    #[serde(default)]
    is_global: bool,
    #[serde(default = "yes")]
    is_active: bool,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    config_metadata: Document,
}

fn draft() -> ConfigStatus {
    ConfigStatus::Draft
}

/// Changes to a configuration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigUpdate {
    name: Given<ConfigName>,
    description: Change<Description>,
    status: Given<ConfigStatus>,
    name_pattern: Change<Pattern>,
    severity_pattern: Change<Pattern>,
    team_pattern: Change<Pattern>,
    /// Comes with `source_format`.
    source: Given<String>,
    source_format: Given<BodyFormat>,
    schema: Change<ConfigSchema>,
    config_version: Change<ShortLabel>,
    priority: Given<i32>,
    is_global: Given<bool>,
    is_active: Given<bool>,
    tags: Given<Tags>,
    config_metadata: Given<Document>,
}

/// Which configurations, and which part of the list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigQuery {
    /// How many at most.
    limit: Option<Limit>,
    /// Where the page before ended: its `next_cursor`.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
    /// Of this layer.
    config_type: Option<ConfigType>,
    /// That stand there.
    status: Option<ConfigStatus>,
    /// Of this team.
    team_id: Option<TeamId>,
    /// Active ones, or inactive ones.
    is_active: Option<Flag>,
}

/// A configuration as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Config")]
pub(crate) struct ConfigView {
    id: ConfigId,
    org_id: OrganizationId,
    organization_id: OrganizationId,
    team_id: Option<TeamId>,
    name: ConfigName,
    description: Option<Description>,
    config_type: ConfigType,
    status: ConfigStatus,
    name_pattern: Option<Pattern>,
    severity_pattern: Option<Pattern>,
    team_pattern: Option<Pattern>,
    /// As it was sent.
    source: String,
    source_format: BodyFormat,
    /// What it says.
    body: Document,
    schema: Option<Document>,
    config_version: Option<ShortLabel>,
    priority: i32,
    is_global: bool,
    is_active: bool,
    tags: Tags,
    config_metadata: Document,
    #[serde(flatten)]
    stamps: StampsView,
}

impl Addressed for ConfigView {
    fn location(&self) -> String {
        format!("/api/v1/configs/{}", self.id)
    }

    fn version(&self) -> Version {
        self.stamps.version
    }
}

impl From<Config> for ConfigView {
    fn from(config: Config) -> Self {
        Self {
            id: config.id,
            org_id: config.org_id,
            organization_id: config.org_id,
            team_id: config.team_id,
            name: config.name,
            description: config.description,
            config_type: config.config_type,
            status: config.status,
            name_pattern: config.name_pattern,
            severity_pattern: config.severity_pattern,
            team_pattern: config.team_pattern,
            source: config.source,
            source_format: config.source_format,
            body: config.body,
            schema: config.schema,
            config_version: config.config_version,
            priority: config.priority,
            is_global: config.is_global,
            is_active: config.is_active,
            tags: config.tags,
            config_metadata: config.metadata,
            stamps: config.stamps.into(),
        }
    }
}

/// Reads what somebody wrote.
fn read_source(format: BodyFormat, source: String) -> Result<ConfigBody, Problem> {
    ConfigBody::read(format, source)
        .map_err(|invalid| Problem::field("/source", invalid.to_string()))
}

/// Checks a body by a schema, beside the threads that serve: it may take a second.
async fn check(body: &ConfigBody, schema: Option<&ConfigSchema>) -> Result<(), Problem> {
    let Some(schema) = schema.cloned() else { return Ok(()) };
    let document = body.document().clone();
    let checked = tokio::task::spawn_blocking(move || schema.check(&document)).await;
    let outcome = checked.map_err(|error| {
        tracing::error!(%error, "a schema could not be checked");
        Problem::new(Code::Internal)
    })?;
    outcome.map_err(|violations| {
        let errors = violations.into_iter().map(|violation| FieldError {
            pointer: format!("/source{}", violation.pointer),
            detail: violation.message,
        });
        Problem::fields("The source does not satisfy the schema.", errors.collect())
    })
}

pub(crate) async fn list(
    access: Org<perm::ConfigsRead>,
    Query(query): Query<ConfigQuery>,
) -> Result<PageOf<ConfigView>, Problem> {
    let ConfigQuery { limit, cursor, config_type, status, team_id, is_active } = query;
    let page = Paging::of(limit, cursor.as_deref(), List::Configs)?;
    let is_active = is_active.map(|flag| flag.0);
    let filter = ConfigFilter { config_type, status, team_id, is_active };
    let configs = access.read().configs().list(filter, page).await?;
    Ok(PageOf::of(List::Configs, configs, ConfigView::from))
}

pub(crate) async fn get(
    access: Org<perm::ConfigsRead>,
    Path(id): Path<ConfigId>,
) -> Result<One<ConfigView>, Problem> {
    Ok(One(access.read().configs().get(id).await?.into()))
}

pub(crate) async fn create(
    access: Org<perm::ConfigsWrite>,
    Keyed(body, key): Keyed<ConfigCreate>,
) -> Result<Once<Created<ConfigView>>, Problem> {
    let written = read_source(body.source_format, body.source)?;
    check(&written, body.schema.as_ref()).await?;
    let new = NewConfig {
        team_id: body.team_id,
        name: body.name,
        description: body.description,
        config_type: body.config_type,
        status: body.status,
        name_pattern: body.name_pattern,
        severity_pattern: body.severity_pattern,
        team_pattern: body.team_pattern,
        body: written,
        schema: body.schema,
        config_version: body.config_version,
        priority: body.priority,
        is_global: body.is_global,
        is_active: body.is_active,
        tags: body.tags,
        metadata: body.config_metadata,
    };
    let made = access
        .once(key, new, move |tx, new| async move {
            Ok(Created(ConfigView::from(tx.configs().create(new).await?)))
        })
        .await?;
    access.changed().await;
    Ok(made)
}

pub(crate) async fn update(
    access: Org<perm::ConfigsWrite>,
    Path(id): Path<ConfigId>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ConfigUpdate>,
) -> Result<One<ConfigView>, Problem> {
    let written = match (body.source_format.0, body.source.0) {
        (Some(format), Some(source)) => Some(read_source(format, source)?),
        (None, None) => None,
        _ => return Err(Problem::field("/source", "and source_format come together")),
    };
    let patch = ConfigPatch {
        name: body.name.0,
        description: body.description,
        status: body.status.0,
        name_pattern: body.name_pattern,
        severity_pattern: body.severity_pattern,
        team_pattern: body.team_pattern,
        body: written,
        schema: body.schema,
        config_version: body.config_version,
        priority: body.priority.0,
        is_global: body.is_global.0,
        is_active: body.is_active.0,
        tags: body.tags.0,
        metadata: body.config_metadata.0,
    };
    let config = access
        .write(
            patch,
            move |tx, patch| async move { Box::pin(apply(&tx, id, expected, patch)).await },
        )
        .await?;
    access.changed().await;
    Ok(One(config.into()))
}

/// Checks what there will be by the schema that there will be, then writes it. Whoever is faster
/// takes the version, so that what was checked is what stands.
async fn apply(
    tx: &OrgTx,
    id: ConfigId,
    expected: Version,
    patch: ConfigPatch,
) -> Result<Config, Problem> {
    let is_checked = patch.body.is_some() || matches!(patch.schema, Change::Set(_));
    if is_checked {
        let current = tx.configs().get(id).await?;
        let schema = match &patch.schema {
            Change::Set(schema) => Some(schema.clone()),
            Change::Clear => None,
            Change::Keep => current.schema.map(ConfigSchema::try_from).transpose()?,
        };
        match &patch.body {
            Some(body) => check(body, schema.as_ref()).await?,
            None => {
                let body = read_source(current.source_format, current.source)?;
                check(&body, schema.as_ref()).await?;
            }
        }
    }
    Ok(Box::pin(tx.configs().update(id, expected, patch)).await?)
}

pub(crate) async fn delete(
    access: Org<perm::ConfigsWrite>,
    Path(id): Path<ConfigId>,
    IfMatch(expected): IfMatch,
) -> Result<Deleted, Problem> {
    let config = access
        .write((), move |tx, ()| async move { Ok(tx.configs().delete(id, expected).await?) })
        .await?;
    access.changed().await;
    Ok(Deleted::at("Config", config.stamps.version))
}

pub(crate) async fn restore(
    access: Org<perm::ConfigsWrite>,
    Path(id): Path<ConfigId>,
    IfMatch(expected): IfMatch,
    key: Key,
) -> Result<Once<One<ConfigView>>, Problem> {
    let restored = access
        .once(key, (), move |tx, ()| async move {
            Ok(One(ConfigView::from(tx.configs().restore(id, expected).await?)))
        })
        .await?;
    access.changed().await;
    Ok(restored)
}
