//! `/events`: what happened in the organization, in order, to read page by page or as a stream.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    http::{Method, header},
    web::{self, Bytes},
};
use brownie_bulkhead::Permit;
use brownie_domain::{EventId, OrganizationId, Timestamp, Version};
use brownie_persistence::{Error, Event, EventCursor, Pulse};
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{
    Code, Deps, Problem,
    access::{Org, perm},
    openapi::{Describe, Operation},
    query::{Limit, Query},
    service::Closing,
};

/// The longest that a request may wait for events.
const LONGEST_WAIT: u64 = 60;
/// How many events one look brings into a stream.
const STREAM_PAGE: u64 = 100;
/// How often a stream asks whether its reader may still read, and shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedQuery {
    /// The last event that was seen.
    after: Option<EventId>,
    /// How many at most.
    limit: Option<Limit>,
    /// Seconds to wait if there is nothing, 60 at most.
    #[schemars(range(max = 60))]
    wait: Option<u64>,
}

/// An event as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Event")]
pub(crate) struct EventView {
    id: EventId,
    event: String,
    resource: String,
    resource_id: Uuid,
    version: Version,
    occurred_at: Timestamp,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        let Event { id, occurred_at, event, resource, resource_id, version } = event;
        Self { id, event, resource, resource_id, version, occurred_at }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Events")]
pub(crate) struct EventsView {
    items: Vec<EventView>,
    /// What to send as `after` next: the last event there is here, or the one that was sent.
    next_cursor: Option<EventId>,
    has_more: bool,
}

/// A page of events, or a stream of them that does not end.
#[derive(Debug)]
pub(crate) enum Feed {
    Page(EventsView),
    Stream(HttpResponse),
}

impl Responder for Feed {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        match self {
            Self::Page(view) => HttpResponse::Ok().json(view),
            Self::Stream(response) => response,
        }
    }
}

impl Describe for Feed {
    fn describe(operation: &mut Operation<'_>) {
        let last = json!({ "type": "string", "format": "uuid" });
        let said = "Where a stream that broke off is taken up again; goes before `after`.";
        operation.takes("header", "Last-Event-ID", false, said, &last);
        let said = "Events, the oldest first. To who accepts `text/event-stream`, Server-Sent Events: a stream that does not end.";
        operation.answers::<EventsView>(200, said, &[]);
        let stream = json!({ "type": "string", "examples": ["id: 0\nevent: incident.created\ndata: {}\n\n"] });
        operation.answers_also(200, "text/event-stream", &stream);
        operation.may_fail([Code::Malformed, Code::EventGone]);
    }
}

pub(crate) async fn list(
    access: Org<perm::EventsRead>,
    request: HttpRequest,
    deps: web::Data<Deps>,
    closing: web::Data<Closing>,
    Query(feed): Query<FeedQuery>,
) -> Result<Feed, Problem> {
    if feed.wait.is_some_and(|wait| wait > LONGEST_WAIT) {
        return Err(Problem::field("wait", format!("must be {LONGEST_WAIT} seconds or less")));
    }
    let limit = feed.limit.unwrap_or_default().0;
    let after = last_seen(&request)?.or(feed.after);
    let place = match after {
        Some(id) => access.read().events().after(id).await.map_err(|error| match error {
            Error::NotFound { .. } => Problem::new(Code::EventGone),
            other => other.into(),
        })?,
        None => access.read().events().beginning(),
    };
    let pulse = deps.store.pulse(access.org_id());
    if wants_stream(&request) && request.method() == Method::GET {
        let permit = deps.bulkheads.stream(access.org_id()).await?;
        return Ok(Feed::Stream(stream_from(request, closing, place, pulse, permit)));
    }
    // Who waits holds a connection as a stream does.
    let _permit = match feed.wait {
        Some(_) => Some(deps.bulkheads.stream(access.org_id()).await?),
        None => None,
    };

    let deadline = Instant::now() + Duration::from_secs(feed.wait.unwrap_or_default());
    let events = wait_for_events(&access, place, limit, pulse, &closing, deadline).await?;
    if feed.wait.is_some() {
        // Who was shut out while waiting learns nothing more.
        Org::<perm::EventsRead>::of(&request).await?;
    }
    let view = EventsView {
        next_cursor: events.last().map(|event| event.id).or(after),
        has_more: events.len() as u64 == limit,
        items: events.into_iter().map(EventView::from).collect(),
    };
    Ok(Feed::Page(view))
}

/// Looks until there is something, the time is over, or the service stops. No connection to the
/// database is held in between.
async fn wait_for_events(
    access: &Org<perm::EventsRead>,
    place: EventCursor,
    limit: u64,
    mut pulse: Pulse,
    closing: &Closing,
    deadline: Instant,
) -> Result<Vec<Event>, Problem> {
    loop {
        pulse.look();
        let (events, _) = access.read().events().list(place, limit).await?;
        if !events.is_empty() || Instant::now() >= deadline || closing.has_begun() {
            return Ok(events);
        }
        tokio::select! {
            waited = timeout_at(deadline, pulse.changed()) => drop(waited),
            () = closing.begins() => {}
        }
    }
}

/// What a browser sends when it takes up a stream again.
fn last_seen(request: &HttpRequest) -> Result<Option<EventId>, Problem> {
    let Some(header) = request.headers().get("Last-Event-ID") else { return Ok(None) };
    let id = header.to_str().ok().and_then(|text| text.parse().ok());
    id.map(Some)
        .ok_or_else(|| Problem::with(Code::Malformed, "Last-Event-ID must be the id of an event."))
}

fn wants_stream(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.unwrap_or_default().split(',').any(|part| {
        part.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
    })
}

/// A stream of Server-Sent Events (HTML standard, section 9.2), and where it is.
struct Stream {
    request: HttpRequest,
    closing: web::Data<Closing>,
    place: EventCursor,
    pulse: Pulse,
    _permit: Permit<OrganizationId>,
}

/// It ends when its reader may no longer read, when the database does not answer, and when the
/// service stops: readers then come again with the last event they saw.
fn stream_from(
    request: HttpRequest,
    closing: web::Data<Closing>,
    place: EventCursor,
    pulse: Pulse,
    permit: Permit<OrganizationId>,
) -> HttpResponse {
    let stream = Stream { request, closing, place, pulse, _permit: permit };
    let chunks = stream::unfold(Some(stream), |stream| async move {
        let mut stream = stream?;
        let chunk = stream.next().await?;
        Some((Ok::<_, actix_web::Error>(chunk), Some(stream)))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream")
        // Compressed, events would wait for each other.
        .insert_header(header::ContentEncoding::Identity)
        .streaming(chunks)
}

impl Stream {
    async fn next(&mut self) -> Option<Bytes> {
        if self.closing.has_begun() {
            return None;
        }
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            self.pulse.look();
            // As if the request came now: a token that has run out ends the stream, and so does a
            // role that was taken away.
            let access = Org::<perm::EventsRead>::of(&self.request).await.ok()?;
            let looked = access.read().events().list(self.place, STREAM_PAGE).await;
            let (events, place) = looked.ok()?;
            self.place = place;
            if !events.is_empty() {
                return Some(events.into_iter().map(message).collect::<String>().into());
            }
            tokio::select! {
                changed = timeout_at(heartbeat, self.pulse.changed()) => if changed.is_err() {
                    return Some(Bytes::from_static(b":\n\n"));
                },
                () = self.closing.begins() => return None,
            }
        }
    }
}

fn message(event: Event) -> String {
    let (id, name) = (event.id, event.event.clone());
    let data = serde_json::json!(EventView::from(event));
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}
