//! Uploads that were begun and never ended. Stores keep their parts, and charge for them, in no list of
//! objects; `object_store` does not ask for them either.
//!
//! S3 and Google's XML API have the same answer (`ListMultipartUploads`, API version 2006-03-01). Azure
//! forgets blocks that belong to no blob after a week, by itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use brownie_domain::Timestamp;
use http::{Method, StatusCode, header::AUTHORIZATION};
use http_body_util::BodyExt;
use object_store::{
    Error as StoreError, Result as StoreResult,
    aws::{AmazonS3, AwsAuthorizer},
    client::{HttpRequest, HttpRequestBody, HttpService},
    gcp::GoogleCloudStorage,
    multipart::MultipartStore,
    path::Path,
    signer::Signer,
};
use serde::Deserialize;
use url::Url;

use super::{crypto::OpenSsl, http::Http};

/// An upload that was begun.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished {
    /// Of what.
    pub(crate) path: Path,
    /// Its number.
    pub(crate) id: String,
    /// When, by the store's clock.
    pub(crate) begun: Timestamp,
}

/// A store that tells of uploads that were not ended.
#[async_trait]
pub(crate) trait Uploads: std::fmt::Debug + Send + Sync {
    /// Lists those below a prefix.
    async fn list(&self, prefix: &Path) -> StoreResult<Vec<Unfinished>>;

    /// Ends one, and has its parts removed.
    async fn abort(&self, upload: &Unfinished) -> StoreResult<()>;
}

/// A store of one of the two.
#[derive(Debug)]
pub(super) enum Xml {
    S3 { store: Arc<AmazonS3>, http: Http, region: String },
    Gcs { store: Arc<GoogleCloudStorage>, http: Http, bucket: Url },
}

#[async_trait]
impl Uploads for Xml {
    async fn list(&self, prefix: &Path) -> StoreResult<Vec<Unfinished>> {
        let mut found = Vec::new();
        let mut after: Option<(String, String)> = None;
        loop {
            let page: Page = self.page(prefix, after.as_ref()).await?;
            for Upload { key, id, initiated } in page.uploads {
                let begun = initiated.parse().map_err(|error| unreadable(Box::new(error)))?;
                found.push(Unfinished { path: Path::parse(&key)?, id, begun });
            }
            after = match (page.is_truncated, page.next_key_marker, page.next_upload_id_marker) {
                (true, Some(key), id) => Some((key, id.unwrap_or_default())),
                _ => return Ok(found),
            };
        }
    }

    async fn abort(&self, upload: &Unfinished) -> StoreResult<()> {
        let Unfinished { path, id, .. } = upload;
        let ended = match self {
            Self::S3 { store, .. } => store.abort_multipart(path, id).await,
            Self::Gcs { store, .. } => store.abort_multipart(path, id).await,
        };
        match ended {
            Err(StoreError::NotFound { .. }) => Ok(()),
            outcome => outcome,
        }
    }
}

impl Xml {
    async fn page(&self, prefix: &Path, after: Option<&(String, String)>) -> StoreResult<Page> {
        let (mut url, http) = match self {
            // Only the store knows where its bucket is.
            Self::S3 { store, http, .. } => {
                let inside = Path::from("x");
                let url = store.signed_url(Method::GET, &inside, Duration::from_secs(1)).await?;
                (url.join(".").map_err(|error| unreadable(Box::new(error)))?, http)
            }
            Self::Gcs { http, bucket, .. } => (bucket.clone(), http),
        };
        let below = if prefix.as_ref().is_empty() { String::new() } else { format!("{prefix}/") };
        url.query_pairs_mut().clear().append_pair("uploads", "").append_pair("prefix", &below);
        if let Some((key, id)) = after {
            url.query_pairs_mut()
                .append_pair("key-marker", key)
                .append_pair("upload-id-marker", id);
        }
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(|error| unreadable(Box::new(error)))?;
        match self {
            Self::S3 { store, region, .. } => {
                let credential = store.credentials().get_credential().await?;
                AwsAuthorizer::new(&credential, "s3", region)
                    .with_crypto(&OpenSsl)
                    .try_authorize(&mut request, None)?;
            }
            Self::Gcs { store, .. } => {
                let credential = store.credentials().get_credential().await?;
                if !credential.bearer.is_empty() {
                    let bearer = format!("Bearer {}", credential.bearer).parse();
                    let bearer = bearer.map_err(|error| unreadable(Box::new(error)))?;
                    request.headers_mut().insert(AUTHORIZATION, bearer);
                }
            }
        }
        let answer = http.call(request).await.map_err(|error| unreadable(Box::new(error)))?;
        let status = answer.status();
        if status != StatusCode::OK {
            return Err(unreadable(format!("status code: {status}").into()));
        }
        let body = answer.into_body().collect().await;
        let body = body.map_err(|error| unreadable(Box::new(error)))?.to_bytes();
        quick_xml::de::from_reader(body.as_ref()).map_err(|error| unreadable(Box::new(error)))
    }
}

fn unreadable(source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Generic { store: "uploads", source }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    #[serde(rename = "UploadId")]
    id: String,
    initiated: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in the documentation of `ListMultipartUploads`, shortened.
    const ANSWER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
          <Bucket>bucket</Bucket><KeyMarker></KeyMarker><UploadIdMarker></UploadIdMarker>
          <NextKeyMarker>my-movie.m2ts</NextKeyMarker>
          <NextUploadIdMarker>YW55IGlkZWE</NextUploadIdMarker>
          <MaxUploads>3</MaxUploads><IsTruncated>true</IsTruncated>
          <Upload>
            <Key>my-divisor</Key><UploadId>XMgbGlrZSBlbHZpbmcn</UploadId>
            <Initiator><ID>arn</ID><DisplayName>user1</DisplayName></Initiator>
            <StorageClass>STANDARD</StorageClass><Initiated>2010-11-10T20:48:33.000Z</Initiated>
          </Upload>
          <Upload>
            <Key>my-movie.m2ts</Key><UploadId>VXBsb2FkIElE</UploadId>
            <Initiated>2010-11-10T20:48:33.000Z</Initiated>
          </Upload>
        </ListMultipartUploadsResult>"#;

    #[test]
    fn an_answer_is_read_as_it_is_documented() {
        let page: Page = quick_xml::de::from_str(ANSWER).unwrap();
        assert!(page.is_truncated && page.uploads.len() == 2, "{page:?}");
        assert_eq!(page.next_upload_id_marker.as_deref(), Some("YW55IGlkZWE"));
        let begun: Timestamp = page.uploads[0].initiated.parse().unwrap();
        assert_eq!(begun.to_rfc3339(), "2010-11-10T20:48:33+00:00");
        let none = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";
        assert!(quick_xml::de::from_str::<Page>(none).unwrap().uploads.is_empty());
    }
}
