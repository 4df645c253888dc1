//! Lines for machines: one JSON object each. What a span says of itself is in every line inside it, as
//! members of the object and not of another inside.

use std::{error::Error as StdError, fmt};

use serde::Serialize;
use serde_json::Value;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_log::NormalizeEvent;
use tracing_subscriber::{
    Layer,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::Context,
    registry::LookupSpan,
};

use crate::sink::Sink;

/// Writes every event as a line.
#[derive(Debug)]
pub(crate) struct JsonLines(pub(crate) Sink);

/// Members of an object, in the order in which they were said; each name once.
#[derive(Debug, Default)]
struct Members(Vec<(&'static str, Value)>);

impl Members {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        let name = match field.name() {
            // Names that a line has anyway.
            "timestamp" => "timestamp_",
            "level" => "level_",
            "logger" => "logger_",
            // For a collector of traces, or what the log crate says of itself.
            name if ["log.", "otel."].iter().any(|of| name.starts_with(of)) => return,
            name => name,
        };
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value.into(),
            None => self.0.push((name, value.into())),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn StdError + 'static)) {
        self.set(field, crate::chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut members = Members::default();
        attributes.record(&mut members);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(members);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(members) = span.extensions_mut().get_mut::<Members>()
        {
            values.record(members);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let of_log = event.normalized_metadata();
        let metadata = of_log.as_ref().unwrap_or_else(|| event.metadata());
        let mut own = Members::default();
        event.record(&mut own);

        let mut line = begun(*metadata.level(), metadata.target());
        for (name, value) in own.0.iter().filter(|(name, _)| *name == "message") {
            member(&mut line, name, value);
        }
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(members) = span.extensions().get::<Members>() {
                for (name, value) in members.0.iter().filter(|(name, _)| !own.has(name)) {
                    member(&mut line, name, value);
                }
            }
        }
        for (name, value) in own.0.iter().filter(|(name, _)| *name != "message") {
            member(&mut line, name, value);
        }
        self.0.put(ended(line));
    }
}

/// Begins a line. A stream of ours is called by its last name.
fn begun(level: Level, target: &str) -> Vec<u8> {
    let mut line = String::with_capacity(1024);
    line.push_str("{\"timestamp\":\"");
    let _ = SystemTime.format_time(&mut Writer::new(&mut line));
    line.push_str("\",\"level\":\"");
    line.push_str(level.as_str());
    line.push('"');
    let mut line = line.into_bytes();
    member(&mut line, "logger", target.strip_prefix(crate::STREAMS).unwrap_or(target));
    line
}

fn member(line: &mut Vec<u8>, name: &str, value: impl Serialize) {
    line.push(b',');
    // A field's name is Rust's, or a text of a library's. Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *line, name);
    line.push(b':');
    let _ = serde_json::to_writer(line, &value);
}

fn ended(mut line: Vec<u8>) -> Vec<u8> {
    line.extend_from_slice(b"}\n");
    line
}

/// The line that tells of lost ones.
pub(crate) fn notice(lines: u64) -> Vec<u8> {
    let mut line = begun(Level::WARN, env!("CARGO_CRATE_NAME"));
    member(&mut line, "message", crate::LOST);
    member(&mut line, "lines", lines);
    ended(line)
}
