//! Keys, indexes and constraints: what leads them, and their names.

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{AstNode, Constraint, Stmt},
};

use crate::{
    Rule,
    script::{Found, Script},
    tenants::{ORG_ID, TENANTS, not_of_tenants},
    tree,
};

pub(crate) fn find(script: &Script<'_>) -> Vec<Found> {
    let others = not_of_tenants(script);
    let mut found = Vec::new();
    for statement in &script.statements {
        let node = &statement.node;
        let table = match &statement.stmt {
            Stmt::CreateTable(_) => tree::made_by(node),
            Stmt::AlterTable(_) | Stmt::CreateIndex(_) => tree::referred(node),
            _ => None,
        };
        let of_tenants =
            table.is_some_and(|name| name.as_str() != TENANTS && !others.contains(&name));
        if let Stmt::CreateIndex(index) = &statement.stmt {
            if index.index().is_none() {
                found.push(script.found(Rule::UnnamedConstraint, node));
            }
            if of_tenants && leader(node, SyntaxKind::PARTITION_ITEM).as_deref() != Some(ORG_ID) {
                found.push(script.found(Rule::KeyNotLedByOrgId, node));
            }
        }
        for constraint in node.descendants().filter_map(Constraint::cast) {
            if needs_name(&constraint) && constraint.constraint_name().is_none() {
                found.push(script.found(Rule::UnnamedConstraint, constraint.syntax()));
            }
            if of_tenants && key(&constraint).is_some_and(|leader| leader != ORG_ID) {
                found.push(script.found(Rule::KeyNotLedByOrgId, constraint.syntax()));
            }
        }
    }
    found
}

fn needs_name(constraint: &Constraint) -> bool {
    match constraint {
        Constraint::CheckConstraint(_)
        | Constraint::ExcludeConstraint(_)
        | Constraint::ForeignKeyConstraint(_)
        | Constraint::PrimaryKeyConstraint(_)
        | Constraint::ReferencesConstraint(_)
        | Constraint::UniqueConstraint(_) => true,
        Constraint::DefaultConstraint(_)
        | Constraint::GeneratedConstraint(_)
        | Constraint::NotNullConstraint(_)
        | Constraint::NullConstraint(_) => false,
    }
}

/// Returns the first column of a key, unless it is made of an index that is there.
fn key(constraint: &Constraint) -> Option<String> {
    let uses_index = match constraint {
        Constraint::PrimaryKeyConstraint(key) => key.using_index().is_some(),
        Constraint::UniqueConstraint(key) => key.using_index().is_some(),
        _ => return None,
    };
    if uses_index {
        return None;
    }
    let node = constraint.syntax();
    // Said at a column, the key is that column.
    leader(node, SyntaxKind::COLUMN_NAME_REF)
        .or_else(|| leader(&node.parent()?, SyntaxKind::COLUMN_NAME))
}

/// Returns what the first node of a kind says, as PostgreSQL reads names.
fn leader(node: &SyntaxNode, kind: SyntaxKind) -> Option<String> {
    let first = node.descendants().find(|child| child.kind() == kind)?;
    if kind != SyntaxKind::PARTITION_ITEM {
        return Some(tree::unquoted(&first.text().to_string()));
    }
    // An expression leads nothing that is asked for by a column.
    let column = first.first_child().filter(|child| child.kind() == SyntaxKind::NAME_REF)?;
    Some(tree::unquoted(&column.text().to_string()))
}
