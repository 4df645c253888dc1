//! Which trace a request belongs to (W3C Trace Context).

use std::fmt;

use tracing::Span;

/// What a caller's `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: TraceId,
    span_id: u64,
    sampled: bool,
}

/// Which trace. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl TraceParent {
    /// Reads the header (section 3.2). One that breaks its rules is none: a new trace begins.
    pub fn parse(header: &str) -> Option<Self> {
        let (version, rest) = header.split_once('-')?;
        let (trace_id, rest) = rest.split_once('-')?;
        let (span_id, rest) = rest.split_once('-')?;
        let (flags, more) = match rest.split_once('-') {
            Some((flags, _)) => (flags, true),
            None => (rest, false),
        };
        let version = hex(version, 2)?;
        // What later versions add comes after a dash.
        if version == 0xff || (version == 0 && more) {
            return None;
        }
        Some(Self {
            trace_id: TraceId(hex(trace_id, 32).filter(|id| *id != 0)?),
            span_id: u64::try_from(hex(span_id, 16)?).ok().filter(|id| *id != 0)?,
            sampled: hex(flags, 2)? & 1 == 1,
        })
    }

    /// Returns the trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }
}

/// Lower case only, as the standard has it.
fn hex(text: &str, length: usize) -> Option<u128> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == length && text.bytes().all(is_hex))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

/// Makes `span`, which nobody has entered yet and which declares `otel.kind`, part of the trace that `parent` names, or of a new
/// one, and returns which that is. A new one is called by `fresh`, unless the exporter calls it
/// otherwise; zero names nothing, and gives none.
pub fn continue_trace(span: &Span, parent: Option<TraceParent>, fresh: u128) -> Option<TraceId> {
    #[cfg(feature = "otlp")]
    if let Some(id) = crate::otlp::adopt(span, parent) {
        return Some(TraceId(id));
    }
    let _ = span;
    parent.map(|parent| parent.trace_id).or_else(|| (fresh != 0).then_some(TraceId(fresh)))
}

/// Says for a collector what the request of `span` was and what came of it.
pub fn end_trace(span: &Span, method: &'static str, route: &str, status: u16) {
    #[cfg(feature = "otlp")]
    crate::otlp::end(span, method, route, status);
    let _ = (span, method, route, status);
}

#[cfg(feature = "otlp")]
impl TraceParent {
    pub(crate) fn parts(self) -> (u128, u64, bool) {
        (self.trace_id.0, self.span_id, self.sampled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_traceparent_is_read_as_the_standard_says() {
        let read = |text: String| TraceParent::parse(&text).map(|it| it.trace_id().to_string());
        let good = Some(ID.to_owned());
        assert_eq!(read(format!("00-{ID}-00f067aa0ba902b7-01")), good);
        assert_eq!(read(format!("cc-{ID}-00f067aa0ba902b7-00-what-will-be")), good);
        for bad in [
            format!("00-{ID}-00f067aa0ba902b7-01-more"),
            format!("ff-{ID}-00f067aa0ba902b7-01"),
            format!("00-{ID}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", ID.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "+".repeat(32)),
            format!("00-{ID}-00f067aa0ba902b7"),
            format!("00-{ID}-00f067aa0ba902b7-1"),
            String::new(),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }

    #[test]
    fn without_a_parent_the_trace_is_called_as_we_say() {
        let id = |parent, fresh| continue_trace(&Span::none(), parent, fresh);
        assert_eq!(id(None, 0xab).unwrap().to_string(), format!("{:032x}", 0xab));
        assert_eq!(id(None, 0), None);
        let parent = TraceParent::parse(&format!("00-{ID}-00f067aa0ba902b7-01"));
        assert_eq!(id(parent, 0xab).unwrap().to_string(), ID);
    }
}
