//! `brownie-backup`, over mutual TLS, as a cron job runs it.

use std::process::Output;

use harness::{Postgres, Service, run};
use serde_json::Value;

/// A cluster with an organization in its database `ours`, and a directory for backups.
struct Place {
    postgres: Postgres,
    directory: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let postgres = Postgres::private().unwrap();
        let url = postgres.migrated("ours").unwrap();
        let service = Service::server(&url).await.unwrap();
        service.client().sign_up("acme").await.unwrap();
        Self { postgres, directory: tempfile::tempdir().unwrap() }
    }

    /// Runs it as a role, by its certificate.
    fn run_as(&self, role: &str, arguments: &[&str]) -> Output {
        let url = self.postgres.url_as(role, "ours");
        let directory = self.directory.path().display().to_string();
        let variables = [
            ("DATABASE_URL", url.as_str()),
            ("BACKUP_PROVIDER", "local"),
            ("BACKUP_DESTINATION", &directory),
            ("LOG_LEVEL", "warn"),
        ];
        run("brownie-backup", &[arguments, &["--json"]].concat(), &variables).unwrap()
    }
}

fn json(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {error}"))
}

#[tokio::test]
async fn a_backup_is_made_verified_tried_and_restored_without_a_password() {
    let place = Place::new().await;
    let status = place.run_as("brownie-backup", &["status"]);
    assert_eq!(status.status.code(), Some(3), "there is none yet");

    let made = json(&place.run_as("brownie-backup", &["backup", "--name", "first"]));
    assert_eq!((made["name"].as_str(), made["verified"].as_bool()), (Some("first"), Some(true)));
    assert!(made["rows"].as_u64().unwrap() > 3, "{made}");
    let listed = json(&place.run_as("brownie-backup", &["list"]));
    assert_eq!(listed["backups"][0]["status"], "verified");
    assert_eq!(json(&place.run_as("brownie-backup", &["verify", "first"]))["verified"], "first");
    assert_eq!(json(&place.run_as("brownie-backup", &["status"]))["backups"], 1);
    let again = place.run_as("brownie-backup", &["backup", "--name", "first"]);
    assert_eq!(again.status.code(), Some(1), "a name is given once");

    // Who may only read makes no database; who owns the schema does, if the server lets them.
    assert_eq!(place.run_as("brownie-backup", &["drill"]).status.code(), Some(1));
    place.postgres.execute(r#"ALTER ROLE "brownie-migrator" CREATEDB; GRANT "brownie-lookup" TO "brownie-migrator""#).unwrap();
    let drilled = json(&place.run_as("brownie-migrator", &["drill"]));
    assert_eq!(drilled["rows"], made["rows"]);
    let restore = ["restore", "first", "--target-db", "beside"];
    assert_eq!(json(&place.run_as("brownie-migrator", &restore))["database"], "beside");
    let over = ["restore", "first"];
    let refused = place.run_as("brownie-migrator", &over);
    assert_eq!(refused.status.code(), Some(1), "ours is not empty");
    let wrong = [&over[..], &["--force", "--confirm", "theirs"]].concat();
    assert_eq!(place.run_as("brownie-migrator", &wrong).status.code(), Some(1));

    // The service runs on what was restored.
    let service =
        Service::server(&place.postgres.url_as("brownie-server", "beside")).await.unwrap();
    let founder = service.client().log_in("founder@acme.example").await.unwrap();
    assert_eq!(founder.get("/api/v1/auth/me").await.unwrap().status, 200);

    // The newest that was verified stays, whatever is asked for.
    let cleaned = json(&place.run_as("brownie-backup", &["cleanup"]));
    assert_eq!(cleaned["removed"], serde_json::json!([]));
    let refused = place.run_as("brownie-backup", &["delete", "first"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(1) && said.contains("first is the only backup"),
        "{said}"
    );
    assert_eq!(place.run_as("brownie-backup", &["verify", "first"]).status.code(), Some(0));
}

#[tokio::test]
async fn a_flipped_byte_is_named() {
    let place = Place::new().await;
    json(&place.run_as("brownie-backup", &["backup", "--name", "b"]));
    let mut files = Vec::new();
    let mut folders = vec![place.directory.path().join("b")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let part = files
        .iter()
        .find(|path| {
            path.to_string_lossy().contains("incidents") || path.to_string_lossy().contains("users")
        })
        .unwrap();
    let mut bytes = std::fs::read(part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(part, bytes).unwrap();
    let output = place.run_as("brownie-backup", &["verify", "b"]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    let name = part.file_name().unwrap().to_string_lossy();
    assert!(message.contains(&*name), "{message}");
}
