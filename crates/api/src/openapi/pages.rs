//! The pages at `/docs` and `/redoc`, with all they need: nothing is fetched from elsewhere.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::header::{self, ContentEncoding},
    web,
};
use schemars::JsonSchema;
use serde_json::json;

use super::{Describe, Operation, document};
use crate::{Code, Problem, body::Path, sending::Static};

/// A file of a page.
#[derive(Debug)]
pub(crate) struct Asset {
    media_type: &'static str,
    /// How it is packed, if it is.
    packed: bool,
    bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Scripts, styles and requests of these pages come from here and go here; `unsafe-inline` is for
/// the styles that both viewers write into the page, `blob:` for the search index of `ReDoc`.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl Responder for Asset {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        // Asked about before each use: a page and its parts are of one version.
        let etag = format!("\"{}-{}\"", env!("CARGO_PKG_VERSION"), self.bytes.len());
        let is_known =
            request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| *known == *etag);
        let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
        response
            .content_type(self.media_type)
            .insert_header((header::ETAG, etag))
            .insert_header((header::CACHE_CONTROL, "no-cache"));
        if self.media_type == HTML {
            response.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
        }
        if self.packed {
            response.insert_header(ContentEncoding::Gzip);
        }
        if is_known {
            return response.finish();
        }
        response.extensions_mut().insert(Static);
        response.body(self.bytes)
    }
}

impl Describe for Asset {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_with(200, "A page, or a part of one.", &[], None);
    }
}

/// Swagger UI.
pub(crate) async fn swagger() -> Asset {
    Asset { media_type: HTML, packed: false, bytes: include_bytes!("../../assets/docs.html") }
}

/// `ReDoc`.
pub(crate) async fn redoc() -> Asset {
    Asset { media_type: HTML, packed: false, bytes: include_bytes!("../../assets/redoc.html") }
}

/// What the pages are made of.
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Asset, Problem> {
    let (media_type, packed, bytes): (_, _, &[u8]) = match name.as_str() {
        "docs.js" => (SCRIPT, false, include_bytes!("../../assets/docs.js")),
        "swagger-ui.css" => {
            ("text/css; charset=utf-8", true, include_bytes!("../../assets/swagger-ui.css.gz"))
        }
        "swagger-ui-bundle.js" => {
            (SCRIPT, true, include_bytes!("../../assets/swagger-ui-bundle.js.gz"))
        }
        "redoc.standalone.js" => {
            (SCRIPT, true, include_bytes!("../../assets/redoc.standalone.js.gz"))
        }
        _ => return Err(Problem::with(Code::NotFound, "The pages have no such part.")),
    };
    Ok(Asset { media_type, packed, bytes })
}

/// The document itself.
#[derive(Debug)]
pub(crate) struct Document;

impl Responder for Document {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        static TEXT: std::sync::LazyLock<web::Bytes> =
            std::sync::LazyLock::new(|| document().to_string().into());
        let mut response = HttpResponse::Ok();
        response
            .content_type("application/json")
            .insert_header((header::CACHE_CONTROL, "public, max-age=60"));
        response.extensions_mut().insert(Static);
        response.body(TEXT.clone())
    }
}

impl Describe for Document {
    fn describe(operation: &mut Operation<'_>) {
        let schema = json!({ "type": "object", "required": ["openapi", "info", "paths"], "examples": [{ "openapi": "3.1.0", "info": {}, "paths": {} }] });
        operation.answers_with(200, "This document.", &[], Some(("application/json", schema)));
    }
}

/// The API's document.
pub(crate) async fn openapi() -> Document {
    Document
}

/// What a list of links says.
#[derive(Debug, serde::Serialize, JsonSchema)]
pub(crate) struct Links {
    api: &'static str,
    docs: &'static str,
    redoc: &'static str,
    openapi: &'static str,
    health: &'static str,
    live: &'static str,
    ready: &'static str,
    metrics: &'static str,
}

/// Where the rest is.
pub(crate) const LINKS: Links = Links {
    api: "/api/v1",
    docs: "/docs",
    redoc: "/redoc",
    openapi: "/openapi.json",
    health: "/health",
    live: "/livez",
    ready: "/readyz",
    metrics: "/metrics",
};
