//! Who keeps backups: a directory, or one of three protocols of object stores.

mod crypto;
mod directory;
mod http;
mod uploads;

use std::{sync::Arc, time::Duration};

use brownie_config::{BackupProvider, Bucket, Secret};
use futures_util::TryStreamExt;
use object_store::{
    BackoffConfig, Error as StoreError, ObjectStore, RetryConfig, aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder, path::Path,
};
use url::Url;

use crate::{
    Error, Provider, Result, Store,
    error::{is_missing, is_unwell},
};
use crypto::OpenSsl;
pub use directory::directory;
use http::Http;
use uploads::Xml;
pub(crate) use uploads::{Unfinished, Uploads};

/// For the first question: whether there is such a bucket, and whether we are let in.
const AT_FIRST: (usize, Duration) = (3, Duration::from_secs(15));
/// For everything after it: stores stall, and refuse for a minute, and come back. Time alone counts: pauses
/// are drawn by lot, so a number of tries is used up now sooner, now later.
const THEN: (usize, Duration) = (usize::MAX, Duration::from_mins(4));

const GOOGLE: &str = "https://storage.googleapis.com";

/// Opens the place where backups are kept, and asks it a question, so that what is wrong with it is
/// known before anything is begun.
///
/// # Errors
/// [`Error::NoDestination`] and [`Error::Denied`]; what the store said.
pub async fn open(settings: &BackupProvider) -> Result<Store> {
    let (provider, bucket) = match settings {
        BackupProvider::Directory(path) => return directory(path),
        BackupProvider::S3(bucket) => (Provider::S3, bucket),
        BackupProvider::Gcs(bucket) => (Provider::Gcs, bucket),
        BackupProvider::Azure(bucket) => (Provider::Azure, bucket),
    };
    let http = Http::new(bucket)?;
    let build = |(tries, patience)| build(provider, bucket, &http, retry(tries, patience));
    let prefix = Path::parse(&bucket.prefix).map_err(|error| {
        Error::Settings(format!("the prefix of BACKUP_DESTINATION cannot be used: {error}"))
    })?;
    let (asked, _) = build(AT_FIRST)?;
    let (objects, uploads) = build(THEN)?;
    let mut first = asked.list(Some(&prefix)).try_next().await;
    if first.as_ref().is_err_and(|error| is_unwell(error) && !is_missing(error)) {
        first = objects.list(Some(&prefix)).try_next().await;
    }
    if let Err(error) = first {
        let destination = format!("{provider}:{}/{}", bucket.name, bucket.prefix);
        return Err(if is_missing(&error) {
            Error::NoDestination { destination, source: Box::new(error) }
        } else {
            Error::store("listing", &destination, error)
        });
    }
    Ok(Store::new(objects, prefix, provider).with_uploads(uploads))
}

fn retry(tries: usize, patience: Duration) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(10),
            base: 2.,
        },
        max_retries: tries,
        retry_timeout: patience,
    }
}

/// A store, and who tells of its unfinished uploads, if it can.
type Built = (Arc<dyn ObjectStore>, Option<Arc<dyn Uploads>>);

fn build(provider: Provider, bucket: &Bucket, http: &Http, retry: RetryConfig) -> Result<Built> {
    let crypto = Arc::new(OpenSsl);
    let is_plain = bucket.endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
    let keys = bucket.access_key.as_ref().zip(bucket.secret_key.as_ref());
    let built: Result<Built, StoreError> = match provider {
        Provider::S3 => {
            // Without keys, what the pod or the instance is: the environment says where to ask.
            let mut store = match keys {
                Some((id, secret)) => AmazonS3Builder::new()
                    .with_access_key_id(id.expose())
                    .with_secret_access_key(secret.expose()),
                None => AmazonS3Builder::from_env(),
            };
            store = store
                .with_bucket_name(&bucket.name)
                .with_region(&bucket.region)
                .with_allow_http(is_plain)
                .with_crypto_provider(crypto)
                .with_http_connector(http.clone())
                .with_retry(retry);
            if let Some(token) = &bucket.token {
                store = store.with_token(token.expose());
            }
            if let Some(endpoint) = &bucket.endpoint {
                store = store.with_endpoint(endpoint);
            }
            store.build().map(|store| {
                let store = Arc::new(store);
                let (http, region) = (http.clone(), bucket.region.clone());
                let uploads = Xml::S3 { store: Arc::clone(&store), http, region };
                (store as _, Some(Arc::new(uploads) as _))
            })
        }
        Provider::Gcs => {
            let mut store = match &bucket.token {
                Some(key) => {
                    GoogleCloudStorageBuilder::new().with_service_account_key(key.expose())
                }
                None => GoogleCloudStorageBuilder::from_env(),
            };
            store = store
                .with_bucket_name(&bucket.name)
                .with_crypto_provider(crypto)
                .with_http_connector(http.clone())
                .with_retry(retry);
            if let Some(endpoint) = &bucket.endpoint {
                store = store.with_base_url(endpoint);
            }
            let url = bucket.endpoint.as_deref().unwrap_or(GOOGLE).trim_end_matches('/');
            let url = Url::parse(&format!("{url}/{}", bucket.name));
            store.build().map(|store| {
                let (store, http) = (Arc::new(store), http.clone());
                let uploads = url.ok().map(|bucket| {
                    Arc::new(Xml::Gcs { store: Arc::clone(&store), http, bucket }) as _
                });
                (store as _, uploads)
            })
        }
        Provider::Azure => {
            let mut store = match keys {
                Some((account, key)) => MicrosoftAzureBuilder::new()
                    .with_account(account.expose())
                    .with_access_key(key.expose()),
                None => MicrosoftAzureBuilder::from_env(),
            };
            store = store
                .with_container_name(&bucket.name)
                .with_allow_http(is_plain)
                .with_crypto_provider(crypto)
                .with_http_connector(http.clone())
                .with_retry(retry);
            if let Some(endpoint) = &bucket.endpoint {
                store = store.with_endpoint(endpoint.clone());
            }
            store.build().map(|store| (Arc::new(store) as _, None))
        }
        Provider::Directory => return Err(Error::Settings("a directory is no bucket".to_owned())),
    };
    built.map_err(|error| {
        Error::Settings(format!(
            "the store cannot be set up: {}",
            without(&error.to_string(), bucket)
        ))
    })
}

/// Takes secrets out of a text that somebody else made.
fn without(text: &str, bucket: &Bucket) -> String {
    [&bucket.access_key, &bucket.secret_key, &bucket.token]
        .into_iter()
        .flatten()
        .map(Secret::expose)
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"))
}
