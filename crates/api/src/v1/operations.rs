//! `/operations`: long work on the whole database, for operators. It is queued here, and done by the
//! backup worker.

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::header};
use brownie_domain::{
    List, OperationId, OperationKind, OperationRequest, OperationState, Timestamp,
};
use brownie_persistence::{NewOperation, Operation, Queued};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Code, Problem,
    access::Operator,
    answer::{PageOf, Plain},
    body::Path,
    openapi::{Describe, Operation as Told},
    query::{Paging, Query},
    repeat::{Key, Keyed, REPLAYED},
};

/// An operation that is asked for. What its kind has no use for is refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationCreate {
    kind: OperationKind,
    /// Which backup; of one to be made its name, and of a drill the newest unless said.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100), example = &"before-1.2")]
    backup_name: Option<String>,
    /// Whether one that is made is read again; as the worker's settings say unless given.
    #[serde(default)]
    verify: Option<bool>,
    /// The database to restore into, which is made, or empty; one with a new name unless said.
    #[serde(default)]
    #[schemars(length(min = 1, max = 63))]
    target_database: Option<String>,
    /// Replace one that is not empty. It is renamed, not dropped.
    #[serde(default)]
    force: bool,
    /// The name of the database that is replaced, once more.
    #[serde(default)]
    confirm: Option<String>,
    /// Migrate what was restored to the worker's schema.
    #[serde(default)]
    to_head: bool,
    /// Of a clean-up: only say what would be removed.
    #[serde(default)]
    dry_run: bool,
}

/// Why nothing came of an operation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[derive(Default)]
pub(crate) struct OperationError {
    /// What to match on.
    #[schemars(example = &"worker_lost")]
    code: String,
    /// What was wrong, and what to do.
    detail: String,
}

/// An operation as operators see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Operation")]
pub(crate) struct OperationView {
    id: OperationId,
    kind: OperationKind,
    state: OperationState,
    /// Which operator asked, or `schedule`.
    #[schemars(example = &"ada")]
    requested_by: String,
    request: OperationRequest,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    /// When its worker was last heard of.
    heartbeat_at: Option<Timestamp>,
    cancel_requested_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// How far it is: `stage`, `bytes` of `expected_bytes`.
    progress: Option<Map<String, Value>>,
    /// What came of it; what that is depends on the kind.
    result: Option<Map<String, Value>>,
    error: Option<OperationError>,
}

impl From<Operation> for OperationView {
    fn from(operation: Operation) -> Self {
        let Operation {
            id,
            kind,
            request,
            state,
            requested_by,
            created_at,
            started_at,
            heartbeat_at,
            cancel_requested_at,
            ended_at,
            progress,
            result,
            error,
        } = operation;
        let object = |value: Option<Value>| match value {
            Some(Value::Object(members)) => Some(members),
            _ => None,
        };
        Self {
            id,
            kind,
            state,
            requested_by,
            request,
            created_at,
            started_at,
            heartbeat_at,
            cancel_requested_at,
            ended_at,
            progress: object(progress),
            result: object(result),
            error: error.and_then(|error| serde_json::from_value(error).ok()),
        }
    }
}

/// What is queued, and where it can be asked after.
#[derive(Debug)]
pub(crate) struct Accepted {
    operation: OperationView,
    /// Whether it was queued before, by the same request.
    before: bool,
}

impl Responder for Accepted {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Accepted();
        let location = format!("/api/v1/operations/{}", self.operation.id);
        response.insert_header((header::LOCATION, location));
        if self.before {
            response.insert_header((REPLAYED, "true"));
        }
        response.json(self.operation)
    }
}

impl Describe for Accepted {
    fn describe(operation: &mut Told<'_>) {
        let location = ("Location", "Where the operation can be asked after.");
        operation.answers::<OperationView>(202, "It is queued.", &[location]);
    }
}

/// Queues an operation.
pub(crate) async fn queue(
    operator: &Operator,
    kind: OperationKind,
    request: OperationRequest,
    key: Key,
) -> Result<Accepted, Problem> {
    request
        .judge(kind)
        .map_err(|invalid| Problem::field(format!("/{}", invalid.what), invalid.reason))?;
    let proof = operator.operations_key().cloned();
    if kind.needs_proof() && proof.is_none() {
        return Err(Problem::with(
            Code::Forbidden,
            "The backup worker restores and removes only what an operator can be proven to have asked for: set METADATA_OPERATIONS_KEY, the same for this service and for the worker.",
        ));
    }
    let requested_by = operator.name().to_owned();
    let repeatable = key.into_inner();
    let new = NewOperation { kind, request, requested_by, repeatable, key: proof };
    let (operation, before) = match operator.system().queue_operation(new).await? {
        Queued::Now(operation) => {
            let (id, by) = (operation.id, operator.name());
            tracing::info!(operation = %id, %kind, operator = %by, "an operation is queued");
            (operation, false)
        }
        Queued::Before(operation) => (operation, true),
        Queued::Taken => return Err(Problem::new(Code::KeyReused)),
    };
    Ok(Accepted { operation: (*operation).into(), before })
}

pub(crate) async fn create(
    operator: Operator,
    Keyed(body, key): Keyed<OperationCreate>,
) -> Result<Accepted, Problem> {
    let OperationCreate {
        kind,
        backup_name,
        verify,
        target_database,
        force,
        confirm,
        to_head,
        dry_run,
    } = body;
    let request =
        OperationRequest { backup_name, verify, target_database, force, confirm, to_head, dry_run };
    queue(&operator, kind, request, key).await
}

pub(crate) async fn list(
    operator: Operator,
    Query(paging): Query<Paging>,
) -> Result<PageOf<OperationView>, Problem> {
    let page = Paging::of(paging.limit, paging.cursor.as_deref(), List::Operations)?;
    let operations = operator.system().operations(page).await?;
    Ok(PageOf::of(List::Operations, operations, OperationView::from))
}

pub(crate) async fn get(
    operator: Operator,
    Path(id): Path<OperationId>,
) -> Result<Plain<OperationView>, Problem> {
    Ok(Plain(operator.system().operation(id).await?.into()))
}

/// Calls an operation off. Of one under way the worker hears within seconds; its state says what
/// became of it.
pub(crate) async fn cancel(
    operator: Operator,
    Path(id): Path<OperationId>,
) -> Result<Plain<OperationView>, Problem> {
    let operation = operator.system().cancel_operation(id).await?;
    tracing::info!(operation = %id, operator = %operator.name(), "an operation is called off");
    Ok(Plain(operation.into()))
}
