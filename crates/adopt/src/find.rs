//! Finding the hazards, and what each row's values become, into tables of work:
//!
//! - `changes`: a value of a row that will be another one, by which hazard. A later turn sees what an
//!   earlier one made. Without a hazard it is no more than the copy's own business;
//! - `noticed`: hazards that the copy resolves by itself, with how many rows they concern;
//! - `made`: organizations and teams that must be made because rows name them;
//! - `overrides`: the outcome, one row for each row with changes.

use sea_orm::{ConnectionTrait, DbErr};

use crate::{
    hazard::{Choices, Hazard},
    source::texts,
    tables::TABLES,
};

/// How many ids of rows a report names.
pub(crate) const SAMPLE: usize = 20;

/// Looks for hazards in the original's tables, which are in `public`.
pub(crate) struct Finder<'a, C> {
    pub(crate) db: &'a C,
    /// The schema of the tables of work.
    pub(crate) work: &'a str,
    pub(crate) choices: &'a Choices,
}

impl<C: ConnectionTrait> Finder<'_, C> {
    /// Makes the tables of work and fills them.
    pub(crate) async fn find(&self) -> Result<(), DbErr> {
        self.make_tables().await?;
        self.whose().await?;
        self.teams().await?;
        self.assignees().await?;
        self.plain_values().await?;
        for table in TABLES {
            self.texts_of(table).await?;
        }
        self.bodies().await?;
        self.duplicates().await?;
        self.people().await?;
        self.extra_columns().await?;
        let work = self.work;
        self.run(&format!(
            "INSERT INTO {work}.overrides
             SELECT tbl, id, jsonb_object_agg(col, to_jsonb(after)) FROM
                 (SELECT DISTINCT ON (tbl, id, col) tbl, id, col, after FROM {work}.changes
                  ORDER BY tbl, id, col, turn DESC) AS last
             GROUP BY tbl, id;
             ANALYZE {work}.overrides"
        ))
        .await
    }

    async fn make_tables(&self) -> Result<(), DbErr> {
        let work = self.work;
        self.run(&format!(
            "CREATE TABLE {work}.changes (hazard text NOT NULL, turn integer NOT NULL,
                 tbl text NOT NULL, id uuid NOT NULL, col text NOT NULL, after text,
                 CONSTRAINT changes_pkey PRIMARY KEY (tbl, id, col, turn));
             CREATE TABLE {work}.noticed (hazard text NOT NULL, turn integer NOT NULL,
                 tbl text NOT NULL, col text NOT NULL, rows bigint NOT NULL, ids uuid[]);
             CREATE TABLE {work}.made (tbl text NOT NULL, id uuid NOT NULL, org_id uuid NOT NULL,
                 CONSTRAINT made_pkey PRIMARY KEY (tbl, id));
             CREATE TABLE {work}.overrides (tbl text NOT NULL, id uuid NOT NULL, fields jsonb NOT NULL,
                 CONSTRAINT overrides_pkey PRIMARY KEY (tbl, id))"
        ))
        .await
    }

    async fn run(&self, sql: &str) -> Result<(), DbErr> {
        self.db.execute_unprepared(sql).await.map(drop)
    }

    /// A value of the row `alias` as it is by now.
    fn now(&self, alias: &str, table: &str, column: &str, of: &str, value: &str) -> String {
        let work = self.work;
        format!(
            "coalesce((SELECT c.after FROM {work}.changes AS c WHERE c.tbl = '{table}'
                AND c.id = {alias}.id AND c.col = '{column}' ORDER BY c.turn DESC LIMIT 1)::{of}, {value})"
        )
    }

    fn org(&self, alias: &str, table: &str) -> String {
        self.now(alias, table, "org_id", "uuid", &format!("{alias}.organization_id"))
    }

    /// Notes changes: `select` gives ids and what the column becomes.
    pub(crate) async fn change(
        &self,
        hazard: Hazard,
        table: &str,
        column: &str,
        select: &str,
    ) -> Result<(), DbErr> {
        let (work, turn) = (self.work, hazard.turn());
        self.run(&format!(
            "INSERT INTO {work}.changes SELECT '{hazard}', {turn}, '{table}', found.id, '{column}', found.after::text
             FROM ({select}) AS found (id, after)"
        ))
        .await
    }

    /// Notes rows that the copy takes care of: `select` gives their ids.
    pub(crate) async fn notice(
        &self,
        hazard: Hazard,
        table: &str,
        column: &str,
        select: &str,
    ) -> Result<(), DbErr> {
        let (work, turn) = (self.work, hazard.turn());
        self.run(&format!(
            "WITH found (id) AS ({select})
             INSERT INTO {work}.noticed SELECT '{hazard}', {turn}, '{table}', '{column}',
                 (SELECT count(*) FROM found), ARRAY(SELECT id FROM found ORDER BY id LIMIT {SAMPLE})
             WHERE EXISTS (SELECT FROM found)"
        ))
        .await
    }

    async fn whose(&self) -> Result<(), DbErr> {
        let work = self.work;
        let wanted = match self.choices.way(Hazard::OrgMismatch) {
            "org-id" => {
                "CASE WHEN EXISTS (SELECT FROM public.organizations AS o WHERE o.id = t.org_id)
                 THEN t.org_id ELSE t.organization_id END"
            }
            _ => "t.organization_id",
        };
        for table in TABLES.iter().filter(|table| table.has("org_id")) {
            let name = table.name;
            let differ = format!(
                "SELECT t.id, {wanted} FROM public.{name} AS t WHERE t.org_id <> t.organization_id"
            );
            self.change(Hazard::OrgMismatch, name, "org_id", &differ).await?;
            let org = self.org("t", name);
            let orphans = format!(
                "SELECT id, org FROM (SELECT t.id, {org} AS org FROM public.{name} AS t) AS t
                 WHERE NOT EXISTS (SELECT FROM public.organizations AS o WHERE o.id = t.org)"
            );
            self.change(Hazard::OrphanOrganization, name, "org_id", &orphans).await?;
        }
        let orphan = Hazard::OrphanOrganization;
        self.run(&format!(
            "INSERT INTO {work}.made SELECT DISTINCT 'organizations', after::uuid, after::uuid
             FROM {work}.changes WHERE hazard = '{orphan}'"
        ))
        .await
    }

    /// The teams there will be, with whose they are.
    fn teams_now(&self) -> String {
        let work = self.work;
        format!(
            "SELECT o.id, {} AS org_id, o.created_at FROM public.teams AS o
             UNION ALL SELECT id, org_id, 'infinity' FROM {work}.made WHERE tbl = 'teams'",
            self.org("o", "teams")
        )
    }

    async fn teams(&self) -> Result<(), DbErr> {
        let work = self.work;
        let with_team =
            || TABLES.iter().filter(|table| table.has("team_id")).map(|table| table.name);
        for name in with_team() {
            let orphans = format!(
                "SELECT t.id, t.team_id FROM public.{name} AS t WHERE t.team_id IS NOT NULL
                   AND NOT EXISTS (SELECT FROM public.teams AS o WHERE o.id = t.team_id)"
            );
            self.change(Hazard::OrphanTeam, name, "team_id", &orphans).await?;
            let (org, orphan) = (self.org("t", name), Hazard::OrphanTeam);
            self.run(&format!(
                "INSERT INTO {work}.made
                 SELECT DISTINCT ON (t.team_id) 'teams', t.team_id, {org}
                 FROM public.{name} AS t JOIN {work}.changes AS c ON c.id = t.id
                 WHERE c.hazard = '{orphan}' AND c.tbl = '{name}' ORDER BY t.team_id, t.id
                 ON CONFLICT DO NOTHING"
            ))
            .await?;
        }
        let teams = self.teams_now();
        let stay = self.choices.way(Hazard::ForeignTeam) == "own-team";
        for name in with_team() {
            let org = self.org("t", name);
            let foreign = format!(
                "WITH teams_now AS MATERIALIZED ({teams})
                 SELECT * FROM (SELECT t.id, n.org_id AS team_org, (SELECT m.id FROM teams_now AS m
                        WHERE m.org_id = {org} ORDER BY m.created_at, m.id LIMIT 1) AS own
                     FROM public.{name} AS t JOIN teams_now AS n ON n.id = t.team_id
                     WHERE n.org_id <> {org}) AS t"
            );
            let (own, follow) = (
                format!("SELECT id, own FROM ({foreign}) AS t WHERE {stay} AND own IS NOT NULL"),
                format!(
                    "SELECT id, team_org FROM ({foreign}) AS t WHERE NOT {stay} OR own IS NULL"
                ),
            );
            self.change(Hazard::ForeignTeam, name, "org_id", &follow).await?;
            self.change(Hazard::ForeignTeam, name, "team_id", &own).await?;
        }
        Ok(())
    }

    async fn assignees(&self) -> Result<(), DbErr> {
        let orphans = "SELECT t.id, NULL FROM public.incidents AS t WHERE t.assigned_to IS NOT NULL
            AND NOT EXISTS (SELECT FROM public.users AS u WHERE u.id = t.assigned_to)";
        self.change(Hazard::OrphanAssignee, "incidents", "assigned_to", orphans).await?;
        let foreign = format!(
            "SELECT t.id, NULL FROM public.incidents AS t JOIN public.users AS u ON u.id = t.assigned_to
             WHERE {} <> {}",
            self.org("t", "incidents"),
            self.org("u", "users")
        );
        self.change(Hazard::ForeignAssignee, "incidents", "assigned_to", &foreign).await
    }

    async fn duplicates(&self) -> Result<(), DbErr> {
        let all = "true";
        let slug = |table| self.now("t", table, "slug", "text", "t.slug");
        let name = |table| self.now("t", table, "name", "text", "t.name");
        let short = "left(replace(id::text, '-', ''), 8)";
        let suffix = |most: usize| format!("left(value, {}) || '-' || {short}", most - 9);
        let of_org = |table| self.org("t", table);
        let of_team = format!(
            "ROW({}, {})",
            self.org("t", "agent_configs"),
            self.now("t", "agent_configs", "team_id", "uuid", "t.team_id")
        );
        let email = self.now("t", "users", "email", "text", "t.email");
        let username = self.now("t", "users", "username", "text", "t.username");
        let tag = format!(
            "left(split_part(value, '@', 1), 245 - length(split_part(value, '@', 2)))
             || '+' || {short} || '@' || split_part(value, '@', 2)"
        );
        let live = "t.deleted_at IS NULL";
        let keys = [
            (
                Hazard::DuplicateSlug,
                "organizations",
                "slug",
                slug("organizations"),
                "1".to_owned(),
                all,
                suffix(100),
            ),
            (
                Hazard::DuplicateSlug,
                "teams",
                "slug",
                slug("teams"),
                of_org("teams"),
                all,
                suffix(100),
            ),
            (
                Hazard::DuplicateName,
                "teams",
                "name",
                name("teams"),
                of_org("teams"),
                all,
                suffix(255),
            ),
            (Hazard::DuplicateEmail, "users", "email", email, of_org("users"), live, tag),
            (
                Hazard::DuplicateUsername,
                "users",
                "username",
                username,
                of_org("users"),
                live,
                suffix(100),
            ),
            (
                Hazard::DuplicateAgentName,
                "agent_configs",
                "name",
                name("agent_configs"),
                of_team,
                all,
                suffix(255),
            ),
        ];
        for (hazard, table, column, value, within, which, becomes) in keys {
            let key = if column == "username" { "lower(value)" } else { "value" };
            let others = format!(
                "SELECT id, {becomes} FROM (
                     SELECT id, value, row_number() OVER (PARTITION BY within, {key} ORDER BY created_at, id) AS place
                     FROM (SELECT t.id, t.created_at, {value} AS value, {within} AS within
                           FROM public.{table} AS t WHERE {which}) AS t) AS t
                 WHERE place > 1"
            );
            self.change(hazard, table, column, &others).await?;
        }
        Ok(())
    }

    async fn people(&self) -> Result<(), DbErr> {
        let deleted = "SELECT id FROM public.users WHERE deleted_at IS NOT NULL";
        self.notice(Hazard::DeletedUser, "users", "deleted_at", deleted).await?;
        let org = self.org("t", "users");
        let role = self.now("t", "users", "role", "text", "lower(t.role::text)");
        let able = format!(
            "SELECT t.id, {org} AS org, {role} AS role, t.created_at FROM public.users AS t
             WHERE t.is_active AND t.deleted_at IS NULL
               AND (t.password_hash IS NOT NULL OR t.oidc_subject IS NOT NULL)"
        );
        let without = format!(
            "WITH able AS MATERIALIZED ({able}) SELECT o.id FROM public.organizations AS o
             WHERE NOT EXISTS (SELECT FROM able WHERE able.org = o.id AND able.role = 'admin')"
        );
        self.notice(Hazard::LastAdmin, "organizations", "id", &without).await?;
        if self.choices.way(Hazard::LastAdmin) == "promote" {
            let oldest = format!(
                "SELECT DISTINCT ON (t.org) t.id, 'admin' FROM ({able}) AS t
                 WHERE t.org IN ({without}) ORDER BY t.org, t.created_at, t.id"
            );
            // DISTINCT ON needs its order, and the caller's list two columns.
            self.change(Hazard::LastAdmin, "users", "role", &oldest).await?;
        }
        Ok(())
    }

    async fn extra_columns(&self) -> Result<(), DbErr> {
        for table in TABLES {
            let name = table.name;
            let known =
                table.original.iter().map(|(c, _)| format!("'{c}'")).collect::<Vec<_>>().join(", ");
            let extra = texts(
                self.db,
                &format!(
                    "SELECT attname::text FROM pg_attribute WHERE attrelid = 'public.{name}'::regclass
                       AND attnum > 0 AND NOT attisdropped AND attname NOT IN ({known})"
                ),
            )
            .await?;
            for column in extra {
                let quoted = column.replace('"', "\"\"");
                let said = format!("SELECT id FROM public.{name} WHERE \"{quoted}\" IS NOT NULL");
                let column = column.replace('\'', "''");
                self.notice(Hazard::ExtraColumn, name, &column, &said).await?;
            }
        }
        Ok(())
    }
}
