//! What goes out. A handler's return type says what its answer is, and so the API's document knows.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder, Responder, ResponseError,
    body::BoxBody,
    http::{Method, StatusCode, header},
};
use brownie_domain::{Cursor, List, Page, Timestamp, UserId, Version};
use brownie_persistence::{KeptAnswer, Stamps};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Problem,
    repeat::{self, Keep},
};

/// Something with an address and a version.
pub(crate) trait Addressed: Serialize + JsonSchema {
    /// Returns its path.
    fn location(&self) -> String;
    /// Returns its version.
    fn version(&self) -> Version;
}

/// One thing, with its version as a strong `ETag` (RFC 9110 section 8.8.3). A reader that has it
/// already (`If-None-Match`) is answered 304. Read at another address than its own, such as
/// `/auth/me`, where each finds something else, it has no `ETag`: two things have the same version.
#[derive(Debug)]
pub(crate) struct One<V>(pub(crate) V);

/// A thing that is new, and where it is.
#[derive(Debug)]
pub(crate) struct Created<V>(pub(crate) V);

/// A thing that is new, or that was there before.
#[derive(Debug)]
pub(crate) enum Stored<V> {
    New(V),
    Before(V),
}

/// What was made and has no address of its own.
#[derive(Debug)]
pub(crate) struct Made<V>(pub(crate) V);

/// A view that is of no version.
#[derive(Debug)]
pub(crate) struct Plain<V>(pub(crate) V);

/// The news that a thing is deleted, with the version to restore it at if it can be.
#[derive(Debug)]
pub(crate) struct Deleted {
    what: &'static str,
    version: Option<Version>,
}

impl Deleted {
    /// `what` is deleted, and can be restored at `version`.
    pub(crate) fn at(what: &'static str, version: Version) -> Self {
        Self { what, version: Some(version) }
    }

    /// `what` is gone and does not come back.
    pub(crate) fn for_good(what: &'static str) -> Self {
        Self { what, version: None }
    }
}

/// What is said where there is nothing to show; of a deletion in the original's words.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Message {
    #[schemars(example = &"Team deleted successfully")]
    message: String,
}

impl Message {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PageOf{V}")]
pub(crate) struct PageOf<V> {
    items: Vec<V>,
    /// What to send as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
    /// Whether there is a next page.
    has_more: bool,
}

impl<V> PageOf<V> {
    /// Makes a page of `list` of what was read.
    pub(crate) fn of<T>(list: List, page: Page<T>, view: impl FnMut(T) -> V) -> Self {
        let next = page.next.map(|position| Cursor::after(list, position).as_str().to_owned());
        Self {
            has_more: next.is_some(),
            next_cursor: next,
            items: page.items.into_iter().map(view).collect(),
        }
    }
}

/// Who wrote a row, when, and how often.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct StampsView {
    created_at: Timestamp,
    created_by: Option<UserId>,
    updated_at: Timestamp,
    updated_by: Option<UserId>,
    pub(crate) version: Version,
}

impl From<Stamps> for StampsView {
    fn from(stamps: Stamps) -> Self {
        let Stamps { created_at, created_by, updated_at, updated_by, version } = stamps;
        Self { created_at, created_by, updated_at, updated_by, version }
    }
}

fn etag(version: Version) -> String {
    format!("\"v{version}\"")
}

/// Tells whether a reader has this version already (RFC 9110 section 13.1.2): weak comparison, and
/// `*` is whatever is there.
fn is_known(request: &HttpRequest, etag: &str) -> bool {
    let mut known = request.headers().get_all(header::IF_NONE_MATCH);
    is_read(request)
        && known.any(|value| {
            value.to_str().unwrap_or_default().split(',').map(str::trim).any(|candidate| {
                candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag
            })
        })
}

fn is_read(request: &HttpRequest) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// It may be kept by its reader, and must be asked about before each use.
fn revalidated(mut response: HttpResponseBuilder, etag: &str) -> HttpResponseBuilder {
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        // Of two people at one browser, neither is shown what was kept for the other.
        .append_header((header::VARY, "Authorization, X-API-Key"))
        // A strong ETag names these bytes: compressed they would be others.
        .insert_header(header::ContentEncoding::Identity);
    response
}

impl<V: Addressed> Responder for One<V> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        if is_read(request) && request.path() != self.0.location() {
            return HttpResponse::Ok().json(self.0);
        }
        let etag = etag(self.0.version());
        if is_known(request, &etag) {
            return revalidated(HttpResponse::NotModified(), &etag).finish();
        }
        revalidated(HttpResponse::Ok(), &etag).json(self.0)
    }
}

impl<V: Addressed> Keep for One<V> {
    fn keep(&self) -> Result<KeptAnswer, Problem> {
        repeat::kept(StatusCode::OK, [(header::ETAG, etag(self.0.version()))], &self.0)
    }
}

impl<V: Addressed> Keep for Created<V> {
    fn keep(&self) -> Result<KeptAnswer, Problem> {
        let headers =
            [(header::ETAG, etag(self.0.version())), (header::LOCATION, self.0.location())];
        repeat::kept(StatusCode::CREATED, headers, &self.0)
    }
}

impl<V: Addressed> Responder for Created<V> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.keep().map_or_else(|problem| problem.error_response(), repeat::respond)
    }
}

impl<V: Addressed + Clone> Keep for Stored<V> {
    fn keep(&self) -> Result<KeptAnswer, Problem> {
        match self {
            Self::New(view) => Created(view.clone()).keep(),
            Self::Before(view) => One(view.clone()).keep(),
        }
    }
}

impl<V: Addressed> Responder for Stored<V> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::New(view) => Created(view).respond_to(request),
            Self::Before(view) => One(view).respond_to(request),
        }
    }
}

impl<V: Serialize> Responder for Made<V> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Created().json(self.0)
    }
}

impl<V: Serialize> Responder for Plain<V> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }
}

impl Responder for Deleted {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(version) = self.version {
            response.insert_header((header::ETAG, etag(version)));
        }
        response.json(Message::new(format!("{} deleted successfully", self.what)))
    }
}

/// A `Link` header (RFC 8288) leads to the next page: the same query, with the cursor.
impl<V: Serialize> Responder for PageOf<V> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(cursor) = &self.next_cursor {
            let kept = request
                .query_string()
                .split('&')
                .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
            let query: Vec<String> =
                kept.map(str::to_owned).chain([format!("cursor={cursor}")]).collect();
            let link = format!("<{}?{}>; rel=\"next\"", request.path(), query.join("&"));
            response.insert_header((header::LINK, link));
        }
        response.json(self)
    }
}
