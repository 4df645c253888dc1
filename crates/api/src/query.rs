//! What comes in by a query, read strictly.

use std::borrow::Cow;

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use brownie_domain::{Cursor, Invalid, List, PageRequest};
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Code, Problem, body::MAX_MESSAGE};

/// The parameters of a request's query. An unknown or unreadable one is 422.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(read_query(request.query_string()).map(Self))
    }
}

fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    // What is no UTF-8 would be read as U+FFFD, and looked for.
    if percent_decode_str(query).decode_utf8().is_err() {
        return Err(Problem::with(Code::Malformed, "The query is not UTF-8."));
    }
    let pairs = form_urlencoded::parse(query.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let name = match error.path().to_string() {
            path if path == "." => "query".to_owned(),
            path => path,
        };
        let reason = error.inner().to_string();
        Problem::field(name, reason.chars().take(MAX_MESSAGE).collect::<String>())
    })
}

/// How many rows a page has at most.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
pub(crate) struct Limit(pub(crate) u64);

impl Default for Limit {
    fn default() -> Self {
        Self(PageRequest::DEFAULT_LIMIT)
    }
}

impl TryFrom<u64> for Limit {
    type Error = Invalid;

    fn try_from(limit: u64) -> Result<Self, Invalid> {
        PageRequest::new(limit, None).map(|page| Self(page.limit()))
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "minimum": 1,
            "maximum": PageRequest::MAX_LIMIT,
            "default": PageRequest::DEFAULT_LIMIT,
        })
    }
}

/// Which part of a list is wanted, as the query says it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Paging {
    /// How many at most.
    pub(crate) limit: Option<Limit>,
    /// Where the page before ended: its `next_cursor`.
    #[schemars(length(min = 1))]
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// Reads the request for a page of `list`.
    pub(crate) fn of(
        limit: Option<Limit>,
        cursor: Option<&str>,
        list: List,
    ) -> Result<PageRequest, Problem> {
        let after = cursor.map(|cursor| Cursor::read(list, cursor)).transpose()?;
        Ok(PageRequest::new(limit.unwrap_or_default().0, after)?)
    }
}

/// Yes or no, in any case: Python's clients write `True`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Flag(pub(crate) bool);

impl TryFrom<String> for Flag {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err(Invalid { what: "value", reason: "must be true or false".to_owned() }),
        }
    }
}

impl JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}
