//! Requests that may be sent again: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
//!
//! A client that got no answer sends the same request with the same key, and gets the answer that
//! was given, or the effect that there was not yet: never the effect twice. Only what succeeded is
//! kept; what failed left nothing behind and may be tried again.

use std::{collections::BTreeMap, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    dev::Payload,
    http::{StatusCode, header},
};
use brownie_domain::IdempotencyKey;
use brownie_persistence::{Claim, Error, KeptAnswer, OrgTx, Repeatable};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{
    Code, Problem,
    body::{read_body, read_json},
    meter,
    openapi::{Describe, Operation},
};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Says that an answer was given before.
pub(crate) const REPLAYED: &str = "idempotency-replayed";

/// The key that a request came with, if it did.
#[derive(Debug, Clone)]
pub(crate) struct Key(Option<Repeatable>);

/// A body, and the key that it came with.
#[derive(Debug)]
pub(crate) struct Keyed<T>(pub(crate) T, pub(crate) Key);

impl Key {
    /// Reads the header. The fingerprint is of all that decides what the request does, and of the key:
    /// a body may hold a password.
    pub(crate) fn of(request: &HttpRequest, body: &[u8]) -> Result<Self, Problem> {
        let Some(header) = request.headers().get(IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
        let text = header.to_str().unwrap_or_default().trim();
        // The draft has it as a string of RFC 8941, in quotes; most clients send it bare.
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let key = bare
            .parse::<IdempotencyKey>()
            .map_err(|invalid| Problem::with(Code::Malformed, invalid.to_string()))?;
        let precondition = request.headers().get(header::IF_MATCH);
        let mut fingerprint = Sha256::new();
        for part in [
            key.as_str().as_bytes(),
            request.uri().path().as_bytes(),
            request.query_string().as_bytes(),
            precondition.map(header::HeaderValue::as_bytes).unwrap_or_default(),
            body,
        ] {
            fingerprint.update((part.len() as u64).to_be_bytes());
            fingerprint.update(part);
        }
        let route = request.match_pattern().unwrap_or_default();
        Ok(Self(Some(Repeatable {
            key: Sha256::digest(key.as_str()).iter().map(|byte| format!("{byte:02x}")).collect(),
            route: format!("{} {route}", request.method()),
            fingerprint: fingerprint.finalize().into(),
        })))
    }

    pub(crate) fn into_inner(self) -> Option<Repeatable> {
        self.0
    }
}

impl FromRequest for Key {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Self::of(request, b""))
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Keyed<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read_body(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let body = body.await?;
            let key = Key::of(&request, &body)?;
            Ok(Self(read_json(&body)?, key))
        })
    }
}

/// An answer that can be kept and given again.
pub(crate) trait Keep {
    /// Returns it as it is kept: without what is to be shown only once.
    fn keep(&self) -> Result<KeptAnswer, Problem>;
}

/// An answer that is given once, however often it is asked for.
#[derive(Debug)]
pub(crate) enum Once<A> {
    /// It was done now.
    Now(A),
    /// It was done before, and answered so.
    Before(KeptAnswer),
}

/// Does `work` in the unit of work `tx` unless it was done before.
pub(crate) async fn once<A, Fut>(
    tx: &OrgTx,
    request: Option<&Repeatable>,
    work: impl FnOnce() -> Fut,
) -> Result<Once<A>, Problem>
where
    A: Keep,
    Fut: Future<Output = Result<A, Problem>>,
{
    let Some(request) = request else { return work().await.map(Once::Now) };
    let claim = tx.claim(request).await.map_err(|error| match error {
        Error::Locked => {
            meter::keyed("in_flight");
            Problem::new(Code::InFlight)
        }
        other => other.into(),
    })?;
    match claim {
        Claim::Done(answer) => {
            meter::keyed("replayed");
            Ok(Once::Before(answer))
        }
        Claim::Taken => {
            meter::keyed("reused");
            Err(Problem::new(Code::KeyReused))
        }
        Claim::New => {
            let answer = work().await?;
            tx.keep(request, &answer.keep()?).await?;
            meter::keyed("new");
            Ok(Once::Now(answer))
        }
    }
}

/// Returns an answer as it is kept.
pub(crate) fn kept(
    status: StatusCode,
    headers: impl IntoIterator<Item = (header::HeaderName, String)>,
    body: &impl serde::Serialize,
) -> Result<KeptAnswer, Problem> {
    let headers: BTreeMap<String, String> =
        headers.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    let body = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written");
        Problem::new(Code::Internal)
    })?;
    Ok(KeptAnswer { status: status.as_u16(), headers, body })
}

/// Answers with what was kept.
pub(crate) fn respond(answer: KeptAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers {
        response.insert_header((name, value));
    }
    // A strong ETag names these bytes: compressed they would be others.
    response.insert_header(header::ContentEncoding::Identity);
    response.content_type("application/json").body(answer.body)
}

impl<A: Responder<Body = BoxBody>> Responder for Once<A> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        match self {
            Self::Now(answer) => answer.respond_to(request),
            Self::Before(answer) => {
                let mut response = respond(answer);
                let name = header::HeaderName::from_static(REPLAYED);
                response.headers_mut().insert(name, header::HeaderValue::from_static("true"));
                response
            }
        }
    }
}

impl Describe for Key {
    fn describe(operation: &mut Operation<'_>) {
        let schema = operation.schemas.of_input.subschema_for::<IdempotencyKey>();
        let said = "Made up by the client for this request. Sent again with the same key, within 24 hours, it is answered as it was the first time, with `Idempotency-Replayed: true`, and does nothing.";
        operation.takes("header", "Idempotency-Key", false, said, &schema.to_value());
        operation.may_fail([Code::Malformed, Code::InFlight, Code::KeyReused]);
    }
}

impl<T: JsonSchema> Describe for Keyed<T> {
    fn describe(operation: &mut Operation<'_>) {
        crate::body::Body::<T>::describe(operation);
        Key::describe(operation);
    }
}

impl<A: Describe> Describe for Once<A> {
    fn describe(operation: &mut Operation<'_>) {
        A::describe(operation);
    }
}
