//! What may apply to a question: compared first, and read as a whole only where it does.

use std::collections::HashMap;

use brownie_domain::{
    ConfigId, ConfigStatus, Document, TeamId,
    config::{Candidate, Pattern, Question, Resolution},
};
use sea_orm::{ColumnTrait, Condition, DbBackend, QueryFilter, QuerySelect, QueryTrait, Statement};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Configs;
use crate::{
    Error, Resource, Result,
    entity::{JsonText, configs},
    patch::Stored,
};

impl<Mode> Configs<'_, Mode> {
    /// Returns all that may apply to a question; with those that are out of use, if it is to be
    /// said of each why it does not. Bodies are read of those that do apply.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when those that apply are more than can be merged, [`Error::Contended`] when they
    /// are changed faster than they are read.
    pub async fn candidates(
        &self,
        question: &Question,
        with_unused: bool,
    ) -> Result<Vec<Candidate>> {
        for _ in 0..TRIES {
            if let Some(candidates) = self.candidates_now(question, with_unused).await? {
                return Ok(candidates);
            }
        }
        Err(Error::Contended)
    }

    /// The same, or none if one that applies was changed between the two reads: what was compared and what was
    /// read would be of two moments.
    async fn candidates_now(
        &self,
        question: &Question,
        with_unused: bool,
    ) -> Result<Option<Vec<Candidate>>> {
        use configs::Column;
        let in_use = Condition::all().add(Column::IsActive.eq(true)).add(
            Column::Status
                .is_in([ConfigStatus::Active.as_str(), ConfigStatus::Deprecated.as_str()]),
        );
        let mut select = self.scope.select::<configs::Entity>().select_only().columns(COMPARED);
        if !with_unused {
            select = select.filter(in_use);
        }
        let rows = self.scope.rows(select.build(DbBackend::Postgres)).await?;
        let mut candidates = Vec::with_capacity(rows.len());
        let mut versions: HashMap<Uuid, i64> = HashMap::new();
        for row in &rows {
            let candidate = candidate(row)?;
            if candidate.applies_to(question).is_ok() {
                versions.insert(candidate.id.as_uuid(), row.try_get("version")?);
            }
            candidates.push(candidate);
        }
        let Some(mut bodies) = self.bodies(&versions).await? else { return Ok(None) };
        for candidate in &mut candidates {
            candidate.body = bodies.remove(&candidate.id.as_uuid()).unwrap_or_default();
        }
        Ok(Some(candidates))
    }

    /// Reads the bodies of configurations at these versions; none if one is gone or at another.
    async fn bodies(
        &self,
        versions: &HashMap<Uuid, i64>,
    ) -> Result<Option<HashMap<Uuid, Document>>> {
        // One text for any number of them, so that it is prepared once.
        let sql = "SELECT id, version, config_json FROM configs WHERE org_id = $1 AND deleted_at IS NULL \
             AND id IN (SELECT jsonb_array_elements_text($2)::uuid)";
        let ids: Vec<&Uuid> = versions.keys().collect();
        let values = [self.scope.org_id().as_uuid().into(), serde_json::json!(ids).into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let most = Resolution::MAX_BODIES;
        let (rows, is_cut) = self.scope.rows_within(statement, most).await?;
        if is_cut {
            return Err(Error::TooLarge { what: "configurations that apply", bytes: most });
        }
        let mut bodies = HashMap::new();
        for row in rows {
            let (id, version): (Uuid, i64) = (row.try_get("id")?, row.try_get("version")?);
            if versions.get(&id) != Some(&version) {
                return Ok(None);
            }
            let stored = Stored { resource: Resource::Config, id };
            let body: JsonText = row.try_get("config_json")?;
            bodies.insert(id, stored.read("config_json", body)?);
        }
        Ok((bodies.len() == versions.len()).then_some(bodies))
    }
}

/// How often to read again what is changed meanwhile.
const TRIES: usize = 3;

/// What a question is compared with.
const COMPARED: [configs::Column; 12] = [
    configs::Column::Id,
    configs::Column::Version,
    configs::Column::Name,
    configs::Column::ConfigType,
    configs::Column::Status,
    configs::Column::IsActive,
    configs::Column::IsGlobal,
    configs::Column::Priority,
    configs::Column::TeamId,
    configs::Column::TeamPattern,
    configs::Column::NamePattern,
    configs::Column::SeverityPattern,
];

/// Reads a candidate, without its body.
fn candidate(row: &Row) -> Result<Candidate> {
    let id = row.try_get("id")?;
    let stored = Stored { resource: Resource::Config, id };
    let text = |column| Ok::<Option<String>, Error>(row.try_get(column)?);
    let pattern = |column| stored.read_optional::<_, Pattern>(column, text(column)?);
    Ok(Candidate {
        id: ConfigId::from_uuid(id),
        name: stored.read("name", row.try_get::<_, String>("name")?)?,
        config_type: stored.read("config_type", row.try_get::<_, String>("config_type")?)?,
        status: stored.read("status", row.try_get::<_, String>("status")?)?,
        is_active: row.try_get("is_active")?,
        is_global: row.try_get("is_global")?,
        priority: row.try_get("priority")?,
        team_id: row.try_get::<_, Option<_>>("team_id")?.map(TeamId::from_uuid),
        team_pattern: pattern("team_pattern")?,
        name_pattern: pattern("name_pattern")?,
        severity_pattern: pattern("severity_pattern")?,
        body: Document::default(),
    })
}
