//! Whether the service lives, and whether it can serve.

use std::time::Duration;

use actix_web::{HttpResponse, http::header, web};
use brownie_domain::Timestamp;
use brownie_persistence::SystemContext;
use serde::Serialize;
use tokio::time::timeout;

use crate::{Deps, Problem, Schema, access};

/// A probe waits no longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    timestamp: Timestamp,
    version: &'static str,
    database: &'static str,
    /// Why it is not healthy, or what is remarkable.
    detail: String,
}

/// Says what this is and where the rest is.
pub(crate) async fn index() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({
        "name": "Brownie Metadata Database",
        "version": env!("CARGO_PKG_VERSION"),
        "links": {
            "api": "/api/v1",
            "health": "/health",
            "live": "/livez",
            "ready": "/readyz",
            "metrics": "/metrics",
        },
    }))
}

/// Answers as long as the process does, whatever becomes of the database: restarting it would not
/// bring that back.
pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"status": "alive"}))
}

/// Answers 200 when requests can be served, 503 otherwise. `/health` is its older name.
pub(crate) async fn ready(request: actix_web::HttpRequest, deps: web::Data<Deps>) -> HttpResponse {
    let (database, schema) = match timeout(PATIENCE, schema(&request, &deps)).await {
        Ok(Ok(schema)) => ("healthy", schema),
        Ok(Err(_)) => (
            "unhealthy",
            Schema { servable: false, detail: "the database does not answer".to_owned() },
        ),
        Err(_) => (
            "unhealthy",
            Schema { servable: false, detail: "the database does not answer in time".to_owned() },
        ),
    };
    let health = Health {
        status: if schema.servable { "healthy" } else { "unhealthy" },
        timestamp: deps.clock.now(),
        version: env!("CARGO_PKG_VERSION"),
        database,
        detail: schema.detail,
    };
    let mut response =
        if schema.servable { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.insert_header((header::CACHE_CONTROL, "no-store")).json(health)
}

async fn schema(request: &actix_web::HttpRequest, deps: &Deps) -> Result<Schema, Problem> {
    let ctx = SystemContext::for_visitor(access::request_id(request));
    let applied = deps.store.system(&ctx).applied_migrations(deps.schema.ledger).await?;
    Ok((deps.schema.judge)(&applied))
}

/// The metrics, for Prometheus.
pub(crate) async fn metrics(deps: web::Data<Deps>) -> HttpResponse {
    let (open, idle) = deps.store.connections();
    #[expect(clippy::cast_precision_loss, reason = "a pool has few connections")]
    {
        metrics::gauge!(brownie_metrics::DB_CONNECTIONS, "state" => "idle").set(idle as f64);
        metrics::gauge!(brownie_metrics::DB_CONNECTIONS, "state" => "busy")
            .set(open.saturating_sub(idle) as f64);
    }
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(deps.exporter.render())
}

/// Explains a problem's code to a person.
pub(crate) async fn problem(code: web::Path<String>) -> Result<HttpResponse, Problem> {
    let code = crate::Code::ALL.iter().find(|known| known.as_str() == code.as_str());
    let code =
        code.ok_or_else(|| Problem::with(crate::Code::NotFound, "There is no such code."))?;
    Ok(HttpResponse::Ok().json(serde_json::json!({
        "code": code.as_str(),
        "status": code.status().as_u16(),
        "title": code.title(),
        "meaning": code.meaning(),
    })))
}
