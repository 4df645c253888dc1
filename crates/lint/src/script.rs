//! A file as statements.

use std::{collections::HashSet, ops::Range};

use squawk_syntax::{
    Parse, SourceFile, SyntaxKind, SyntaxNode,
    ast::{AstNode, Stmt},
};

use crate::{
    Finding, Rule,
    tree::{self, Name},
};

/// The first line of a migration that the migrator runs outside a transaction.
const NO_TRANSACTION: &str = "-- no-transaction";

/// A rule that is broken, before it is known whether that is allowed.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) rule: Rule,
    /// Where, in bytes.
    pub(crate) at: Range<usize>,
    /// What was found.
    pub(crate) what: String,
}

/// One statement.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) stmt: Stmt,
    pub(crate) node: SyntaxNode,
    /// Where, in bytes.
    pub(crate) at: Range<usize>,
    /// Whether all it changes or drops was made earlier in the same file.
    pub(crate) of_new: bool,
    /// Whether it runs in a transaction with others.
    pub(crate) in_transaction: bool,
}

/// A comment.
#[derive(Debug)]
pub(crate) struct Comment {
    /// Without what marks it as a comment.
    pub(crate) text: String,
    pub(crate) at: Range<usize>,
}

#[derive(Debug)]
pub(crate) struct Script<'a> {
    sql: &'a str,
    is_pair: bool,
    parse: Parse<SourceFile>,
    /// The same text with blanks for comments.
    bare: String,
    pub(crate) statements: Vec<Statement>,
    pub(crate) comments: Vec<Comment>,
}

impl<'a> Script<'a> {
    pub(crate) fn read(name: &str, sql: &'a str) -> Self {
        let parse = SourceFile::parse(sql);
        let comments: Vec<Comment> = parse
            .syntax_node()
            .descendants_with_tokens()
            .filter(|element| element.kind() == SyntaxKind::COMMENT)
            .filter_map(|element| {
                let token = element.into_token()?;
                Some(Comment { text: body(token.text()), at: token.text_range().into() })
            })
            .collect();
        let is_pair = name.ends_with(".up.sql");
        let apart = sql.lines().next() == Some(NO_TRANSACTION);
        Self {
            sql,
            is_pair,
            bare: blank(sql, comments.iter().map(|comment| &comment.at)),
            statements: statements(&parse.tree(), is_pair, apart),
            comments,
            parse,
        }
    }

    /// What squawk is asked about: statements at their places, without comments, for it has
    /// exceptions of its own, and without new tables, for it has other thoughts of what is new.
    pub(crate) fn for_squawk(&self) -> String {
        let tables = self.statements.iter().filter(|it| matches!(it.stmt, Stmt::CreateTable(_)));
        blank(&self.bare, tables.map(|table| &table.at))
    }

    /// What the parser could not read.
    pub(crate) fn unreadable(&self) -> Vec<Found> {
        let errors = self.parse.errors();
        errors
            .into_iter()
            .map(|error| Found {
                rule: Rule::Syntax,
                at: error.range().into(),
                what: error.message().to_owned(),
            })
            .collect()
    }

    /// One half of a pair without the other, or with one that has no statement.
    pub(crate) fn missing_down(&self, down: Option<&str>) -> Option<Found> {
        let there =
            down.is_some_and(|down| SourceFile::parse(down).tree().stmts().next().is_some());
        let start = self.statements.first().map_or(0, |first| first.at.start);
        (self.is_pair && !there).then(|| Found {
            rule: Rule::MissingDown,
            at: start..start,
            what: "no .down.sql, or nothing in it".to_owned(),
        })
    }

    /// Returns the statement that holds a place.
    pub(crate) fn statement_at(&self, place: usize) -> Option<usize> {
        self.statements.iter().position(|statement| statement.at.contains(&place))
    }

    /// Found at a node, which is quoted.
    pub(crate) fn found(&self, rule: Rule, node: &SyntaxNode) -> Found {
        self.found_at(rule, node.text_range().into())
    }

    /// Found at a place, which is quoted.
    pub(crate) fn found_at(&self, rule: Rule, at: Range<usize>) -> Found {
        let text = self.bare.get(at.clone()).unwrap_or_default();
        let words: Vec<&str> = text.split_whitespace().collect();
        let words = words.join(" ");
        let mut what: String = words.trim_end_matches(';').chars().take(70).collect();
        if what.len() < words.trim_end_matches(';').len() {
            what.push_str(" ...");
        }
        Found { rule, at, what: format!("`{what}`") }
    }

    /// What is told about it.
    pub(crate) fn finding(&self, found: &Found) -> Finding {
        let before = self.sql.get(..found.at.start).unwrap_or(self.sql);
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        Finding {
            rule: found.rule,
            line: before.matches('\n').count() + 1,
            column: last_line.chars().count() + 1,
            message: format!("{}: {}", found.what, found.rule.why()),
            advice: found.rule.instead(),
        }
    }
}

/// Removes what marks a comment as one.
fn body(comment: &str) -> String {
    let inner =
        comment.strip_prefix("--").or_else(|| comment.strip_prefix("/*")?.strip_suffix("*/"));
    inner.unwrap_or(comment).trim().to_owned()
}

/// Writes blanks over parts of a text, one for each byte, and leaves lines as they are.
fn blank<'a>(text: &str, parts: impl Iterator<Item = &'a Range<usize>>) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut done = 0;
    for part in parts {
        bare.push_str(text.get(done..part.start).unwrap_or_default());
        let hidden = text.get(part.clone()).unwrap_or_default();
        bare.extend(hidden.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        done = part.end;
    }
    bare.push_str(text.get(done..).unwrap_or_default());
    bare
}

fn statements(file: &SourceFile, is_pair: bool, apart: bool) -> Vec<Statement> {
    let mut made: HashSet<Name> = HashSet::new();
    // The migrator sends a file as one message: outside a transaction, several statements are one.
    let mut in_transaction = is_pair && (!apart || file.stmts().count() > 1);
    let mut statements = Vec::new();
    for stmt in file.stmts() {
        let node = stmt.syntax().clone();
        match stmt {
            Stmt::Begin(_) => in_transaction = true,
            Stmt::Commit(_) | Stmt::Rollback(_) => in_transaction = false,
            _ => {}
        }
        let targets = tree::targets(&node);
        let of_new = !targets.is_empty() && targets.iter().all(|target| made.contains(target));
        if is_certainly_new(&node) {
            made.extend(tree::made_by(&node));
        }
        let at = node.text_range().into();
        statements.push(Statement { stmt, node, at, of_new, in_transaction });
    }
    statements
}

/// Tells whether a statement makes something that cannot have been there before.
fn is_certainly_new(node: &SyntaxNode) -> bool {
    let kind = format!("{:?}", node.kind());
    let maybe = [SyntaxKind::IF_NOT_EXISTS, SyntaxKind::OR_REPLACE];
    (kind.starts_with("CREATE_") || kind == "SELECT_INTO")
        && !node.children().any(|child| maybe.contains(&child.kind()))
}
