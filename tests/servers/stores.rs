//! Object stores of our own, each a real process: `SeaweedFS` for S3, fake-gcs-server for Google's,
//! Azurite for Azure's.

use std::{
    fs,
    net::TcpStream,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    parts, poll_blocking,
    ports::{is_free, reserve},
    root,
};

/// The bucket that each has.
const BUCKET: &str = "brownie";
/// Who may use `SeaweedFS`, and with what.
const S3_KEYS: (&str, &str) = ("brownie", "a secret for tests");
/// The account that Azurite comes with.
const AZURE_KEYS: (&str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);

/// Runs two programs until standard input closes.
const KEEPER: &str = r#"
    sh -c "exec $1" </dev/null >>log 2>&1 &
    one=$!
    sh -c "exec $2" </dev/null >>log 2>&1 &
    read -r _
    kill -9 $one $! 2>/dev/null
    wait
"#;

/// Whose protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Amazon's S3.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

/// A store with an empty bucket.
#[derive(Debug)]
pub struct ObjectStore {
    protocol: Protocol,
    port: u16,
    keeper: Child,
    /// The log is in it, and what is stored.
    dir: tempfile::TempDir,
}

impl ObjectStore {
    /// Starts one.
    ///
    /// # Errors
    /// When it is not installed (tests/parts/install-stores.sh) or does not come up.
    pub fn start(protocol: Protocol) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let stores = parts().join("stores");
        ensure!(stores.exists(), "object stores are missing: tests/parts/install-stores.sh");
        let stores = stores.display();
        // SeaweedFS listens 10000 above each of its ports, too.
        let all_free = |base| (base..base + 4).all(|port| is_free(port) && is_free(port + 10_000));
        let base = reserve(15_000..22_000, 4, all_free)?;
        let (behind, port) = (base, base + 3);
        let programs = match protocol {
            Protocol::S3 => {
                let (id, secret) = S3_KEYS;
                let identity = format!(
                    r#"{{"identities": [{{"name": "brownie", "actions": ["Admin"],
                        "credentials": [{{"accessKey": "{id}", "secretKey": "{secret}"}}]}}]}}"#
                );
                fs::write(dir.path().join("s3.json"), identity)?;
                fs::create_dir(dir.path().join("data"))?;
                let (master, volume) = (base + 1, base + 2);
                let weed = format!(
                    "{stores}/weed server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir=data \
                     -master.port={master} -volume.port={volume} -filer -filer.port={behind} \
                     -s3 -s3.port={port} -s3.port.iceberg=0 -s3.port.lance=0 -s3.config=s3.json \
                     -volume.max=0 -master.volumeSizeLimitMB=256 -master.telemetry=false"
                );
                [weed, "true".to_owned()]
            }
            Protocol::Gcs => [
                format!(
                    "{stores}/fake-gcs-server -scheme http -host 127.0.0.1 -port {behind} \
                     -backend filesystem -filesystem-root data -public-host 127.0.0.1:{behind} \
                     -external-url http://127.0.0.1:{behind}"
                ),
                format!(
                    "python3 {}/gcs_xml.py {port} http://127.0.0.1:{behind}",
                    scripts().display()
                ),
            ],
            Protocol::Azure => [
                format!(
                    "{stores}/azurite/node_modules/.bin/azurite-blob --silent --location data \
                     --blobHost 127.0.0.1 --blobPort {port} --skipApiVersionCheck \
                     --disableTelemetry"
                ),
                "true".to_owned(),
            ],
        };
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).args(programs).current_dir(dir.path());
        // Not ended by a signal to the test's process group: it has servers to end.
        let keeper = keeper.process_group(0).stdin(Stdio::piped()).spawn().context("sh")?;
        let store = Self { protocol, port, keeper, dir };
        // What serves S3 comes up after what makes the bucket.
        poll_blocking(format!("{protocol:?} comes up"), Duration::from_mins(1), || {
            let is_up =
                store.make_bucket(behind) && TcpStream::connect(("127.0.0.1", port)).is_ok();
            ensure!(is_up, fs::read_to_string(store.dir.path().join("log")).unwrap_or_default());
            Ok(())
        });
        Ok(store)
    }

    /// Makes the bucket, and tells whether it is there.
    fn make_bucket(&self, behind: u16) -> bool {
        let mut make = match self.protocol {
            Protocol::S3 => {
                let mut curl = Command::new("curl");
                curl.args(["-s", "-w", "%{http_code}", "-o", "/dev/null", "-X", "POST"]);
                curl.arg(format!("http://127.0.0.1:{behind}/buckets/{BUCKET}/"));
                curl
            }
            Protocol::Gcs => {
                let mut curl = Command::new("curl");
                curl.args(["-s", "-w", "%{http_code}", "-o", "/dev/null"]);
                curl.args(["-H", "Content-Type: application/json", "-d"]);
                curl.arg(format!(r#"{{"name": "{BUCKET}"}}"#));
                curl.arg(format!("http://127.0.0.1:{}/storage/v1/b?project=x", self.port));
                curl
            }
            Protocol::Azure => {
                let mut script = Command::new("python3");
                script.arg(scripts().join("azurite_container.py"));
                script.args([&self.port.to_string(), BUCKET]);
                script
            }
        };
        // The codes say that it was made, or that it had been.
        make.stdin(Stdio::null()).stderr(Stdio::null()).output().is_ok_and(|output| {
            output.status.success()
                && ["", "200", "201", "409"].contains(&&*String::from_utf8_lossy(&output.stdout))
        })
    }

    /// Returns the port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the variables by which `brownie-backup` uses it, below a prefix in its bucket.
    pub fn variables(&self, prefix: &str) -> Vec<(&'static str, String)> {
        self.variables_via(self.port, prefix)
    }

    /// As [`ObjectStore::variables`], by way of another port.
    pub fn variables_via(&self, port: u16, prefix: &str) -> Vec<(&'static str, String)> {
        let url = format!("http://127.0.0.1:{port}");
        let destination = ("BACKUP_DESTINATION", format!("{BUCKET}/{prefix}"));
        let of = |provider: &str, endpoint: &str, (id, secret): (&str, &str)| {
            vec![
                destination.clone(),
                ("BACKUP_PROVIDER", provider.to_owned()),
                ("BACKUP_ENDPOINT", endpoint.to_owned()),
                ("BACKUP_ACCESS_KEY", id.to_owned()),
                ("BACKUP_SECRET_KEY", secret.to_owned()),
            ]
        };
        match self.protocol {
            Protocol::S3 => of("s3", &url, S3_KEYS),
            Protocol::Azure => of("azure", &format!("{url}/{}", AZURE_KEYS.0), AZURE_KEYS),
            Protocol::Gcs => {
                let key = format!(
                    r#"{{"gcs_base_url": "{url}", "disable_oauth": true, "client_email": "",
                        "private_key": "", "private_key_id": ""}}"#
                );
                vec![
                    destination.clone(),
                    ("BACKUP_PROVIDER", "gcs".to_owned()),
                    ("BACKUP_ENDPOINT", url),
                    ("BACKUP_TOKEN", key),
                ]
            }
        }
    }
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        // SeaweedFS leaves its sockets there, whatever its directory is.
        for port in self.port + 9_997..=self.port + 10_000 {
            for part in ["filer", "master", "s3", "volume"] {
                let _ = fs::remove_file(format!("/tmp/seaweedfs-{part}-grpc-{port}.sock"));
            }
        }
    }
}

fn scripts() -> PathBuf {
    root().join("tests/parts")
}
