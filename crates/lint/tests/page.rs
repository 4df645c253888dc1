//! docs/migrations-lint.md has the rules as they are.

use brownie_lint::RULES;

#[test]
fn the_documented_rules_are_the_ones_that_are_applied() {
    let page = include_str!("../../../docs/migrations-lint.md");
    let rows: String = RULES
        .iter()
        .map(|rule| format!("| `{rule}` | {} | {} |\n", rule.why(), rule.instead()))
        .collect();
    assert!(page.contains(&rows), "docs/migrations-lint.md should have the rows:\n{rows}");
    assert_eq!(page.matches("\n| `").count(), RULES.len(), "a row of no rule");
}
