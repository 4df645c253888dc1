//! Which backups there are.

use std::process::ExitCode;

use brownie_backup::{Entry, Manifest, list};

use crate::commands::Worker;

impl Worker {
    pub(crate) async fn list(&self, limit: usize) -> anyhow::Result<ExitCode> {
        let entries = list(&self.store, self.signing_key()?.as_ref()).await?;
        let told: Vec<_> = entries.iter().take(limit).map(told).collect();
        if self.json {
            println!("{}", serde_json::json!({"backups": told}));
        } else {
            for backup in &told {
                let text = |name: &str| backup[name].as_str().unwrap_or("-").to_owned();
                println!(
                    "{}  {}  {} bytes  {}",
                    text("name"),
                    text("created_at"),
                    backup["stored_bytes"],
                    text("status")
                );
            }
            println!("{} of {}", told.len(), entries.len());
        }
        Ok(ExitCode::SUCCESS)
    }

    pub(crate) async fn status(&self) -> anyhow::Result<ExitCode> {
        let entries = list(&self.store, self.signing_key()?.as_ref()).await?;
        let verified = entries.iter().find(|entry| entry.verified.is_some());
        let bytes: u64 = entries
            .iter()
            .filter_map(|it| it.manifest.as_ref().ok())
            .map(Manifest::stored_bytes)
            .sum();
        let newest = entries.first().map(told);
        let last = verified.map(told);
        if self.json {
            let status = serde_json::json!({
                "backups": entries.len(), "stored_bytes": bytes, "newest": newest,
                "newest_verified": last, "schedule": self.settings.schedule,
                "retention_days": self.settings.retention.days,
                "encrypted": !self.settings.recipients.is_empty(),
            });
            println!("{status}");
        } else {
            println!("{} backups, {bytes} bytes", entries.len());
            for (what, backup) in [("newest", &newest), ("newest verified", &last)] {
                let name = backup.as_ref().and_then(|it| it["name"].as_str()).unwrap_or("none");
                println!("{what}: {name}");
            }
        }
        Ok(if verified.is_some() { ExitCode::SUCCESS } else { ExitCode::from(3) })
    }
}

/// What is told of a backup.
fn told(entry: &Entry) -> serde_json::Value {
    let verified_at = entry.verified.as_ref().map(|mark| mark.at);
    match &entry.manifest {
        Ok(manifest) => serde_json::json!({
            "name": entry.name, "created_at": manifest.created_at, "rows": manifest.rows(),
            "bytes": manifest.plain_bytes(), "stored_bytes": manifest.stored_bytes(),
            "verified_at": verified_at,
            "status": if verified_at.is_some() { "verified" } else { "made" },
        }),
        Err(error) => serde_json::json!({
            "name": entry.name, "status": brownie_logging::chain(error),
        }),
    }
}
