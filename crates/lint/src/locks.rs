//! What locks longer than it says, and what squawk has no rule for.

use squawk_syntax::{
    SyntaxElement, SyntaxKind, SyntaxNode,
    ast::{AlterTableAction, AstNode, Constraint, Stmt},
};

use crate::{
    Rule,
    script::{Found, Script, Statement},
    tree::has,
};

const LOCK_TIMEOUT: &str = "lock_timeout";

pub(crate) fn find(script: &Script<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for statement in &script.statements {
        let node = &statement.node;
        if statement.in_transaction && needs_to_be_alone(statement) {
            found.push(script.found(Rule::ConcurrentlyInTransaction, node));
        }
        if !statement.of_new && locks_a_table(statement) {
            found.push(script.found(Rule::TableLock, node));
        }
        if matches!(statement.stmt, Stmt::Do(_)) {
            found.push(script.found(Rule::UnreadCode, node));
        }
        let settings = node.descendants().filter(is_without_limit);
        found.extend(settings.map(|setting| script.found(Rule::LockTimeoutOff, &setting)));
        if let Stmt::AlterTable(table) = &statement.stmt
            && !statement.of_new
        {
            let rewrites = table.actions().filter(rewrites);
            found.extend(rewrites.map(|action| script.found(Rule::TableLock, action.syntax())));
            found.extend(table.actions().flat_map(|action| of_new_column(script, &action)));
        }
    }
    found
}

fn needs_to_be_alone(statement: &Statement) -> bool {
    match statement.stmt {
        Stmt::Vacuum(_) => true,
        // REFRESH MATERIALIZED VIEW CONCURRENTLY may run in a transaction.
        Stmt::Refresh(_) => false,
        _ => has(&statement.node, SyntaxKind::CONCURRENTLY_KW),
    }
}

fn locks_a_table(statement: &Statement) -> bool {
    match &statement.stmt {
        Stmt::Lock(_) | Stmt::Truncate(_) | Stmt::Cluster(_) => true,
        Stmt::Vacuum(vacuum) => vacuum.is_full(),
        _ => false,
    }
}

/// What writes the whole table anew.
fn rewrites(action: &AlterTableAction) -> bool {
    matches!(
        action,
        AlterTableAction::SetAccessMethod(_)
            | AlterTableAction::SetLogged(_)
            | AlterTableAction::SetTablespace(_)
            | AlterTableAction::SetUnlogged(_)
    )
}

/// `SET lock_timeout` to nothing, in whatever statement, `RESET`, and `set_config`.
fn is_without_limit(node: &SyntaxNode) -> bool {
    let words = || {
        let tokens = node.descendants_with_tokens().filter_map(SyntaxElement::into_token);
        let words = tokens.filter(|token| !token.kind().is_trivia() && token.text() != ";");
        words.map(|token| token.text().trim_matches(['\'', '"']).to_lowercase()).collect::<Vec<_>>()
    };
    let is_nothing = |value: &String| {
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
        value == "default" || (!digits.is_empty() && digits.chars().all(|c| c == '0'))
    };
    if node.children().any(|child| child.kind() == SyntaxKind::CONFIG_PARAMETER_REF) {
        let words = words();
        let is_reset = words.first().is_some_and(|word| word == "reset");
        return words.iter().any(|word| word == LOCK_TIMEOUT)
            && (is_reset || words.last().is_some_and(is_nothing));
    }
    match node.kind() {
        SyntaxKind::RESET => words().iter().any(|word| word == "all"),
        SyntaxKind::CALL_EXPR => {
            let words = words();
            let is_setting = words.iter().any(|word| word == "set_config");
            let mut after = words.iter().skip_while(|word| *word != LOCK_TIMEOUT).skip(2);
            is_setting && after.next().is_some_and(is_nothing)
        }
        _ => false,
    }
}

/// A new column that brings a CHECK, which is tried on every row, or numbers the rows that are there.
fn of_new_column(script: &Script<'_>, action: &AlterTableAction) -> Vec<Found> {
    let AlterTableAction::AddColumn(column) = action else { return Vec::new() };
    let checks = column
        .constraints()
        .filter(|constraint| matches!(constraint, Constraint::CheckConstraint(_)))
        .map(|check| script.found(Rule::ConstraintValidated, check.syntax()));
    let serial = column
        .ty()
        .filter(|ty| ty.syntax().text().to_string().to_lowercase().contains("serial"))
        .map(|ty| script.found(Rule::VolatileDefault, ty.syntax()));
    checks.chain(serial).collect()
}
