//! `/teams/{team_id}/incidents/bulk`: many incidents at once, all or none.

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::StatusCode};
use brownie_domain::IncidentId;
use brownie_persistence::{CreatedId, KeptAnswer};
use schemars::JsonSchema;
use serde::Serialize;

use super::incidents::IncidentCreate;
use crate::{
    Problem,
    access::{InTeam, perm},
    body::same,
    ndjson::{Lines, MAX_ERRORS},
    openapi::{Describe, Operation},
    repeat::{self, Keep, Once},
};

/// What became of the lines.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BulkView {
    /// How many are new.
    created: usize,
    /// How many were there before, by their `idempotency_key`.
    existing: usize,
    /// One for each line, in their order.
    items: Vec<BulkItem>,
}

/// What became of one line.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BulkItem {
    id: IncidentId,
    created: bool,
}

/// The answer to many lines.
#[derive(Debug)]
pub(crate) struct Bulk(BulkView);

/// Creates all or none: a line that cannot be accepted is named, and nothing is written.
pub(crate) async fn create(
    access: InTeam<perm::IncidentsWrite>,
    Lines(lines, key): Lines<IncidentCreate>,
) -> Result<Once<Bulk>, Problem> {
    let team_id = access.team_id;
    let strayed = lines.iter().filter_map(|line| {
        let refused = same(line.value.team_id, team_id, "/team_id").err();
        refused.map(|problem| problem.at_line(line.number))
    });
    let strayed: Vec<Problem> = strayed.take(MAX_ERRORS).collect();
    if !strayed.is_empty() {
        return Err(Problem::of_lines(strayed));
    }
    let (numbers, new): (Vec<usize>, Vec<_>) =
        lines.into_iter().map(|line| (line.number, line.value.into_new())).unzip();
    access
        .once(key, (numbers, new), move |tx, (numbers, new)| async move {
            let mut items = Vec::with_capacity(new.len());
            let mut failures = Vec::new();
            let outcomes = tx.incidents().create_all(team_id, new).await?;
            for (number, outcome) in numbers.into_iter().zip(outcomes) {
                match outcome {
                    Ok(CreatedId { id, is_new }) => items.push(BulkItem { id, created: is_new }),
                    Err(error) if error.is_transient() => return Err(error.into()),
                    Err(error) => failures.push(Problem::from(error).at_line(number)),
                }
            }
            if !failures.is_empty() {
                failures.truncate(MAX_ERRORS);
                return Err(Problem::of_lines(failures));
            }
            let created = items.iter().filter(|item| item.created).count();
            Ok(Bulk(BulkView { created, existing: items.len() - created, items }))
        })
        .await
}

impl Keep for Bulk {
    fn keep(&self) -> Result<KeptAnswer, Problem> {
        repeat::kept(StatusCode::CREATED, [], &self.0)
    }
}

impl Responder for Bulk {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Created().json(self.0)
    }
}

impl Describe for Bulk {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<BulkView>(201, "All of them are there.", &[]);
    }
}
