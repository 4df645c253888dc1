//! Tables of tenants' rows: whose each row is, and the wall around them.

use std::collections::HashMap;

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{AlterTableAction, AstNode, CreateTable, Stmt},
};

use crate::{
    Rule,
    script::{Found, Script},
    tree::{self, Name, has},
};

/// The table of the tenants themselves: its `id` is the tenant.
pub(crate) const TENANTS: &str = "organizations";
/// What says whose a row is.
pub(crate) const ORG_ID: &str = "org_id";
/// The function of our migrations that enables, forces, and makes the policy.
const WALL_IN: &str = "wall_in";
/// The setting that a policy compares with.
const SETTING: &str = "app.org_id";

/// What a wall of row-level security is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Enable,
    Force,
    Policy,
}

/// How far a table is from being guarded by row-level security.
#[derive(Debug)]
struct Wall {
    missing: Vec<Part>,
    /// What made the table, or last took something away.
    because: Found,
}

pub(crate) fn find(script: &Script<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    let mut walls: HashMap<Name, Wall> = HashMap::new();
    for statement in &script.statements {
        let node = &statement.node;
        match &statement.stmt {
            Stmt::CreateTable(table) => {
                let Some(name) = of_tenants(node) else { continue };
                let is_partition = table.partition_of().is_some();
                if !is_partition && !has_org_id(table) {
                    found.push(script.found(Rule::TenantWithoutOrgId, node));
                    continue;
                }
                let because = script.found(Rule::TenantWithoutWall, node);
                // A partition is reached through its table, whose wall holds; by its own name
                // nobody may, if only it has one.
                let missing = if is_partition {
                    vec![Part::Enable]
                } else {
                    vec![Part::Enable, Part::Force, Part::Policy]
                };
                // A second one of the name is IF NOT EXISTS, and makes nothing.
                walls.entry(name).or_insert(Wall { missing, because });
            }
            Stmt::CreateTableAs(_) | Stmt::SelectInto(_) if of_tenants(node).is_some() => {
                found.push(script.found(Rule::TenantWithoutOrgId, node));
            }
            Stmt::AlterTable(table) => {
                let Some(name) = tree::referred(node) else { continue };
                for action in table.actions() {
                    alter(&mut walls, &name, &action, script);
                }
            }
            Stmt::CreatePolicy(_) if node.text().to_string().contains(SETTING) => {
                if let Some(wall) = tree::referred(node).and_then(|name| walls.get_mut(&name)) {
                    wall.missing.retain(|part| *part != Part::Policy);
                }
            }
            Stmt::Select(_) => {
                for name in walled_in(node) {
                    if let Some(wall) = walls.get_mut(&name) {
                        wall.missing.clear();
                    }
                }
            }
            _ => {}
        }
    }
    let open = walls.into_values().filter(|wall| !wall.missing.is_empty());
    found.extend(open.map(|wall| wall.because));
    found
}

/// Returns the table that a statement makes, if it may hold tenants' rows after the session.
fn of_tenants(node: &SyntaxNode) -> Option<Name> {
    let temporary = has(node, SyntaxKind::TEMP_KW) || has(node, SyntaxKind::TEMPORARY_KW);
    tree::made_by(node).filter(|name| !temporary && name.as_str() != TENANTS)
}

fn has_org_id(table: &CreateTable) -> bool {
    let columns = table.table_arg_list().into_iter().flat_map(|list| {
        list.syntax().descendants().filter(|node| node.kind() == SyntaxKind::COLUMN_NAME)
    });
    columns.map(|column| column.text().to_string()).any(|name| tree::unquoted(&name) == ORG_ID)
}

/// Takes note of what a statement does to a wall. One that existed stands, until it is taken down.
fn alter(
    walls: &mut HashMap<Name, Wall>,
    name: &Name,
    action: &AlterTableAction,
    script: &Script<'_>,
) {
    let (part, is_put_up) = match action {
        AlterTableAction::EnableRls(_) => (Part::Enable, true),
        AlterTableAction::DisableRls(_) => (Part::Enable, false),
        AlterTableAction::ForceRls(_) => (Part::Force, true),
        AlterTableAction::NoForceRls(_) => (Part::Force, false),
        _ => return,
    };
    let because = || script.found(Rule::TenantWithoutWall, action.syntax());
    let wall = walls
        .entry(name.clone())
        .or_insert_with(|| Wall { missing: Vec::new(), because: because() });
    wall.missing.retain(|missing| *missing != part);
    if !is_put_up {
        wall.missing.push(part);
        wall.because = because();
    }
}

/// Returns the tables that calls of `wall_in` name.
fn walled_in(select: &SyntaxNode) -> Vec<Name> {
    let calls = select.descendants().filter(|node| node.kind() == SyntaxKind::CALL_EXPR);
    calls
        .filter_map(|call| {
            let text = call.text().to_string();
            let (function, rest) = text.split_once('(')?;
            let function = function.trim().rsplit('.').next()?;
            let table = rest.split('\'').nth(1)?;
            (function == WALL_IN).then(|| Name::of_text(table))
        })
        .collect()
}

/// Returns the tables of a script that are nobody's: temporary ones, and those without `org_id`.
pub(crate) fn not_of_tenants(script: &Script<'_>) -> Vec<Name> {
    let nobodys = script.statements.iter().filter(|statement| match &statement.stmt {
        Stmt::CreateTable(table) => {
            of_tenants(&statement.node).is_none()
                || (table.partition_of().is_none() && !has_org_id(table))
        }
        Stmt::CreateTableAs(_) | Stmt::SelectInto(_) => true,
        _ => false,
    });
    nobodys.filter_map(|statement| tree::made_by(&statement.node)).collect()
}
