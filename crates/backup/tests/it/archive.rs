//! One organization out of one database, and into another.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc};

use brownie_backup::{
    Error, ExportOrganization, Exported, Identities, ImportOrganization, OrganizationRestored,
    Output, Problem, Read, Recipients, Result, SigningKey, export_organization,
    import_organization,
};
use brownie_domain::{RandomIds, SystemClock};
use tokio_util::sync::CancellationToken;

use crate::{
    organizations::{World, org},
    postgres::Postgres,
    world::{keys, patiently, reading},
};

/// A database with three organizations, and a directory for archives.
struct Archives {
    world: World,
    dir: tempfile::TempDir,
}

impl Archives {
    async fn new() -> Self {
        Self { world: World::new(3, 1).await, dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn exporting(&self, organization: &str, name: &str) -> ExportOrganization {
        ExportOrganization {
            organization: organization.parse().unwrap(),
            database: self.world.database.clone(),
            output: Output::File(self.path(name)),
            recipients: Recipients::default(),
            signing_key: None,
            cancel: CancellationToken::new(),
            tell: brownie_backup::silent(),
        }
    }

    async fn export(&self, how: ExportOrganization) -> Result<Exported> {
        // As the worker does: the role only reads.
        let dial = self.world.pg.server("brownie-backup", &self.world.database);
        export_organization(dial.as_ref(), &SystemClock, &RandomIds, how).await
    }

    fn importing(&self, name: &str, into: Option<&str>) -> ImportOrganization {
        ImportOrganization {
            file: self.path(name),
            read: Read::default(),
            database: self.world.database.clone(),
            into: into.map(|slug| slug.parse().unwrap()),
            dry_run: false,
        }
    }

    async fn import(&self, how: ImportOrganization) -> Result<OrganizationRestored> {
        import_into(self.world.pg, how).await
    }

    /// Makes sure that an archive is refused, with nothing changed and no scratch database left, and
    /// returns why.
    async fn refused(&self, how: ImportOrganization) -> String {
        let before = self.organizations().await;
        let error = self.import(how).await.unwrap_err();
        assert_eq!(self.organizations().await, before);
        let mut said = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            said += &format!(": {error}");
            source = error.source();
        }
        said
    }

    async fn organizations(&self) -> String {
        self.world
            .value(
                "SELECT string_agg(slug || ' ' || version || ' ' || xmin, ', ' ORDER BY id) FROM organizations",
            )
            .await
    }

    /// The lines of an archive that is not encrypted.
    fn lines(&self, name: &str) -> Vec<String> {
        let text = zstd::decode_all(fs::File::open(self.path(name)).unwrap()).unwrap();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    fn write(&self, name: &str, lines: &[String]) {
        let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
        fs::write(self.path(name), zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
    }
}

async fn import_into(pg: &Postgres, how: ImportOrganization) -> Result<OrganizationRestored> {
    patiently(async || {
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds));
        import_organization(&pg.cluster("postgres"), clock, ids, how.clone()).await
    })
    .await
}

/// What of an organization an archive carries, as one text.
async fn carried(world: &World, n: u32) -> Vec<(String, String)> {
    let mut rows = world.restored_rows(n).await;
    for (table, content) in &mut rows {
        if table == "users" {
            let sql = format!(
                "SELECT md5(string_agg((to_jsonb(t) - 'password_hash' - 'token_generation')::text, '\n' ORDER BY id))
                 FROM users AS t WHERE org_id = '{}'",
                org(n)
            );
            *content = world.value(&sql).await;
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_here_is_imported_there_as_it_was() {
    let from = Archives::new().await;
    let exported = from.export(from.exporting("org-1", "one")).await.unwrap();
    assert_eq!(exported.organization.to_string(), org(1));
    let mode = fs::metadata(from.path("one")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(from.dir.path()).unwrap().count(), 1);
    // On another server, of another version of PostgreSQL, which has nothing.
    let there = Postgres::newest();
    let database = there.filled_for(0, 1, 1).await;
    let how = ImportOrganization { database: database.clone(), ..from.importing("one", None) };
    let dry = ImportOrganization { dry_run: true, ..how.clone() };
    let told = import_into(there, dry).await.unwrap();
    let imported = import_into(there, how.clone()).await.unwrap();
    assert_eq!(told.tables, imported.tables);
    let rows: Vec<_> = imported.tables.iter().map(|it| (it.table.clone(), it.added)).collect();
    assert_eq!(rows, exported.tables);
    let client = there.connect(&database).await;
    let manifest = from.world.manifest.clone();
    let place = crate::world::Place::new();
    let to = World { pg: there, database, place, client, manifest };
    assert_eq!(carried(&to, 1).await, carried(&from.world, 1).await);
    let secrets =
        "SELECT count(*) FROM users WHERE password_hash IS NOT NULL OR token_generation > 1";
    assert_eq!(to.value::<i64>(secrets).await, 0);
    // It is there now.
    let error = import_into(there, how).await.unwrap_err();
    assert!(
        matches!(&error, Error::Organization(Problem::Exists(id)) if id.to_string() == org(1)),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_its_original_an_import_has_ids_of_its_own() {
    let here = Archives::new().await;
    let exported = here.export(here.exporting(&org(2), "two")).await.unwrap();
    assert!(
        here.refused(here.importing("two", None)).await.contains("is in this database already")
    );
    assert!(
        here.refused(here.importing("two", Some("org-3")))
            .await
            .contains("the slug org-3 is that of")
    );
    let before = (here.world.very_rows(1).await, here.world.very_rows(2).await);
    let copy = here.import(here.importing("two", Some("two-again"))).await.unwrap();
    assert_eq!((here.world.very_rows(1).await, here.world.very_rows(2).await), before);
    assert_ne!(copy.organization, exported.organization);
    let rows: Vec<_> = copy.tables.iter().map(|it| (it.table.clone(), it.added)).collect();
    assert_eq!(rows, exported.tables);
    let said: serde_json::Value = here
        .world
        .value(&format!(
            "SELECT changes FROM audit_log WHERE org_id = '{}' AND action = 'organization.created'",
            copy.organization
        ))
        .await;
    assert_eq!(said["copy_of"]["after"], org(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_has_no_secret_and_nothing_of_others() {
    let here = Archives::new().await;
    here.world
        .run("UPDATE users SET password_hash = 'SECRET-HASH'; UPDATE incidents SET title = 'of ' || org_id")
        .await;
    here.export(here.exporting("org-1", "one")).await.unwrap();
    let text = here.lines("one").join("\n");
    assert!(!text.contains("SECRET-HASH") && !text.contains("password_hash"));
    assert!(text.contains(&format!("of {}", org(1))));
    for other in [org(2), org(3)] {
        assert!(!text.contains(&other));
    }
    for table in
        ["sessions", "refresh_tokens", "api_keys", "audit_log", "outbox", "idempotency_keys"]
    {
        assert!(!text.contains(&format!("\"{table}\"")), "{table}");
    }
    // A new column that holds a secret has to be named in SECRETS.
    let sql = "SELECT table_name || '.' || column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name ~ 'hash|secret|password|token|private'
          AND table_name !~ '_(default|\\d{4}_\\d{2})$'";
    for row in here.world.client.query(sql, &[]).await.unwrap() {
        let column: String = row.get(0);
        let (table, name) = column.split_once('.').unwrap();
        let is_known = brownie_backup::SECRETS.contains(&(table, name))
            || brownie_backup::rule(table) != brownie_backup::Rule::Restored;
        assert!(is_known, "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_opened_by_whom_it_was_encrypted_to_and_believed_when_it_was_signed() {
    let here = Archives::new().await;
    let key = SigningKey::new(&"k".repeat(32)).unwrap();
    let sealed = ExportOrganization {
        recipients: Recipients::parse(&keys().0).unwrap(),
        signing_key: Some(key.clone()),
        ..here.exporting("org-1", "sealed")
    };
    here.export(sealed).await.unwrap();
    let text = fs::read(here.path("sealed")).unwrap();
    assert!(text.starts_with(b"age-encryption.org/v1"));
    assert!(
        here.refused(here.importing("sealed", Some("x")))
            .await
            .contains("none of the given identities")
    );
    let other = age::x25519::Identity::generate();
    let other =
        Identities::parse(age::secrecy::ExposeSecret::expose_secret(&other.to_string())).unwrap();
    let read = Read { identities: other, ..Read::default() };
    let how = ImportOrganization { read, ..here.importing("sealed", Some("x")) };
    assert!(here.refused(how).await.contains("none of the given identities"));
    let read = Read { signing_key: Some(key.clone()), ..reading() };
    let how = ImportOrganization { read: read.clone(), ..here.importing("sealed", Some("x")) };
    here.import(how).await.unwrap();
    // What is not signed is not believed where there is a key.
    here.export(here.exporting("org-1", "open")).await.unwrap();
    let how = ImportOrganization { read, ..here.importing("open", Some("y")) };
    assert!(here.refused(how).await.contains("is not signed"));
    here.import(here.importing("open", Some("y"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_not_what_was_written_is_refused_before_anything_is_done() {
    let here = Archives::new().await;
    here.export(here.exporting("org-1", "good")).await.unwrap();
    let good = here.lines("good");
    let bad = here.importing("bad", Some("x"));
    let edited = |at: usize, from: &str, to: &str| {
        let mut lines = good.clone();
        lines[at] = lines[at].replacen(from, to, 1);
        assert_ne!(lines, good, "{from}");
        lines
    };
    let incident =
        good.iter().position(|line| line.starts_with("{\"table\":\"incidents\"")).unwrap();
    let mut swapped = good.clone();
    swapped.swap(incident, incident + 1);
    let mut out_of_order = good.clone();
    out_of_order.swap(1, incident);
    for (lines, expected) in [
        (good[..good.len() - 1].to_vec(), "was cut: its manifest"),
        (good[..incident].to_vec(), "was cut: its manifest"),
        ([&good[..incident], &good[incident + 1..]].concat(), "it was changed"),
        (edited(incident, "\"title\":\"", "\"title\":\"x"), "it was changed"),
        (edited(incident, "\"title\":", "\"rank\":"), "has the column rank"),
        (edited(incident, "\"incidents\"", "\"sessions\""), "is of the table sessions"),
        (edited(incident, "}}", "}"), "is no row"),
        (edited(0, "\"format\":1", "\"format\":9"), "its format is 9, of a newer release"),
        (edited(0, "m20261121_000001", "m29991121_000001"), "of a newer release"),
        (edited(0, "brownie-organization", "something"), "is no archive"),
        (edited(0, "\"columns\":[", "\"columns\":[\"password_hash\","), "it was changed"),
        (edited(good.len() - 1, "\"rows\":", "\"rows\":1"), "its manifest"),
        (swapped, "it was changed"),
        (out_of_order, "out of order"),
        ([good.clone(), good.clone()].concat(), "something behind its end"),
        (Vec::new(), "is empty"),
        (vec!["{}".to_owned()], "is no archive"),
        (vec!["hello".to_owned()], "is no archive"),
    ] {
        here.write("bad", &lines);
        let said = here.refused(bad.clone()).await;
        assert!(said.contains(expected), "{expected:?}: {said}");
    }
    // Nor is a file that is no archive, or was cut in the middle of a frame, or is not there.
    let bytes = fs::read(here.path("good")).unwrap();
    for (bytes, expected) in [
        (&b"PK\x03\x04 something"[..], "is no archive"),
        (&b""[..], "cannot be imported"),
        (&bytes[..bytes.len() / 2], "was cut"),
        (&[&bytes[..], b"more"].concat()[..], "is damaged, or was cut"),
    ] {
        fs::write(here.path("bad"), bytes).unwrap();
        let said = here.refused(bad.clone()).await;
        assert!(said.contains(expected), "{expected:?}: {said}");
    }
    let said = here.refused(here.importing("absent", Some("x"))).await;
    assert!(said.contains("cannot be read"), "{said}");
}

/// Whoever knows how can make a manifest that fits. The schema does not let through what does not fit.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_together_are_refused_by_the_schema() {
    let here = Archives::new().await;
    here.export(here.exporting("org-1", "good")).await.unwrap();
    let good = here.lines("good");
    let forge = |edit: &dyn Fn(&mut Vec<String>)| {
        use sha2::{Digest, Sha256};
        let hex = |bytes: &[u8]| {
            Sha256::digest(bytes)
                .iter()
                .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        };
        let mut lines = good.clone();
        let last: serde_json::Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
        edit(&mut lines);
        let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
        let old = last["document"]["sha256"].as_str().unwrap();
        // As it stands in the file: members keep their order.
        let written = good.last().unwrap();
        let from = written.find("\"document\":").unwrap() + "\"document\":".len();
        let document = written[from..written.len() - 1].replace(old, &hex(text.as_bytes()));
        lines.push(format!(
            "{{\"sha256\":\"{}\",\"document\":{document}}}",
            hex(document.as_bytes())
        ));
        here.write("forged", &lines);
    };
    let at = |table: &str| {
        good.iter().position(|line| line.starts_with(&format!("{{\"table\":\"{table}\""))).unwrap()
    };
    let forged = here.importing("forged", Some("x"));
    // It is no other's rows that come in: not by their organization, nor by what they refer to.
    forge(&|lines| lines[at("incidents")] = lines[at("incidents")].replace(&org(1), &org(2)));
    let said = here.refused(forged.clone()).await;
    assert!(said.contains("row-level security"), "{said}");
    forge(&|lines| {
        let other = lines[at("teams")].replace("\"id\":\"0", "\"id\":\"1");
        assert_ne!(other, lines[at("teams")]);
        lines[at("teams")] = other;
    });
    let said = here.refused(forged.clone()).await;
    assert!(said.contains("foreign key"), "{said}");
    forge(&|lines| {
        lines[at("teams")] = lines[at("teams")].replace("\"slug\":\"", "\"slug\":\"NO ");
    });
    let said = here.refused(forged.clone()).await;
    assert!(said.contains("teams_slug_check"), "{said}");
    forge(&|_| {});
    here.import(forged).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_left_as_it_is_and_a_failed_export_leaves_none() {
    let here = Archives::new().await;
    fs::File::create(here.path("mine")).unwrap().write_all(b"mine").unwrap();
    let error = here.export(here.exporting("org-1", "mine")).await.unwrap_err();
    assert!(matches!(error, Error::Organization(Problem::File { .. })), "{error}");
    assert_eq!(fs::read(here.path("mine")).unwrap(), b"mine");
    let error = here.export(here.exporting("nobody", "none")).await.unwrap_err();
    assert!(matches!(error, Error::Organization(Problem::Unknown { .. })), "{error}");
    let how = here.exporting("org-1", "none");
    how.cancel.cancel();
    let error = here.export(how).await.unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    let error = here.export(here.exporting("org-1", "no/such/directory")).await.unwrap_err();
    assert!(matches!(error, Error::Organization(Problem::File { .. })), "{error}");
    assert_eq!(fs::read_dir(here.dir.path()).unwrap().count(), 1);
}
