//! How stores are talked to: with the house's one HTTP client and TLS stack, instead of those that
//! `object_store` would bring.

use std::{fs, time::Duration};

use async_trait::async_trait;
use brownie_config::Bucket;
use http_body_util::BodyExt;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpResponseBody, HttpService,
    },
};
use reqwest::{Body, Certificate, Client, Method, Request, Response, redirect::Policy};

use crate::{Error, Result};

const CONNECT: Duration = Duration::from_secs(5);
/// How long nothing may come. A chunk on its way to the store counts, too.
const SILENCE: Duration = Duration::from_mins(1);
/// How long a request may take that is not for an object, which is as large as it is.
const REQUEST: Duration = Duration::from_mins(2);

/// A client for one store.
#[derive(Debug, Clone)]
pub(super) struct Http(Client);

impl Http {
    pub(super) fn new(bucket: &Bucket) -> Result<Self> {
        let is_plain = bucket.endpoint.as_ref().is_some_and(|url| url.starts_with("http://"));
        let mut client = Client::builder()
            .user_agent("brownie-backup")
            .redirect(Policy::none())
            .referer(false)
            // What the machine's own metadata service says is said without TLS.
            .https_only(!is_plain && bucket.access_key.is_some())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        if is_plain {
            client = client.no_proxy();
        }
        if let Some(path) = &bucket.ca_file {
            let bad = |why: &dyn std::fmt::Display| {
                Error::Settings(format!("BACKUP_CA_FILE {} cannot be used: {why}", path.display()))
            };
            let pem = fs::read(path).map_err(|error| bad(&error))?;
            let bundle = Certificate::from_pem_bundle(&pem).map_err(|error| bad(&error))?;
            if bundle.is_empty() {
                return Err(bad(&"there is no certificate in it"));
            }
            client = client.tls_certs_only(bundle);
        }
        client
            .build()
            .map(Self)
            .map_err(|error| Error::Settings(format!("the HTTP client cannot be set up: {error}")))
    }
}

impl HttpConnector for Http {
    /// All that matters is set already.
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Http {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url = parts.uri.to_string().parse();
        let url = url.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let is_get = parts.method == Method::GET;
        let mut request = Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        *request.body_mut() = Some(Body::wrap(body));
        if !is_get {
            *request.timeout_mut() = Some(REQUEST);
        }
        let response: Response = self.0.execute(request).await.map_err(sorted)?;
        let (parts, body) = Into::<::http::Response<Body>>::into(response).into_parts();
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body.map_err(sorted))))
    }
}

/// Tells `object_store` what kind an error is, by which it decides whether to try again. A connection
/// that broke is tried again whatever was asked: nothing that we ask does harm twice.
fn sorted(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_builder() {
        HttpErrorKind::Unknown
    } else {
        HttpErrorKind::Request
    };
    // Some URLs are signed.
    HttpError::new(kind, error.without_url())
}
