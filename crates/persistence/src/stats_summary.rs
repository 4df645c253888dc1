//! Measured values in sum: how many there were in each window of time, and how they lay.

use brownie_domain::Timestamp;
use chrono::TimeDelta;
use sea_orm::{DbBackend, Statement, Value};

use crate::{Result, StatFilter, Stats};

/// What the values in one window of time come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Where the window begins.
    pub start: Timestamp,
    /// How many values there are.
    pub count: i64,
    /// Their sum.
    pub sum: f64,
    /// Their mean.
    pub avg: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The value that half of them stay below, interpolated.
    pub p50: f64,
    /// The value that 95 of 100 stay below, interpolated.
    pub p95: f64,
    /// The value that 99 of 100 stay below, interpolated.
    pub p99: f64,
}

/// Which values are summed up: those of one name, from one instant to another.
#[derive(Debug, Clone)]
pub struct SummaryRequest {
    /// Which values; its `metric_name`, `since` and `until` should be given.
    pub filter: StatFilter,
    /// How long a window is. Windows are counted from the Unix epoch.
    pub window: TimeDelta,
    /// How many windows at most, the earliest first.
    pub limit: u64,
}

impl<Mode> Stats<'_, Mode> {
    /// Returns what the values that match come to, window by window. A window without values is
    /// left out.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn summary(&self, request: SummaryRequest) -> Result<Vec<Bucket>> {
        let SummaryRequest { filter, window, limit } = request;
        let scope = self.scope();
        let mut values: Vec<Value> =
            vec![scope.org_id().as_uuid().into(), window.num_seconds().into()];
        let mut sql = "SELECT date_bin(make_interval(secs => $2), timestamp, 'epoch') AS start, \
             count(*) AS count, sum(value) AS sum, avg(value) AS avg, min(value) AS min, \
             max(value) AS max, percentile_cont(ARRAY[0.5, 0.95, 0.99]) \
                 WITHIN GROUP (ORDER BY value) AS percentiles \
             FROM stats WHERE org_id = $1 AND deleted_at IS NULL"
            .to_owned();
        let mut also = |condition: &str, value: Value| {
            values.push(value);
            sql.push_str(&format!(" AND {condition}").replace('?', &format!("${}", values.len())));
        };
        let StatFilter { team_id, visible_teams, metric_name, metric_type, since, until } = filter;
        if let Some(team) = team_id {
            also("team_id = ?", team.as_uuid().into());
        }
        if let Some(teams) = visible_teams {
            let ids: Vec<_> = teams.iter().map(brownie_domain::TeamId::as_uuid).collect();
            also(
                "(team_id IS NULL OR team_id IN (SELECT jsonb_array_elements_text(?)::uuid))",
                serde_json::json!(ids).into(),
            );
        }
        if let Some(name) = metric_name {
            also("metric_name = ?", name.as_str().to_owned().into());
        }
        if let Some(kind) = metric_type {
            also("metric_type = ?", kind.as_str().to_owned().into());
        }
        if let Some(since) = since {
            also("timestamp >= ?", since.into());
        }
        if let Some(until) = until {
            also("timestamp <= ?", until.into());
        }
        sql.push_str(&format!(" GROUP BY 1 ORDER BY 1 LIMIT {limit}"));
        let rows =
            scope.rows(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
        rows.iter()
            .map(|row| {
                let percentiles: Vec<f64> = row.try_get("percentiles")?;
                let percentile = |place: usize| percentiles.get(place).copied().unwrap_or_default();
                Ok(Bucket {
                    start: row.try_get("start")?,
                    count: row.try_get("count")?,
                    sum: row.try_get("sum")?,
                    avg: row.try_get("avg")?,
                    min: row.try_get("min")?,
                    max: row.try_get("max")?,
                    p50: percentile(0),
                    p95: percentile(1),
                    p99: percentile(2),
                })
            })
            .collect()
    }
}
