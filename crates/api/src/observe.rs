//! What happens around every request: its id, its log line, its metrics, and the last word on
//! errors.

use std::time::{Duration, Instant};

use actix_web::{
    HttpMessage, HttpResponse,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        ConnectionType,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use brownie_domain::RequestId;
use brownie_logging::{TraceParent, continue_trace, end_trace};
use brownie_persistence::Tally;
use tracing::{Instrument, Span, field::Empty};

use crate::{Code, Deps, Problem, edges, limits, meter};

/// Says which request an answer, a log line or an audit row belongs to.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The route label of what no route takes: paths are the client's, and there is no end of them.
const UNMATCHED: &str = "unmatched";

/// Gives the request its id and its place in a trace, and writes its line when it is answered.
pub(crate) async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    let started = Instant::now();
    let request_id = id_of(&request);
    request.extensions_mut().insert(request_id);
    let method = known_method(request.method().as_str());
    let path_id = HeaderValue::from_str(&request_id.to_string());
    let client_ip = client_ip(&request);

    let span = span_of(&request, request_id);
    // Looked up once, unless the path is one that is put right on its way (`NormalizePath`).
    let route = request.match_pattern();
    if let Some(route) = &route {
        span.record("route", route);
    }
    let tally = Tally::default();
    // The request is not cloned here: the router needs it to itself.
    let work = tally.of(next.call(request)).instrument(span.clone());
    let response = work.await?;
    let refused = response.response().error().map(problem_of);
    let mut response = finish(response, refused.as_ref(), request_id);
    edges::protect(response.headers_mut());
    if let Ok(value) = path_id {
        response.headers_mut().insert(REQUEST_ID, value);
    }

    let route = route.unwrap_or_else(|| {
        let route = response.request().match_pattern().unwrap_or_else(|| UNMATCHED.to_owned());
        span.record("route", &route);
        route
    });
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    meter::answered(method, &route, status, elapsed);
    end_trace(&span, method, &route, status);
    span.in_scope(|| {
        if let Some(problem) = refused.filter(|problem| concerns_security(problem.code())) {
            tracing::warn!(target: brownie_logging::SECURITY, event = problem.code().as_str(), client_ip, "refused");
        }
        let (duration_ms, database_ms) = (millis(elapsed), millis(tally.waited()));
        let (statements, rows, round_trips) =
            (tally.statements(), tally.rows(), tally.round_trips());
        tracing::info!(target: brownie_logging::ACCESS, method, status, duration_ms, client_ip, statements, rows, round_trips, database_ms, "answered");
    });
    Ok(response)
}

/// What is true of a request is said on its span, and so is in every line until it is answered. It is
/// one of errors, so that no level hides it from theirs. Who asks is not known yet.
fn span_of(request: &ServiceRequest, request_id: RequestId) -> Span {
    let span = tracing::error_span!(
        "request", %request_id, trace_id = Empty, org_id = Empty, actor_kind = Empty, actor_id = Empty,
        route = Empty, otel.kind = Empty,
    );
    let mut parents = request.headers().get_all("traceparent").map(|value| value.to_str().ok());
    let parent = match (parents.next().flatten(), parents.next()) {
        (Some(parent), None) => TraceParent::parse(parent),
        _ => None,
    };
    if let Some(id) = continue_trace(&span, parent, request_id.as_uuid().as_u128()) {
        span.record("trace_id", tracing::field::display(id));
    }
    span
}

/// Whether somebody tried what is not theirs, or too much.
fn concerns_security(code: Code) -> bool {
    matches!(
        code,
        Code::Forbidden
            | Code::InvalidRefreshToken
            | Code::LogInRefused
            | Code::TooMany
            | Code::Unauthenticated
            | Code::WrongCredentials
    )
}

fn client_ip(request: &ServiceRequest) -> Option<String> {
    let deps = request.app_data::<web::Data<Deps>>()?;
    Some(limits::address_of(request.request(), &deps.limits.proxies)?.to_string())
}

/// In milliseconds, to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// A client may name its request, by a UUID; otherwise we do.
fn id_of(request: &ServiceRequest) -> RequestId {
    let named = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    named.and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        let id = request.app_data::<web::Data<Deps>>().map(|deps| deps.ids.next(deps.clock.now()));
        RequestId::from_uuid(id.unwrap_or_default())
    })
}

/// Methods are the client's, too.
fn known_method(method: &str) -> &'static str {
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

/// Writes errors anew, with the request's id: ours with their words, actix's own with ours.
fn finish<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
    problem: Option<&Problem>,
    request_id: RequestId,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let Some(problem) = problem else {
        return response.map_into_left_body();
    };
    meter::refused(problem.code());
    let mut answer: HttpResponse = problem.response(Some(request_id));
    for (name, value) in response.headers() {
        let stays = name == header::ALLOW
            || name == header::VARY
            || name.as_str().starts_with("ratelimit")
            || name.as_str().starts_with("access-control-");
        if stays {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    if response.response().head().connection_type() == ConnectionType::Close {
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
    response.into_response(answer).map_into_right_body()
}

fn problem_of(error: &actix_web::Error) -> Problem {
    match error.as_error::<Problem>() {
        Some(problem) => problem.clone(),
        None => Problem::of_status(error.as_response_error().status_code()),
    }
}
