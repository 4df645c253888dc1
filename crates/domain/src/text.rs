//! Texts with limits. Parsed once at the edge; what has such a type is fit to store and to show.
//!
//! Lengths count characters (Unicode scalar values), as PostgreSQL's `varchar(n)` does. No text
//! holds U+0000, which PostgreSQL cannot store, nor other control characters.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// What a text may look like.
struct Rule {
    what: &'static str,
    min: usize,
    max: usize,
    shape: &'static Shape,
}

/// What characters a text may have, and in which order.
struct Shape {
    /// Returns the canonical form, or what is wrong.
    read: fn(String) -> Result<String, String>,
    /// What `read` takes, as a regular expression of ECMA-262, for those who want to know beforehand.
    pattern: &'static str,
    format: Option<&'static str>,
}

const LINE: Shape = Shape {
    read: line,
    pattern: r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$",
    format: None,
};
const LINES: Shape = Shape {
    read: lines,
    pattern: r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$",
    format: None,
};
/// Visible ASCII.
const TOKEN: Shape = Shape { read: token, pattern: "^[!-~]+$", format: None };
const SLUG: Shape = Shape { read: slug, pattern: "^[a-z0-9-]+$", format: None };
const USERNAME: Shape = Shape { read: username, pattern: "^[A-Za-z0-9_-]+$", format: None };
const EMAIL: Shape = Shape {
    read: email,
    pattern: r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$",
    format: Some("email"),
};
const HTTP_URL: Shape =
    Shape { read: http_url, pattern: r"^https?://[^\s\x00-\x1f\x7f-\x9f]*$", format: Some("uri") };

impl Rule {
    fn read(&self, text: String) -> Result<String, Invalid> {
        let text = if text.trim().len() == text.len() { text } else { text.trim().to_owned() };
        let length = text.chars().count();
        if length < self.min || length > self.max {
            return Err(Invalid::new(
                self.what,
                format!("must have {} to {} characters, not {length}", self.min, self.max),
            ));
        }
        (self.shape.read)(text).map_err(|reason| Invalid::new(self.what, reason))
    }
}

/// One line of any script.
fn line(text: String) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters".to_owned());
    }
    Ok(text)
}

/// Any number of lines.
fn lines(text: String) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(
            "must not contain control characters other than line breaks and tabs".to_owned()
        );
    }
    Ok(text)
}

fn slug(text: String) -> Result<String, String> {
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("must have only lower-case letters, digits and hyphens".to_owned());
    }
    Ok(text)
}

fn token(text: String) -> Result<String, String> {
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must have only visible ASCII characters".to_owned());
    }
    Ok(text)
}

fn username(text: String) -> Result<String, String> {
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err("must have only letters, digits, _ and -".to_owned());
    }
    Ok(text)
}

/// `x@y.z`: a dot-atom (RFC 5322 section 3.2.3) at a host name of two labels or more (RFC 5321 section
/// 4.1.2), in lower case: two spellings of one mailbox are one account.
fn email(mut text: String) -> Result<String, String> {
    let is_atom = |atom: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
        !atom.is_empty() && atom.bytes().all(known)
    };
    let is_label = |label: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(known)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let well_formed = text.split_once('@').is_some_and(|(local, domain)| {
        local.len() <= 64
            && local.split('.').all(is_atom)
            && domain.contains('.')
            && domain.split('.').all(is_label)
    });
    if !well_formed {
        return Err("must look like name@example.com".to_owned());
    }
    text.make_ascii_lowercase();
    Ok(text)
}

fn http_url(text: String) -> Result<String, String> {
    let is_http = text.starts_with("https://") || text.starts_with("http://");
    if !is_http || text.contains(char::is_whitespace) || text.contains(char::is_control) {
        return Err("must be an http or https URL".to_owned());
    }
    Ok(text)
}

macro_rules! texts {
    ($($(#[doc = $doc:literal])* $name:ident = $what:literal, $min:literal..=$max:literal, $shape:ident, $example:literal;)+) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The most characters it may have; the column is as wide.
            pub const MAX: usize = $max;

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;

            fn try_from(text: String) -> Result<Self, Invalid> {
                Rule { what: $what, min: $min, max: $max, shape: &$shape }.read(text).map(Self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut schema = schemars::json_schema!({
                    "type": "string",
                    "description": concat!($($doc),*).trim(),
                    "minLength": $min,
                    "maxLength": $max,
                    "pattern": $shape.pattern,
                    "examples": [$example],
                });
                if let Some(format) = $shape.format {
                    schema.insert("format".to_owned(), format.into());
                }
                schema
            }
        }
    )+};
}

texts! {
    /// Where a user's picture is.
    AvatarUrl = "avatar URL", 1..=500, HTTP_URL, "https://example.com/ada.png";
    /// The name of a configuration or an agent configuration.
    ConfigName = "configuration name", 1..=255, LINE, "disk-alerts";
    /// Prose, any number of lines.
    Description = "description", 1..=65_536, LINES, "Writes to the primary take more than a second.";
    /// A mailbox, in lower case. ASCII only: RFC 5321 without SMTPUTF8.
    EmailAddress = "e-mail address", 5..=255, EMAIL, "ada@example.com";
    /// A person's name, as they write it.
    FullName = "full name", 1..=255, LINE, "Ada Lovelace";
    /// What the sender of a request calls it, to send it again.
    IdempotencyKey = "Idempotency-Key", 1..=255, TOKEN, "8e03978e-40d5-43dd-bc93-6894a57f9324";
    /// What an incident is about.
    IncidentTitle = "title", 1..=500, LINE, "Primary database is slow";
    /// The name of a measured quantity.
    MetricName = "metric name", 1..=255, LINE, "request_duration_seconds";
    /// Its kind: counter, gauge, histogram, or the sender's own word.
    MetricType = "metric type", 1..=50, LINE, "gauge";
    /// The name of an organization.
    OrganizationName = "organization name", 1..=255, LINE, "Example Inc.";
    /// What somebody looks for.
    SearchText = "search text", 1..=200, LINE, "disk";
    /// A unit or a time window, such as `ms` or `5m`.
    ShortLabel = "label", 1..=50, LINE, "5m";
    /// A name for URLs.
    Slug = "slug", 1..=100, SLUG, "example";
    /// What reported an incident, such as `error_rate_monitor`.
    SourceName = "source", 1..=255, LINE, "error_rate_monitor";
    /// The name of a team.
    TeamName = "team name", 1..=255, LINE, "Platform";
    /// A name to mention somebody by.
    Username = "username", 3..=100, USERNAME, "ada";
}

impl Slug {
    /// Makes a slug of a name: what is no letter or digit becomes a hyphen, never two in a row. A
    /// name with none of either gets `fallback`.
    pub fn from_name(name: &str, fallback: &str) -> Self {
        let mut slug = String::with_capacity(name.len());
        for c in name.chars().flat_map(char::to_lowercase) {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() == Self::MAX {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        Self(if slug.is_empty() { fallback.to_owned() } else { slug.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_limit_is_named_with_what_was_sent() {
        let error = TeamName::try_from("x".repeat(256)).unwrap_err();
        assert_eq!(error.to_string(), "team name must have 1 to 255 characters, not 256");
    }

    #[test]
    fn blank_is_empty() {
        assert!("   ".parse::<TeamName>().is_err());
        assert_eq!(" SRE ".parse::<TeamName>().unwrap().as_str(), "SRE");
    }

    #[test]
    fn two_spellings_of_a_mailbox_are_one() {
        let lower: EmailAddress = "ada@example.com".parse().unwrap();
        assert_eq!("Ada@Example.COM".parse(), Ok(lower));
    }

    #[test]
    fn what_is_no_mailbox_is_refused() {
        for text in [
            "ada",
            "ada@",
            "@example.com",
            "a@b",
            "a@b@c.de",
            "a b@c.de",
            "a@.de",
            "ä@b.de",
            "a..b@c.de",
            "a@-b.de",
            "a@b_c.de",
            "a(b@c.de",
        ] {
            assert!(text.parse::<EmailAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_slug_is_made_of_any_name() {
        assert_eq!(Slug::from_name("Acme  Inc. (EU)", "org").as_str(), "acme-inc-eu");
        assert_eq!(Slug::from_name("愛", "org").as_str(), "org");
    }

    fn schema_of<T: schemars::JsonSchema>() -> serde_json::Value {
        schemars::SchemaGenerator::default().into_root_schema_for::<T>().to_value()
    }

    #[test]
    fn an_example_is_what_it_is_an_example_of() {
        let example =
            |schema: serde_json::Value| schema["examples"][0].as_str().unwrap().to_owned();
        assert!(example(schema_of::<EmailAddress>()).parse::<EmailAddress>().is_ok());
        assert!(example(schema_of::<AvatarUrl>()).parse::<AvatarUrl>().is_ok());
        assert!(example(schema_of::<Slug>()).parse::<Slug>().is_ok());
        assert!(example(schema_of::<Username>()).parse::<Username>().is_ok());
    }

    proptest! {
        #[test]
        fn what_was_accepted_is_accepted_again_unchanged(text in "\\PC{0,300}") {
            if let Ok(name) = TeamName::try_from(text) {
                prop_assert_eq!(TeamName::try_from(name.as_str().to_owned()), Ok(name));
            }
        }

        #[test]
        fn no_control_character_passes(text in any::<String>()) {
            if let Ok(name) = TeamName::try_from(text) {
                prop_assert!(!name.as_str().chars().any(char::is_control));
                prop_assert!(name.as_str().chars().count() <= TeamName::MAX);
            }
        }

        #[test]
        fn every_name_makes_a_slug(name in any::<String>()) {
            let slug = Slug::from_name(&name, "org");
            prop_assert_eq!(Slug::try_from(slug.as_str().to_owned()), Ok(slug));
        }
    }
}
