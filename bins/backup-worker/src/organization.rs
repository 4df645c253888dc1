//! One organization alone: back from a backup, out of the database, and into one.

use std::{
    fs,
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use brownie_backup::{
    BackupName, Destination, ExportOrganization, ImportOrganization, Named, OrganizationRestored,
    Output, Overwrite, Recipients, RestoreOrganization, export_organization, import_organization,
    list, restore_organization,
};
use brownie_domain::{RandomIds, Slug, SystemClock};
use clap::Args;

use crate::{commands::Worker, progress::Progress, stop::told_to_stop};

/// What `restore --org` is told.
#[derive(Debug, Args)]
pub(crate) struct OrganizationArgs {
    /// Restore this organization alone, by its slug or id: the rows in the database become those of the
    /// backup, in one transaction, and no other organization is touched. Everybody of it has to log in
    /// again, and API keys that were revoked stay so.
    #[arg(long, value_name = "SLUG|ID", conflicts_with_all = ["target_db", "force", "to_head"])]
    pub(crate) org: Option<Named>,
    /// Of which backup, with --org; the newest unless said.
    #[arg(long, value_name = "BACKUP", requires = "org", conflicts_with = "name")]
    pub(crate) at: Option<BackupName>,
    /// Where to: `live` replaces what is there, another word is the slug of a copy beside it, which has
    /// ids of its own and no sessions and API keys.
    #[arg(long, value_name = "live|NEW_SLUG", requires = "org", default_value = "live")]
    pub(crate) into: String,
    /// Only say, table by table, what would be added, changed and removed.
    #[arg(long, requires = "org")]
    pub(crate) dry_run: bool,
}

/// Write one organization into an archive: JSON lines, compressed, and encrypted if
/// `BACKUP_AGE_RECIPIENTS` is set. It has no passwords, sessions, keys and no audit log. brownie-backup
/// may do this.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Which, by its slug or id.
    #[arg(long, value_name = "SLUG|ID")]
    org: Named,
    /// A new file, or `-` for standard output.
    #[arg(long, value_name = "FILE|-")]
    out: PathBuf,
}

/// Bring the organization of an archive into the database, in one transaction. The archive is read from
/// end to end before anything is done. Takes the role that restore takes.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The archive.
    file: PathBuf,
    /// Another slug for it, and with it other ids. Otherwise it keeps its own, and must not be there.
    #[arg(long, value_name = "NEW_SLUG")]
    into: Option<Slug>,
    /// Only say what it would add.
    #[arg(long)]
    dry_run: bool,
}

impl Worker {
    /// Restores one organization.
    pub(crate) async fn restore_organization(
        &self,
        organization: Named,
        name: Option<BackupName>,
        args: OrganizationArgs,
        confirm: Option<String>,
    ) -> anyhow::Result<ExitCode> {
        let into = match args.into.as_str() {
            "live" if args.dry_run => Destination::Live(None),
            "live" => Destination::Live(Some(confirmed(confirm, &organization)?)),
            slug => Destination::Beside(slug.parse().context("--into is live, or a slug")?),
        };
        let name = match name.or(args.at) {
            Some(name) => name,
            None => match list(&self.store, self.signing_key()?.as_ref()).await?.into_iter().next()
            {
                Some(entry) => entry.name,
                None => bail!("there is no backup to restore"),
            },
        };
        let progress = Progress::new();
        let how = RestoreOrganization {
            read: self.read(&progress)?,
            organization,
            database: self.way()?.database().to_owned(),
            into,
            dry_run: args.dry_run,
        };
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        let cluster = self.way()?.cluster();
        let done = restore_organization(&cluster, &self.store, &name, clock, ids, how).await?;
        drop(progress);
        self.tell_restored(&done, name.as_str(), args.dry_run);
        Ok(ExitCode::SUCCESS)
    }

    /// Writes an archive.
    pub(crate) async fn export(&self, args: Export) -> anyhow::Result<ExitCode> {
        let output = if args.out.as_os_str() == "-" {
            if io::stdout().is_terminal() {
                bail!("an archive is not for a terminal; name a file by --out, or a pipe");
            }
            Output::Stdout
        } else {
            Output::File(args.out.clone())
        };
        let is_quiet = output == Output::Stdout;
        let progress = Progress::new();
        let how = ExportOrganization {
            organization: args.org,
            database: self.way()?.database().to_owned(),
            output,
            recipients: Recipients::parse(&self.settings.recipients)?,
            signing_key: self.signing_key()?,
            cancel: told_to_stop(),
            tell: progress.tell(),
        };
        let is_encrypted = !how.recipients.is_empty();
        let exported = export_organization(&**self.way()?, &SystemClock, &RandomIds, how).await?;
        drop(progress);
        let rows: u64 = exported.tables.iter().map(|(_, rows)| rows).sum();
        let (slug, file) = (&exported.slug, args.out.display());
        let sentence = format!("{file} has {slug}: {rows} rows");
        if is_quiet {
            eprintln!("{sentence}");
        } else {
            let tables: serde_json::Map<_, _> = exported
                .tables
                .iter()
                .map(|(table, rows)| (table.clone(), (*rows).into()))
                .collect();
            self.say(
                &serde_json::json!({"organization": exported.organization.to_string(), "slug": slug,
                    "file": args.out, "rows": rows, "tables": tables, "encrypted": is_encrypted}),
                &sentence,
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Reads an archive into the database.
    pub(crate) async fn import(&self, args: Import) -> anyhow::Result<ExitCode> {
        fs::metadata(&args.file)
            .with_context(|| format!("{} cannot be read", args.file.display()))?;
        let progress = Progress::new();
        let from = args.file.display().to_string();
        let how = ImportOrganization {
            file: args.file,
            read: self.read(&progress)?,
            database: self.way()?.database().to_owned(),
            into: args.into,
            dry_run: args.dry_run,
        };
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        let done = import_organization(&self.way()?.cluster(), clock, ids, how).await?;
        drop(progress);
        self.tell_restored(&done, &from, args.dry_run);
        Ok(ExitCode::SUCCESS)
    }

    fn tell_restored(&self, done: &OrganizationRestored, from: &str, dry_run: bool) {
        let seconds = done.took.as_secs_f64();
        let tables: serde_json::Map<String, serde_json::Value> = done
            .tables
            .iter()
            .map(|it| {
                let counts = serde_json::json!({"added": it.added, "changed": it.changed,
                    "removed": it.removed});
                (it.table.clone(), counts)
            })
            .collect();
        let mut lines: Vec<String> = done
            .tables
            .iter()
            .filter(|it| !it.is_empty())
            .map(|it| {
                let (added, changed, removed) = (it.added, it.changed, it.removed);
                format!("{}: {added} added, {changed} changed, {removed} removed", it.table)
            })
            .collect();
        let (slug, ended) = (&done.slug, done.sessions_ended);
        lines.push(if dry_run {
            format!("{slug} would be that of {from}, and {ended} sessions would end; nothing was changed")
        } else {
            format!("{slug} is that of {from}, in {seconds:.1} s; {ended} sessions ended")
        });
        self.say(
            &serde_json::json!({"organization": done.organization.to_string(), "slug": slug,
                "from": from, "dry_run": dry_run, "tables": tables, "sessions_ended": ended,
                "seconds": seconds}),
            &lines.join("\n"),
        );
    }
}

/// Takes the confirmation that was given, or asks for it.
fn confirmed(confirm: Option<String>, organization: &Named) -> anyhow::Result<Overwrite> {
    let typed = match confirm {
        Some(typed) => typed,
        None => {
            eprint!("type {organization} to overwrite it by what the backup has: ");
            let mut typed = String::new();
            io::stdin().read_line(&mut typed)?;
            typed.trim().to_owned()
        }
    };
    Ok(Overwrite::confirmed(&typed, organization)?)
}
