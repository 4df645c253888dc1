//! `brownie-migrator new`: for whoever works on this repository.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context, ensure};
use brownie_domain::{Clock, SystemClock};

/// Where the list of migrations ends in its file.
const END_OF_LIST: &str = "    ]\n}\n\n/// The migrations of this release, as";

/// Writes the two files of a migration and puts it on the list.
pub(crate) fn create(name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    ensure!(
        !name.is_empty() && name.chars().all(is_good),
        "{name:?} is no name for a migration: use lower-case letters, digits and _, such as incident_labels"
    );
    let folder = Path::new("migration/src");
    let list = folder.join("lib.rs");
    let text = fs::read_to_string(&list).with_context(|| {
        format!("{} is not here; run this at the root of the repository", list.display())
    })?;
    let number = brownie_migration::names().len() + 1;
    let full = format!("m{}_{number:06}_{name}", SystemClock.now().format("%Y%m%d"));
    ensure!(
        text.contains(END_OF_LIST) && !text.contains(&format!("_{number:06}_")),
        "{} has another migration {number} already, or no list; build the migrator anew",
        list.display()
    );
    let (up, down) =
        (folder.join(format!("sql/{full}.up.sql")), folder.join(format!("sql/{full}.down.sql")));
    fs::write(
        &up,
        "-- What this adds, and why. Rules: docs/migrations.md; `brownie-migrator lint` knows them.\n",
    )?;
    fs::write(&down, "-- Takes back what the other file adds, in the opposite order.\n")?;
    fs::write(
        &list,
        text.replacen(END_OF_LIST, &format!("        \"{full}\",\n{END_OF_LIST}"), 1),
    )?;
    if json {
        println!("{}", serde_json::json!({"name": full, "up": up, "down": down}));
    } else {
        println!(
            "wrote {}\nwrote {}\nlisted it in {}",
            up.display(),
            down.display(),
            list.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
