//! Requests, and who makes them.

use super::metrics;

/// From one millisecond to ten seconds; 0.25 and 0.5 are bounds that alerts ask for.
const LATENCY: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

metrics! {
    AUTH_ATTEMPTS = "brownie_auth_attempts_total", Counter of Count, ["method", "outcome"],
        "Credentials shown, by method (password, oidc or refresh_token for a log-in; access_token, api_key, issuer_token, operator or unreadable with a request) and outcome: accepted, refused, delayed (too many were wrong before) or failed (nobody could decide).";
    BUILD_INFO = "brownie_build_info", Gauge of Flag, ["version"],
        "Always 1; the label says which version runs.";
    HTTP_ERRORS = "brownie_http_errors_total", Counter of Count, ["code"],
        "Answers that are problem documents, by their code; /problems/{code} explains each.";
    HTTP_REQUEST_DURATION = "brownie_http_request_duration_seconds", Histogram of Seconds, ["method", "route"] in LATENCY,
        "Seconds from a request's last header to its answer's first. The route is the template, or unmatched.";
    HTTP_REQUESTS = "brownie_http_requests_total", Counter of Count, ["method", "route", "status"],
        "Requests answered, by method, route template and status.";
    HTTP_REQUESTS_IN_FLIGHT = "brownie_http_requests_in_flight", Gauge of Count, [],
        "Requests to the API that are not answered yet. One that waits for events is one of them; a stream is not, once it has begun.";
    IDEMPOTENCY = "brownie_idempotency_total", Counter of Count, ["outcome"],
        "Requests with an Idempotency-Key, by outcome: new (done now), replayed (answered as before), reused (refused: the key was another request's) or in_flight (refused: the first is under way).";
}
