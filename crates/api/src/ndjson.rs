//! Bodies of many values, one on each line (NDJSON): read whole, each line with its own errors.

use std::{pin::Pin, time::Duration};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header,
    web::{self, BytesMut},
};
use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    Code, Problem,
    body::read_json,
    bulkhead::large_body,
    openapi::{Describe, Operation},
    repeat::Key,
};

/// The most lines a body may have.
pub(crate) const MAX_LINES: usize = 10_000;

/// The most bytes: as many lines of some 800 bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// How many bytes need no room of their own in memory.
const SMALL: usize = 256 * 1024;

/// How long the body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many lines' errors are told at a time.
pub(crate) const MAX_ERRORS: usize = 100;

/// Values, and the key that they came with.
#[derive(Debug)]
pub(crate) struct Lines<T>(pub(crate) Vec<Line<T>>, pub(crate) Key);

/// A value, and the line that it stands on; the first is 1.
#[derive(Debug, Clone)]
pub(crate) struct Line<T> {
    pub(crate) number: usize,
    pub(crate) value: T,
}

impl<T: DeserializeOwned + Send + 'static> FromRequest for Lines<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            if !is_ndjson(&request) {
                let why = "Send one JSON object on each line, as application/x-ndjson.";
                return Err(Problem::with(Code::UnsupportedMediaType, why));
            }
            if request.headers().contains_key(header::CONTENT_ENCODING) {
                let why = "Send the lines as they are, without Content-Encoding.";
                return Err(Problem::with(Code::UnsupportedMediaType, why));
            }
            let body = timeout(PATIENCE, collect(payload))
                .await
                .map_err(|_| Problem::new(Code::TooSlow))??;
            // Only once it is here: who sends slowly keeps nobody else waiting.
            if body.len() > SMALL {
                large_body(&request).await?;
            }
            let key = Key::of(&request, &body)?;
            // Reading megabytes keeps others waiting, on a thread that serves them.
            let values = web::block(move || read(&body)).await.map_err(|error| {
                tracing::error!(%error, "a body could not be read");
                Problem::new(Code::Internal)
            })??;
            Ok(Self(values, key))
        })
    }
}

fn is_ndjson(request: &HttpRequest) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["application/x-ndjson", "application/ndjson", "application/jsonl"]
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

async fn collect(mut payload: Payload) -> Result<BytesMut, Problem> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Code::Malformed))?;
        if body.len() + chunk.len() > MAX_BYTES {
            let most = format!("The body has more than {MAX_BYTES} bytes: send it in parts.");
            return Err(Problem::with(Code::TooLarge, most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads all lines; blank ones are passed over. The errors point at lines, the first of which is 1.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<Line<T>>, Problem> {
    let mut values = Vec::new();
    let mut errors = Vec::new();
    for (line, number) in body.split(|byte| *byte == b'\n').zip(1..) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if values.len() + errors.len() >= MAX_LINES {
            let most = format!("The body has more than {MAX_LINES} lines: send it in parts.");
            return Err(Problem::with(Code::TooLarge, most));
        }
        match read_json(line) {
            Ok(value) => values.push(Line { number, value }),
            Err(problem) => errors.push(problem.at_line(number)),
        }
        if errors.len() >= MAX_ERRORS {
            break;
        }
    }
    if !errors.is_empty() {
        return Err(Problem::of_lines(errors));
    }
    if values.is_empty() {
        return Err(Problem::field("", "must have one line or more"));
    }
    Ok(values)
}

impl<T: JsonSchema> Describe for Lines<T> {
    fn describe(operation: &mut Operation<'_>) {
        let line = operation.schemas.of_input.subschema_for::<T>();
        let schema = serde_json::json!({
            "type": "string",
            "description": "On each line a JSON object, as contentSchema says.",
            "contentSchema": line.to_value(),
        });
        operation.takes_body("application/x-ndjson", &schema);
        operation.may_fail([
            Code::Malformed,
            Code::TooSlow,
            Code::TooLarge,
            Code::UnsupportedMediaType,
            Code::Invalid,
        ]);
        Key::describe(operation);
    }
}

#[cfg(test)]
mod tests {
    use brownie_domain::Slug;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Thing {
        slug: Slug,
    }

    #[test]
    fn each_line_is_a_value_and_blank_ones_are_none() {
        let things: Vec<Line<Thing>> = read(b"{\"slug\":\"a\"}\r\n\n{\"slug\":\"b\"}").unwrap();
        let things: Vec<_> =
            things.iter().map(|line| (line.number, line.value.slug.as_str())).collect();
        assert_eq!(things, [(1, "a"), (3, "b")]);
    }

    #[test]
    fn every_bad_line_is_pointed_at() {
        let problem =
            read::<Thing>(b"{\"slug\":\"a\"}\n{\"slug\":\"B\"}\n{\"slug\"\n[]\n").unwrap_err();
        let pointers: Vec<&str> =
            problem.errors().iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/2/slug", "/3", "/4"]);
    }

    #[test]
    fn there_are_limits_and_nothing_is_not_enough() {
        assert!(read::<Thing>(b"\n \n").is_err());
        let many = "{\"slug\":\"a\"}\n".repeat(MAX_LINES + 1);
        assert_eq!(read::<Thing>(many.as_bytes()).unwrap_err().code(), Code::TooLarge);
        let wrong = "x\n".repeat(MAX_LINES);
        assert_eq!(read::<Thing>(wrong.as_bytes()).unwrap_err().errors().len(), MAX_ERRORS);
    }
}
