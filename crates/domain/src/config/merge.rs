//! The merge: JSON merge patch (RFC 7396), keeping in mind who said what.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What was merged so far. Values are borrowed until the end: however much is merged, only the
/// result is copied.
pub(super) struct Merged<'a> {
    root: Branch<'a>,
}

/// An object.
struct Branch<'a> {
    members: BTreeMap<&'a str, Node<'a>>,
    /// The last who said that it is one.
    by: usize,
}

enum Node<'a> {
    Branch(Branch<'a>),
    Leaf(&'a Value, usize),
}

impl<'a> Merged<'a> {
    pub(super) fn new() -> Self {
        Self { root: Branch { members: BTreeMap::new(), by: 0 } }
    }

    /// Lays the body of `by` over what there is. Objects merge, `null` removes, anything else
    /// replaces. Calls `lost` for each leaf of somebody else that is gone: its pointer, and whose it
    /// was.
    pub(super) fn lay(
        &mut self,
        body: &'a Map<String, Value>,
        by: usize,
        mut lost: impl FnMut(&str, usize),
    ) {
        self.root.lay(body, by, &mut String::new(), &mut lost);
    }

    /// Calls `found` with the pointer of every leaf, and with who said it. A leaf is what is no
    /// object, or an empty one.
    pub(super) fn each_leaf(&self, mut found: impl FnMut(&str, usize)) {
        for (key, node) in &self.root.members {
            inside(&mut String::new(), key, |at| node.each_leaf(at, &mut found));
        }
    }

    pub(super) fn into_value(self) -> Value {
        self.root.into_value()
    }
}

impl<'a> Branch<'a> {
    fn lay(
        &mut self,
        patch: &'a Map<String, Value>,
        by: usize,
        at: &mut String,
        lost: &mut impl FnMut(&str, usize),
    ) {
        self.by = by;
        for (key, value) in patch {
            inside(at, key, |at| self.set(key, value, by, at, lost));
        }
    }

    fn set(
        &mut self,
        key: &'a str,
        value: &'a Value,
        by: usize,
        at: &mut String,
        lost: &mut impl FnMut(&str, usize),
    ) {
        match value {
            Value::Null => {
                if let Some(old) = self.members.remove(key) {
                    old.each_leaf(at, lost);
                }
            }
            Value::Object(patch) => {
                let old = self.members.get_mut(key);
                if let Some(node) = old.as_deref().filter(|node| node.is_leaf()) {
                    node.each_leaf(at, lost);
                }
                if let Some(Node::Branch(branch)) = old {
                    branch.lay(patch, by, at, lost);
                } else {
                    let mut branch = Branch { members: BTreeMap::new(), by };
                    branch.lay(patch, by, at, lost);
                    self.members.insert(key, Node::Branch(branch));
                }
            }
            leaf => {
                if let Some(old) = self.members.insert(key, Node::Leaf(leaf, by)) {
                    old.each_leaf(at, lost);
                }
            }
        }
    }

    fn into_value(self) -> Value {
        let members = self.members.into_iter().map(|(key, node)| {
            let value = match node {
                Node::Branch(branch) => branch.into_value(),
                Node::Leaf(value, _) => value.clone(),
            };
            (key.to_owned(), value)
        });
        Value::Object(members.collect())
    }
}

impl Node<'_> {
    fn is_leaf(&self) -> bool {
        match self {
            Self::Branch(branch) => branch.members.is_empty(),
            Self::Leaf(..) => true,
        }
    }

    fn each_leaf(&self, at: &mut String, found: &mut impl FnMut(&str, usize)) {
        match self {
            Self::Leaf(_, by) => found(at, *by),
            Self::Branch(branch) if branch.members.is_empty() => found(at, branch.by),
            Self::Branch(branch) => {
                for (key, node) in &branch.members {
                    inside(at, key, |at| node.each_leaf(at, found));
                }
            }
        }
    }
}

/// Calls `work` with the pointer of the member `key` of what `at` points to.
fn inside(at: &mut String, key: &str, work: impl FnOnce(&mut String)) {
    let length = at.len();
    at.push('/');
    for c in key.chars() {
        match c {
            '~' => at.push_str("~0"),
            '/' => at.push_str("~1"),
            c => at.push(c),
        }
    }
    work(at);
    at.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merge(bodies: &[Value]) -> (Value, Vec<(String, usize)>, Vec<String>) {
        let mut merged = Merged::new();
        let mut lost = Vec::new();
        for (by, body) in bodies.iter().enumerate() {
            merged.lay(body.as_object().unwrap(), by, |pointer, owner| {
                lost.push(format!("{owner}{pointer} to {by}"));
            });
        }
        let mut leaves = Vec::new();
        merged.each_leaf(|pointer, by| leaves.push((pointer.to_owned(), by)));
        (merged.into_value(), leaves, lost)
    }

    /// The table of RFC 7396, appendix A, as far as it is about objects.
    #[test]
    fn the_examples_of_the_rfc() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(merge(&[target, patch]).0, result);
        }
    }

    #[test]
    fn nulls_inside_arrays_are_values() {
        assert_eq!(merge(&[json!({"a": [null]})]).0, json!({"a": [null]}));
    }

    #[test]
    fn who_said_what_is_kept() {
        let (value, leaves, lost) = merge(&[
            json!({"a": {"b": 1, "c": [1], "d": {}}, "e": {"f": 1, "g": 2}, "h": 1}),
            json!({"a": {"b": 1}, "e": 5, "h": null}),
            json!({"a": {"d": {"x/y": 1, "~": 2}}}),
        ]);
        assert_eq!(value, json!({"a": {"b": 1, "c": [1], "d": {"x/y": 1, "~": 2}}, "e": 5}));
        let leaves: Vec<_> = leaves.iter().map(|(p, by)| (p.as_str(), *by)).collect();
        assert_eq!(leaves, [("/a/b", 1), ("/a/c", 0), ("/a/d/x~1y", 2), ("/a/d/~0", 2), ("/e", 1)]);
        assert_eq!(lost, ["0/a/b to 1", "0/e/f to 1", "0/e/g to 1", "0/h to 1", "0/a/d to 2"]);
    }

    #[test]
    fn who_empties_an_object_is_who_says_that_it_is_empty() {
        let (value, leaves, _) = merge(&[json!({"a": {"b": 1}}), json!({"a": {"b": null}})]);
        assert_eq!((value, leaves), (json!({"a": {}}), vec![("/a".to_owned(), 1)]));
    }
}
