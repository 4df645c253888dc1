//! Exchanging a code for who somebody is (OpenID Connect Core 1.0 section 3.1.3).

use brownie_config::OidcSettings;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::form_urlencoded::Serializer;

use super::{
    error::{IssuerFault, OidcError},
    http::{Answer, Http},
    metadata::{Metadata, SecretGoes},
};

/// The longest code that is passed on (bytes).
const MAX_CODE: usize = 4 * 1024;

/// What a code was exchanged for.
#[derive(Deserialize)]
pub(super) struct Exchanged {
    pub(super) id_token: String,
    #[serde(default)]
    pub(super) access_token: Option<String>,
}

/// What an issuer says when it does not.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Exchanges a code. `verifier` proves that we asked for it (RFC 7636 section 4.5).
pub(super) async fn exchange(
    http: &Http,
    settings: &OidcSettings,
    metadata: &Metadata,
    code: &str,
    verifier: &str,
) -> Result<Exchanged, OidcError> {
    if code.is_empty() || code.len() > MAX_CODE {
        return Err(OidcError::BadCode);
    }
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", &settings.redirect_uri)
        .append_pair("code_verifier", verifier);
    let id = settings.client_id.as_str();
    let header = match (settings.client_secret.as_ref(), metadata.secret_goes) {
        (Some(secret), SecretGoes::IntoHeader) => Some((id, secret)),
        (Some(secret), SecretGoes::IntoForm) => {
            form.append_pair("client_id", id).append_pair("client_secret", secret.expose());
            None
        }
        (Some(_), SecretGoes::Nowhere) => {
            let said = "it takes a client's secret neither in a header nor in a form".to_owned();
            return Err(IssuerFault::Nonsense(said).into());
        }
        (None, _) => {
            form.append_pair("client_id", id);
            None
        }
    };
    let answer = http.post(&metadata.token_endpoint, form.finish(), header).await?;
    if [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED].contains(&answer.status) {
        return Err(refusal(&answer));
    }
    Ok(answer.json("the tokens")?)
}

/// Reads why the code was not exchanged (RFC 6749 section 5.2). The words beside it may be anything,
/// the code itself too, and are not repeated.
fn refusal(answer: &Answer) -> OidcError {
    let refused: Option<Refused> = answer.parse();
    let code = match refused.as_ref().map(|refused| refused.error.as_str()) {
        Some("invalid_grant") => return OidcError::BadCode,
        Some("invalid_client") => "invalid_client",
        Some("invalid_request") => "invalid_request",
        Some("invalid_scope") => "invalid_scope",
        Some("unauthorized_client") => "unauthorized_client",
        Some("unsupported_grant_type") => "unsupported_grant_type",
        _ => return answer.fault("the tokens").into(),
    };
    IssuerFault::Refusal(code).into()
}

/// Asks for what the ID token leaves out: Okta's, when there is an access token besides, does not say
/// whether an e-mail address is verified. Only what is about the same person counts (section 5.3.2).
pub(super) async fn complete(
    http: &Http,
    settings: &OidcSettings,
    metadata: &Metadata,
    access_token: Option<&str>,
    subject: &str,
    profile: &mut Map<String, Value>,
) -> Result<(), IssuerFault> {
    let wants_email = settings.scopes.split(' ').any(|scope| scope == "email");
    let (true, false, Some(url), Some(token)) = (
        wants_email,
        profile.contains_key("email_verified"),
        &metadata.userinfo_endpoint,
        access_token,
    ) else {
        return Ok(());
    };
    let more: Map<String, Value> = http.get(url, Some(token)).await?.json("who somebody is")?;
    if more.get("sub").and_then(Value::as_str) != Some(subject) {
        return Err(IssuerFault::Nonsense("it tells about somebody else".to_owned()));
    }
    for (claim, value) in more {
        profile.entry(claim).or_insert(value);
    }
    Ok(())
}
