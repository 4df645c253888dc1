//! Rows of one organization at a time: the crate that other services embed.
//!
//! Four laws:
//!
//! 1. Rows are reached through a scope, a scope through an [`OrgContext`], and a context comes from
//!    a [`Principal`] that the database knows or from a named job. An id that came with a request
//!    opens nothing.
//! 2. A write is a unit of work: its rows, their audit rows and their events take effect together
//!    or not at all.
//! 3. A change names the version it was made on. Of two writers with the same version one wins.
//! 4. What is deleted is hidden, not gone; its name is free for others.
//!
//! ```no_run
//! use brownie_domain::{OrganizationId, PageRequest, RequestId};
//! use brownie_persistence::{NewTeam, OrgContext, PoolOptions, Store};
//!
//! async fn rename_or_create(org_id: OrganizationId, request_id: RequestId) -> anyhow::Result<()> {
//!     let store = Store::new(&PoolOptions::new("postgres://brownie@db/brownie_metadata"))?;
//!     let ctx = OrgContext::for_job(org_id, "nightly-sync", request_id);
//!
//!     for team in store.org(&ctx).teams().list(PageRequest::default()).await?.items {
//!         println!("{} {} v{}", team.id, team.name, team.stamps.version);
//!     }
//!     let new = NewTeam {
//!         name: "Platform".parse()?,
//!         slug: "platform".parse()?,
//!         description: None,
//!         is_active: true,
//!         permissions: Default::default(),
//!     };
//!     let team = store
//!         .write(&ctx, move |tx| {
//!             let new = new.clone();
//!             async move { tx.teams().create(new).await }
//!         })
//!         .await?;
//!     println!("created {}", team.id);
//!     Ok(())
//! }
//! ```

mod admission;
mod agent_configs;
mod api_keys;
mod audit;
mod configs;
mod context;
mod engine;
mod entity;
mod error;
mod events;
mod figures;
mod guesses;
mod idempotency;
mod incidents;
mod memberships;
mod operations;
mod organizations;
mod patch;
mod principals;
mod purge;
mod record;
mod scope;
mod sessions;
mod sqlstate;
mod stats;
mod stats_summary;
mod store;
mod system;
mod teams;
mod tls;
mod users;

pub use admission::{KnownKey, TokenClaims};
pub use agent_configs::{
    AgentConfig, AgentConfigFilter, AgentConfigPatch, AgentConfigs, NewAgentConfig,
};
pub use api_keys::{ApiKey, ApiKeys, NewApiKey};
pub use audit::{AuditEntry, AuditFilter, AuditLog};
pub use configs::{Config, ConfigFilter, ConfigPatch, Configs, NewConfig};
pub use context::{Actor, OrgContext, Principal, SystemContext};
pub use engine::{Footing, PoolState, Pooler, Tally};
pub use error::{Error, Resource, Result};
pub use events::{Event, EventCursor, Events, Pulse};
pub use figures::{Figures, Observer};
pub use guesses::{GuessLimit, Guessed};
pub use idempotency::{Claim, KeptAnswer, Repeatable};
pub use incidents::{
    Created, CreatedId, Incident, IncidentFilter, IncidentPatch, Incidents, NewIncident,
};
pub use memberships::{Member, Memberships};
pub use operations::{BackupReport, NewOperation, Operation, Queued};
pub use organizations::{Organization, OrganizationPatch, Organizations};
pub use patch::Stamps;
pub use purge::Purged;
#[doc(hidden)]
pub use purge::known_references;
pub use scope::{OrgScope, Reading, Writing};
pub use sessions::{Refreshed, Session, TokenHash};
#[doc(hidden)]
pub use sqlstate::known_constraints;
pub use stats::{NewStat, Stat, StatFilter, Stats};
pub use stats_summary::{Bucket, SummaryRequest};
pub use store::{Lent, OrgTx, PoolOptions, Store};
pub use system::{Account, SignUp, SystemScope};
pub use teams::{NewTeam, Team, TeamPatch, Teams};
pub use tls::Tls;
pub use users::{NewUser, User, UserPatch, Users};
