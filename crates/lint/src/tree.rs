//! Names in syntax trees.

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{AstNode, PathSegment, PathSegmentRef},
};

/// A name as PostgreSQL knows it: unquoted ones in lower case, and no schema where it is `public`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name(String);

impl Name {
    /// Of a `PATH` or `PATH_REF`.
    pub(crate) fn of_path(path: &SyntaxNode) -> Self {
        let segments: Vec<String> = path
            .descendants()
            .filter_map(|node| {
                PathSegment::cast(node.clone())
                    .map(|segment| segment.text())
                    .or_else(|| PathSegmentRef::cast(node).map(|segment| segment.text()))
            })
            .collect();
        Self::of_segments(&segments)
    }

    /// Of a name in a string, as functions that take a regclass are given it.
    pub(crate) fn of_text(text: &str) -> Self {
        let segments: Vec<String> = text.split('.').map(unquoted).collect();
        Self::of_segments(&segments)
    }

    fn of_segments(segments: &[String]) -> Self {
        let segments = match segments {
            [schema, rest @ ..] if schema == "public" && !rest.is_empty() => rest,
            all => all,
        };
        Self(segments.join("."))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reads one name as PostgreSQL does.
pub(crate) fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}

/// Returns the name that a statement gives to what it makes.
pub(crate) fn made_by(statement: &SyntaxNode) -> Option<Name> {
    statement
        .descendants()
        .find(|node| node.kind() == SyntaxKind::PATH)
        .map(|path| Name::of_path(&path))
}

/// Returns the first name that a node refers to.
pub(crate) fn referred(node: &SyntaxNode) -> Option<Name> {
    node.descendants()
        .find(|node| node.kind() == SyntaxKind::PATH_REF)
        .map(|path| Name::of_path(&path))
}

/// Returns the things that a statement changes or drops, as far as they are told by name.
pub(crate) fn targets(statement: &SyntaxNode) -> Vec<Name> {
    let is_path = |node: &SyntaxNode| node.kind() == SyntaxKind::PATH_REF;
    let paths = statement
        .descendants()
        .filter(|node| is_path(node) && !node.parent().as_ref().is_some_and(is_path))
        .map(|path| Name::of_path(&path));
    // Others name one thing, and then whatever else they speak of.
    let many = matches!(statement.kind(), SyntaxKind::LOCK | SyntaxKind::TRUNCATE)
        || format!("{:?}", statement.kind()).starts_with("DROP_");
    if many { paths.collect() } else { paths.take(1).collect() }
}

/// Tells whether a node has a token or node of a kind, at any depth.
pub(crate) fn has(node: &SyntaxNode, kind: SyntaxKind) -> bool {
    node.descendants_with_tokens().any(|element| element.kind() == kind)
}
