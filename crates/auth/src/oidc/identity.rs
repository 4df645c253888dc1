//! Who somebody is by the word of an issuer.

use brownie_domain::{AvatarUrl, EmailAddress, FullName};
use serde_json::{Map, Value};

/// Who somebody is by the word of an issuer. `issuer` and `subject` together name them for good; the
/// rest may change, and an e-mail address may pass to somebody else. What the issuer says in a form
/// that we could not store is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who says so.
    pub issuer: String,
    /// Its name for this person or service, at most 255 bytes.
    pub subject: String,
    /// Their mailbox.
    pub email: Option<EmailAddress>,
    /// Whether the issuer has made sure that it is theirs.
    pub email_verified: bool,
    /// Their name.
    pub name: Option<FullName>,
    /// Where their picture is.
    pub picture: Option<AvatarUrl>,
    /// How they like to be called, often an e-mail address: one line of at most 255 characters.
    pub preferred_username: Option<String>,
}

impl Identity {
    /// Reads the standard claims (OpenID Connect Core 1.0 section 5.1).
    pub(super) fn of(issuer: &str, subject: String, profile: &Map<String, Value>) -> Self {
        let text = |claim: &str| profile.get(claim).and_then(Value::as_str).map(str::to_owned);
        let email = text("email").and_then(|text| EmailAddress::try_from(text).ok());
        Self {
            issuer: issuer.to_owned(),
            subject,
            email_verified: email.is_some() && is_true(profile.get("email_verified")),
            email,
            name: text("name").and_then(|text| FullName::try_from(text).ok()),
            picture: text("picture").and_then(|text| AvatarUrl::try_from(text).ok()),
            preferred_username: text("preferred_username").filter(|text| is_line(text)),
        }
    }
}

/// Some issuers write `"true"`.
fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(is_true)) => *is_true,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

fn is_line(text: &str) -> bool {
    (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(profile: &Value) -> Identity {
        Identity::of("https://id.example.com", "1".to_owned(), profile.as_object().unwrap())
    }

    #[test]
    fn what_can_be_stored_is_taken() {
        let ada = read(&json!({
            "email": "Ada@Example.com", "email_verified": true, "name": "Ada Lovelace",
            "picture": "https://example.com/ada.png", "preferred_username": "ada@example.com",
        }));
        assert_eq!(ada.email.unwrap().as_str(), "ada@example.com");
        assert!(ada.email_verified);
        assert_eq!(ada.name.unwrap().as_str(), "Ada Lovelace");
        assert_eq!(ada.picture.unwrap().as_str(), "https://example.com/ada.png");
        assert_eq!(ada.preferred_username.unwrap(), "ada@example.com");
        assert!(read(&json!({"email": "a@b.cd", "email_verified": "true"})).email_verified);
    }

    #[test]
    fn what_cannot_be_stored_is_left_out() {
        let nobody = Identity {
            issuer: "https://id.example.com".to_owned(),
            subject: "1".to_owned(),
            email: None,
            email_verified: false,
            name: None,
            picture: None,
            preferred_username: None,
        };
        for profile in [
            json!({}),
            json!({"email": null, "name": 7, "picture": [], "preferred_username": {}}),
            json!({"email": "ada", "email_verified": true, "name": "a\nb"}),
            json!({"picture": "javascript:alert(1)", "preferred_username": "a\u{0}b"}),
            json!({"preferred_username": "x".repeat(256), "email_verified": true}),
        ] {
            assert_eq!(read(&profile), nobody, "{profile}");
        }
        for verified in [json!("yes"), json!(1), json!("True"), Value::Null] {
            let profile = json!({"email": "a@b.cd", "email_verified": verified});
            assert!(!read(&profile).email_verified, "{profile}");
        }
    }
}
