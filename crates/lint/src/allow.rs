//! Exceptions: `-- lint: allow <rule> because <reason>`, on a line before the statement.

use std::ops::Range;

use crate::{
    Rule,
    script::{Comment, Found, Script},
};

/// What a comment of ours begins with.
const MARK: &str = "lint:";

/// An exception.
struct Allow {
    rule: Rule,
    /// The statement that follows.
    statement: usize,
    at: Range<usize>,
    used: bool,
}

/// Takes out what is allowed, and adds the exceptions that allow nothing.
pub(crate) fn apply(script: &Script<'_>, found: Vec<Found>) -> Vec<Found> {
    let mut allows = Vec::new();
    let mut left = Vec::new();
    for comment in &script.comments {
        match comment.text.strip_prefix(MARK).map(|words| read(script, comment, words.trim())) {
            None => {}
            Some(Ok(allow)) => allows.push(allow),
            Some(Err(what)) => left.push(bad(comment.at.clone(), what)),
        }
    }
    for found in found {
        let statement = script.statement_at(found.at.start);
        let mut meant = allows
            .iter_mut()
            .filter(|allow| allow.rule == found.rule && Some(allow.statement) == statement)
            .peekable();
        if meant.peek().is_none() {
            left.push(found);
        } else {
            // One would do: of two that say the same, the second is left over.
            meant.take(1).for_each(|allow| allow.used = true);
        }
    }
    let unused = allows.into_iter().filter(|allow| !allow.used);
    left.extend(unused.map(|allow| {
        bad(allow.at, format!("the statement after it does not break {}", allow.rule))
    }));
    left
}

fn bad(at: Range<usize>, what: String) -> Found {
    Found { rule: Rule::BadAllow, at, what }
}

fn read(script: &Script<'_>, comment: &Comment, words: &str) -> Result<Allow, String> {
    let (verb, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    if verb != "allow" {
        return Err(format!("{verb:?} is nothing that can be said here but `allow`"));
    }
    let (name, reason) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
    let rule = Rule::of_name(name).ok_or_else(|| format!("there is no rule {name:?}"))?;
    if rule == Rule::BadAllow {
        return Err(format!("{rule} cannot be allowed"));
    }
    let reason = reason.trim().strip_prefix("because").map(str::trim);
    if reason.is_none_or(|reason| !reason.contains(char::is_alphabetic)) {
        return Err(format!("{rule} is allowed without a reason"));
    }
    if script.statement_at(comment.at.start).is_some() {
        return Err("it stands in a statement, not before it".to_owned());
    }
    let next = script.statements.iter().position(|statement| statement.at.start > comment.at.start);
    let statement = next.ok_or("no statement comes after it")?;
    Ok(Allow { rule, statement, at: comment.at.clone(), used: false })
}
