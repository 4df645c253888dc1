//! Traces for a collector: OTLP over HTTP, in batches, from a thread of their own. What the collector
//! does not take is lost; nobody waits for it.

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue, TraceFlags, TraceId,
    trace::{SpanContext, Status, TraceContextExt, TraceState, TracerProvider},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::Targets};

use crate::{StartError, trace::TraceParent};

/// How long a collector may take for a batch.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
/// How long spans that wait may take when the program ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Whether traces are collected.
static IS_ON: AtomicBool = AtomicBool::new(false);

pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Who collects traces.
#[derive(Clone)]
pub struct Otlp {
    /// Where: a URL without `/v1/traces`.
    pub endpoint: String,
    /// What to send along with each batch, such as what lets us in. Secret.
    pub headers: HashMap<String, String>,
    /// Which part of the traces that begin here is sent, 0 to 1. One that a caller began is sent if
    /// theirs is.
    pub ratio: f64,
    /// Who we are.
    pub service: &'static str,
}

/// The headers are secret.
impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// What sends them. Dropped, it sends what waits.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Drop for Traces {
    fn drop(&mut self) {
        drop(self.0.shutdown_with_timeout(LAST_WORDS));
    }
}

impl Traces {
    pub(crate) fn start(
        otlp: Otlp,
    ) -> Result<(Self, impl Layer<super::WithLines> + Send + Sync), StartError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", otlp.endpoint.trim_end_matches('/')))
            .with_headers(otlp.headers)
            .with_timeout(EXPORT_LIMIT)
            .build()
            .map_err(|error| StartError::Otlp(Box::new(error)))?;
        let sampler = Sampler::TraceIdRatioBased(otlp.ratio);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(Resource::builder().with_service_name(otlp.service).build())
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("brownie"))
            .with_location(false)
            .with_threads(false)
            // What libraries do is not our trace, and some of it is the sending.
            .with_filter(Targets::new().with_target("brownie", Level::DEBUG));
        IS_ON.store(true, Ordering::Relaxed);
        Ok((Self(provider), layer))
    }
}

/// Makes a span part of the trace that `parent` names, or of a new one, and returns which; none when
/// traces are not collected.
pub(crate) fn adopt(span: &Span, parent: Option<TraceParent>) -> Option<u128> {
    if !is_on() {
        return None;
    }
    span.record("otel.kind", "server");
    if let Some(parent) = parent {
        let (trace_id, span_id, sampled) = parent.parts();
        let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        let none = TraceState::NONE;
        let remote = SpanContext::new(trace_id.into(), span_id.into(), flags, true, none);
        span.set_parent(Context::new().with_remote_span_context(remote)).ok()?;
    }
    let id = span.context().span().span_context().trace_id();
    (id != TraceId::INVALID).then(|| u128::from_be_bytes(id.to_bytes()))
}

/// Says what the request of `span` was, by OpenTelemetry's conventions for HTTP.
pub(crate) fn end(span: &Span, method: &'static str, route: &str, status: u16) {
    if !is_on() {
        return;
    }
    let context = span.context();
    let span = context.span();
    span.update_name(format!("{method} {route}"));
    span.set_attributes([
        KeyValue::new("http.request.method", method),
        KeyValue::new("http.route", route.to_owned()),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ]);
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}
