//! What may apply to a question: compared first, and read as a whole only where it does.

use std::collections::HashMap;

use brownie_domain::{
    ConfigId, ConfigStatus, Document, TeamId,
    config::{Candidate, Pattern, Question, Resolution},
};
use sea_orm::{ColumnTrait, Condition, DbBackend, QueryFilter, QuerySelect, QueryTrait};
use tokio_postgres::Row;

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
    /// When the database cannot answer.
    pub async fn candidates(
        &self,
        question: &Question,
        with_unused: bool,
    ) -> Result<Vec<Candidate>> {
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
        let mut candidates = rows.iter().map(candidate).collect::<Result<Vec<_>>>()?;

        let applied: Vec<_> = candidates
            .iter()
            .filter(|candidate| candidate.applies_to(question).is_ok())
            .map(|candidate| candidate.id.as_uuid())
            .collect();
        let select = self.scope.select::<configs::Entity>().select_only();
        let select =
            select.columns([Column::Id, Column::ConfigJson]).filter(Column::Id.is_in(applied));
        let most = Resolution::MAX_BODIES;
        let (rows, is_cut) =
            self.scope.rows_within(select.build(DbBackend::Postgres), most).await?;
        if is_cut {
            return Err(Error::TooLarge { what: "configurations that apply", bytes: most });
        }
        let mut bodies = HashMap::new();
        for row in rows {
            let id = row.try_get("id")?;
            let stored = Stored { resource: Resource::Config, id };
            let body: JsonText = row.try_get("config_json")?;
            bodies
                .insert(ConfigId::from_uuid(id), stored.read::<_, Document>("config_json", body)?);
        }
        // One that was deleted in between is none.
        candidates.retain_mut(|candidate| match bodies.remove(&candidate.id) {
            Some(body) => {
                candidate.body = body;
                true
            }
            None => candidate.applies_to(question).is_err(),
        });
        Ok(candidates)
    }
}

/// What a question is compared with.
const COMPARED: [configs::Column; 11] = [
    configs::Column::Id,
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
