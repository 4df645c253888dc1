//! `brownie-migrator organization`: what an operator does for a customer where sign-up is closed.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use brownie_auth::{Password, Passwords};
use brownie_domain::{
    Clock, EmailAddress, FullName, IdSource, OrganizationName, RandomIds, RequestId, Slug,
    SystemClock, TeamName, Username,
};
use brownie_migration::Database;
use brownie_persistence::{Error, Resource, SignUp, SystemContext};
use clap::{Args, Subcommand};

use crate::rows;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Organization {
    /// Found an organization with its first team and its first admin.
    Create(Create),
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What it is called.
    #[arg(long)]
    name: OrganizationName,
    /// What it is called in addresses; made of the name unless said.
    #[arg(long)]
    slug: Option<Slug>,
    /// What its first team is called.
    #[arg(long, default_value = "Main")]
    team: TeamName,
    /// The mailbox of its first admin, who logs in with it.
    #[arg(long)]
    email: EmailAddress,
    /// What that admin is called in the organization.
    #[arg(long, default_value = "admin")]
    username: Username,
    /// The admin's full name.
    #[arg(long)]
    full_name: Option<FullName>,
    /// A file with the admin's first password. Without it one is made up, and printed this once.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Organization {
    pub(crate) async fn run(self, database: &Database, json: bool) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => create.run(database, json).await,
        }
    }
}

impl Create {
    async fn run(self, database: &Database, json: bool) -> anyhow::Result<ExitCode> {
        let (password, told) = match &self.password_file {
            Some(file) => {
                let text = fs::read_to_string(file)
                    .with_context(|| format!("{} cannot be read", file.display()))?;
                let text = text.trim_end_matches(['\r', '\n']);
                let password = Password::try_from(text.to_owned())
                    .with_context(|| format!("{} has no password", file.display()))?;
                (password, None)
            }
            None => {
                let (password, text) = Password::random()?;
                (password, Some(text))
            }
        };
        let slug = self.slug.unwrap_or_else(|| Slug::from_name(self.name.as_str(), ""));
        if slug.as_str().is_empty() {
            bail!("no slug can be made of {:?}: send one by --slug", self.name.as_str());
        }
        let store = rows::open(database)?;
        let request_id = RequestId::from_uuid(RandomIds.next(SystemClock.now()));
        let system = store.system(&SystemContext::for_visitor(request_id));
        let outcome = system
            .sign_up(SignUp {
                organization: self.name,
                slug: slug.clone(),
                team: self.team,
                email: self.email,
                username: self.username,
                full_name: self.full_name,
                password_hash: Passwords::new(1).hash(password).await?.into_stored(),
            })
            .await;
        store.close().await;
        let admin = match outcome {
            Ok(admin) => admin,
            Err(Error::AlreadyExists { resource: Resource::Organization, .. }) => {
                bail!("there is an organization with the slug {slug}; choose another by --slug")
            }
            Err(error) => return Err(error.into()),
        };
        if json {
            let answer = serde_json::json!({
                "org_id": admin.org_id, "slug": slug, "user_id": admin.id, "team_id": admin.team_id,
                "email": admin.email, "password": told,
            });
            println!("{answer}");
        } else {
            println!("organization {slug} ({}), admin {}", admin.org_id, admin.email);
            if let Some(password) = told {
                println!("password {password}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
