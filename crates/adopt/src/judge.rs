//! What the domain's types say of one stored value: the same types by which the service reads it.

use brownie_domain::{
    AvatarUrl, ConfigName, Description, Document, EmailAddress, FullName, IncidentTitle, Invalid,
    MetricName, MetricType, OrganizationName, ShortLabel, Slug, Tags, TeamName, Username,
    config::{BodyFormat, ConfigBody, Pattern},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{columns::Reads, hazard::Hazard};

/// A hazard, and what the value becomes.
pub(crate) type Judgement = Option<(Hazard, Option<String>)>;

/// Judges a value that is there.
pub(crate) fn judge(reads: Reads, id: Uuid, text: &str) -> Judgement {
    match reads {
        Reads::Slug => canonical::<Slug>(Hazard::Slug, text, || {
            Slug::from_name(text, &format!("adopted-{}", short(id))).to_string()
        }),
        Reads::Username => {
            canonical::<Username>(Hazard::Username, text, || mend_username(id, text))
        }
        Reads::Email => match EmailAddress::try_from(text.to_owned()) {
            Ok(email) if email.as_str() == text => None,
            Ok(email) => Some((Hazard::EmailCase, Some(email.into()))),
            Err(_) => Some((Hazard::Email, Some(format!("{id}@adopted.invalid")))),
        },
        Reads::OrganizationName => required::<OrganizationName>(text, OrganizationName::MAX),
        Reads::TeamName => required::<TeamName>(text, TeamName::MAX),
        Reads::ConfigName => required::<ConfigName>(text, ConfigName::MAX),
        Reads::MetricName => required::<MetricName>(text, MetricName::MAX),
        Reads::MetricType => required::<MetricType>(text, MetricType::MAX),
        Reads::Title => required::<IncidentTitle>(text, IncidentTitle::MAX),
        Reads::FullName => optional::<FullName>(text, FullName::MAX),
        Reads::ShortLabel => optional::<ShortLabel>(text, ShortLabel::MAX),
        Reads::AvatarUrl => optional::<AvatarUrl>(text, AvatarUrl::MAX),
        Reads::Description => optional::<Description>(text, Description::MAX),
        Reads::Pattern => optional::<Pattern>(text, 500),
        Reads::Document => document(text),
        Reads::Tags => tags(text),
        Reads::Json => json_value(text),
    }
}

fn short(id: Uuid) -> String {
    id.simple().to_string().chars().take(8).collect()
}

fn canonical<T: TryFrom<String, Error = Invalid> + Into<String>>(
    hazard: Hazard,
    text: &str,
    mend: impl FnOnce() -> String,
) -> Judgement {
    let same = T::try_from(text.to_owned()).is_ok_and(|read| read.into() == text);
    (!same).then(|| (hazard, Some(mend())))
}

fn mend_username(id: Uuid, text: &str) -> String {
    let known = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let mended: String = text.trim().chars().map(known).take(Username::MAX).collect();
    if mended.len() < 3 { format!("{mended}-{}", short(id)) } else { mended }
}

fn required<T: TryFrom<String, Error = Invalid>>(text: &str, max: usize) -> Judgement {
    match optional::<T>(text, max) {
        Some((hazard, None)) => Some((hazard, Some("unnamed".to_owned()))),
        judged => judged,
    }
}

/// Mends in two steps, and gives up what is refused even then.
fn optional<T: TryFrom<String, Error = Invalid>>(text: &str, max: usize) -> Judgement {
    if T::try_from(text.to_owned()).is_ok() {
        return None;
    }
    let hazard = if text.trim().chars().count() > max { Hazard::LongText } else { Hazard::Text };
    let cut: String = text.trim().chars().take(max).collect();
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    let candidates = [cut.clone(), cut.chars().map(blank).collect()];
    let mended = candidates.into_iter().find(|candidate| T::try_from(candidate.clone()).is_ok());
    Some((hazard, mended))
}

/// Reads JSON as jsonb would keep it; none for what it cannot.
fn parse(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    // In an object any value is weighed, and looked through for U+0000.
    (!text.contains("\\u0000") || Document::try_from(json!({ "": value })).is_ok()).then_some(value)
}

fn document(text: &str) -> Judgement {
    let empty = Some((Hazard::Document, Some("{}".to_owned())));
    let Some(value) = parse(text) else { return empty };
    match value {
        Value::Null => None,
        Value::Object(_) if Document::try_from(value.clone()).is_ok() => None,
        Value::Object(_) => empty,
        other => {
            let wrapped = json!({ "value": other });
            match Document::try_from(wrapped.clone()) {
                Ok(_) => Some((Hazard::DocumentShape, Some(wrapped.to_string()))),
                Err(_) => empty,
            }
        }
    }
}

fn json_value(text: &str) -> Judgement {
    parse(text).is_none().then_some((Hazard::Document, None))
}

fn tags(text: &str) -> Judgement {
    let Some(value) = parse(text) else {
        return Some((Hazard::Tags, Some("[]".to_owned())));
    };
    if value.is_null() || serde_json::from_value::<Tags>(value.clone()).is_ok() {
        return None;
    }
    let words: Vec<String> = match value {
        Value::Array(words) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(word) => vec![word],
        _ => Vec::new(),
    };
    let mended: Vec<String> = words
        .into_iter()
        .map(|word| word.chars().filter(|c| !c.is_control()).take(Tags::MAX_LENGTH).collect())
        .filter(|word: &String| !word.is_empty())
        .take(Tags::MAX)
        .collect();
    Some((Hazard::Tags, Some(json!(mended).to_string())))
}

/// What a configuration's two bodies become: source, its format, what it says. None when the JSON as
/// it is does.
pub(crate) struct Body {
    pub(crate) hazard: Option<Hazard>,
    pub(crate) source: String,
    pub(crate) format: &'static str,
    pub(crate) says: String,
}

/// Judges a configuration's YAML and JSON. `way` is that of [`Hazard::ConfigBody`].
pub(crate) fn judge_body(yaml: Option<&str>, json: Option<&str>, way: &str) -> Option<Body> {
    let json = json.filter(|text| text.trim() != "null");
    let told = match json.map(|text| (text, parse(text))) {
        None => None,
        Some((_, Some(Value::Object(members))))
            if Document::try_from(Value::Object(members.clone())).is_ok() =>
        {
            Some(Value::Object(members))
        }
        // What the JSON says cannot be kept.
        Some(_) => return Some(unreadable(yaml, way)),
    };
    let yaml = yaml.filter(|text| !text.trim().is_empty())?;
    let Ok(read) = ConfigBody::read(BodyFormat::Yaml, yaml.to_owned()) else {
        let says = told.map_or_else(|| "{}".to_owned(), |value| value.to_string());
        let source = json.map_or_else(|| "{}".to_owned(), str::to_owned);
        return Some(Body { hazard: Some(Hazard::ConfigBody), source, format: "json", says });
    };
    let written = Value::from(read.into_document());
    let agree = told.as_ref().is_none_or(|told| *told == written);
    match (told, json) {
        (Some(told), Some(json)) if !agree && way == "json" => Some(Body {
            hazard: Some(Hazard::ConfigBody),
            source: json.to_owned(),
            format: "json",
            says: told.to_string(),
        }),
        _ => Some(Body {
            hazard: (!agree).then_some(Hazard::ConfigBody),
            source: yaml.to_owned(),
            format: "yaml",
            says: written.to_string(),
        }),
    }
}

fn unreadable(yaml: Option<&str>, way: &str) -> Body {
    let yaml = yaml
        .filter(|_| way == "yaml")
        .map(|text| (text, ConfigBody::read(BodyFormat::Yaml, text.to_owned())));
    match yaml {
        Some((text, Ok(read))) => Body {
            hazard: Some(Hazard::ConfigBody),
            source: text.to_owned(),
            format: "yaml",
            says: Value::from(read.into_document()).to_string(),
        },
        _ => Body {
            hazard: Some(Hazard::ConfigBody),
            source: "{}".to_owned(),
            format: "json",
            says: "{}".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn becomes(reads: Reads, text: &str) -> Judgement {
        judge(reads, Uuid::from_u128(0xabcd_ef01 << 96), text)
    }

    #[test]
    fn what_ours_can_read_stays_as_it_is() {
        assert_eq!(becomes(Reads::Title, "Disk full"), None);
        assert_eq!(becomes(Reads::Document, r#"{"a": 1}"#), None);
        assert_eq!(becomes(Reads::Tags, r#"["a"]"#), None);
        assert_eq!(becomes(Reads::Json, "[1]"), None);
    }

    #[test]
    fn what_it_becomes_is_read() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(becomes(Reads::Title, "a\tb"), Some((Hazard::Text, some("a b"))));
        assert_eq!(becomes(Reads::Title, " "), Some((Hazard::Text, some("unnamed"))));
        assert_eq!(becomes(Reads::Description, ""), Some((Hazard::Text, None)));
        assert_eq!(becomes(Reads::Slug, "My_Team"), Some((Hazard::Slug, some("my-team"))));
        assert_eq!(becomes(Reads::Username, "a"), Some((Hazard::Username, some("a-abcdef01"))));
        assert_eq!(becomes(Reads::Email, "A@b.de"), Some((Hazard::EmailCase, some("a@b.de"))));
        assert_eq!(
            becomes(Reads::Document, "[1]"),
            Some((Hazard::DocumentShape, some(r#"{"value":[1]}"#)))
        );
        assert_eq!(
            becomes(Reads::Document, r#"{"a":"\u0000"}"#),
            Some((Hazard::Document, some("{}")))
        );
        assert_eq!(becomes(Reads::Tags, r#"["a",1]"#), Some((Hazard::Tags, some(r#"["a"]"#))));
    }

    #[test]
    fn yaml_that_says_what_the_json_says_is_the_source() {
        let body = judge_body(Some("a: 1 # one"), Some(r#"{"a": 1}"#), "json").unwrap();
        assert_eq!((body.hazard, body.format), (None, "yaml"));
        let body = judge_body(Some("a: 2"), Some(r#"{"a": 1}"#), "json").unwrap();
        assert_eq!((body.hazard, body.format), (Some(Hazard::ConfigBody), "json"));
        let body = judge_body(Some("a: ["), None, "json").unwrap();
        assert_eq!((body.source.as_str(), body.format), ("{}", "json"));
        assert!(judge_body(None, Some(r#"{"a": 1}"#), "json").is_none());
    }
}
