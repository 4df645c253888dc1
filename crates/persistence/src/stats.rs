//! Measured values.

use brownie_domain::{
    Description, Document, MetricName, MetricType, OrganizationId, Page, PageRequest, Position,
    ShortLabel, StatId, TeamId, Timestamp, Version,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, QueryFilter};

use crate::{
    Error, OrgScope, Resource, Result, Writing,
    entity::{stats, teams},
    patch::{Stamps, Stored, stamps},
};

/// A measured value. It can be deleted, but not changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Stat {
    /// Whose it is.
    pub org_id: OrganizationId,
    /// Which it is.
    pub id: StatId,
    /// The team it is about; none when it is about the organization.
    pub team_id: Option<TeamId>,
    /// What was measured.
    pub metric_name: MetricName,
    /// What kind of quantity that is.
    pub metric_type: MetricType,
    /// How much.
    pub value: f64,
    /// Of how many samples.
    pub count: Option<i32>,
    /// When.
    pub timestamp: Timestamp,
    /// Over how long, such as `5m`.
    pub time_window: Option<ShortLabel>,
    /// What it was measured on.
    pub labels: Document,
    /// What it means.
    pub description: Option<Description>,
    /// In what unit.
    pub unit: Option<ShortLabel>,
    /// Who wrote the row, when, and how often.
    pub stamps: Stamps,
}

/// A value to be recorded.
#[derive(Debug, Clone)]
pub struct NewStat {
    /// What was measured.
    pub metric_name: MetricName,
    /// What kind of quantity that is.
    pub metric_type: MetricType,
    /// How much.
    pub value: f64,
    /// Of how many samples, 0 or more.
    pub count: Option<i32>,
    /// When.
    pub timestamp: Timestamp,
    /// Over how long.
    pub time_window: Option<ShortLabel>,
    /// What it was measured on.
    pub labels: Document,
    /// What it means.
    pub description: Option<Description>,
    /// In what unit.
    pub unit: Option<ShortLabel>,
}

/// Which values are wanted. What is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct StatFilter {
    /// Of this team.
    pub team_id: Option<TeamId>,
    /// Of one of these teams, or of none.
    pub visible_teams: Option<Vec<TeamId>>,
    /// Of this name.
    pub metric_name: Option<MetricName>,
    /// Of this kind.
    pub metric_type: Option<MetricType>,
    /// Measured at or after.
    pub since: Option<Timestamp>,
    /// Measured at or before.
    pub until: Option<Timestamp>,
}

impl StatFilter {
    fn condition(self) -> Condition {
        use stats::Column;
        let Self { team_id, visible_teams, metric_name, metric_type, since, until } = self;
        let visible = visible_teams.map(|teams| {
            Condition::any()
                .add(Column::TeamId.is_null())
                .add(Column::TeamId.is_in(teams.iter().map(TeamId::as_uuid)))
        });
        Condition::all()
            .add_option(visible)
            .add_option(team_id.map(|id| Column::TeamId.eq(id.as_uuid())))
            .add_option(metric_name.map(|name| Column::MetricName.eq(name.as_str())))
            .add_option(metric_type.map(|kind| Column::MetricType.eq(kind.as_str())))
            .add_option(since.map(|since| Column::Timestamp.gte(since)))
            .add_option(until.map(|until| Column::Timestamp.lte(until)))
    }
}

/// The measured values of an organization: what [`OrgScope::stats`] gives out.
#[derive(Debug)]
pub struct Stats<'a, Mode> {
    scope: &'a OrgScope<Mode>,
}

impl<Mode> OrgScope<Mode> {
    /// The organization's measured values.
    pub fn stats(&self) -> Stats<'_, Mode> {
        Stats { scope: self }
    }
}

impl<'a, Mode> Stats<'a, Mode> {
    pub(crate) fn scope(&self) -> &'a OrgScope<Mode> {
        self.scope
    }

    /// Returns a value.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this organization has no such value, or it is deleted.
    pub async fn get(&self, id: StatId) -> Result<Stat> {
        self.scope.get::<stats::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Returns the values that match, the last measured first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn list(&self, filter: StatFilter, page: PageRequest) -> Result<Page<Stat>> {
        let select = self.scope.select::<stats::Entity>().filter(filter.condition());
        let position = |row: &stats::Model| Position { at: row.timestamp, id: row.id };
        self.scope
            .page(select, stats::Column::Timestamp, page, position)
            .await?
            .try_map(Stat::try_from)
    }
}

impl Stats<'_, Writing> {
    /// Records a value of a team.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such team.
    pub async fn create(&self, team_id: TeamId, new: NewStat) -> Result<Stat> {
        self.scope.get::<teams::Entity>(team_id.as_uuid()).await?;
        let NewStat {
            metric_name,
            metric_type,
            value,
            count,
            timestamp,
            time_window,
            labels,
            description,
            unit,
        } = new;
        let row = stats::ActiveModel {
            team_id: Set(Some(team_id.as_uuid())),
            metric_name: Set(metric_name.into()),
            metric_type: Set(metric_type.into()),
            value: Set(value),
            count: Set(count),
            timestamp: Set(timestamp),
            time_window: Set(time_window.map(Into::into)),
            labels: Set(labels.into()),
            description: Set(description.map(Into::into)),
            unit: Set(unit.map(Into::into)),
            ..Default::default()
        };
        self.scope.insert::<stats::Entity>(row).await?.try_into()
    }

    /// Returns a value, deleted or not.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such one.
    pub async fn live_or_deleted(&self, id: StatId) -> Result<Stat> {
        self.scope.live_or_deleted::<stats::Entity>(id.as_uuid()).await?.try_into()
    }

    /// Deletes a value that is still at version `expected`.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::VersionConflict`].
    pub async fn delete(&self, id: StatId, expected: Version) -> Result<Stat> {
        self.scope.delete::<stats::Entity>(id.as_uuid(), expected).await?.try_into()
    }

    /// Brings a deleted value back.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such deleted one, or [`Error::VersionConflict`].
    pub async fn restore(&self, id: StatId, expected: Version) -> Result<Stat> {
        self.scope.restore::<stats::Entity>(id.as_uuid(), expected).await?.try_into()
    }
}

impl TryFrom<stats::Model> for Stat {
    type Error = Error;

    fn try_from(row: stats::Model) -> Result<Self> {
        let stored = Stored { resource: Resource::Stat, id: row.id };
        Ok(Self {
            org_id: OrganizationId::from_uuid(row.org_id),
            id: StatId::from_uuid(row.id),
            team_id: row.team_id.map(TeamId::from_uuid),
            metric_name: stored.read("metric_name", row.metric_name)?,
            metric_type: stored.read("metric_type", row.metric_type)?,
            value: row.value,
            count: row.count,
            timestamp: row.timestamp,
            time_window: stored.read_optional("time_window", row.time_window)?,
            labels: stored.read("labels", row.labels)?,
            description: stored.read_optional("description", row.description)?,
            unit: stored.read_optional("unit", row.unit)?,
            stamps: stamps!(row, stored),
        })
    }
}
