//! Problem documents (RFC 9457): every answer that is an error.
//!
//! Inner text never travels outward: a 5xx says only what its code means, and the log line with the
//! same `request_id` says the rest.

mod codes;
mod convert;
pub(crate) mod page;

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{StatusCode, header},
};
use brownie_domain::RequestId;
use schemars::JsonSchema;
use serde::Serialize;

pub use codes::Code;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// Where it is: a JSON pointer (RFC 6901) into the body, or the name of a parameter.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    /// How many seconds a client should wait before it tries again.
    retry_after: u64,
}

/// The document's media type.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemDocument<'a> {
    /// Where the code is explained.
    r#type: String,
    /// The same for each occurrence.
    title: &'a str,
    status: u16,
    /// What is wrong this time, for people.
    detail: &'a str,
    /// What to match on.
    code: Code,
    /// Finds the request in our logs.
    request_id: Option<RequestId>,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    /// A problem that its code says all about.
    pub fn new(code: Code) -> Self {
        Self::with(code, code.meaning())
    }

    /// A problem with words of its own. They reach the client.
    pub fn with(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after: 1 }
    }

    /// A value that cannot be accepted.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        Self {
            code: Code::Invalid,
            detail: of_field(&pointer, &detail),
            errors: vec![FieldError { pointer, detail }],
            retry_after: 1,
        }
    }

    /// Several values that cannot be accepted.
    pub(crate) fn fields(detail: impl Into<String>, errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::with(Code::Invalid, detail) }
    }

    /// More than is allowed; the next is after `wait`.
    pub(crate) fn too_many(wait: std::time::Duration) -> Self {
        // Rounded up: who waits as told is let in.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = format!("Too many requests; the next may come in {seconds} s.");
        Self { retry_after: seconds.max(1), ..Self::with(Code::TooMany, detail) }
    }

    /// A share is used up: `why` says which. Another try may find room.
    pub(crate) fn busy(why: impl Into<String>) -> Self {
        Self { retry_after: 1, ..Self::with(Code::TooMany, why) }
    }

    /// The same, of one line among many; the first is 1.
    pub(crate) fn at_line(mut self, line: usize) -> Self {
        if self.errors.is_empty() {
            self.errors.push(FieldError { pointer: String::new(), detail: self.detail.clone() });
        }
        for error in &mut self.errors {
            error.pointer = format!("/{line}{}", error.pointer);
        }
        self
    }

    /// What is wrong with each of some lines.
    pub(crate) fn of_lines(problems: Vec<Self>) -> Self {
        let errors: Vec<FieldError> =
            problems.into_iter().flat_map(|problem| problem.errors).collect();
        let detail = match errors.first() {
            Some(first) => {
                let first = of_field(&first.pointer, &first.detail);
                format!("{}; nothing was written.", first.trim_end_matches('.'))
            }
            None => Code::Invalid.meaning().to_owned(),
        };
        Self { errors, ..Self::with(Code::Invalid, detail) }
    }

    /// The problem that a bare status stands for: what actix answers without asking us.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::with(Code::NotFound, "There is nothing at this path."),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(Code::MethodNotAllowed),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(Code::TooLarge),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(Code::UnsupportedMediaType),
            StatusCode::SERVICE_UNAVAILABLE => Self::new(Code::Unavailable),
            status if status.is_client_error() => Self::new(Code::Malformed),
            _ => Self::new(Code::Internal),
        }
    }

    /// Returns what is wrong with which field.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// Returns the code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Writes the document.
    pub(crate) fn response(&self, request_id: Option<RequestId>) -> HttpResponse {
        let status = self.code.status();
        let mut response = HttpResponse::build(status);
        response.content_type(MEDIA_TYPE);
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if matches!(self.code, Code::InFlight | Code::TooMany | Code::Unavailable) {
            response.insert_header((header::RETRY_AFTER, self.retry_after.to_string()));
        }
        let document = ProblemDocument {
            r#type: format!("/problems/{}", self.code.as_str()),
            title: self.code.title(),
            status: status.as_u16(),
            detail: if status.is_server_error() { self.code.meaning() } else { &self.detail },
            code: self.code,
            request_id,
            errors: &self.errors,
        };
        match serde_json::to_string(&document) {
            Ok(body) => response.body(body),
            Err(_) => response.finish(),
        }
    }
}

/// Says what is wrong with a field; one without a name is the whole.
fn of_field(pointer: &str, detail: &str) -> String {
    if pointer.is_empty() { detail.to_owned() } else { format!("{pointer}: {detail}") }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// The `observe` middleware writes it again, with the request id that is not known here.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.response(None)
    }
}
