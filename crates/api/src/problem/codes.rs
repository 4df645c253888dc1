//! The one table from error code to HTTP. A code is part of the interface: clients match on it, and
//! `/problems/{code}` explains it.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($name:ident = $code:literal, $status:ident, $title:literal, $meaning:literal;)+) => {
        /// What is wrong with a request, or with us.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $name,)+
        }

        impl Code {
            /// All codes, in the order of their status.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the code as clients see it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// Returns the status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// Returns the title, the same for each occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// Returns what it means and what to do.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }
        }

        impl serde::Serialize for Code {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl schemars::JsonSchema for Code {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                "Code".into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($code),+] })
            }
        }
    };
}

codes! {
    Malformed = "malformed", BAD_REQUEST, "Malformed request",
        "The request cannot be read: its JSON is broken, or a header is.";
    InvalidCursor = "invalid_cursor", BAD_REQUEST, "Invalid cursor",
        "The cursor does not belong to this list. Start again without one.";
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "Not authenticated",
        "The request needs a valid access token or API key, as `Authorization: Bearer TOKEN`. Log in for one.";
    WrongCredentials = "wrong_credentials", UNAUTHORIZED, "Incorrect email or password",
        "Incorrect email or password: no active account has both. An address that several organizations know opens an account only together with \"organization\", the slug of one.";
    InvalidRefreshToken = "invalid_refresh_token", UNAUTHORIZED, "Invalid refresh token",
        "The refresh token is none of ours, was used before, or its session is over. Log in again.";
    LogInRefused = "log_in_refused", UNAUTHORIZED, "Log-in refused",
        "The issuer's word does not let you in here. Begin the log-in again.";
    Forbidden = "forbidden", FORBIDDEN, "Not allowed",
        "Your role does not allow this. docs/permissions.md has the table.";
    NotFound = "not_found", NOT_FOUND, "Not found",
        "There is no such thing in your organization, or it is deleted.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Method not allowed",
        "The path exists, but not with this method. The Allow header lists those it has.";
    TooSlow = "too_slow", REQUEST_TIMEOUT, "Too slow",
        "The body did not arrive in time.";
    AlreadyExists = "already_exists", CONFLICT, "Already exists",
        "Another one has the value that must be unique.";
    IllegalTransition = "illegal_transition", CONFLICT, "Illegal transition",
        "The incident cannot move there from where it stands.";
    LimitReached = "limit_reached", CONFLICT, "Limit reached",
        "The organization has as many of these as it may.";
    InUse = "in_use", CONFLICT, "Still in use",
        "It cannot be deleted while something needs it. Move or delete that first.";
    LastAdmin = "last_admin", CONFLICT, "Last admin",
        "The organization would be left without an admin. Make somebody else one first.";
    HomeTeam = "home_team", CONFLICT, "Home team",
        "A user cannot be taken out of their home team. Give them another one, or delete the user.";
    OrganizationNeeded = "organization_needed", CONFLICT, "Organization needed",
        "You have accounts in several organizations. Send \"organization\" with the slug of one.";
    InFlight = "in_flight", CONFLICT, "Still under way",
        "The same request, with the same Idempotency-Key, is being worked on. Send it again after Retry-After seconds.";
    EventGone = "event_gone", GONE, "Event gone",
        "Your organization has no such event, or keeps it no longer: events after it may be gone, too. Read what you need to know anew, then start without \"after\".";
    Stale = "stale_version", PRECONDITION_FAILED, "Stale version",
        "Somebody else changed it since. Read it again, and send its ETag as If-Match.";
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "Too large",
        "The body is larger than this service takes.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
        "Send the body as application/json.";
    Invalid = "invalid", UNPROCESSABLE_ENTITY, "Invalid value",
        "A value cannot be accepted. errors says which and why.";
    KeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "Idempotency-Key reused",
        "This Idempotency-Key was sent with another request before. Make up a new one for each request.";
    PreconditionRequired = "precondition_required", PRECONDITION_REQUIRED, "Precondition required",
        "Changes name the version they are made on: send the ETag you read as If-Match.";
    TooMany = "too_many_requests", TOO_MANY_REQUESTS, "Too many requests",
        "You ask too much, or too often for a log-in. Wait Retry-After seconds.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error",
        "Something is wrong with us. The request id finds it in our logs.";
    NotImplemented = "not_implemented", NOT_IMPLEMENTED, "Not set up",
        "Logging in by OpenID Connect is not implemented by this installation: no issuer is set.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Unavailable",
        "The service cannot answer now, often because its database cannot. Try again after Retry-After seconds.";
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn no_code_is_there_twice_and_each_reads_well_in_a_url() {
        let mut codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
