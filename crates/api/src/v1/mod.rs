//! The resources of version 1: for each, what comes in, what goes out, and a handler per verb.

pub(crate) mod agent_configs;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod authz;
pub(crate) mod backups;
pub(crate) mod configs;
pub(crate) mod configs_resolve;
pub(crate) mod events;
pub(crate) mod incidents;
pub(crate) mod incidents_bulk;
pub(crate) mod members;
pub(crate) mod operations;
pub(crate) mod organizations;
pub(crate) mod stats;
pub(crate) mod stats_summary;
pub(crate) mod teams;
pub(crate) mod users;

/// The default of fields that hold unless somebody says otherwise.
fn yes() -> bool {
    true
}
