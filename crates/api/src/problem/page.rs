//! `/problems/{code}`: what a problem's `type` leads to.

use actix_web::{HttpRequest, HttpResponse, Responder, body::BoxBody, http::header};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Code, Problem};
use crate::{
    body::Path,
    openapi::{Describe, Operation, pages::POLICY},
};

/// What a code means.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Explanation {
    code: Code,
    status: u16,
    title: &'static str,
    meaning: &'static str,
}

/// Explains a problem's code: to a browser as a page, to anything else as JSON.
pub(crate) async fn explain(Path(code): Path<String>) -> Result<Explanation, Problem> {
    let code = Code::ALL.iter().copied().find(|known| known.as_str() == code);
    let code = code.ok_or_else(|| Problem::with(Code::NotFound, "There is no such code."))?;
    Ok(Explanation {
        code,
        status: code.status().as_u16(),
        title: code.title(),
        meaning: code.meaning(),
    })
}

impl Responder for Explanation {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let mut response = HttpResponse::Ok();
        response.insert_header((header::VARY, "Accept"));
        if !accept.is_some_and(|accept| accept.contains("text/html")) {
            return response.json(self);
        }
        let Self { code, status, title, meaning } = self;
        let code = code.as_str();
        // All of it is ours: nothing of the request is in the page.
        response.content_type("text/html; charset=utf-8");
        response.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
        response.body(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <style>body {{ max-width: 40em; margin: 3em auto; padding: 0 1em; \
             font: 1.1em/1.5 system-ui, sans-serif }}</style><h1>{title}</h1><p><code>{code}</code>, status {status}</p><p>{meaning}</p>\
             <p><a href=\"/redoc\">API reference</a></p></html>"
        ))
    }
}

impl Describe for Explanation {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<Self>(200, "What the code means.", &[]);
    }
}
