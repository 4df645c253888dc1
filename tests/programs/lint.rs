//! `brownie-migrator lint`, as a developer and a pipeline run it.

use harness::run;
use serde_json::Value;

#[test]
fn the_linter_needs_no_database_and_finds_nothing_in_our_own_migrations() {
    let output = run("brownie-migrator", &["lint"], &[]).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with("0 found in "), "{text}");
}

#[test]
fn a_finding_has_its_place_and_its_exit_code_and_a_down_file_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let up = path("m1_names.up.sql");
    let lint = |arguments: &[&str]| {
        let output = run("brownie-migrator", &[&["lint"], arguments].concat(), &[]).unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };

    std::fs::write(&up, "SELECT 1;\nALTER TABLE teams\n    RENAME COLUMN name TO title;\n")
        .unwrap();
    std::fs::write(path("m1_names.down.sql"), "SELECT 1;").unwrap();
    let (code, text) = lint(&[&up, &path("m1_names.down.sql")]);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.starts_with(&format!("{up}:3:5: rename: `RENAME COLUMN name TO title`")),
        "{text}"
    );
    assert!(text.ends_with("\n1 found in 1 files\n"), "{text}");

    std::fs::remove_file(path("m1_names.down.sql")).unwrap();
    let (code, text) = lint(&["--json", &up]);
    let report: Value = serde_json::from_str(&text).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let rules: Vec<_> = findings.iter().filter_map(|finding| finding["rule"].as_str()).collect();
    assert_eq!((code, rules), (Some(3), vec!["missing-down", "rename"]));
    assert_eq!((&findings[1]["file"], &findings[1]["line"]), (&up.as_str().into(), &3.into()));

    std::fs::write(path("by_hand.sql"), "SELECT 1;").unwrap();
    assert_eq!(lint(&[&path("by_hand.sql")]), (Some(0), "0 found in 1 files\n".to_owned()));
    let (code, text) = lint(&[&path("not_there.sql")]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not_there.sql cannot be read"), "{text}");
}
