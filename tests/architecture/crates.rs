//! Which crate may know which, and what none may show.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::Value;

/// Who may depend on whom, besides the leaves: docs/ARCHITECTURE.md draws it.
const ARROWS: &[(&str, &[&str])] = &[
    ("brownie-adopt", &["brownie-migration"]),
    ("brownie-api", &["brownie-auth", "brownie-cache", "brownie-persistence"]),
    ("brownie-auth", &[]),
    ("brownie-backup", &["brownie-migration"]),
    (
        "brownie-backup-worker",
        &["brownie-backup", "brownie-certs", "brownie-doctor", "brownie-migration"],
    ),
    ("brownie-bulkhead", &[]),
    ("brownie-cache", &[]),
    ("brownie-certs", &[]),
    ("brownie-config", &[]),
    ("brownie-doctor", &["brownie-certs", "brownie-migration"]),
    ("brownie-domain", &[]),
    ("brownie-lint", &[]),
    ("brownie-logging", &[]),
    ("brownie-metrics", &[]),
    ("brownie-migration", &[]),
    (
        "brownie-migrator",
        &[
            "brownie-adopt",
            "brownie-auth",
            "brownie-certs",
            "brownie-doctor",
            "brownie-lint",
            "brownie-migration",
            "brownie-persistence",
        ],
    ),
    ("brownie-persistence", &[]),
    (
        "brownie-server",
        &[
            "brownie-api",
            "brownie-auth",
            "brownie-cache",
            "brownie-certs",
            "brownie-doctor",
            "brownie-migration",
            "brownie-persistence",
        ],
    ),
    (
        "brownie-standalone",
        &[
            "brownie-api",
            "brownie-auth",
            "brownie-backup",
            "brownie-cache",
            "brownie-certs",
            "brownie-migration",
            "brownie-persistence",
        ],
    ),
];

/// Below these there is nothing of ours.
const LEAVES: &[&str] =
    &["brownie-bulkhead", "brownie-config", "brownie-domain", "brownie-logging", "brownie-metrics"];

/// What only one crate may use.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("actix-web", &["brownie-api"]),
    ("age", &["brownie-backup"]),
    ("chrono-tz", &["brownie-backup"]),
    ("croner", &["brownie-backup"]),
    ("deadpool-redis", &["brownie-cache"]),
    ("object_store", &["brownie-backup"]),
    ("opentelemetry", &["brownie-logging"]),
    ("opentelemetry_sdk", &["brownie-logging"]),
    ("tracing-opentelemetry", &["brownie-logging"]),
    ("tracing-subscriber", &["brownie-logging"]),
    ("rustix", &["brownie-doctor", "brownie-backup-worker", "brownie-standalone"]),
    ("pglite-oxide", &["brownie-standalone"]),
    ("squawk-linter", &["brownie-lint"]),
    ("squawk-syntax", &["brownie-lint"]),
    (
        "tokio-postgres",
        &["brownie-backup", "brownie-backup-worker", "brownie-doctor", "brownie-persistence"],
    ),
    ("sea-orm-migration", &["brownie-migration"]),
];

/// Returns each package's own dependencies, without those for tests.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(harness::root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| {
            !["brownie-tests", "brownie-test-servers"].contains(&package["name"].as_str().unwrap())
        })
        .map(|package| {
            let of = package["dependencies"].as_array().unwrap().iter();
            let names = of.filter(|on| on["kind"] != "dev").map(|on| text(&on["name"])).collect();
            (text(&package["name"]), names)
        })
        .collect()
}

#[test]
fn no_arrow_points_where_none_is_drawn() {
    let dependencies = dependencies();
    let known: Vec<&str> = ARROWS.iter().map(|(from, _)| *from).collect();
    assert_eq!(dependencies.keys().map(String::as_str).collect::<Vec<_>>(), known);
    for (from, allowed) in ARROWS {
        for on in &dependencies[*from] {
            let ours = on.starts_with("brownie-");
            let is_leaf = LEAVES.contains(&on.as_str()) && !LEAVES.contains(from);
            assert!(!ours || is_leaf || allowed.contains(&on.as_str()), "{from} -> {on}");
        }
    }
}

#[test]
fn what_belongs_to_one_crate_stays_there() {
    for (package, names) in dependencies() {
        for (dependency, owners) in ONLY_IN {
            let uses = names.iter().any(|name| name == dependency);
            assert!(!uses || owners.contains(&package.as_str()), "{package} -> {dependency}");
        }
    }
}

#[test]
fn every_package_takes_its_lints_from_the_workspace() {
    for manifest in
        rust_files("Cargo.toml").filter(|path| path != &harness::root().join("Cargo.toml"))
    {
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{}", manifest.display());
    }
}

#[test]
fn the_production_server_does_not_contain_the_embedded_engine() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "brownie-server", "-e", "normal", "--prefix", "none"])
        .current_dir(harness::root())
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("brownie-persistence"), "{tree}");
    assert!(!tree.contains("pglite") && !tree.contains("wasmer"), "{tree}");
}

/// Entities are for `persistence` alone: nothing of sea-orm is in a public signature of it, and a
/// program that tries to reach an entity or to make a scope of an id does not compile.
#[test]
fn an_entity_cannot_be_reached_from_outside() {
    let cases = [
        (
            "use brownie_persistence::entity::teams::Entity; fn main() {}",
            "module `entity` is private",
        ),
        (
            "fn main() { let id: brownie_domain::OrganizationId = todo!(); let _: brownie_persistence::OrgContext = id.into(); }",
            "the trait bound",
        ),
        (
            "fn main() { let _ = brownie_persistence::OrgContext { org_id: todo!(), actor: todo!(), request_id: todo!() }; }",
            "are private",
        ),
        (
            "fn f(p: brownie_persistence::Principal) -> brownie_persistence::Principal { brownie_persistence::Principal { ..p } } fn main() {}",
            "are private",
        ),
        (
            "async fn f(s: brownie_persistence::OrgScope<brownie_persistence::Reading>) { let _ = s.teams().delete(todo!(), todo!()); } fn main() {}",
            "no method named `delete` found",
        ),
        (
            "fn f(s: &brownie_persistence::Store, id: brownie_domain::OrganizationId) { s.org(&id); } fn main() {}",
            "expected `&OrgContext`, found `&OrganizationId`",
        ),
        ("fn f(e: &brownie_persistence::Store) { let _ = e.engine(); } fn main() {}", "is private"),
        (
            "fn f() { let _ = brownie_persistence::OrgScope::<brownie_persistence::Reading>::reading; } fn main() {}",
            "is private",
        ),
        (
            "fn f(s: &brownie_persistence::OrgScope<brownie_persistence::Reading>) { let _ = s.rows(todo!()); } fn main() {}",
            "is private",
        ),
        ("fn f() { let _ = brownie_persistence::EventCursor(7); } fn main() {}", "private"),
    ];
    for (program, expected) in cases {
        let stderr = compile(program);
        assert!(stderr.contains(expected), "{program}\n{stderr}");
    }
    let good = "fn f(s: &brownie_persistence::OrgScope<brownie_persistence::Reading>) { let _ = s.teams(); } fn main() {}";
    assert_eq!(compile(good), "", "the way to compile these programs works");
}

/// Compiles a program against our libraries as they were built for this test; returns its errors.
fn compile(program: &str) -> String {
    let deps = std::env::current_exe().unwrap();
    let deps = deps.parent().unwrap();
    let newest = |prefix: &str| {
        let of = fs::read_dir(deps).unwrap().flatten().filter(|entry| {
            let name = entry.file_name().into_string().unwrap_or_default();
            name.starts_with(prefix) && name.ends_with(".rlib")
        });
        of.max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok())
            .unwrap()
            .path()
    };
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("main.rs");
    fs::write(&source, program).unwrap();
    let output = Command::new("rustc")
        .args(["--edition", "2024", "--emit", "metadata", "-A", "warnings", "-L"])
        .arg(format!("dependency={}", deps.display()))
        .args(["--extern", &format!("brownie_domain={}", newest("libbrownie_domain-").display())])
        .args([
            "--extern",
            &format!("brownie_persistence={}", newest("libbrownie_persistence-").display()),
        ])
        .arg("--out-dir")
        .arg(dir.path())
        .arg(&source)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

/// A file is read as one thing: 400 lines are about as much as one reader holds.
#[test]
fn no_source_file_is_longer_than_a_reader_can_hold() {
    for path in rust_files(".rs") {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 420, "{} has {lines} lines", path.display());
    }
}

fn rust_files(suffix: &'static str) -> impl Iterator<Item = std::path::PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
                walk(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(harness::root(), &mut found);
    found.into_iter().filter(move |path| path.to_string_lossy().ends_with(suffix))
}
