//! `brownie-migrator certs`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::bail;
use brownie_certs::{Facts, Fault, Policy, Source, check, dev, fetch, inspect};
use brownie_config::{CertSettings, DatabaseSettings, Reader};
use brownie_domain::{Clock, SystemClock};
use clap::Subcommand;

use crate::Settings;

#[derive(Debug, Subcommand)]
pub(crate) enum Certs {
    /// Make certificates to develop with: a CA, a server's, and a client's for each role, in a
    /// directory that must not be there yet.
    Dev {
        /// Which directory.
        #[arg(long, value_name = "DIR", default_value = "dev-certs")]
        out: PathBuf,
    },
    /// Say what is in files: certificates, keys, revocation lists. Exits with 3 when one cannot be
    /// read.
    Inspect {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Judge the certificates that the environment names, a directory, Vault or the database's URL,
    /// as a program that uses them would. Exits with 3 when they would be refused.
    Check {
        /// Connect to the database with them, too.
        #[arg(long)]
        connect: bool,
    },
    /// Copy the certificates of the environment, such as Vault's, to a directory, in one step; for
    /// init containers.
    Fetch {
        /// Which directory.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

impl Certs {
    pub(crate) async fn run(self, wait: Duration, json: bool) -> anyhow::Result<ExitCode> {
        match self {
            Self::Dev { out } => make(&out, json),
            Self::Inspect { files } => Ok(look(&files, json)),
            Self::Check { connect } => judge(connect, wait, json).await,
            Self::Fetch { out } => copy(&out, json).await,
        }
    }
}

fn make(out: &Path, json: bool) -> anyhow::Result<ExitCode> {
    dev::create(out, SystemClock.now())?;
    let mut names = vec!["ca", "server"];
    names.extend(dev::CLIENTS);
    if json {
        println!("{}", serde_json::json!({"directory": out, "made": names}));
    } else {
        for name in names {
            println!("made {}", out.join(name).display());
        }
        println!("good for {} days, for development only", dev::LIFETIME.num_days());
    }
    Ok(ExitCode::SUCCESS)
}

fn look(files: &[PathBuf], json: bool) -> ExitCode {
    let found = inspect(files);
    let is_good = found.iter().all(|file| file.faults.is_empty());
    if json {
        let files: Vec<_> = found
            .iter()
            .map(|file| {
                serde_json::json!({
                    "path": file.path, "key": file.key, "faults": sentences(&file.faults),
                    "certificates": file.certificates.iter().map(told).collect::<Vec<_>>(),
                    "revocation_lists": file.revocations.iter().map(|list| serde_json::json!({
                        "issuer": list.issuer, "next_update": list.next_update,
                    })).collect::<Vec<_>>(),
                })
            })
            .collect();
        println!("{}", serde_json::json!({"good": is_good, "files": files}));
    } else {
        for file in &found {
            println!("{}", file.path.display());
            file.certificates.iter().for_each(print);
            for list in &file.revocations {
                println!("  revocation list of {}", list.issuer);
            }
            if let Some(key) = &file.key {
                println!("  private key, {key}");
            }
            for fault in &file.faults {
                println!("  BAD  {fault}");
            }
        }
    }
    verdict(is_good)
}

/// What the environment says of certificates, with the database's wishes if it names one.
fn source() -> anyhow::Result<(Source, Policy)> {
    let mut reader = Reader::from_process();
    if DatabaseSettings::are_there(&mut reader) {
        let settings = Settings::read().map_err(anyhow::Error::msg)?;
        return Ok(Source::for_database(&settings.database, &settings.certs)?);
    }
    let certs = CertSettings::read(&mut reader, "brownie-migrator");
    reader.finish()?;
    Ok((Source::of(&certs)?, Policy::mutual(&certs)))
}

async fn judge(connect: bool, wait: Duration, json: bool) -> anyhow::Result<ExitCode> {
    let (mut source, policy) = source()?;
    let report = match check(&mut source, &policy, &SystemClock).await {
        Ok(report) => report,
        Err(fault) => {
            if json {
                println!("{}", serde_json::json!({"good": false, "faults": [fault.to_string()]}));
            } else {
                println!("BAD   {fault}");
            }
            return Ok(verdict(false));
        }
    };
    let mut is_good = report.faults.is_empty();
    let mut connection = Vec::new();
    if connect && is_good {
        let settings = Settings::read().map_err(anyhow::Error::msg)?;
        connection = brownie_migration::check(&settings.open(wait).await?).await?;
        connection.retain(|check| ["connection", "tls"].contains(&check.name));
        is_good = connection.iter().all(|check| check.good);
    }
    if json {
        let all = |facts: &[Facts]| facts.iter().map(told).collect::<Vec<_>>();
        println!(
            "{}",
            serde_json::json!({
                "good": is_good, "faults": sentences(&report.faults),
                "warnings": sentences(&report.warnings), "connection": connection,
                "ca": all(&report.ca), "client": all(&report.client), "server": all(&report.server),
            })
        );
        return Ok(verdict(is_good));
    }
    for (role, facts) in
        [("authorities", &report.ca), ("client", &report.client), ("server", &report.server)]
    {
        if !facts.is_empty() {
            println!("{role}");
            facts.iter().for_each(print);
        }
    }
    report.warnings.iter().for_each(|fault| println!("warn  {fault}"));
    report.faults.iter().for_each(|fault| println!("BAD   {fault}"));
    for check in connection {
        println!("{}  {}: {}", if check.good { "good" } else { "BAD " }, check.name, check.found);
        check.remedy.iter().for_each(|remedy| println!("      {remedy}"));
    }
    Ok(verdict(is_good))
}

async fn copy(out: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let (mut source, policy) = source()?;
    let current = fetch(&mut source, &policy, &SystemClock, out).await?;
    let client = current.facts(brownie_certs::Role::Client).into_iter().next();
    let Some(client) = client else {
        bail!("no client certificate came, only authorities; they are in {}", out.display());
    };
    if json {
        println!("{}", serde_json::json!({"directory": out, "client": told(&client)}));
    } else {
        println!("wrote {}", out.display());
        print(&client);
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(is_good: bool) -> ExitCode {
    if is_good { ExitCode::SUCCESS } else { ExitCode::from(3) }
}

fn sentences(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

fn told(facts: &Facts) -> serde_json::Value {
    serde_json::json!({
        "subject": facts.subject, "issuer": facts.issuer, "names": facts.names,
        "serial": facts.serial, "not_before": facts.not_before, "not_after": facts.not_after,
        "key": facts.key, "usages": facts.usages, "is_authority": facts.is_authority,
        "fingerprint": facts.fingerprint,
    })
}

fn print(facts: &Facts) {
    let what = if facts.is_authority { "authority" } else { "certificate" };
    println!("  {what} {}, {}", facts.subject, facts.key);
    println!("    issuer {}, serial {}", facts.issuer, facts.serial);
    println!("    valid {} to {}", facts.not_before.to_rfc3339(), facts.not_after.to_rfc3339());
    if !facts.names.is_empty() {
        println!("    for {}", facts.names.join(", "));
    }
    println!("    SHA-256 {}", facts.fingerprint);
}
