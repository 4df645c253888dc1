//! A backup can be opened without us: by `age` and `zstd`, and PostgreSQL reads what comes out.

use std::{fs, io::Write, path::Path, process::Command};

use crate::{
    postgres::{Postgres, contents},
    world::{Place, back_up, encrypted, keys},
};

fn run(program: &str, arguments: &[&Path]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; see tests/install.sh"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_tools_open_a_backup() {
    let pg = Postgres::debian();
    let database = pg.filled(5, 1).await;
    let place = Place::new();
    let manifest = back_up(pg, &database, &place.store, encrypted("one")).await.unwrap();
    let hand = tempfile::tempdir().unwrap();
    let (mine, key) = (hand.path().join("mine.key"), hand.path().join("backup.key"));
    fs::write(&mine, &keys().1).unwrap();
    let wrapped = place.dir.path().join(format!("one/{}/key.age", manifest.id));
    let (d, i) = (Path::new("-d"), Path::new("-i"));
    fs::write(&key, run("age", &[d, i, &mine, &wrapped])).unwrap();
    let data = manifest.tables.iter().find(|data| data.table.name == "incidents").unwrap();
    let part = &data.parts[0];
    let sealed = place.dir.path().join("one").join(&part.object);
    let compressed = hand.path().join("part.zst");
    fs::write(&compressed, run("age", &[d, i, &key, &sealed])).unwrap();
    let text = run("zstd", &[Path::new("-dc"), &compressed]);
    assert_eq!(brownie_backup::Hash::of(&text), part.plain_sha256);
    // It is what psql's \copy reads.
    let client = pg.connect(&database).await;
    client
        .batch_execute("CREATE TABLE by_hand (LIKE incidents INCLUDING GENERATED)")
        .await
        .unwrap();
    let file = hand.path().join("rows.copy");
    fs::File::create(&file).unwrap().write_all(&text).unwrap();
    let copy =
        format!("\\copy by_hand ({}) from '{}'", data.table.columns.join(", "), file.display());
    let mut psql = Command::new(pg.bin.join("psql"));
    psql.args(["-qX", "-h", "127.0.0.1", "-U", "postgres", "-d", &database, "-c", &copy]);
    let output = psql.args(["-p", &pg.port.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = contents(&client).await;
    let of = |name: &str| all.iter().find(|(table, ..)| table == name).unwrap();
    assert_eq!((of("by_hand").1, &of("by_hand").2), (of("incidents").1, &of("incidents").2));
}
