//! What comes in, read strictly: bodies, paths, and the version a change is made on.

use std::{borrow::Cow, pin::Pin, time::Duration};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::{Method, header},
    web::Bytes,
};
use brownie_domain::{Document, Invalid, Timestamp, Version};
use chrono::{DateTime, Datelike};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{Code, Problem};

/// The most bytes a body may have.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(15);

/// A JSON body. Broken JSON is 400, a value that cannot be accepted 422 with a pointer to it. A PUT
/// passes over the fields that it does not know, so that what was read may be sent back.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + JsonSchema + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read_body(request, payload);
        let is_put = *request.method() == Method::PUT;
        Box::pin(async move {
            let body = body.await?;
            match read_json(&body) {
                Err(_) if is_put => read_known(&body).map(Self),
                read => read.map(Self),
            }
        })
    }
}

/// Reads the fields of a JSON object that `T` has, and no others.
fn read_known<T: DeserializeOwned + JsonSchema>(bytes: &[u8]) -> Result<T, Problem> {
    let mut fields: serde_json::Map<String, serde_json::Value> = read_json(bytes)?;
    let schema = T::json_schema(&mut SchemaGenerator::default());
    if let Some(known) = schema.get("properties").and_then(serde_json::Value::as_object) {
        fields.retain(|name, _| known.contains_key(name));
    }
    let known = serde_json::to_vec(&fields).map_err(|_| Problem::new(Code::Internal))?;
    read_json(&known)
}

/// Reads the bytes of a JSON body.
pub(crate) fn read_body(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + 'static {
    let is_json = is_json(request);
    let bytes = Bytes::from_request(request, payload);
    async move {
        if !is_json {
            return Err(Problem::new(Code::UnsupportedMediaType));
        }
        // Who asks was found out before the body came: it must not come whenever it likes.
        let bytes = timeout(PATIENCE, bytes).await.map_err(|_| Problem::new(Code::TooSlow))?;
        bytes.map_err(|error| Problem::of_status(error.as_response_error().status_code()))
    }
}

/// A name that a client made up may be as long as its body.
pub(crate) const MAX_MESSAGE: usize = 300;

/// `application/json`, or another type whose name ends in `+json`, such as RFC 7396's
/// `application/merge-patch+json`.
fn is_json(request: &HttpRequest) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.to_ascii_lowercase().ends_with("+json")
}

pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would take an array for an object, its items by position.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::field("", "must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        refusal(&pointer, error.inner())
    })?;
    deserializer.end().map_err(|error| refusal("", &error))?;
    Ok(value)
}

fn refusal(pointer: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    // Documents are kept as text; what in one cannot be read as JSON is found by its rules.
    let is_unreadable =
        [Document::TOO_DEEP, Document::OUT_OF_RANGE].iter().any(|why| text.contains(why));
    if !error.is_data() || is_unreadable {
        let place = format!("at line {}, column {}", error.line(), error.column());
        return Problem::with(Code::Malformed, format!("The body is not JSON: broken {place}."));
    }
    // The pointer says where; what was sent may be long or secret, and what was expected is named in
    // our own types' words.
    let text = text.split(" at line ").next().unwrap_or_default();
    if text.starts_with("invalid type") || text.starts_with("invalid value") {
        return Problem::field(pointer, "is of the wrong type");
    }
    Problem::field(pointer, text.chars().take(MAX_MESSAGE).collect::<String>())
}

/// Writes a path as a JSON pointer (RFC 6901).
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.replace('~', "~0").replace('/', "~1")),
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .map(|segment| format!("/{segment}"))
        .collect::<String>()
        .chars()
        .take(MAX_MESSAGE)
        .collect()
}

/// A field of a patch that may be left out but not be null, such as that of a required column. A
/// struct with such fields is `#[serde(default)]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<T>(pub(crate) Option<T>);

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Some).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Given<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A parameter of the path. One that cannot be read names nothing: 404.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let path = actix_web::web::Path::<T>::extract(request).into_inner();
        std::future::ready(path.map(|path| Self(path.into_inner())).map_err(|_| {
            Problem::with(Code::NotFound, "The path names nothing: its ids must be UUIDs.")
        }))
    }
}

/// The version that a change is made on, from `If-Match`: the ETag as it was read (`"v3"`), or, as
/// the original's clients send it, the bare number.
#[derive(Debug, Clone, Copy)]
pub struct IfMatch(pub Version);

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(match request.headers().get(header::IF_MATCH) {
            None => Err(Problem::new(Code::PreconditionRequired)),
            Some(value) => value.to_str().ok().and_then(version).map(Self).ok_or_else(|| {
                Problem::with(Code::Malformed, "If-Match must be an ETag such as \"v3\".")
            }),
        })
    }
}

fn version(text: &str) -> Option<Version> {
    let text = text.trim();
    let tag = text.strip_prefix("\"v").and_then(|text| text.strip_suffix('"'));
    let digits = tag.unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok().and_then(|number| Version::try_from(number).ok())
}

/// A moment that a client names: RFC 3339, in the years 1 to 9999 of UTC, which is what it can write.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct When(pub(crate) Timestamp);

impl JsonSchema for When {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "When".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "examples": ["2026-11-21T12:00:00Z"],
        })
    }
}

impl TryFrom<String> for When {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        DateTime::parse_from_rfc3339(&text)
            .map(|time| time.to_utc())
            .ok()
            .filter(|time| (1..=9999).contains(&time.year()))
            .map(Self)
            .ok_or(Invalid {
                what: "time",
                reason: "must be RFC 3339, such as 2026-11-21T12:00:00Z".to_owned(),
            })
    }
}

/// Refuses a body that names another parent than the path does. The original's clients send both.
pub(crate) fn same<T: PartialEq + Copy>(
    in_body: Option<T>,
    in_path: T,
    pointer: &str,
) -> Result<(), Problem> {
    match in_body {
        Some(id) if id != in_path => Err(Problem::field(pointer, "is not the one in the path")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use brownie_domain::TeamName;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct In {
        #[expect(dead_code, reason = "read for its errors")]
        team: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "read for its errors")]
        name: TeamName,
    }

    fn problem(body: &str) -> String {
        read_json::<In>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_refused_value_is_pointed_at() {
        assert_eq!(
            problem(r#"{"team": {"name": ""}}"#),
            "invalid: /team/name: team name must have 1 to 255 characters, not 0"
        );
    }

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        assert!(problem(r#"{"team": {"name": "x", "nmae": 1}}"#).contains("unknown field `nmae`"));
    }

    #[test]
    fn an_array_is_no_object_and_nothing_is_echoed() {
        assert!(problem("[[\"x\"]]").contains("must be a JSON object"));
        assert_eq!(
            problem(r#"{"team": {"name": 4242}}"#),
            "invalid: /team/name: is of the wrong type"
        );
        assert!(problem(&format!(r#"{{"{}": 1}}"#, "x".repeat(9000))).len() < 1000);
    }

    #[test]
    fn a_version_is_an_etag_or_a_bare_number() {
        let number = |text| version(text).map(Version::get);
        assert_eq!(number("\"v3\""), Some(3));
        assert_eq!(number("3"), Some(3));
        for text in ["", "\"v3", "v3", "\"\"v3\"\"", "\"v+3\"", "\"v0\"", "W/\"v3\"", "\"3\""] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn only_times_that_rfc_3339_can_write_are_read() {
        let read = |text: &str| When::try_from(text.to_owned()).is_ok();
        assert!(read("2026-11-21T12:00:00Z") && read("2026-11-21T12:00:00.123456+01:00"));
        assert!(!read("+262142-12-31T23:59:59Z") && !read("0000-01-01T00:00:00Z"));
        assert!(!read("9999-12-31T23:59:59-23:59") && !read("yesterday"));
    }

    #[test]
    fn broken_json_is_malformed() {
        assert!(problem("{\"team\": ").starts_with("malformed"));
        assert!(problem(r#"{"team": {"name": "x"}} trailing"#).starts_with("malformed"));
        assert!(problem(&format!("{}1{}", "[".repeat(200), "]".repeat(200))).len() < 200);
    }
}
