//! `/teams/{team_id}/stats/summary` and `/organizations/{org_id}/stats/summary`: values in windows.

use brownie_domain::{Action, MetricName, MetricType, TeamId, Timestamp};
use brownie_persistence::{Bucket, StatFilter, SummaryRequest};
use chrono::TimeDelta;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    Problem,
    access::{InTeam, Org, perm},
    answer::Plain,
    body::When,
    query::Query,
};

/// How many windows an answer has at most.
const MOST: i64 = 1000;

/// Which values, and in what windows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SummaryQuery {
    /// Of this name.
    metric_name: MetricName,
    /// Of this type.
    metric_type: Option<MetricType>,
    /// Measured at or after.
    since: When,
    /// Measured at or before.
    until: When,
    /// How long a window is, such as `5m`, `1h` or `1d`: at most 1000 from `since` to `until`.
    /// Windows begin at multiples of it from 1970-01-01T00:00:00Z.
    window: Window,
}

/// A length of time, in whole seconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Window(TimeDelta);

impl TryFrom<String> for Window {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        const EXPECTED: &str = "must be a number and s, m, h or d, such as 5m";
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(EXPECTED)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(EXPECTED),
        };
        let digits = (1..=6).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let number: i64 = number.parse().ok().filter(|n| digits && *n > 0).ok_or(EXPECTED)?;
        TimeDelta::try_seconds(number * seconds).map(Self).ok_or(EXPECTED)
    }
}

impl JsonSchema for Window {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Window".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[1-9][0-9]{0,5}[smhd]$",
            "examples": ["1h"],
        })
    }
}

/// Values in windows, the earliest first. A window without values is left out.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Summary {
    metric_name: MetricName,
    window_seconds: i64,
    items: Vec<BucketView>,
}

/// What the values in one window come to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BucketView {
    start: Timestamp,
    count: i64,
    sum: f64,
    avg: f64,
    min: f64,
    max: f64,
    /// Half of the values stay below, interpolated.
    p50: f64,
    p95: f64,
    p99: f64,
}

impl From<Bucket> for BucketView {
    fn from(bucket: Bucket) -> Self {
        let Bucket { start, count, sum, avg, min, max, p50, p95, p99 } = bucket;
        Self { start, count, sum, avg, min, max, p50, p95, p99 }
    }
}

impl SummaryQuery {
    fn request(self) -> Result<SummaryRequest, Problem> {
        let Self { metric_name, metric_type, since, until, window } = self;
        let span = until.0 - since.0;
        if span < TimeDelta::zero() {
            return Err(Problem::field("until", "must not be before since"));
        }
        if span.num_seconds() / window.0.num_seconds() >= MOST {
            let why = format!("is too short: there would be more than {MOST} windows");
            return Err(Problem::field("window", why));
        }
        let filter = StatFilter {
            metric_name: Some(metric_name),
            metric_type,
            since: Some(since.0),
            until: Some(until.0),
            ..StatFilter::default()
        };
        // One more, as neither end needs to lie on a window's border.
        let limit = MOST.unsigned_abs() + 1;
        Ok(SummaryRequest { filter, window: window.0, limit })
    }
}

fn summary(request: &SummaryRequest, buckets: Vec<Bucket>) -> Result<Plain<Summary>, Problem> {
    let name = request.filter.metric_name.clone();
    Ok(Plain(Summary {
        metric_name: name.ok_or_else(|| Problem::field("metric_name", "is missing"))?,
        window_seconds: request.window.num_seconds(),
        items: buckets.into_iter().map(BucketView::from).collect(),
    }))
}

pub(crate) async fn of_team(
    access: InTeam<perm::StatsRead>,
    Query(query): Query<SummaryQuery>,
) -> Result<Plain<Summary>, Problem> {
    let team_id: TeamId = access.team_id;
    let mut request = query.request()?;
    request.filter.team_id = Some(team_id);
    let buckets = access.read().await?.stats().summary(request.clone()).await?;
    summary(&request, buckets)
}

/// Of what belongs to the organization, and to those of its teams in which the caller has a role.
pub(crate) async fn of_organization(
    access: Org<perm::OrganizationRead>,
    Query(query): Query<SummaryQuery>,
) -> Result<Plain<Summary>, Problem> {
    access.require(Action::StatsRead)?;
    let mut request = query.request()?;
    request.filter.visible_teams = access.principal().teams();
    let buckets = access.read().stats().summary(request.clone()).await?;
    summary(&request, buckets)
}
