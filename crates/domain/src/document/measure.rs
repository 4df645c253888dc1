//! How much a JSON text is, in one pass without recursion. The text is known to be JSON.

use crate::{Document, Invalid};

/// The most levels that readers of JSON agree on.
const READABLE_DEPTH: usize = 127;

/// The most digits behind the point that PostgreSQL's `numeric` has (manual, section 8.1.2).
const MOST_FRACTION: usize = 16_383;

/// What a JSON text comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Measure {
    /// How many bytes it has as compact JSON, with numbers as `jsonb` writes them, without exponents.
    pub(super) bytes: usize,
    /// How many values it has, itself included.
    pub(super) values: usize,
    /// How many of them are inside each other.
    pub(super) depth: usize,
}

impl Measure {
    /// Measures `json`.
    ///
    /// # Errors
    /// When a text in it cannot be stored.
    pub(super) fn of(json: &str) -> Result<Self, Invalid> {
        let mut measure = Self::default();
        let (mut rest, mut depth, mut is_key) = (json.as_bytes(), 0_usize, false);
        while let [first, after @ ..] = rest {
            let from_here = rest;
            rest = after;
            match first {
                b'{' | b'[' => {
                    depth += 1;
                    measure.depth = measure.depth.max(depth);
                    if depth > READABLE_DEPTH {
                        return Err(Invalid::new("document", Document::TOO_DEEP));
                    }
                    measure.add(1);
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    measure.bytes += 1;
                }
                b',' => measure.bytes += 1,
                b':' => {
                    // What came before was a key, and no value.
                    measure.values -= usize::from(is_key);
                    measure.bytes += 1;
                }
                b'"' => {
                    let length = text(rest)?;
                    measure.add(length + 1);
                    rest = rest.get(length..).unwrap_or_default();
                }
                b'-' | b'0'..=b'9' => {
                    let length = rest.iter().take_while(|byte| is_of_number(**byte)).count();
                    let (digits, after) = rest.split_at(length);
                    if !from_here.get(..=length).is_some_and(is_in_range) {
                        return Err(Invalid::new("document", Document::OUT_OF_RANGE));
                    }
                    let (whole, fraction) = written_out(*first, digits);
                    if fraction > MOST_FRACTION {
                        return Err(Invalid::new("document", Document::OUT_OF_RANGE));
                    }
                    measure.add(whole.saturating_add(fraction));
                    rest = after;
                }
                b't' | b'f' | b'n' => measure.add(if *first == b'f' { 5 } else { 4 }),
                // White space, and the rest of true, false and null.
                _ => continue,
            }
            is_key = *first == b'"';
        }
        Ok(measure)
    }

    fn add(&mut self, bytes: usize) {
        self.values += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Returns how many bytes a text has from behind its first quote to behind its last.
fn text(rest: &[u8]) -> Result<usize, Invalid> {
    let mut at = 0;
    loop {
        match rest.get(at) {
            None => return Ok(at),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => {
                at += match escaped(rest, at) {
                    None => 2,
                    Some(0) => return Err(Invalid::new("document", "must not contain U+0000")),
                    Some(0xd800..0xdc00) => match escaped(rest, at + 6) {
                        Some(0xdc00..0xe000) => 12,
                        _ => return Err(half()),
                    },
                    Some(0xdc00..0xe000) => return Err(half()),
                    Some(_) => 6,
                }
            }
            Some(_) => at += 1,
        }
    }
}

fn half() -> Invalid {
    Invalid::new("document", "must not contain half of a surrogate pair")
}

/// Returns the code unit that is escaped at a place (RFC 8259 section 7), if one is.
fn escaped(rest: &[u8], at: usize) -> Option<u32> {
    let escape = rest.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

/// Tells whether a number is one of those that readers of JSON agree on (RFC 8259 section 6): up to what a
/// double can be.
fn is_in_range(number: &[u8]) -> bool {
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(f64::is_finite)
}

/// `jsonb` keeps a number as a decimal and writes it without an exponent: 1e308 has 309 digits each time it is
/// read, and 1e-308 as many behind its point.
///
/// Returns how many bytes are before the digits behind the point, and how many those are.
fn written_out(first: u8, rest: &[u8]) -> (usize, usize) {
    let sign = usize::from(first == b'-');
    let end = rest.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(rest.len());
    let (mantissa, exponent) = rest.split_at(end);
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let whole = (point + 1 - sign).max(1);
    let fraction = mantissa.len().saturating_sub(point + 1);
    let exponent = exponent.get(1..).and_then(|digits| std::str::from_utf8(digits).ok());
    let shift = match exponent.map(str::parse::<i64>) {
        None => 0,
        Some(Ok(shift)) => shift,
        // Beyond what can be counted, and what can be stored.
        Some(Err(_)) => i64::MAX,
    };
    let by = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    let (whole, fraction) = if shift >= 0 {
        (whole.saturating_add(by), fraction.saturating_sub(by))
    } else {
        (whole.saturating_sub(by).max(1), fraction.saturating_add(by))
    };
    ((sign + usize::from(fraction > 0)).saturating_add(whole), fraction)
}

#[cfg(test)]
mod tests {
    use super::Measure;

    #[test]
    fn what_is_measured_is_compact_json_with_its_numbers_written_out() {
        for (json, bytes, values, depth) in [
            ("{}", 2, 1, 1),
            (r#"{"a":1}"#, 7, 2, 1),
            (r#" { "a" : [ 1 , true , null , "x\"y" ] } "#, 26, 6, 2),
            (r#"{"a":{"b":[[]]}}"#, 16, 4, 4),
            (r#"{"a":-1.5e3}"#, 11, 2, 1),
            (r#"{"a":1e-3}"#, 11, 2, 1),
            (r#"{"a":12.50}"#, 11, 2, 1),
            (r#"{"a":false,"b":0}"#, 17, 3, 1),
        ] {
            assert_eq!(Measure::of(json).unwrap(), Measure { bytes, values, depth }, "{json}");
        }
    }
}
