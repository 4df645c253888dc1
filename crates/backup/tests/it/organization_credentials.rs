//! What was revoked since a backup is not brought back to life by it.

use crate::organizations::{World, org};

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_and_none_comes_back() {
    let world = World::new(2, 1).await;
    let ours = format!("org_id = '{}'", org(1));
    world
        .run(&format!(
            "UPDATE sessions SET revoked_at = '2026-01-01' WHERE {ours}
                 AND id IN (SELECT id FROM sessions WHERE {ours} ORDER BY id LIMIT 3);
             DELETE FROM sessions WHERE {ours} AND id IN
                 (SELECT id FROM sessions WHERE {ours} ORDER BY id DESC LIMIT 3);
             UPDATE users SET token_generation = 5, version = version + 1 WHERE {ours}"
        ))
        .await;
    let sessions = format!("SELECT count(*) FROM sessions WHERE {ours}");
    let tokens = format!("SELECT count(*) FROM refresh_tokens WHERE {ours}");
    let before: (i64, i64) = (world.value(&sessions).await, world.value(&tokens).await);
    let restored = world.restore("org-1").await.unwrap();
    let after: (i64, i64) = (world.value(&sessions).await, world.value(&tokens).await);
    assert_eq!(before, after);
    assert_eq!(restored.sessions_ended, u64::try_from(before.0 - 3).unwrap());
    let open = format!("SELECT count(*) FROM sessions WHERE {ours} AND revoked_at IS NULL");
    assert_eq!(world.value::<i64>(&open).await, 0);
    let early = format!("SELECT count(*) FROM sessions WHERE {ours} AND revoked_at = '2026-01-01'");
    assert_eq!(world.value::<i64>(&early).await, 3);
    let generations = format!("SELECT min(token_generation) FROM users WHERE {ours}");
    assert_eq!(world.value::<i64>(&generations).await, 5);
    // The other organization's people are in, as before.
    let open =
        format!("SELECT count(*) FROM sessions WHERE org_id = '{}' AND revoked_at IS NULL", org(2));
    assert!(world.value::<i64>(&open).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_was_removed_comes_back_without_the_tokens() {
    let world = World::new(2, 1).await;
    let ours = format!("org_id = '{}'", org(1));
    let id: String = world.value(&format!("SELECT min(id::text) FROM users WHERE {ours}")).await;
    world
        .run(&format!(
            "UPDATE incidents SET assigned_to = NULL WHERE {ours} AND assigned_to = '{id}';
             DELETE FROM memberships WHERE {ours} AND user_id = '{id}';
             DELETE FROM users WHERE {ours} AND id = '{id}'"
        ))
        .await;
    world.restore("org-1").await.unwrap();
    let generation = format!("SELECT token_generation FROM users WHERE {ours} AND id = '{id}'");
    assert_eq!(world.value::<i64>(&generation).await, 1);
    let sessions = format!("SELECT count(*) FROM sessions WHERE {ours} AND user_id = '{id}'");
    assert_eq!(world.value::<i64>(&sessions).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_never_opens_more_than_it_did() {
    let world = World::new(2, 1).await;
    let ours = format!("org_id = '{}'", org(1));
    // Five keys in the backup: one is there, four more are made, and then another backup.
    world
        .run(&format!(
            "INSERT INTO api_keys (org_id, id, name, role, hash) SELECT '{}', gen_random_uuid(), name, 'admin',
                 sha256(name::bytea) FROM unnest(ARRAY['revoked', 'rotated', 'narrowed', 'purged']) AS name",
            org(1)
        ))
        .await;
    let how = crate::world::encrypted("two");
    crate::world::back_up(world.pg, &world.database, &world.place.store, how).await.unwrap();
    world
        .run(&format!(
            "UPDATE api_keys SET deleted_at = now() WHERE {ours} AND name = 'revoked';
             UPDATE api_keys SET hash = 'new', previous_hash = NULL WHERE {ours} AND name = 'rotated';
             UPDATE api_keys SET role = 'viewer', scopes = '[\"incident.read\"]' WHERE {ours} AND name = 'narrowed';
             DELETE FROM api_keys WHERE {ours} AND name = 'purged';
             INSERT INTO teams (org_id, id, name, slug) VALUES ('{0}', '{0}', 'Late', 'late');
             INSERT INTO api_keys (org_id, id, name, role, hash, team_id)
                 VALUES ('{0}', gen_random_uuid(), 'newer', 'admin', 'h', '{0}');
             UPDATE api_keys SET team_id = '{0}' WHERE {ours} AND name = 'Key 1';
             INSERT INTO api_key_uses SELECT org_id, id, now() FROM api_keys WHERE {ours} AND name <> 'Key 1'",
            org(1)
        ))
        .await;
    let keys = format!(
        "SELECT string_agg(concat_ws(' ', name, role, encode(hash, 'hex'), deleted_at IS NULL, scopes), '\n' ORDER BY name)
         FROM api_keys WHERE {ours} AND name NOT IN ('newer', 'Key 1')"
    );
    let before: String = world.value(&keys).await;
    let how = world.in_place("org-1");
    crate::world::patiently(async || {
        let (clock, ids) = (
            std::sync::Arc::new(brownie_domain::SystemClock),
            std::sync::Arc::new(brownie_domain::RandomIds),
        );
        let (cluster, name) = (world.pg.cluster("postgres"), crate::world::named("two"));
        let store = &world.place.store;
        brownie_backup::restore_organization(&cluster, store, &name, clock, ids, how.clone()).await
    })
    .await
    .unwrap();
    assert_eq!(world.value::<String>(&keys).await, before);
    // What is newer than the backup went, and so did what is for a team that is.
    let names = format!("SELECT string_agg(name, ' ' ORDER BY name) FROM api_keys WHERE {ours}");
    assert_eq!(world.value::<String>(&names).await, "narrowed revoked rotated");
    let uses = format!("SELECT count(*) FROM api_key_uses WHERE {ours}");
    assert_eq!(world.value::<i64>(&uses).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_as_long_as_what_it_tells_of_is_there() {
    let world = World::new(1, 1).await;
    let ours = format!("org_id = '{}'", org(1));
    let count = format!("SELECT count(*) FROM idempotency_keys WHERE {ours}");
    world.run(&format!("DELETE FROM idempotency_keys WHERE {ours} AND key = 'plain'")).await;
    let before: i64 = world.value(&count).await;
    world
        .run(&format!(
            "INSERT INTO idempotency_keys (org_id, id, principal_id, route, key, fingerprint, response_status,
                 response_body, expires_at)
             VALUES ('{0}', gen_random_uuid(), '{0}', 'POST /v1/incidents', 'late', 'x', 201, 'made', now() + interval '1 day')",
            org(1)
        ))
        .await;
    world.restore("org-1").await.unwrap();
    assert_eq!(world.value::<i64>(&count).await, before);
    let late = "SELECT count(*) FROM idempotency_keys WHERE key = 'late'";
    assert_eq!(world.value::<i64>(late).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_stays_and_what_is_missing_of_it_is_added() {
    let world = World::new(1, 1).await;
    let ours = format!("org_id = '{}'", org(1));
    world
        .run(&format!(
            "DELETE FROM audit_log WHERE {ours} AND id IN (SELECT id FROM audit_log WHERE {ours} ORDER BY id LIMIT 5);
             UPDATE audit_log SET actor_name = 'somebody' WHERE {ours} AND id IN
                 (SELECT id FROM audit_log WHERE {ours} ORDER BY id DESC LIMIT 5);
             INSERT INTO audit_log (org_id, id, occurred_at, actor_kind, request_id, action, resource, resource_id, version)
                 VALUES ('{0}', gen_random_uuid(), now(), 'user', '{0}', 'incident.stolen', 'incident', '{0}', 2)",
            org(1)
        ))
        .await;
    let restored = world.restore("org-1").await.unwrap();
    let audit = restored.tables.iter().find(|it| it.table == "audit_log").unwrap();
    assert_eq!((audit.added, audit.changed, audit.removed), (5, 0, 0));
    for (what, expected) in [("action = 'incident.stolen'", 1), ("actor_name = 'somebody'", 5)] {
        let sql = format!("SELECT count(*) FROM audit_log WHERE {ours} AND {what}");
        assert_eq!(world.value::<i64>(&sql).await, expected, "{what}");
    }
}
