//! No private key where others might look.

use std::{fs, path::Path, process::Command, time::SystemTime};

use harness::{PATIENCE, Service, run, until};

use super::{Cluster, client, world::Ca};

/// Finds the files below a directory that were written since and hold a text, but for those below
/// `but`.
fn holders(text: &str, dir: &Path, but: &[&Path], since: SystemTime, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if but.iter().any(|but| path.starts_with(but)) {
            continue;
        }
        if kind.is_dir() {
            holders(text, &path, but, since, found);
        } else if kind.is_file()
            && entry.metadata().is_ok_and(|data| {
                data.len() < 10_000_000 && data.modified().is_ok_and(|at| at >= since)
            })
            && fs::read(&path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
        {
            found.push(path.display().to_string());
        }
    }
}

#[tokio::test]
async fn no_key_is_in_a_log_a_message_the_process_list_or_a_temporary_directory() {
    let ca = Ca::new("ca");
    let cluster = Cluster::of(&ca).await;
    let dir = client(&ca, "brownie-server");
    let since = fs::metadata(dir.file("ca.crt")).unwrap().modified().unwrap();
    let key = fs::read_to_string(dir.file("client.key")).unwrap();
    // A line from its middle, as PEM has it; whoever writes the key writes this.
    let line = key.lines().nth(1).unwrap().to_owned();
    let path = dir.path().to_str().unwrap().to_owned();
    let url = cluster.url("brownie-server");
    let variables =
        [("CERT_DIR", path.as_str()), ("LOG_LEVEL", "trace"), ("CERT_RELOAD_SECONDS", "0.2")];
    let service = Service::server_with(&url, &variables).await.unwrap();
    service.client().sign_up("acme").await.unwrap();

    let run_with = |arguments: &[&str]| {
        let all = [&variables[..], &[("DATABASE_URL", url.as_str())]].concat();
        let output = run("brownie-migrator", arguments, &all).unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let mut told = vec![run_with(&["test"]), run_with(&["certs", "check", "--connect", "--json"])];
    let listed = dir.file("client.key");
    told.push(run_with(&["certs", "inspect", listed.to_str().unwrap()]));
    let processes = Command::new("ps").args(["axeww"]).output().unwrap();
    told.push(String::from_utf8_lossy(&processes.stdout).into_owned());
    // Damaged: every message about it.
    for damaged in [
        key.replace("PRIVATE KEY", "SECRET KEY"),
        key.replacen(&line[..8], "AAAAAAAA", 1),
        format!("{line}\n"),
    ] {
        dir.put("client.key", damaged);
        told.push(run_with(&["certs", "check"]));
        told.push(run_with(&["up"]));
    }
    until("the server has refused the damaged key", PATIENCE, async || {
        let ready = service.client().get("/readyz").await.unwrap();
        ready.body["certificates"]["status"] == "refused"
    })
    .await;
    told.push(service.log());
    told.push(format!("{:?}", service.client().get("/readyz").await.unwrap().body));
    let tail = &line[16..];
    for text in &told {
        assert!(!text.contains(tail), "{text}");
    }
    assert!(service.log().contains("new certificates are not used"), "{}", service.log());

    let mut found = Vec::new();
    holders(tail, &std::env::temp_dir(), &[dir.path()], since, &mut found);
    assert!(found.is_empty(), "{found:?}");
}
