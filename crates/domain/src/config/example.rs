//! The worked example of docs/configuration.md, read from there and checked.

use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::{ConfigId, ConfigStatus, Document, Severity, TeamId};

const PAGE: &str = include_str!("../../../../docs/configuration.md");

/// Returns the cells of the table that follows `<!-- example: name -->`, without its head. What is
/// code loses its backticks, `-` is nothing.
fn table(name: &str) -> Vec<Vec<String>> {
    let (_, rest) = PAGE.split_once(&format!("<!-- example: {name} -->\n")).unwrap();
    let rows = rest.lines().take_while(|line| line.starts_with('|')).skip(2);
    let cell = |text: &str| match text.trim().trim_matches('`') {
        "-" => String::new(),
        text => text.to_owned(),
    };
    rows.map(|row| row.trim_matches('|').split(" | ").map(cell).collect()).collect()
}

/// The configurations of the page are called A, B, C.
fn id(letter: &str) -> ConfigId {
    ConfigId::from_uuid(Uuid::from_u128(u128::from(letter.as_bytes()[0])))
}

fn letter(id: ConfigId) -> String {
    char::from(u8::try_from(id.as_uuid().as_u128()).unwrap()).to_string()
}

fn candidates() -> Vec<Candidate> {
    let rows = table("configurations").into_iter();
    rows.map(|row| {
        let [letter, config_type, priority, status, field, pattern, body] = row.try_into().unwrap();
        let pattern_of = |name| (field == name).then(|| pattern.parse().unwrap());
        Candidate {
            id: id(&letter),
            name: letter.parse().unwrap(),
            config_type: config_type.parse().unwrap(),
            status: status.parse().unwrap(),
            is_active: true,
            is_global: false,
            priority: priority.parse().unwrap(),
            team_id: None,
            team_pattern: pattern_of("team_pattern"),
            name_pattern: pattern_of("name_pattern"),
            severity_pattern: pattern_of("severity_pattern"),
            body: ConfigBody::read(BodyFormat::Yaml, body).unwrap().into_document(),
        }
    })
    .collect()
}

#[test]
fn the_worked_example_of_the_page_is_what_happens() {
    let question = Question {
        team: Some(AskedTeam {
            id: TeamId::from_uuid(Uuid::nil()),
            slug: "platform".parse().unwrap(),
            name: "Platform".parse().unwrap(),
        }),
        name: Some("disk-full".parse().unwrap()),
        severity: Some(Severity::High),
        agent: None,
    };
    assert!(PAGE.contains("`team=platform&name=disk-full&severity=high`"));
    let candidates = candidates();
    assert!(candidates.iter().any(|one| one.status == ConfigStatus::Draft));
    let resolution = resolve(&candidates, &question).unwrap();

    let document = Value::Object(resolution.document.members().unwrap());
    let found: Vec<[String; 3]> = resolution
        .origins
        .iter()
        .map(|(pointer, origin)| {
            let value = document.pointer(pointer).unwrap().to_string();
            [pointer.clone(), value, letter(origin.id)]
        })
        .collect();
    assert_eq!(table("result"), found);

    let story: Vec<[String; 3]> = resolution
        .verdicts
        .iter()
        .map(|verdict| match &verdict.outcome {
            Outcome::Applied { place, overridden, .. } => {
                let lost: Vec<String> = overridden
                    .iter()
                    .map(|lost| format!("{} by {}", lost.pointer, letter(lost.by)))
                    .collect();
                [letter(verdict.id), format!("applied, place {place}"), lost.join(", ")]
            }
            Outcome::Rejected { reason } => {
                [letter(verdict.id), "rejected".to_owned(), reason.to_string()]
            }
        })
        .collect();
    assert_eq!(table("explanation"), story);
    // What a reader copies out of the page stays what it is.
    assert_eq!(resolution.document, Document::try_from(document).unwrap());
}
