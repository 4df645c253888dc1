//! One organization of a backup, or of an archive, that was made with an older schema.

use std::time::Duration;

use crate::{
    organizations::{World, org},
    postgres::Postgres,
    world::{Place, back_up, encrypted},
};

/// The last migration but some. The configurations got columns after it.
const OLDER: &str = "m20261121_000024_api_keys";

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_of_an_older_backup_comes_back_in_todays_schema() {
    let pg = Postgres::debian();
    let database = pg.empty().await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", pg.port);
    let migrations = brownie_migration::Database::new(url, Duration::from_secs(10));
    brownie_migration::apply_to(&migrations, Some(OLDER), |_| {}).await.unwrap();
    let client = pg.connect(&database).await;
    for n in [1, 2] {
        let rows = format!(
            "INSERT INTO organizations (id, name, slug) VALUES ('{0}', 'Org', 'org-{n}');
             INSERT INTO teams (org_id, id, name, slug) VALUES ('{0}', '{0}', 'Team', 'team');
             INSERT INTO configs (org_id, id, team_id, name, config_type, config_json)
                 SELECT '{0}', gen_random_uuid(), '{0}', 'Config ' || a, 'team', '{{\"a\": 1.50}}'
                 FROM generate_series(1, 5) AS a",
            org(n)
        );
        client.batch_execute(&rows).await.unwrap();
    }
    let place = Place::new();
    let manifest = back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    assert_eq!(manifest.migrations.last().unwrap().name, OLDER);
    brownie_migration::apply(&migrations).await.unwrap();
    drop(client);
    let client = pg.connect(&database).await;
    let world = World { pg, database, place, client, manifest };
    // A migration rewrites the configurations, and the time at which it did is another one here and there.
    let rows = format!(
        "SELECT string_agg((to_jsonb(t) - 'version' - 'updated_at')::text, ' ' ORDER BY name)
         FROM configs AS t WHERE org_id = '{}'",
        org(1)
    );
    let (before, other) = (world.value::<String>(&rows).await, world.very_rows(2).await);
    let wreck = format!(
        "DELETE FROM configs WHERE org_id = '{0}' AND name < 'Config 3';
         UPDATE configs SET name = 'x' || name WHERE org_id = '{0}'",
        org(1)
    );
    world.run(&wreck).await;
    let restored = world.restore("org-1").await.unwrap();
    assert_eq!(world.value::<String>(&rows).await, before);
    assert!(before.contains("1.50") && before.contains("source_format"), "{before}");
    assert_eq!(world.very_rows(2).await, other);
    let configs = restored.tables.iter().find(|it| it.table == "configs").unwrap();
    assert_eq!((configs.added, configs.changed), (2, 3));
}
