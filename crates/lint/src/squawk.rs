//! The rules that squawk brings, under our names, for what was there before.

use std::ops::Range;

use squawk_linter::{Linter, LinterSettings, Rule as Squawk};
use squawk_syntax::{
    SourceFile, SyntaxKind, SyntaxNode,
    ast::{AstNode, Stmt},
};

use crate::{
    Rule,
    script::{Found, Script, Statement},
};

/// Which of squawk's rules are used, and what they are called here.
const USED: &[(Squawk, Rule)] = &[
    (Squawk::RequireConcurrentIndexCreation, Rule::IndexNotConcurrent),
    (Squawk::DisallowedUniqueConstraint, Rule::IndexNotConcurrent),
    (Squawk::AddingSerialPrimaryKeyField, Rule::IndexNotConcurrent),
    (Squawk::RequireConcurrentIndexDeletion, Rule::IndexDropNotConcurrent),
    (Squawk::AddingNotNullableField, Rule::SetNotNull),
    (Squawk::AddingRequiredField, Rule::RequiredColumn),
    (Squawk::AddingFieldWithDefault, Rule::VolatileDefault),
    (Squawk::ChangingColumnType, Rule::ColumnType),
    (Squawk::RenamingTable, Rule::Rename),
    (Squawk::RenamingColumn, Rule::Rename),
    (Squawk::RenamingObject, Rule::Rename),
    (Squawk::BanSetSchema, Rule::Rename),
    (Squawk::BanDropTable, Rule::DropInUse),
    (Squawk::BanDropColumn, Rule::DropInUse),
    (Squawk::BanDropConstraint, Rule::DropInUse),
    (Squawk::BanDropView, Rule::DropInUse),
    (Squawk::BanDropFunction, Rule::DropInUse),
    (Squawk::BanDropType, Rule::DropInUse),
    (Squawk::BanDropDomain, Rule::DropInUse),
    (Squawk::BanDropSequence, Rule::DropInUse),
    (Squawk::BanDropSchema, Rule::DropInUse),
    (Squawk::BanDropDatabase, Rule::DropInUse),
    (Squawk::ConstraintMissingNotValid, Rule::ConstraintValidated),
    (Squawk::AddingForeignKeyConstraint, Rule::ConstraintValidated),
    (Squawk::RequireConcurrentReindex, Rule::TableLock),
    (Squawk::RequireConcurrentPartitionDetach, Rule::TableLock),
];

/// Whose names only a later migration asks for: no service does.
const UNSEEN: &[SyntaxKind] =
    &[SyntaxKind::ALTER_INDEX, SyntaxKind::ALTER_POLICY, SyntaxKind::ALTER_TRIGGER];

/// Asks squawk, and leaves out what is about things that the file itself made.
pub(crate) fn find(script: &Script<'_>) -> Vec<Found> {
    let sql = script.for_squawk();
    let parse = SourceFile::parse(&sql);
    let root = parse.syntax_node();
    let mut linter = Linter::from(USED.iter().map(|(theirs, _)| *theirs));
    linter.settings = LinterSettings { assume_in_transaction: true, ..LinterSettings::default() };
    let mut found: Vec<Found> = Vec::new();
    for violation in linter.lint(&parse, &sql) {
        let Some((_, rule)) = USED.iter().find(|(theirs, _)| *theirs == violation.code) else {
            continue;
        };
        let at: Range<usize> = violation.text_range.into();
        let Some(statement) =
            script.statement_at(at.start).and_then(|at| script.statements.get(at))
        else {
            continue;
        };
        let unseen = *rule == Rule::Rename && UNSEEN.contains(&statement.node.kind());
        if statement.of_new || unseen || is_said_otherwise(&root, violation.code, &at) {
            continue;
        }
        found.push(script.found(*rule, &action(statement, at.start)));
    }
    found
}

/// Returns the whole of what a statement does at a place: of an ALTER TABLE, the one action.
fn action(statement: &Statement, place: usize) -> SyntaxNode {
    let mut actions = match &statement.stmt {
        Stmt::AlterTable(table) => Some(table.actions()),
        _ => None,
    };
    let nodes = actions.iter_mut().flatten().map(|action| action.syntax().clone());
    let mut here = nodes.filter(|node| Range::<usize>::from(node.text_range()).contains(&place));
    here.next().unwrap_or_else(|| statement.node.clone())
}

/// Tells whether something that squawk minds is another rule's, or is no trouble.
fn is_said_otherwise(root: &SyntaxNode, code: Squawk, at: &Range<usize>) -> bool {
    let mut nodes = root.descendants().filter(|node| {
        let range = node.text_range();
        usize::from(range.start()) >= at.start && usize::from(range.end()) <= at.end
    });
    match code {
        // A key cannot be NOT VALID; that it makes an index is a rule of its own.
        Squawk::ConstraintMissingNotValid => nodes.any(|node| {
            matches!(
                node.kind(),
                SyntaxKind::PRIMARY_KEY_CONSTRAINT | SyntaxKind::UNIQUE_CONSTRAINT
            )
        }),
        // squawk takes whatever it does not know for volatile, a sign before a number, too.
        Squawk::AddingFieldWithDefault => nodes.all(|node| {
            matches!(
                node.kind(),
                SyntaxKind::PREFIX_EXPR | SyntaxKind::PAREN_EXPR | SyntaxKind::LITERAL
            )
        }),
        _ => false,
    }
}
