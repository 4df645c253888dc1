//! What tests of one organization alone have in common.

use std::sync::Arc;

use brownie_backup::{
    Destination, EXCEPTIONS, Manifest, Named, OrganizationRestored, Overwrite, RestoreOrganization,
    Result, restore_organization,
};
use brownie_domain::{RandomIds, SystemClock};
use tokio_postgres::Client;

use crate::{
    postgres::Postgres,
    world::{Place, back_up, encrypted, named, patiently, reading},
};

/// Returns the id of the n-th organization of rows.sql.
pub(crate) fn org(n: u32) -> String {
    format!("00000000-0000-7000-8000-{n:012}")
}

/// A database, and a backup of it that is called `one`.
pub(crate) struct World {
    pub(crate) pg: &'static Postgres,
    pub(crate) database: String,
    pub(crate) place: Place,
    pub(crate) client: Client,
    pub(crate) manifest: Manifest,
}

impl World {
    pub(crate) async fn new(organizations: u32, scale: u32) -> Self {
        Self::on(Postgres::debian(), organizations, scale).await
    }

    pub(crate) async fn on(pg: &'static Postgres, organizations: u32, scale: u32) -> Self {
        let database = pg.filled_for(organizations, scale, 2).await;
        let place = Place::new();
        let manifest = back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
        let client = pg.connect(&database).await;
        Self { pg, database, place, client, manifest }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Restores an organization in its place.
    pub(crate) async fn restore(&self, organization: &str) -> Result<OrganizationRestored> {
        self.restore_as("postgres", self.in_place(organization)).await
    }

    pub(crate) async fn restore_as(
        &self,
        role: &str,
        how: RestoreOrganization,
    ) -> Result<OrganizationRestored> {
        patiently(async || {
            let (cluster, store) = (self.pg.cluster(role), &self.place.store);
            let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
            restore_organization(&cluster, store, &named("one"), clock, ids, how.clone()).await
        })
        .await
    }

    pub(crate) fn in_place(&self, organization: &str) -> RestoreOrganization {
        let organization: Named = organization.parse().unwrap();
        let confirmed = Overwrite::confirmed(&organization.to_string(), &organization).unwrap();
        self.into(organization, Destination::Live(Some(confirmed)))
    }

    pub(crate) fn beside(&self, organization: &str, slug: &str) -> RestoreOrganization {
        let slug = slug.parse().unwrap();
        self.into(organization.parse().unwrap(), Destination::Beside(slug))
    }

    fn into(&self, organization: Named, into: Destination) -> RestoreOrganization {
        let database = self.database.clone();
        RestoreOrganization { read: reading(), organization, database, into, dry_run: false }
    }

    /// Returns every row of an organization, table by table, as PostgreSQL shows it, and where and by
    /// which transaction it was written: a row that was only written again shows, too.
    pub(crate) async fn very_rows(&self, n: u32) -> Vec<(String, String)> {
        self.rows(n, "t.xmin::text || t.tableoid::text || t.ctid::text || t::text", &[]).await
    }

    /// Returns what of an organization's rows a restore brings back: all but the columns that only grow,
    /// of all tables but those with rules of their own.
    pub(crate) async fn restored_rows(&self, n: u32) -> Vec<(String, String)> {
        let own: Vec<&str> = brownie_backup::RULES.iter().map(|(table, _, _)| *table).collect();
        self.rows(n, "(to_jsonb(t) - 'version' - 'token_generation')::text", &own).await
    }

    async fn rows(&self, n: u32, row: &str, without: &[&str]) -> Vec<(String, String)> {
        let tables =
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1";
        let is_exception = |table: &str| EXCEPTIONS.iter().any(|(name, _)| *name == table);
        let mut all = Vec::new();
        for table in self.client.query(tables, &[]).await.unwrap() {
            let table: String = table.get(0);
            if without.contains(&table.as_str()) || is_exception(&table) {
                continue;
            }
            let key = if table == "organizations" { "id" } else { "org_id" };
            // Line by line where they differ would be long; a hash of each table is enough.
            let sql = format!(
                "SELECT count(*) || ' ' || coalesce(md5(string_agg({row}, E'\\n' ORDER BY {row})), '')
                 FROM {table} AS t WHERE {key} = '{}'",
                org(n)
            );
            all.push((table, self.value(&sql).await));
        }
        all
    }
}
