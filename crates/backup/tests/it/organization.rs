//! One organization is brought back, and nobody else notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use brownie_backup::{OrganizationRestored, RULES, Rule, TableChanges};
use brownie_test_servers::{PATIENCE, pass, unique, until};

use crate::{
    organizations::{World, org},
    postgres::Postgres,
};

/// What goes wrong with a tenant: rows lost, overwritten, made up, and names exchanged, which unique
/// indexes would not let through row by row.
fn wreck(n: u32) -> String {
    format!(
        "UPDATE incidents SET title = 'wrecked', incident_metadata = '{{}}' WHERE org_id = '{0}' AND status = 'open';
         DELETE FROM stats WHERE org_id = '{0}' AND value > 1;
         DELETE FROM memberships WHERE org_id = '{0}';
         DELETE FROM configs WHERE org_id = '{0}';
         UPDATE agent_configs SET config_yaml = 'rm -rf /', version = version + 1 WHERE org_id = '{0}';
         UPDATE organizations SET name = 'Hacked', slug = 'hacked-{1}', deleted_at = now() WHERE id = '{0}';
         -- Team 1 is called Team 2, and the other way about; so are two people.
         UPDATE teams SET name = 'x', slug = 'x' WHERE org_id = '{0}' AND name = 'Team 1';
         UPDATE teams SET name = 'Team 1', slug = 'team-1' WHERE org_id = '{0}' AND name = 'Team 2';
         UPDATE teams SET name = 'Team 2', slug = 'team-2' WHERE org_id = '{0}' AND name = 'x';
         UPDATE users SET email = 'x' || email, username = 'x' || username WHERE org_id = '{0}';
         UPDATE users SET email = 'u' || (6 - substr(email, 3, 1)::integer) || substr(email, 4)
             WHERE org_id = '{0}';
         -- A team, a user and an incident that the backup does not have, of names that it has.
         UPDATE teams SET deleted_at = now() WHERE org_id = '{0}' AND name = 'Team 3';
         INSERT INTO teams (org_id, id, name, slug) VALUES ('{0}', gen_random_uuid(), 'Team 3', 'team-3');
         INSERT INTO users (org_id, id, email, username, team_id)
             SELECT org_id, gen_random_uuid(), 'u1.new@example.com', 'newcomer', id FROM teams
             WHERE org_id = '{0}' AND name = 'Team 3' AND deleted_at IS NULL;
         UPDATE incidents SET assigned_to = u.id, team_id = u.team_id FROM users AS u
             WHERE incidents.org_id = '{0}' AND u.org_id = '{0}' AND u.username = 'newcomer';
         INSERT INTO incidents (org_id, id, team_id, title)
             SELECT org_id, gen_random_uuid(), team_id, 'made up' FROM users WHERE org_id = '{0}';",
        org(n),
        n
    )
}

fn of<'a>(restored: &'a OrganizationRestored, table: &str) -> &'a TableChanges {
    restored.tables.iter().find(|it| it.table == table).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_fifty_wrecked_organizations_is_restored_alone() {
    let world = World::new(50, 1).await;
    let before = world.restored_rows(7).await;
    let mut others = Vec::new();
    for n in (1..=50).filter(|n| *n != 7) {
        others.push(world.very_rows(n).await);
    }
    world.run(&wreck(7)).await;
    assert_ne!(world.restored_rows(7).await, before);
    let evidence =
        "SELECT count(*) FROM audit_log WHERE org_id = '00000000-0000-7000-8000-000000000007'";
    let audited: i64 = world.value(evidence).await;

    // It was called org-7 when the backup was made.
    let dry = world.in_place("org-7");
    let dry = brownie_backup::RestoreOrganization { dry_run: true, ..dry };
    let wrecked = world.very_rows(7).await;
    let told = world.restore_as("postgres", dry).await.unwrap();
    assert_eq!(world.very_rows(7).await, wrecked);
    let restored = world.restore("org-7").await.unwrap();
    assert_eq!(restored.organization.to_string(), org(7));
    assert_eq!((&restored.tables, restored.sessions_ended), (&told.tables, told.sessions_ended));
    assert!(of(&restored, "stats").added > 0 && of(&restored, "incidents").removed == 21);
    assert_eq!(of(&restored, "configs").added, 20);
    assert_eq!(of(&restored, "organizations").changed, 1);

    assert_eq!(world.restored_rows(7).await, before);
    for (n, rows) in (1..=50).filter(|n| *n != 7).zip(others) {
        assert_eq!(world.very_rows(n).await, rows, "organization {n}");
    }
    // One audit row and one event, whatever the number of rows.
    assert_eq!(world.value::<i64>(evidence).await, audited + 1);
    let said: serde_json::Value = world
        .value("SELECT to_jsonb(a) || jsonb_build_object('event', o.event, 'now', organizations.version)
            FROM audit_log AS a JOIN outbox AS o ON o.org_id = a.org_id AND o.resource_id = a.resource_id
                AND o.version = a.version AND o.occurred_at = a.occurred_at
            JOIN organizations ON organizations.id = a.org_id
            WHERE a.action = 'organization.restored'")
        .await;
    assert_eq!(said["event"], "organization.restored");
    assert_eq!(said["actor_name"], "brownie-backup");
    assert_eq!(said["version"], said["now"]);
    assert_eq!(said["changes"]["backup"]["after"], "one");
    assert_eq!(said["changes"]["role"]["after"], "postgres");
    assert_eq!(said["changes"]["configs"]["after"]["added"], 20);
    assert!(world.manifest.rows() > 0);

    // Once more, and there is nothing to do; so no row is written.
    let again = world.restore("org-7").await.unwrap();
    assert!(again.tables.iter().all(TableChanges::is_empty), "{:?}", again.tables);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_write_on_while_one_is_restored_and_no_write_fails() {
    let world = World::on(Postgres::newest(), 8, 40).await;
    let before = world.restored_rows(1).await;
    world.run(&wreck(1)).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for n in [2, 3] {
        let client = world.pg.connect(&world.database).await;
        let done = Arc::clone(&done);
        writers.push(tokio::spawn(async move {
            // As the server writes: held by the wall, and impatient.
            let session = format!(
                "SET ROLE \"brownie-server\"; SET app.org_id = '{}'; SET lock_timeout = '1s'",
                org(n)
            );
            client.batch_execute(&session).await.unwrap();
            let mut written = 0_i64;
            while !done.load(Ordering::Relaxed) {
                let unit = format!(
                    "BEGIN;
                     UPDATE incidents SET title = 'written', version = version + 1
                         WHERE id = (SELECT id FROM incidents WHERE title NOT IN ('written', 'new') LIMIT 1);
                     INSERT INTO incidents (org_id, id, team_id, title)
                         SELECT org_id, gen_random_uuid(), id, 'new' FROM teams LIMIT 1;
                     INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
                         VALUES ('{0}', gen_random_uuid(), now(), 'x', 'incident', '{0}', 1);
                     COMMIT",
                    org(n)
                );
                client.batch_execute(&unit).await.unwrap();
                written += 1;
                pass(Duration::from_millis(5), "some two hundred writes a second").await;
            }
            (n, written)
        }));
    }
    let untouched = world.very_rows(4).await;
    world.restore("org-1").await.unwrap();
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        let (n, written) = writer.await.unwrap();
        assert!(written > 10, "{written}");
        let sql =
            format!("SELECT count(*) FROM incidents WHERE title = 'new' AND org_id = '{}'", org(n));
        assert_eq!(world.value::<i64>(&sql).await, written);
    }
    assert_eq!(world.very_rows(4).await, untouched);
    assert_eq!(world.restored_rows(1).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_to_the_organization_itself_comes_before_or_after() {
    let world = World::new(3, 1).await;
    world.run(&wreck(1)).await;
    // A unit of work that has changed a row, and has yet to write its record.
    let writer = world.pg.connect(&world.database).await;
    let id: String = world
        .value(&format!(
            "SELECT min(id::text) FROM incidents WHERE org_id = '{}' AND title = 'wrecked'",
            org(1)
        ))
        .await;
    let change = format!(
        "BEGIN; UPDATE incidents SET title = 'late', version = version + 1 WHERE org_id = '{}' AND id = '{id}'",
        org(1)
    );
    writer.batch_execute(&change).await.unwrap();
    let restoring = async { world.restore("org-1").await.unwrap() };
    let writing = async {
        // Until the restore waits for that row.
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'brownie-backup'
            AND datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0";
        until("the restore waits", PATIENCE, async || world.value::<i64>(waits).await > 0).await;
        let record = format!(
            "INSERT INTO outbox (org_id, id, occurred_at, event, resource, resource_id, version)
             VALUES ('{0}', gen_random_uuid(), now(), 'x', 'incident', '{0}', 1); COMMIT",
            org(1)
        );
        writer.batch_execute(&record).await.unwrap();
    };
    tokio::join!(restoring, writing);
    // It was acknowledged before the restore was, which took it back as all else.
    let sql = format!(
        "SELECT count(*) FROM incidents WHERE org_id = '{}' AND title IN ('late', 'wrecked')",
        org(1)
    );
    assert_eq!(world.value::<i64>(&sql).await, 0);
    let sql = format!("SELECT count(*) FROM outbox WHERE org_id = '{}' AND event = 'x'", org(1));
    assert_eq!(world.value::<i64>(&sql).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_version_that_somebody_may_have_seen_comes_back_with_other_content() {
    let world = World::new(2, 1).await;
    let ours = format!("org_id = '{}'", org(1));
    let ids = format!("SELECT array_agg(id::text ORDER BY id) FROM incidents WHERE {ours}");
    let ids: Vec<String> = world.value(&ids).await;
    let [changed, purged, same, fallen] = &ids[..4] else { panic!("{ids:?}") };
    world
        .run(&format!(
            "UPDATE incidents SET title = 'seven', version = 7 WHERE {ours} AND id = '{changed}';
             UPDATE incidents SET version = 9, deleted_at = now() WHERE {ours} AND id = '{purged}';
             INSERT INTO audit_log (org_id, id, occurred_at, actor_kind, request_id, action, resource,
                 resource_id, version)
             SELECT org_id, gen_random_uuid(), now(), 'job', gen_random_uuid(), 'incident.purged',
                 'incident', id, version FROM incidents WHERE {ours} AND id = '{purged}';
             DELETE FROM incidents WHERE {ours} AND id = '{purged}';
             DELETE FROM incidents WHERE {ours} AND id = '{fallen}'"
        ))
        .await;
    world.restore(&org(1)).await.unwrap();
    for (id, version) in [(changed, 8), (purged, 10), (same, 1), (fallen, 1)] {
        let sql = format!("SELECT version FROM incidents WHERE {ours} AND id = '{id}'");
        assert_eq!(world.value::<i64>(&sql).await, version, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_is_gone_altogether_comes_back() {
    let world = World::new(3, 1).await;
    let before = world.restored_rows(2).await;
    let audit = format!("SELECT count(*) FROM audit_log WHERE org_id = '{}'", org(2));
    let audited: i64 = world.value(&audit).await;
    let other = world.very_rows(1).await;
    let tables = [
        "idempotency_keys",
        "api_key_uses",
        "api_keys",
        "refresh_tokens",
        "sessions",
        "outbox",
        "audit_log",
        "stats",
        "configs",
        "agent_configs",
        "incidents",
        "memberships",
        "users",
        "teams",
    ];
    for table in tables {
        world.run(&format!("DELETE FROM {table} WHERE org_id = '{}'", org(2))).await;
    }
    world.run(&format!("DELETE FROM organizations WHERE id = '{}'", org(2))).await;
    let restored = world.restore("org-2").await.unwrap();
    assert_eq!(restored.sessions_ended, 0);
    assert_eq!(world.restored_rows(2).await, before);
    assert_eq!(world.very_rows(1).await, other);
    assert_eq!(world.value::<i64>(&audit).await, audited + 1);
    for table in ["api_keys", "sessions", "refresh_tokens", "idempotency_keys"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE org_id = '{}'", org(2));
        assert_eq!(world.value::<i64>(&sql).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_the_live_one_there_is_a_copy_with_ids_of_its_own() {
    let world = World::new(3, 1).await;
    let months = |id: &str| {
        format!(
            "SELECT string_agg(DISTINCT tableoid::regclass::text, ' ') FROM stats WHERE org_id = '{id}'"
        )
    };
    let original: String = world.value(&months(&org(1))).await;
    assert!(original.contains("stats_2026_"), "{original}");
    world.run("DELETE FROM stats WHERE org_id = '00000000-0000-7000-8000-000000000001'").await;
    let before = world.very_rows(1).await;
    let copy =
        world.restore_as("postgres", world.beside("org-1", "org-1-of-monday")).await.unwrap();
    assert_eq!(world.very_rows(1).await, before);
    let (from, to) = (org(1), copy.organization.to_string());
    assert!(to > from && copy.slug == "org-1-of-monday");
    for table in ["teams", "users", "memberships", "incidents", "agent_configs", "configs"] {
        let count = |id: &str| format!("SELECT count(*) FROM {table} WHERE org_id = '{id}'");
        assert_eq!(world.value::<i64>(&count(&to)).await, world.value::<i64>(&count(&from)).await);
        let shared = format!(
            "SELECT count(*) FROM {table} AS a JOIN {table} AS b ON a.id = b.id AND a.org_id = '{from}' AND b.org_id = '{to}'"
        );
        assert_eq!(world.value::<i64>(&shared).await, 0, "{table}");
    }
    assert_eq!(of(&copy, "stats").added, 201);
    for table in ["api_keys", "sessions", "refresh_tokens", "idempotency_keys"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE org_id = '{to}'");
        assert_eq!(world.value::<i64>(&sql).await, 0, "{table}");
    }
    // Who is assigned what, in which team, by names: the references are the same ones.
    let graph = |id: &str| {
        format!(
            "SELECT md5(string_agg(concat_ws('|', i.title, i.created_at, t.slug, u.email, i.description, i.version), '\n'
                ORDER BY i.created_at, i.idempotency_key))
             FROM incidents AS i JOIN teams AS t ON t.org_id = i.org_id AND t.id = i.team_id
             LEFT JOIN users AS u ON u.org_id = i.org_id AND u.id = i.assigned_to WHERE i.org_id = '{id}'"
        )
    };
    let (one, other): (String, String) =
        (world.value(&graph(&from)).await, world.value(&graph(&to)).await);
    assert_eq!(one, other);
    // Rows stay in the month that they are of.
    assert_eq!(world.value::<String>(&months(&to)).await, original);
    let actions = format!("SELECT string_agg(action, ' ') FROM audit_log WHERE org_id = '{to}'");
    assert_eq!(world.value::<String>(&actions).await, "organization.created");
    // Another copy has other ids.
    let next = world.restore_as("postgres", world.beside("org-1", "org-1-again")).await.unwrap();
    assert_ne!(next.organization, copy.organization);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_no_superuser() {
    let world = World::on(Postgres::newest(), 3, 1).await;
    let before = world.restored_rows(1).await;
    world.run(&wreck(1)).await;
    let role = format!("restorer_{}", unique());
    let sql = format!(
        "CREATE ROLE {role} LOGIN CREATEDB CREATEROLE; GRANT \"brownie-migrator\", \"brownie-lookup\" TO {role} WITH ADMIN OPTION"
    );
    world.run(&sql).await;
    world.restore_as(&role, world.in_place(&org(1))).await.unwrap();
    assert_eq!(world.restored_rows(1).await, before);
}

/// A new table is restored as it is; whoever adds one that holds credentials, or records, has to say so.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_has_a_rule() {
    let world = World::new(1, 1).await;
    let restored = [
        "agent_configs",
        "configs",
        "incidents",
        "memberships",
        "organizations",
        "stats",
        "teams",
        "users",
    ];
    for data in &world.manifest.tables {
        let name = data.table.name.as_str();
        let is_listed = restored.contains(&name);
        let has_rule = RULES.iter().any(|(table, _, _)| *table == name);
        assert!(
            is_listed != has_rule,
            "{name} is new: decide what a restore of one organization does with it (RULES in organization/tables.rs), or add it here"
        );
        assert_eq!(brownie_backup::rule(name) == Rule::Restored, is_listed);
    }
}
