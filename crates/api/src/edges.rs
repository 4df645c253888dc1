//! What holds at the edge for every request: who may ask from a browser, what a browser may do with
//! an answer, and how long anything may take.

use std::time::Duration;

use actix_cors::Cors;
use actix_web::{
    body::{BoxBody, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};
use tokio::time::timeout;

use crate::{Code, Problem};

/// The longest that a request may take, besides those that wait on purpose: more than the time for
/// its body and for its statements together.
const LONGEST: Duration = Duration::from_secs(40);

/// What a browser's script may send and see beyond what it always may.
const SENT: [&str; 8] = [
    "authorization",
    "content-type",
    "if-match",
    "if-none-match",
    "idempotency-key",
    "last-event-id",
    "x-api-key",
    "x-request-id",
];
const SEEN: [&str; 8] = [
    "etag",
    "idempotency-replayed",
    "link",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-request-id",
];

/// Which pages' scripts may ask (the Fetch standard, section 3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// Those of no other origin.
    #[default]
    Own,
    /// Those of these, with credentials.
    Listed(Vec<String>),
    /// All, without credentials.
    Any,
}

pub(crate) fn cors(origins: &Origins) -> Cors {
    let cors = Cors::default()
        .allowed_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allowed_headers(SENT)
        .expose_headers(SEEN)
        // A page that may not ask is refused by its browser; others are no business of CORS.
        .block_on_origin_mismatch(false)
        .max_age(600);
    match origins {
        Origins::Own => cors,
        Origins::Listed(origins) => origins
            .iter()
            .fold(cors.supports_credentials(), |cors, origin| cors.allowed_origin(origin)),
        Origins::Any => cors.allow_any_origin().send_wildcard(),
    }
}

/// The headers that an answer gets unless it has its own: it is not to be guessed at, framed, kept,
/// or to load anything.
const UNLESS_SET: &[(HeaderName, &str)] = &[
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

pub(crate) fn protect(headers: &mut HeaderMap) {
    for (name, value) in UNLESS_SET {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), HeaderValue::from_static(value));
        }
    }
    // Set by answers that must not be compressed, and no encoding to tell anybody of.
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "identity") {
        headers.remove(header::CONTENT_ENCODING);
    }
}

/// Bounds the time of a request. Inside a route, where the request is known.
pub(crate) async fn bounded<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    let asked = request.request().clone();
    match timeout(LONGEST, next.call(request)).await {
        Ok(response) => Ok(response?.map_into_left_body()),
        Err(_) => {
            tracing::error!("a request took too long and was given up");
            let problem = Problem::new(Code::Unavailable);
            Ok(ServiceResponse::from_err(problem, asked).map_into_right_body())
        }
    }
}
