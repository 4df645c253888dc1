//! What goes out: one thing with its ETag, or a page of things.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use brownie_domain::{Cursor, List, Page, Version};
use brownie_persistence::Stamps;
use serde::Serialize;

use brownie_domain::{Timestamp, UserId};

/// Answers with one thing, and with its version as a strong ETag (RFC 9110 section 8.8.3).
pub(crate) fn one(view: &impl Serialize, version: Version) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::ETAG, etag(version))).json(view)
}

/// Answers with a thing that is new, and says where it is.
pub(crate) fn created(view: &impl Serialize, version: Version, location: &str) -> HttpResponse {
    HttpResponse::build(StatusCode::CREATED)
        .insert_header((header::ETAG, etag(version)))
        .insert_header((header::LOCATION, location))
        .json(view)
}

/// Answers that a thing is deleted, in the original's words, with the version to restore it at.
pub(crate) fn deleted(what: &str, version: Version) -> HttpResponse {
    gone(what, &[(header::ETAG, etag(version))])
}

/// Answers that a thing is gone and does not come back.
pub(crate) fn removed(what: &str) -> HttpResponse {
    gone(what, &[])
}

fn gone(what: &str, headers: &[(header::HeaderName, String)]) -> HttpResponse {
    #[derive(Serialize)]
    struct Message {
        message: String,
    }
    let mut response = HttpResponse::Ok();
    for (name, value) in headers {
        response.insert_header((name.clone(), value.as_str()));
    }
    response.json(Message { message: format!("{what} deleted successfully") })
}

fn etag(version: Version) -> String {
    format!("\"v{version}\"")
}

/// A page of a list.
#[derive(Serialize)]
struct PageView<V> {
    items: Vec<V>,
    next_cursor: Option<String>,
    has_more: bool,
}

/// Answers with a page. A `Link` header (RFC 8288) leads to the next: the same query, with the
/// cursor.
pub(crate) fn page<T, V: Serialize>(
    request: &actix_web::HttpRequest,
    list: List,
    page: Page<T>,
    view: impl Fn(T) -> V,
) -> HttpResponse {
    let next = page.next.map(|position| Cursor::after(list, position).as_str().to_owned());
    let mut response = HttpResponse::Ok();
    if let Some(cursor) = &next {
        let kept = request
            .query_string()
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
        let query: Vec<String> =
            kept.map(str::to_owned).chain([format!("cursor={cursor}")]).collect();
        let link = format!("<{}?{}>; rel=\"next\"", request.path(), query.join("&"));
        response.insert_header((header::LINK, link));
    }
    response.json(PageView {
        has_more: next.is_some(),
        next_cursor: next,
        items: page.items.into_iter().map(view).collect(),
    })
}

/// Who wrote a row, when, and how often.
#[derive(Serialize)]
pub(crate) struct StampsView {
    created_at: Timestamp,
    created_by: Option<UserId>,
    updated_at: Timestamp,
    updated_by: Option<UserId>,
    version: Version,
}

impl From<Stamps> for StampsView {
    fn from(stamps: Stamps) -> Self {
        let Stamps { created_at, created_by, updated_at, updated_by, version } = stamps;
        Self { created_at, created_by, updated_at, updated_by, version }
    }
}
