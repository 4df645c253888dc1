//! brownie-standalone backs itself up over its one connection, and is restored.

use std::{io::Write, os::unix::net::UnixStream, time::Instant};

use anyhow::{Result, ensure};
use harness::{Service, pass, poll, run};
use serde_json::json;

use super::{TOKEN, accepted, tokens_file, wait_for};

/// FAULTS S3c: the embedded database dies (here of bytes that are no protocol, on its own socket), and is back
/// soon, with all that was written; `/livez` tells it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3c_the_embedded_database_is_started_again() -> Result<()> {
    let (directory, tokens) = (tempfile::tempdir()?, tokens_file());
    // The socket's directory is made in it.
    let temporary = tempfile::Builder::new().prefix("s").tempdir_in("/tmp")?;
    let tokens = tokens.path().display().to_string();
    let settings = [
        ("METADATA_OPERATOR_TOKENS_FILE", tokens.as_str()),
        ("BACKUP_SCHEDULE", "off"),
        ("TMPDIR", temporary.path().to_str().unwrap_or_default()),
    ];
    let service = Service::standalone_with(directory.path(), &settings).await?;
    let operator = service.client().with_token(TOKEN);
    service.client().sign_up("acme").await?;
    assert_eq!(service.client().get("/livez").await?.status, 200);

    // It waits until the service gives the connection up, which it does for a backup.
    let place = std::fs::read_dir(temporary.path())?.next().expect("a directory")?.path();
    let mut garbage = UnixStream::connect(place.join(".s.PGSQL.5432"))?;
    garbage.write_all(&[0xff; 64])?;
    let asked = operator.post("/backup/create", &json!({"backup_name": "mine"})).await?;
    ensure!(asked.status == 202, "{asked:?}");
    let mut died = None;
    let began = Instant::now();
    let back = poll("the database is back", std::time::Duration::from_secs(30), async || {
        let log = service.log();
        ensure!(log.contains("has died"), "{log}");
        ensure!(log.contains("runs again"), "{log}");
        let founder = service.client().log_in("founder@acme.example").await?;
        ensure!(founder.get("/api/v1/auth/me").await?.status == 200);
        Ok(Instant::now())
    });
    let watch = async {
        loop {
            let live = service.client().get("/livez").await.map(|live| live.status);
            if matches!(live, Ok(503)) && died.is_none() {
                died = Some(Instant::now());
            }
            pass(std::time::Duration::from_millis(20), "it is asked again and again").await;
        }
    };
    let back = tokio::select! {
        back = back => back,
        () = watch => unreachable!("it asks until the database is back"),
    };
    let died = died.unwrap_or(began);
    // On a machine that does nothing else it is back after a second; the bound is for one that does.
    println!("back after {:?}", back - died);
    ensure!(back - died < std::time::Duration::from_secs(20), "{:?}", back - died);
    assert_eq!(service.client().get("/livez").await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standalone_backs_itself_up_and_comes_back() -> Result<()> {
    let (directory, tokens) = (tempfile::tempdir()?, tokens_file());
    let tokens = tokens.path().display().to_string();
    let settings =
        [("METADATA_OPERATOR_TOKENS_FILE", tokens.as_str()), ("BACKUP_SCHEDULE", "@yearly")];
    let mut service = Service::standalone_with(directory.path(), &settings).await?;
    let operator = service.client().with_token(TOKEN);
    service.client().sign_up("acme").await?;

    // There was none: the schedule has one made at once.
    poll("the first backup is made", std::time::Duration::from_mins(1), async || {
        let made = &operator.get("/backup/status").await?.body["total_backups"];
        ensure!(*made == 1, "{made} {}", service.log());
        Ok(())
    })
    .await;
    let id = accepted(&operator.post("/backup/create", &json!({"backup_name": "mine"})).await?)?;
    // Whoever asks meanwhile waits, and is answered.
    let mut asked = 0;
    while wait_for(&operator, &id, "succeeded").await.is_err() {
        asked += 1;
        ensure!(asked < 3, "{}", service.log());
    }
    let founder = service.client().log_in("founder@acme.example").await?;
    assert_eq!(founder.get("/api/v1/auth/me").await?.status, 200);
    service.client().sign_up("later").await?;

    // It makes no other database, and says what to do instead.
    let body = json!({"backup_name": "mine"});
    let id = accepted(&operator.post("/backup/restore", &body).await?)?;
    let failed = wait_for(&operator, &id, "failed").await?;
    let detail = failed["error"]["detail"].as_str().unwrap_or_default();
    ensure!(detail.contains("brownie-standalone restore"), "{failed}");
    let cleanup = accepted(&operator.post("/backup/cleanup", &json!({})).await?)?;
    wait_for(&operator, &cleanup, "succeeded").await?;

    let data = directory.path().display().to_string();
    let variables = [("BROWNIE_DATA_DIR", data.as_str())];
    let restore = |name: &str| run("brownie-standalone", &["restore", name], &variables);
    let running = restore("mine")?;
    ensure!(running.status.code() == Some(1), "it is running");
    ensure!(service.stop()?.success(), "{}", service.log());
    let unknown = restore("other")?;
    let message = String::from_utf8_lossy(&unknown.stderr).into_owned();
    ensure!(unknown.status.code() == Some(1) && message.contains("mine"), "{message}");
    let restored = restore("mine")?;
    let message = String::from_utf8_lossy(&restored.stderr).into_owned();
    ensure!(restored.status.success(), "{message}");

    let service = Service::standalone_with(directory.path(), &settings).await?;
    let founder = service.client().log_in("founder@acme.example").await?;
    assert_eq!(founder.get("/api/v1/auth/me").await?.status, 200);
    assert!(service.client().log_in("founder@later.example").await.is_err());
    service.client().sign_up("again").await?;
    Ok(())
}
