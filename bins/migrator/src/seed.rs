//! `brownie-migrator seed`: something to look at.

use std::process::ExitCode;

use anyhow::bail;
use brownie_auth::{Password, Passwords};
use brownie_domain::{
    Clock, ConfigStatus, ConfigType, Document, IdSource, IncidentStatus, Priority, RandomIds,
    RequestId, Severity, SystemClock, Tags,
    config::{BodyFormat, ConfigBody},
};
use brownie_migration::Database;
use brownie_persistence::{Error, NewConfig, NewIncident, SignUp, Store, SystemContext, User};

use crate::rows;

/// Whom the demo organization belongs to.
const EMAIL: &str = "demo@example.com";
const SLUG: &str = "demo";

/// Alert rules, as configurations: name, whom they are for, and what they say.
const RULES: &[(&str, &str, &str)] = &[
    (
        "error-rate",
        "error-.*",
        "query: level = error\nthreshold: 10\nwindow: 5m\nnotify: {channel: ops}\n",
    ),
    (
        "cpu-high",
        "cpu-.*",
        "metric: cpu_usage\nthreshold: 90\nwindow: 10m\nnotify: {channel: ops}\n",
    ),
    (
        "disk-full",
        "disk-.*",
        "metric: disk_usage\nthreshold: 85\nwindow: 15m\nnotify: {channel: storage}\n",
    ),
];

/// Founds the organization `demo` with sample alert rules and an incident. Again it changes nothing.
pub(crate) async fn run(database: &Database, json: bool) -> anyhow::Result<ExitCode> {
    let store = rows::open(database)?;
    let (password, text) = Password::random()?;
    let password_hash = Passwords::new(1).hash(password).await?.into_stored();
    let request_id = RequestId::from_uuid(RandomIds.next(SystemClock.now()));
    let visitor = SystemContext::for_visitor(request_id);
    let outcome = store
        .system(&visitor)
        .sign_up(SignUp {
            organization: "Demo".parse()?,
            slug: SLUG.parse()?,
            team: "SRE".parse()?,
            email: EMAIL.parse()?,
            username: SLUG.parse()?,
            full_name: None,
            password_hash,
        })
        .await;
    let founder = match outcome {
        Ok(founder) => founder,
        Err(Error::AlreadyExists { .. }) => {
            store.close().await;
            report(json, false, None);
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => return Err(error.into()),
    };
    fill(&store, &visitor, &founder, request_id).await?;
    store.close().await;
    report(json, true, Some(&text));
    Ok(ExitCode::SUCCESS)
}

/// Puts rules and an incident in, in one unit of work.
async fn fill(
    store: &Store,
    visitor: &SystemContext,
    founder: &User,
    request_id: RequestId,
) -> anyhow::Result<()> {
    let principal = store.system(visitor).principal(founder.org_id, founder.id).await?;
    let Some(principal) = principal else { bail!("the founder of {SLUG} cannot come in") };
    let rules = RULES.iter().map(|(name, pattern, text)| rule(name, pattern, text));
    let rules = rules.collect::<anyhow::Result<Vec<NewConfig>>>()?;
    let (incident, team_id) = (incident()?, founder.team_id);
    store
        .write(&principal.context(request_id), move |tx| {
            let (rules, incident) = (rules.clone(), incident.clone());
            async move {
                for rule in rules {
                    tx.configs().create(rule).await?;
                }
                tx.incidents().create(team_id, incident).await.map(drop)
            }
        })
        .await?;
    Ok(())
}

fn rule(name: &str, pattern: &str, text: &str) -> anyhow::Result<NewConfig> {
    Ok(NewConfig {
        team_id: None,
        name: name.parse()?,
        description: None,
        config_type: ConfigType::Alert,
        status: ConfigStatus::Active,
        name_pattern: Some(pattern.parse()?),
        severity_pattern: None,
        team_pattern: None,
        body: ConfigBody::read(BodyFormat::Yaml, text.to_owned())?,
        schema: None,
        config_version: None,
        priority: 0,
        is_global: false,
        is_active: true,
        tags: Tags::default(),
        metadata: Document::default(),
    })
}

fn incident() -> anyhow::Result<NewIncident> {
    Ok(NewIncident {
        title: "Disk almost full on db-1".parse()?,
        description: Some("At 86 % and growing by one percent an hour.".parse()?),
        status: IncidentStatus::Open,
        priority: Priority::High,
        severity: Severity::Medium,
        source: Some("seed".parse()?),
        assigned_to: None,
        tags: Tags::default(),
        metadata: Document::default(),
        idempotency_key: Some("seed".to_owned()),
    })
}

fn report(json: bool, founded: bool, password: Option<&str>) {
    if json {
        let report = serde_json::json!({
            "organization": SLUG, "founded": founded, "email": EMAIL, "password": password,
        });
        println!("{report}");
    } else if let Some(password) = password {
        println!("founded the organization {SLUG}; log in as {EMAIL} with {password}");
    } else {
        println!("nothing to do: there is an organization {SLUG}");
    }
}
