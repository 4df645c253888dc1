//! Patterns: which names, severities and teams a configuration is for.

use std::{fmt, str::FromStr};

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use serde::{Deserialize, Serialize};

use crate::{Invalid, schema::described};

/// A regular expression that matches in linear time: the syntax of the `regex` crate, without
/// look-around and backreferences.
///
/// It must match the whole text, as if it stood between `^(?:` and `)$`: `cpu` does not match
/// `cpu-load`, `cpu.*` does. Upper and lower case differ unless it begins with `(?i)`. Two patterns
/// are equal when their texts are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Pattern {
    text: String,
    whole: Regex,
}

impl Pattern {
    /// The most characters it may have; the column is as wide.
    pub const MAX: usize = 500;
    /// The most bytes it may take when compiled: `a{1000}{1000}` is short and large.
    const MAX_COMPILED: usize = 256 * 1024;
    /// The most groups inside groups.
    const MAX_NESTED: u32 = 32;

    /// Tells whether it matches all of `text`, in time linear in the length of `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// Returns it as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl TryFrom<String> for Pattern {
    type Error = Invalid;

    /// # Errors
    ///
    /// When it is empty, too long, no regular expression, or too large once compiled. The message
    /// says at which character, and does not quote the pattern.
    fn try_from(text: String) -> Result<Self, Invalid> {
        let length = text.chars().count();
        if length == 0 || length > Self::MAX {
            return Err(invalid(format!("must have 1 to {} characters, not {length}", Self::MAX)));
        }
        if text.contains('\0') {
            return Err(invalid("must not contain U+0000"));
        }
        // Alone first: inside the brackets below, `a)(b` would be well-formed.
        if let Err(error) = ParserBuilder::new().nest_limit(Self::MAX_NESTED).build().parse(&text) {
            return Err(invalid(describe(&error, &text)));
        }
        RegexBuilder::new(&format!(r"\A(?:{text})\z"))
            .nest_limit(Self::MAX_NESTED + 2)
            .size_limit(Self::MAX_COMPILED)
            .dfa_size_limit(Self::MAX_COMPILED)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => invalid(
                    "is too large once compiled; repeat less, or use [a-z0-9] in place of \\w",
                ),
                // What is well-formed alone, and not inside brackets, ends with a comment.
                _ => invalid("must end its comment with a line break"),
            })
            .map(|whole| Self { text, whole })
    }
}

impl FromStr for Pattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::try_from(text.to_owned())
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

described!(Pattern, "A regular expression that must match the whole text, in linear time.", {
    "type": "string",
    "minLength": 1,
    "maxLength": Pattern::MAX,
    "examples": ["cpu-.*"],
});

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

fn invalid(reason: impl Into<String>) -> Invalid {
    Invalid::new("pattern", reason)
}

/// Says what is wrong, and at which character, counted from 1.
fn describe(error: &regex_syntax::Error, text: &str) -> String {
    let (what, offset) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.offset),
        regex_syntax::Error::Translate(error) => {
            (error.kind().to_string(), error.span().start.offset)
        }
        _ => return "must be a regular expression".to_owned(),
    };
    let before = text.get(..offset).map_or(0, |before| before.chars().count());
    format!("must be a regular expression; at character {}: {what}", before + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn the_whole_text_must_match() {
        assert!(!pattern("cpu").matches("cpu-load"));
        assert!(!pattern("^cpu").matches("cpu-load"));
        assert!(pattern("cpu.*").matches("cpu-load"));
        assert!(pattern("high|critical").matches("critical"));
        assert!(!pattern("high|critical").matches("critically"));
        assert!(!pattern("(?m)^a$").matches("a\nb"));
    }

    #[test]
    fn case_counts_unless_told_otherwise() {
        assert!(!pattern("cpu").matches("CPU"));
        assert!(pattern("(?i)cpu").matches("CPU"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_without_the_pattern() {
        for (text, expected) in [
            ("äa(b", "pattern must be a regular expression; at character 3: unclosed group"),
            ("a)(b", "pattern must be a regular expression; at character 2: unopened group"),
            (
                "x(?=y)",
                "pattern must be a regular expression; at character 2: look-around, including \
                 look-ahead and look-behind, is not supported",
            ),
            (
                r"(a)\1",
                "pattern must be a regular expression; at character 4: backreferences are not \
                 supported",
            ),
            (
                r"\p{Foo}",
                "pattern must be a regular expression; at character 1: Unicode property not found",
            ),
            ("", "pattern must have 1 to 500 characters, not 0"),
            ("a\0", "pattern must not contain U+0000"),
            ("(?x)a # b", "pattern must end its comment with a line break"),
        ] {
            assert_eq!(pattern_error(text), expected);
        }
        assert!(pattern("(?x)a # b\n").matches("a"));
    }

    #[test]
    fn what_would_be_large_is_refused() {
        assert!(pattern_error(&"x".repeat(501)).contains("not 501"));
        for bomb in [r"\w{500}", "a{1000}{1000}", "((a{100}){100}){100}", "(?i)\\pL{99}"] {
            assert!(pattern_error(bomb).contains("too large"), "{bomb}");
        }
        assert!(pattern_error(&"(".repeat(400)).contains("at character"));
        let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
        assert!(pattern_error(&deep).contains("maximum number"), "{}", pattern_error(&deep));
    }

    #[test]
    fn what_brings_backtracking_engines_down_is_fast() {
        let text = format!("{}!", "a".repeat(255));
        for bomb in ["(a+)+", "(a|a)*", "(.*)*", "(a|aa)+", "(.*a){20}"] {
            assert!(!pattern(bomb).matches(&text) || bomb == "(.*)*");
        }
    }

    fn pattern_error(text: &str) -> String {
        text.parse::<Pattern>().unwrap_err().to_string()
    }

    proptest! {
        #[test]
        fn a_pattern_reads_back_what_it_prints(text in "[a-c.*+?()|\\[\\]^$\\\\-]{1,12}") {
            if let Ok(pattern) = text.parse::<Pattern>() {
                prop_assert_eq!(pattern.to_string(), text);
                let json = serde_json::to_value(&pattern).unwrap();
                prop_assert_eq!(serde_json::from_value::<Pattern>(json).unwrap(), pattern);
            }
        }

        #[test]
        fn no_text_brings_it_down(text in any::<String>(), subject in any::<String>()) {
            if let Ok(pattern) = text.parse::<Pattern>() {
                pattern.matches(&subject);
            }
        }

        #[test]
        fn an_escaped_text_matches_itself_alone(text in "\\PC{1,40}", other in "\\PC{0,40}") {
            if let Ok(pattern) = regex::escape(&text).parse::<Pattern>() {
                prop_assert!(pattern.matches(&text));
                prop_assert_eq!(pattern.matches(&other), text == other);
            }
        }
    }
}
