//! The resolution: all that applies, merged, and the whole story of how it came about.

use std::collections::{BTreeMap, HashSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Candidate, Question, Reason, merge::Merged};
use crate::{ConfigId, ConfigName, ConfigType, Document, Invalid};

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Resolution {
    /// Everything that applies, merged.
    pub document: Document,
    /// Where each leaf of the document came from, by JSON pointer (RFC 6901). A leaf is anything
    /// but an object that has members. When several said the same, it is the strongest of them.
    pub origins: BTreeMap<String, Origin>,
    /// What became of each candidate, the weakest first.
    pub verdicts: Vec<Verdict>,
}

impl Resolution {
    /// The most bytes that the bodies of those that apply may have together: eight of the largest.
    pub const MAX_BODIES: usize = 8 * Document::MAX_BYTES;
}

/// The configuration that a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Origin {
    /// Its id.
    pub id: ConfigId,
    /// Its layer.
    pub layer: ConfigType,
}

/// What became of one candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verdict {
    /// Its id.
    pub id: ConfigId,
    /// Its name.
    pub name: ConfigName,
    /// Its layer.
    pub layer: ConfigType,
    /// Its priority in the layer.
    pub priority: i32,
    /// Whether it applies.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Whether a candidate applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It does.
    Applied {
        /// Its place in the order of merging, from 1, the weakest.
        place: usize,
        /// Its keys that stronger ones set or removed, at most [`Overridden::MAX`].
        overridden: Vec<Overridden>,
        /// How many more there are.
        overridden_more: usize,
    },
    /// It does not.
    Rejected {
        /// Why.
        reason: Reason,
    },
}

/// A key that a stronger configuration set or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Overridden {
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    /// Who did.
    pub by: ConfigId,
}

impl Overridden {
    /// The most that are listed for a candidate.
    pub const MAX: usize = 100;
}

/// Why candidates cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolvable {
    /// Two have one id. They may differ, so that neither is right.
    #[error("configuration {0} is there twice")]
    Twice(ConfigId),
    /// The bodies of those that apply are more than can be merged.
    #[error(
        "the configurations that apply have {bytes} bytes together, more than {}; make them smaller",
        Resolution::MAX_BODIES
    )]
    TooMuch {
        /// How many bytes they have.
        bytes: usize,
    },
    /// The result is no [`Document`]: each is small enough, all together are not.
    #[error("the merged {0}; make the configurations that apply smaller")]
    TooLarge(#[from] Invalid),
}

/// Finds what applies to `question` and merges it.
///
/// The strength of a candidate is its layer ([`ConfigType::strength`]), then its priority, then its
/// id: ids of version 7 grow, so that the newer is stronger. From the weakest to the strongest, the
/// body of each that applies is laid over what there is, as an RFC 7396 merge patch: objects merge,
/// `null` removes a key, everything else replaces. Nothing depends on the order of `candidates`.
///
/// The time is linear in the size of all bodies; `n` candidates are sorted in `n log n`.
///
/// # Errors
///
/// When an id is there twice, what applies is more than [`Resolution::MAX_BODIES`], or the result is larger
/// than [`Document::MAX_BYTES`].
pub fn resolve(candidates: &[Candidate], question: &Question) -> Result<Resolution, Unresolvable> {
    let mut ids = HashSet::new();
    if let Some(twice) = candidates.iter().find(|candidate| !ids.insert(candidate.id)) {
        return Err(Unresolvable::Twice(twice.id));
    }
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_unstable_by_key(|candidate| candidate.strength());

    let outcomes: Vec<Result<(), Reason>> =
        order.iter().map(|candidate| candidate.applies_to(question)).collect();
    let bodies = bodies(&order, &outcomes)?;

    let mut merged = Merged::new();
    let mut places = 0;
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(order.len());
    for (index, ((candidate, outcome), body)) in order.iter().zip(outcomes).zip(&bodies).enumerate()
    {
        let outcome = match outcome {
            Ok(()) => {
                merged.lay(body, index, |pointer, owner| {
                    if let Some(Verdict { outcome, .. }) = verdicts.get_mut(owner) {
                        outcome.lose(pointer, candidate.id);
                    }
                });
                places += 1;
                Outcome::Applied { place: places, overridden: Vec::new(), overridden_more: 0 }
            }
            Err(reason) => Outcome::Rejected { reason },
        };
        verdicts.push(Verdict {
            id: candidate.id,
            name: candidate.name.clone(),
            layer: candidate.config_type,
            priority: candidate.priority,
            outcome,
        });
    }

    let mut origins = BTreeMap::new();
    merged.each_leaf(|pointer, by| {
        if let Some(Verdict { id, layer, .. }) = verdicts.get(by) {
            origins.insert(pointer.to_owned(), Origin { id: *id, layer: *layer });
        }
    });
    Ok(Resolution { document: Document::try_from(merged.into_value())?, origins, verdicts })
}

/// Reads the bodies of those that apply; of the others, none.
fn bodies(
    order: &[&Candidate],
    outcomes: &[Result<(), Reason>],
) -> Result<Vec<Map<String, Value>>, Unresolvable> {
    let applied = order.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok());
    let bytes: usize = applied.map(|(candidate, _)| candidate.body.text().len()).sum();
    if bytes > Resolution::MAX_BODIES {
        return Err(Unresolvable::TooMuch { bytes });
    }
    let read = |(candidate, outcome): (&&Candidate, &Result<(), Reason>)| match outcome {
        Ok(()) => Ok(candidate.body.members()?),
        Err(_) => Ok(Map::new()),
    };
    order.iter().zip(outcomes).map(read).collect()
}

impl Outcome {
    fn lose(&mut self, pointer: &str, by: ConfigId) {
        if let Self::Applied { overridden, overridden_more, .. } = self {
            if overridden.len() < Overridden::MAX {
                overridden.push(Overridden { pointer: pointer.to_owned(), by });
            } else {
                *overridden_more += 1;
            }
        }
    }
}
