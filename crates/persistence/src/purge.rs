//! Removing for good what was deleted long ago.

use brownie_domain::{OrganizationId, Timestamp};
use sea_orm::{DbBackend, Statement};
use tokio_util::sync::CancellationToken;

use crate::{
    OrgContext, OrgTx, Resource, Result, SystemScope,
    entity::{agent_configs, api_keys, configs, incidents, memberships, stats, teams, users},
    scope::TenantEntity,
};

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many rows of each kind, in the order in which they go.
    pub rows: Vec<(Resource, u64)>,
    /// How many answers to requests that may be sent again, and sessions, their time over.
    pub expired: u64,
    /// Whether it was stopped before the end. Going on is calling again.
    pub stopped: bool,
    /// What could not be done this time, and why; all the rest was.
    pub left: Vec<(OrganizationId, Resource, String)>,
}

/// What belongs together first: whoever refers goes before what it refers to.
const ORDER: [Resource; 8] = [
    Resource::ApiKey,
    Resource::Config,
    Resource::Incident,
    Resource::AgentConfig,
    Resource::Membership,
    Resource::Stat,
    Resource::User,
    Resource::Team,
];

/// Returns who refers to what, for a test that compares it with the schema: the table that is
/// referred to, the table that refers, and its column.
pub fn known_references() -> Vec<(&'static str, &'static str, &'static str)> {
    let of = |table, by: &'static [(&str, &str)]| {
        by.iter().map(move |(by, column)| (table, *by, *column))
    };
    of("teams", teams::Entity::REFERRED_BY)
        .chain(of("users", users::Entity::REFERRED_BY))
        .chain(of("incidents", incidents::Entity::REFERRED_BY))
        .chain(of("agent_configs", agent_configs::Entity::REFERRED_BY))
        .chain(of("memberships", memberships::Entity::REFERRED_BY))
        .chain(of("stats", stats::Entity::REFERRED_BY))
        .collect()
}

/// Calls a verb of a scope for the table of a resource.
macro_rules! of_table {
    ($resource:ident, $scope:ident.$verb:ident($argument:ident), nothing: $nothing:expr) => {
        match $resource {
            Resource::Incident => $scope.$verb::<incidents::Entity>($argument).await,
            Resource::ApiKey => $scope.$verb::<api_keys::Entity>($argument).await,
            Resource::Config => $scope.$verb::<configs::Entity>($argument).await,
            Resource::AgentConfig => $scope.$verb::<agent_configs::Entity>($argument).await,
            Resource::Membership => $scope.$verb::<memberships::Entity>($argument).await,
            Resource::Stat => $scope.$verb::<stats::Entity>($argument).await,
            Resource::User => $scope.$verb::<users::Entity>($argument).await,
            Resource::Team => $scope.$verb::<teams::Entity>($argument).await,
            // Not deleted by anybody; events go by partitions.
            Resource::Operation | Resource::Organization | Resource::Event => $nothing,
        }
    };
}

impl SystemScope {
    /// Removes what was deleted before `before` and what nothing refers to any more, in all
    /// organizations, and the kept answers whose time is over: in batches of a thousand, each a unit of work with its audit rows and events.
    /// It may be stopped between two of them. The role must be allowed to remove rows, which the
    /// server's is not.
    ///
    /// # Errors
    /// When the database refuses; what was removed until then is removed.
    pub async fn purge(&self, before: Timestamp, stop: &CancellationToken) -> Result<Purged> {
        let mut purged = Purged::default();
        let ids = self.organization_ids().await?;
        for org_id in &ids {
            loop {
                if stop.is_cancelled() {
                    purged.stopped = true;
                    return Ok(purged);
                }
                match self.forget_expired(*org_id, before).await? {
                    0 => break,
                    removed => purged.expired += removed,
                }
            }
        }
        for resource in ORDER {
            let mut rows = 0;
            for org_id in &ids {
                loop {
                    if stop.is_cancelled() {
                        purged.rows.push((resource, rows));
                        purged.stopped = true;
                        return Ok(purged);
                    }
                    match self.remove_some(*org_id, resource, before).await {
                        Ok(0) => break,
                        Ok(removed) => rows += removed,
                        // One organization's trouble is not the others'.
                        Err(error) if error.is_transient() => {
                            purged.left.push((*org_id, resource, error.to_string()));
                            break;
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            purged.rows.push((resource, rows));
        }
        Ok(purged)
    }

    async fn forget_expired(&self, org_id: OrganizationId, before: Timestamp) -> Result<u64> {
        let work = move |tx: OrgTx| async move {
            Ok(tx.forget_answers(tx.now()).await? + tx.forget_sessions(before).await?)
        };
        self.store().write(&self.purging(org_id), work).await
    }

    /// Returns what [`SystemScope::purge`] would remove at most, and removes nothing. At most, because
    /// what refers to a row is counted as going, too, if it was deleted long ago.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn purge_dry(&self, before: Timestamp, stop: &CancellationToken) -> Result<Purged> {
        let mut purged = Purged::default();
        let ids = self.organization_ids().await?;
        for resource in ORDER {
            let mut rows = 0;
            for org_id in &ids {
                if stop.is_cancelled() {
                    purged.stopped = true;
                    return Ok(purged);
                }
                rows += self.count_removable(*org_id, resource, before).await?;
            }
            purged.rows.push((resource, rows));
        }
        Ok(purged)
    }

    async fn remove_some(
        &self,
        org_id: OrganizationId,
        resource: Resource,
        before: Timestamp,
    ) -> Result<u64> {
        let work = move |tx: OrgTx| async move {
            of_table!(resource, tx.remove_some(before), nothing: Ok(0))
        };
        self.store().write(&self.purging(org_id), work).await
    }

    async fn count_removable(
        &self,
        org_id: OrganizationId,
        resource: Resource,
        before: Timestamp,
    ) -> Result<u64> {
        let scope = self.store().org(&self.purging(org_id));
        let count = of_table!(resource, scope.count_removable(before), nothing: Ok(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn purging(&self, org_id: OrganizationId) -> OrgContext {
        OrgContext::for_job(org_id, "purge", self.request_id())
    }

    async fn organization_ids(&self) -> Result<Vec<OrganizationId>> {
        let sql = "SELECT organization_ids() AS id";
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let rows = self.store().engine().read_unscoped(statement).await?;
        rows.iter().map(|row| Ok(OrganizationId::from_uuid(row.try_get("id")?))).collect()
    }
}
