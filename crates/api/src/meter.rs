//! What is counted of requests.

use std::time::Duration;

use brownie_metrics::{
    AUTH_ATTEMPTS, HTTP_ERRORS, HTTP_REQUEST_DURATION, HTTP_REQUESTS, HTTP_REQUESTS_IN_FLIGHT,
    IDEMPOTENCY,
};
use metrics::{counter, gauge, histogram};

use crate::{Code, Problem};

/// Counts a request that was answered. The route is the template.
pub(crate) fn answered(method: &'static str, route: &str, status: u16, elapsed: Duration) {
    let route = route.to_owned();
    histogram!(HTTP_REQUEST_DURATION, "method" => method, "route" => route.clone()).record(elapsed);
    let status = status.to_string();
    counter!(HTTP_REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
}

/// A request that is not answered yet, counted until it is dropped.
pub(crate) struct InFlight(());

impl InFlight {
    pub(crate) fn begin() -> Self {
        gauge!(HTTP_REQUESTS_IN_FLIGHT).increment(1);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(HTTP_REQUESTS_IN_FLIGHT).decrement(1);
    }
}

/// Counts an answer that is a problem.
pub(crate) fn refused(code: Code) {
    counter!(HTTP_ERRORS, "code" => code.as_str()).increment(1);
}

/// How somebody shows who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Password,
    Oidc,
    RefreshToken,
    AccessToken,
    ApiKey,
    IssuerToken,
    Operator,
    Unreadable,
}

impl Method {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Oidc => "oidc",
            Self::RefreshToken => "refresh_token",
            Self::AccessToken => "access_token",
            Self::ApiKey => "api_key",
            Self::IssuerToken => "issuer_token",
            Self::Operator => "operator",
            Self::Unreadable => "unreadable",
        }
    }

    /// Counts a log-in, by what came of it.
    pub(crate) fn tried<T>(self, outcome: &Result<T, Problem>) {
        self.came_to(match outcome.as_ref().map_err(Problem::code) {
            Ok(_) => "accepted",
            Err(Code::TooMany) => "delayed",
            Err(code) if code.status().is_server_error() => "failed",
            Err(_) => "refused",
        });
    }

    /// Counts a credential that came with a request: `None` is one that is not good.
    pub(crate) fn shown<T>(self, outcome: &Result<Option<T>, Problem>) {
        match outcome {
            Ok(None) => self.came_to("refused"),
            other => self.tried(other),
        }
    }

    fn came_to(self, outcome: &'static str) {
        counter!(AUTH_ATTEMPTS, "method" => self.as_str(), "outcome" => outcome).increment(1);
    }
}

/// Counts a request that had a key, by what came of it.
pub(crate) fn keyed(outcome: &'static str) {
    counter!(IDEMPOTENCY, "outcome" => outcome).increment(1);
}
