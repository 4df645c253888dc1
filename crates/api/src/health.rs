//! Whether the service lives, and whether it can serve.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::StatusCode, web};
use brownie_domain::Timestamp;
use brownie_metrics::{
    DB_CONNECTIONS_ACTIVE, DB_CONNECTIONS_IDLE, DB_CONNECTIONS_MAX, DB_CONNECTIONS_WAITING,
};
use brownie_persistence::{PoolState, SystemContext};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    Code, Deps, Problem, Schema, access,
    answer::Plain,
    openapi::{Describe, Operation, pages},
    service::Closing,
};

/// A probe waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Health {
    status: &'static str,
    timestamp: Timestamp,
    version: &'static str,
    database: &'static str,
    /// Whether the database takes writes, as far as the last ones have shown. One that has no room left answers reads.
    writable: bool,
    /// What instances share: `redis`, or `process` when there is none or it is away.
    cache: CacheHealth,
    /// Whether those in use are those that there are.
    certificates: CertificateHealth,
    /// Why it is not healthy, or what is remarkable.
    detail: String,
}

/// Whether the certificates in use are those that there are. The service answers in any case.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CertificateHealth {
    /// `good`, or `refused` when there are new ones that are not good; `none` where none are in use.
    status: &'static str,
    /// What is wrong with them, and when those in use end.
    detail: String,
}

/// Tells how the certificates are, lent by whoever keeps them.
#[derive(Clone, Default)]
pub struct Certificates(Vec<Arc<dyn Fn() -> Standing + Send + Sync>>);

/// How certificates are: what is wrong with new ones, if something is; or what is to say of those in
/// use.
pub(crate) type Standing = Result<String, String>;

impl Certificates {
    /// Adds certificates that somebody keeps.
    pub fn add(&mut self, standing: impl Fn() -> Standing + Send + Sync + 'static) {
        self.0.push(Arc::new(standing));
    }

    fn health(&self) -> CertificateHealth {
        let all: Vec<Standing> = self.0.iter().map(|standing| standing()).collect();
        let status = match all.as_slice() {
            [] => "none",
            all if all.iter().all(Result::is_ok) => "good",
            _ => "refused",
        };
        let words = all.into_iter().map(|standing| standing.unwrap_or_else(|fault| fault));
        CertificateHealth { status, detail: words.collect::<Vec<_>>().join("; ") }
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.len()).finish()
    }
}

/// Whether what instances share is shared. The service answers in any case.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CacheHealth {
    backend: &'static str,
    status: &'static str,
    detail: String,
}

/// What this is, and where the rest is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Index {
    name: &'static str,
    version: &'static str,
    links: pages::Links,
}

/// Says what this is and where the rest is.
pub(crate) async fn index() -> Plain<Index> {
    let version = env!("CARGO_PKG_VERSION");
    Plain(Index { name: "Brownie Metadata Database", version, links: pages::LINKS })
}

/// A sign of life.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Alive {
    status: &'static str,
}

/// Whether the process lives, and what of it must.
#[derive(Debug)]
pub(crate) struct Liveness {
    is_up: bool,
}

impl Responder for Liveness {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let (code, status) = if self.is_up {
            (StatusCode::OK, "alive")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "the database is started again")
        };
        HttpResponse::build(code).json(Alive { status })
    }
}

impl Describe for Liveness {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<Alive>(200, "The process lives.", &[]);
        let said =
            "The database in the same process (brownie-standalone) has died, and is started again.";
        operation.answers::<Alive>(503, said, &[]);
    }
}

/// Whether the database of the same process runs, as whoever supervises it says. Nobody does elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Engine(Option<Arc<AtomicBool>>);

impl Engine {
    /// One that runs.
    pub fn supervised() -> Self {
        Self(Some(Arc::new(AtomicBool::new(true))))
    }

    /// Says whether it runs.
    pub fn set_up(&self, is_up: bool) {
        if let Some(state) = &self.0 {
            state.store(is_up, Ordering::Relaxed);
        }
    }
}

/// Answers 200 as long as the process does, whatever becomes of a database elsewhere: restarting the process would
/// not bring that back. Nothing is asked for it.
pub(crate) async fn live(deps: web::Data<Deps>) -> Liveness {
    let state = deps.engine.0.as_ref();
    Liveness { is_up: state.is_none_or(|state| state.load(Ordering::Relaxed)) }
}

/// Whether requests can be served.
#[derive(Debug)]
pub(crate) struct Readiness {
    servable: bool,
    health: Health,
}

impl Responder for Readiness {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let status = if self.servable { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        HttpResponse::build(status).json(self.health)
    }
}

impl Describe for Readiness {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<Health>(200, "Requests can be served.", &[]);
        operation.answers::<Health>(503, "They cannot; `detail` says why.", &[]);
    }
}

/// Answers 200 when requests can be served, 503 otherwise. `/health` is its older name.
pub(crate) async fn ready(request: HttpRequest, deps: web::Data<Deps>) -> Readiness {
    let (database, mut schema) = match timeout(PATIENCE, schema(&request, &deps)).await {
        Ok(Ok(schema)) => ("healthy", schema),
        Ok(Err(_)) => ("unhealthy", Schema::silent("the database does not answer")),
        Err(_) => ("unhealthy", Schema::silent("the database does not answer in time")),
    };
    if request.app_data::<web::Data<Closing>>().is_some_and(|closing| closing.is_near()) {
        schema = Schema::silent("the service stops");
    }
    let health = Health {
        status: if schema.servable { "healthy" } else { "unhealthy" },
        timestamp: deps.clock.now(),
        version: env!("CARGO_PKG_VERSION"),
        database,
        writable: schema.servable && deps.store.is_writable(),
        cache: cache_health(&deps).await,
        certificates: deps.certificates.health(),
        detail: schema.detail,
    };
    Readiness { servable: schema.servable, health }
}

async fn cache_health(deps: &Deps) -> CacheHealth {
    let standing = deps.cache.check().await;
    let status = if standing.healthy { "healthy" } else { "unhealthy" };
    CacheHealth { backend: standing.backend, status, detail: standing.detail }
}

impl Schema {
    /// Nothing is known of it.
    fn silent(detail: &str) -> Self {
        Self { servable: false, detail: detail.to_owned(), pending: 0 }
    }
}

async fn schema(request: &HttpRequest, deps: &Deps) -> Result<Schema, Problem> {
    let ctx = SystemContext::for_visitor(access::request_id(request));
    let applied = deps.store.system(&ctx).applied_migrations(deps.schema.ledger).await?;
    Ok((deps.schema.judge)(&applied))
}

/// The metrics, in the text format of Prometheus.
#[derive(Debug)]
pub(crate) struct Exposition(String);

impl Responder for Exposition {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(self.0)
    }
}

impl Describe for Exposition {
    fn describe(operation: &mut Operation<'_>) {
        let body = ("text/plain", serde_json::json!({ "type": "string" }));
        operation.answers_with(200, "The metrics, for Prometheus.", &[], Some(body));
    }
}

/// The metrics on the API's own listener: how many incidents there are, and how log-ins go, is the operators'
/// business unless the settings say otherwise. Prometheus asks on `METRICS_PORT`.
pub(crate) async fn metrics_of_api(
    request: HttpRequest,
    deps: web::Data<Deps>,
) -> Result<Exposition, Problem> {
    if !deps.public_metrics {
        access::Operator::of(&request)?;
    }
    metrics(deps).await
}

/// The metrics, for Prometheus.
pub(crate) async fn metrics(deps: web::Data<Deps>) -> Result<Exposition, Problem> {
    let PoolState { open, idle, waiting, max } = deps.store.pool_state();
    for (name, connections) in [
        (DB_CONNECTIONS_ACTIVE, open.saturating_sub(idle)),
        (DB_CONNECTIONS_IDLE, idle),
        (DB_CONNECTIONS_MAX, max),
        (DB_CONNECTIONS_WAITING, waiting),
    ] {
        #[expect(clippy::cast_precision_loss, reason = "a pool has few connections")]
        metrics::gauge!(name).set(connections as f64);
    }
    let nothing = "Nothing is measured here: METRICS_ENABLED is false.";
    let page = deps.exporter.render().ok_or_else(|| Problem::with(Code::NotFound, nothing))?;
    Ok(Exposition(page))
}
