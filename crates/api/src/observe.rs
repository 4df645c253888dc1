//! What happens around every request: its id, its log line, its metrics, and the last word on
//! errors.

use std::time::Instant;

use actix_web::{
    HttpMessage, HttpResponse,
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{self, HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use brownie_domain::RequestId;
use tracing::Instrument;

use crate::{Deps, Problem, edges, meter};

/// Says which request an answer, a log line or an audit row belongs to.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The route label of what no route takes: paths are the client's, and there is no end of them.
const UNMATCHED: &str = "unmatched";

/// Gives the request its id, and writes its line when it is answered.
pub(crate) async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    let started = Instant::now();
    let request_id = id_of(&request);
    request.extensions_mut().insert(request_id);
    let method = request.method().as_str().to_owned();
    let path_id = HeaderValue::from_str(&request_id.to_string());

    let span = tracing::info_span!("request", %request_id);
    // The request is not cloned here: the router needs it to itself.
    let mut response = finish(next.call(request).instrument(span.clone()).await?, request_id);
    edges::protect(response.headers_mut());
    if let Ok(value) = path_id {
        response.headers_mut().insert(REQUEST_ID, value);
    }

    let route = response.request().match_pattern().unwrap_or_else(|| UNMATCHED.to_owned());
    let status = response.status().as_u16();
    let elapsed = started.elapsed();
    meter::answered(known_method(&method), &route, status, elapsed);
    let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::info!(method, route, status, duration_ms, "answered"));
    Ok(response)
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
    request_id: RequestId,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let Some(problem) = response.response().error().map(problem_of) else {
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
    response.into_response(answer).map_into_right_body()
}

fn problem_of(error: &actix_web::Error) -> Problem {
    match error.as_error::<Problem>() {
        Some(problem) => problem.clone(),
        None => Problem::of_status(error.as_response_error().status_code()),
    }
}
