//! The laws of the resolution.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;
use crate::{ConfigId, ConfigName, ConfigStatus, ConfigType, Document, Severity, TeamId};

/// RFC 7396, section 2, word for word: what `merge.rs` does cleverly.
fn merge_patch(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut members = match target {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (key, value) in patch {
        let old = members.remove(key);
        if !value.is_null() {
            members.insert(key.clone(), merge_patch(old.unwrap_or_default(), value));
        }
    }
    Value::Object(members)
}

fn value_of(document: &Document) -> Value {
    Value::Object(document.members().unwrap())
}

/// A body as it is when nothing else applies.
fn alone(candidate: &Candidate) -> Value {
    merge_patch(Value::Null, &value_of(&candidate.body))
}

/// The pointers of all leaves.
fn leaves(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(members) if at.is_empty() || !members.is_empty() => {
                for (key, member) in members {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    walk(member, &format!("{at}/{key}"), found);
                }
            }
            _ => found.push(at.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

fn team(number: u128) -> AskedTeam {
    AskedTeam {
        id: TeamId::from_uuid(Uuid::from_u128(number)),
        slug: format!("team-{number}").parse().unwrap(),
        name: format!("Team {number}").parse().unwrap(),
    }
}

/// Few keys and few values, so that bodies meet.
fn bodies() -> impl Strategy<Value = Document> {
    let leaf = prop_oneof![
        3 => (0..3).prop_map(Value::from),
        2 => Just(Value::Null),
        1 => Just(json!([null, 1])),
        1 => Just(json!({})),
        1 => Just(json!("x")),
    ];
    let members = |inner| prop::collection::btree_map("a|b|c|/~", inner, 0..4);
    let value = leaf.prop_recursive(3, 20, 3, move |inner| {
        members(inner).prop_map(|members| Value::Object(members.into_iter().collect()))
    });
    prop::collection::btree_map("a|b|c|/~", value, 0..4).prop_map(|members| {
        Document::try_from(Value::Object(members.into_iter().collect())).unwrap()
    })
}

fn patterns(of: &[&str]) -> impl Strategy<Value = Option<Pattern>> {
    let read: Vec<Pattern> = of.iter().map(|text| text.parse().unwrap()).collect();
    prop_oneof![2 => Just(None), 1 => prop::sample::select(read).prop_map(Some)]
}

prop_compose! {
    fn candidate()(
        config_type in prop::sample::select(ConfigType::ALL),
        status in prop_oneof![
            6 => Just(ConfigStatus::Active),
            1 => prop::sample::select(ConfigStatus::ALL),
        ],
        is_active in prop::bool::weighted(0.9),
        is_global in prop::bool::weighted(0.3),
        priority in -1..2,
        team_id in prop::option::weighted(0.3, 1_u128..3),
        team_pattern in patterns(&["team-.*", "Team 1", "x"]),
        name_pattern in patterns(&["cpu.*", "disk|cpu", "triage"]),
        severity_pattern in patterns(&["high|critical", "low"]),
        body in bodies(),
    ) -> Candidate {
        Candidate {
            id: ConfigId::from_uuid(Uuid::nil()),
            name: "a".parse().unwrap(),
            config_type, status, is_active, is_global, priority,
            team_id: team_id.map(|number| team(number).id),
            team_pattern, name_pattern, severity_pattern, body,
        }
    }
}

/// In no order of their ids, which all differ.
fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec((candidate(), any::<u32>()), 0..9).prop_map(|some| {
        let numbered = some.into_iter().zip(1_u128..);
        numbered
            .map(|((candidate, high), low)| {
                let id = ConfigId::from_uuid(Uuid::from_u128(u128::from(high) << 64 | low));
                Candidate { id, ..candidate }
            })
            .collect()
    })
}

prop_compose! {
    fn question()(
        number in prop::option::weighted(0.8, 1_u128..3),
        name in prop::option::weighted(0.8, "cpu-load|cpu|disk"),
        severity in prop::option::weighted(0.8, prop::sample::select(Severity::ALL)),
        agent in prop::option::weighted(0.5, "triage|other"),
    ) -> Question {
        let text = |text: Option<String>| text.map(|text| text.parse::<ConfigName>().unwrap());
        Question { team: number.map(team), name: text(name), severity, agent: text(agent) }
    }
}

/// Those that apply, the weakest first, as the verdicts say it.
fn applied<'a>(resolution: &Resolution, candidates: &'a [Candidate]) -> Vec<&'a Candidate> {
    let ids = resolution.verdicts.iter().filter_map(|verdict| match verdict.outcome {
        Outcome::Applied { .. } => Some(verdict.id),
        Outcome::Rejected { .. } => None,
    });
    ids.map(|id| candidates.iter().find(|one| one.id == id).unwrap()).collect()
}

proptest! {
    #[test]
    fn the_order_of_the_candidates_does_not_matter(
        (candidates, shuffled) in candidates().prop_flat_map(|candidates| {
            (Just(candidates.clone()), Just(candidates).prop_shuffle())
        }),
        question in question(),
    ) {
        prop_assert_eq!(resolve(&candidates, &question), resolve(&shuffled, &question));
    }

    #[test]
    fn it_is_the_merge_patch_of_the_rfc_of_all_that_apply_by_layer_priority_and_id(
        candidates in candidates(),
        question in question(),
    ) {
        let resolution = resolve(&candidates, &question).unwrap();
        let applied = applied(&resolution, &candidates);
        let key = |one: &Candidate| (one.config_type.strength(), one.priority, one.id);
        let in_order = applied.windows(2).all(|pair| key(pair[0]) < key(pair[1]));
        prop_assert!(in_order);
        let merged = applied
            .iter()
            .fold(json!({}), |merged, one| merge_patch(merged, &value_of(&one.body)));
        prop_assert_eq!(value_of(&resolution.document), merged);
        let places: Vec<usize> = resolution.verdicts.iter().filter_map(|verdict| {
            match verdict.outcome {
                Outcome::Applied { place, .. } => Some(place),
                Outcome::Rejected { .. } => None,
            }
        }).collect();
        prop_assert_eq!(places, (1..=applied.len()).collect::<Vec<_>>());
        prop_assert_eq!(resolution.verdicts.len(), candidates.len());
    }

    #[test]
    fn what_lost_can_be_left_out(candidates in candidates(), question in question()) {
        let full = resolve(&candidates, &question).unwrap();
        let applied: Vec<Candidate> =
            applied(&full, &candidates).into_iter().cloned().collect();
        let without = resolve(&applied, &question).unwrap();
        prop_assert_eq!(&without.document, &full.document);
        prop_assert_eq!(&without.origins, &full.origins);
        let outcomes: Vec<_> = full.verdicts.into_iter()
            .filter(|verdict| matches!(verdict.outcome, Outcome::Applied { .. })).collect();
        prop_assert_eq!(without.verdicts, outcomes);
    }

    #[test]
    fn a_candidate_twice_is_refused(
        candidates in candidates().prop_filter("one at least", |all| !all.is_empty()),
        question in question(),
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
    ) {
        let mut twice = candidates.clone();
        let again = which.get(&candidates).clone();
        let id = again.id;
        twice.insert(place.index(candidates.len()), again);
        prop_assert_eq!(resolve(&twice, &question), Err(Unresolvable::Twice(id)));
    }

    #[test]
    fn every_leaf_has_an_origin_which_applies_and_says_it(
        candidates in candidates(),
        question in question(),
    ) {
        let resolution = resolve(&candidates, &question).unwrap();
        let document = value_of(&resolution.document);
        let applied = applied(&resolution, &candidates);
        let mut pointers = leaves(&document);
        pointers.sort();
        prop_assert_eq!(resolution.origins.keys().cloned().collect::<Vec<_>>(), pointers);
        for (pointer, origin) in &resolution.origins {
            let says = |one: &Candidate| {
                alone(one).pointer(pointer) == document.pointer(pointer)
            };
            let strongest = applied.iter().rev().find(|one| {
                alone(one).pointer(pointer).is_some_and(|value| {
                    !value.is_object() || value == &json!({})
                })
            }).unwrap();
            prop_assert!(says(strongest), "{}", pointer);
            prop_assert_eq!(origin.id, strongest.id);
            prop_assert_eq!(origin.layer, strongest.config_type);
        }
    }

    #[test]
    fn the_strongest_gets_all_it_says(candidates in candidates(), question in question()) {
        let resolution = resolve(&candidates, &question).unwrap();
        if let Some(strongest) = applied(&resolution, &candidates).last() {
            let own = alone(strongest);
            for pointer in leaves(&own) {
                if own.pointer(&pointer) != Some(&json!({})) {
                    let document = value_of(&resolution.document);
                    prop_assert_eq!(document.pointer(&pointer), own.pointer(&pointer));
                    prop_assert_eq!(resolution.origins[&pointer].id, strongest.id);
                }
            }
        }
    }

    #[test]
    fn each_key_of_one_that_applies_is_in_force_or_overridden_by_a_stronger_one(
        candidates in candidates(),
        question in question(),
    ) {
        let resolution = resolve(&candidates, &question).unwrap();
        let applied = applied(&resolution, &candidates);
        let place = |id| applied.iter().position(|one| one.id == id).unwrap();
        for verdict in &resolution.verdicts {
            let Outcome::Applied { overridden, overridden_more, .. } = &verdict.outcome else {
                continue;
            };
            prop_assert_eq!(*overridden_more, 0);
            for lost in overridden {
                prop_assert!(place(lost.by) > place(verdict.id));
            }
            let own = alone(applied[place(verdict.id)]);
            for pointer in leaves(&own) {
                let in_force = resolution.origins.get(&pointer).is_some_and(|o| o.id == verdict.id);
                let is_lost = overridden.iter().any(|lost| lost.pointer == pointer);
                // An empty object laid over another one says nothing.
                let says = own.pointer(&pointer) != Some(&json!({}));
                prop_assert!(!says || in_force != is_lost, "{} {:?}", pointer, verdict);
            }
        }
    }

    #[test]
    fn one_alone_is_its_body_without_nulls(candidate in candidate(), question in question()) {
        let resolution = resolve(std::slice::from_ref(&candidate), &question).unwrap();
        match &resolution.verdicts[0].outcome {
            Outcome::Applied { place: 1, .. } => {
                prop_assert_eq!(value_of(&resolution.document), alone(&candidate));
            }
            _ => prop_assert_eq!(value_of(&resolution.document), json!({})),
        }
    }

    #[test]
    fn a_narrower_question_never_makes_more_apply(
        candidates in candidates(),
        question in question(),
    ) {
        let count = |question: &Question| {
            applied(&resolve(&candidates, question).unwrap(), &candidates).len()
        };
        let all = count(&question);
        for narrower in [
            Question { team: None, ..question.clone() },
            Question { name: None, ..question.clone() },
            Question { severity: None, ..question.clone() },
            Question { agent: None, ..question.clone() },
        ] {
            prop_assert!(count(&narrower) <= all);
        }
    }
}

#[test]
fn nothing_resolves_to_nothing() {
    let resolution = resolve(&[], &Question::default()).unwrap();
    assert_eq!(
        serde_json::to_value(resolution).unwrap(),
        json!({
            "document": {}, "origins": {}, "verdicts": [],
        })
    );
}

/// Those of `count` bodies that all apply.
fn many(count: u128, body: impl Fn(u128) -> Value) -> Vec<Candidate> {
    (0..count)
        .map(|number| Candidate {
            id: ConfigId::from_uuid(Uuid::from_u128(number + 1)),
            name: format!("configuration {number}").parse().unwrap(),
            config_type: ConfigType::ALL[usize::try_from(number % 5).unwrap()],
            status: ConfigStatus::Active,
            is_active: true,
            is_global: false,
            priority: i32::try_from(number % 7).unwrap(),
            team_id: None,
            team_pattern: Some("team-.*".parse().unwrap()),
            name_pattern: Some("(cpu|triage).*".parse().unwrap()),
            severity_pattern: Some("high|critical".parse().unwrap()),
            body: Document::try_from(body(number)).unwrap(),
        })
        .collect()
}

fn everything() -> Question {
    Question {
        team: Some(team(1)),
        name: Some("cpu-load".parse().unwrap()),
        severity: Some(Severity::High),
        agent: Some("triage-bot".parse().unwrap()),
    }
}

/// `cargo test --release -p brownie-domain -- --nocapture thousand` shows the figure.
#[test]
fn a_thousand_candidates_of_a_hundred_keys_are_resolved_soon() {
    let candidates = many(1_000, |number| {
        let members = (0..100).map(|key| (format!("key-{}", (number + key) % 300), json!(number)));
        json!({"of": number, "nested": {"all": members.collect::<Map<_, _>>()}})
    });
    let start = Instant::now();
    let resolution = resolve(&candidates, &everything()).unwrap();
    let took = start.elapsed();
    eprintln!("1,000 candidates, 101,000 keys: {took:?}");
    assert_eq!(resolution.origins.len(), 301);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn overridden_keys_are_listed_up_to_a_limit() {
    let all = |number: u128| {
        Value::Object((0..150).map(|key| (format!("key-{key}"), json!(number))).collect())
    };
    let resolution = resolve(&many(2, all), &everything()).unwrap();
    // The first is of the layer organization, the second of the layer team.
    let Outcome::Applied { overridden, overridden_more, .. } = &resolution.verdicts[0].outcome
    else {
        panic!("{resolution:?}");
    };
    assert_eq!((overridden.len(), *overridden_more), (100, 50));
}

#[test]
fn what_grows_too_large_together_is_refused() {
    let candidates = many(3, |number| json!({format!("key-{number}"): "x".repeat(100_000)}));
    assert!(resolve(&candidates[..2], &everything()).is_ok());
    assert_eq!(
        resolve(&candidates, &everything()).unwrap_err().to_string(),
        "the merged document must have at most 262144 bytes, not 300034; make the configurations \
         that apply smaller"
    );
}
