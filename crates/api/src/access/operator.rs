//! Operators: those who look after the installation, and are of no organization.

use std::{collections::BTreeSet, future::Ready, sync::Arc};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, web};
use brownie_auth::SecretHash;
use brownie_config::ServiceSettings;
use brownie_domain::OperationsKey;
use brownie_persistence::{SystemContext, SystemScope};
use sha2::{Digest, Sha256};

use super::{identity::Identity, request_id};
use crate::{Code, Deps, Problem};

/// Who operators are: by the CN of a certificate, or by the SHA-256 of a token. The service knows no
/// token.
#[derive(Debug, Clone, Default)]
pub struct Operators {
    names: BTreeSet<Arc<str>>,
    tokens: Vec<(Arc<str>, SecretHash)>,
    operations_key: Option<OperationsKey>,
}

impl Operators {
    pub(crate) fn of(settings: &ServiceSettings) -> Self {
        let settings = &settings.operators;
        let tokens = settings.tokens.iter();
        Self {
            names: settings.names.iter().map(|name| name.as_str().into()).collect(),
            tokens: tokens
                .map(|(name, hash)| (name.as_str().into(), SecretHash::from_stored(*hash)))
                .collect(),
            operations_key: settings
                .operations_key
                .as_ref()
                .map(|key| OperationsKey::new(key.expose())),
        }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.tokens.is_empty()
    }

    /// Returns whom a certificate is of, by its CN.
    pub(super) fn by_certificate(&self, name: &str) -> Option<Arc<str>> {
        self.names.get(name).cloned()
    }

    /// Returns whose token it is. All are compared, each in constant time.
    pub(super) fn by_token(&self, token: &str) -> Option<Arc<str>> {
        if self.tokens.is_empty() {
            return None;
        }
        let shown = SecretHash::from_stored(Sha256::digest(token).into());
        let mut found = None;
        for (name, hash) in &self.tokens {
            if *hash == shown {
                found = Some(Arc::clone(name));
            }
        }
        found
    }
}

/// An operator who asks. A tenant's credential is none of theirs, however much it may there.
#[derive(Debug)]
pub(crate) struct Operator {
    name: Arc<str>,
    system: SystemScope,
    operations_key: Option<OperationsKey>,
}

impl Operator {
    /// Returns the name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns what proves to the backup worker that an operator asked.
    pub(crate) fn operations_key(&self) -> Option<&OperationsKey> {
        self.operations_key.as_ref()
    }

    /// Returns what is of no organization.
    pub(crate) fn system(&self) -> &SystemScope {
        &self.system
    }

    /// Returns whoever operates the installation.
    ///
    /// # Errors
    /// When the request is nobody's who does.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let deps =
            request.app_data::<web::Data<Deps>>().ok_or_else(|| Problem::new(Code::Internal))?;
        match request.extensions().get::<Identity>() {
            Some(Identity::Operator(name)) => {
                let context = SystemContext::for_visitor(request_id(request));
                Ok(Self {
                    name: Arc::clone(name),
                    system: deps.store.system(&context),
                    operations_key: deps.operators.operations_key.clone(),
                })
            }
            Some(Identity::Refused(problem)) => Err(problem.clone()),
            identity if deps.operators.is_empty() => Err(Problem::with(
                if identity.is_some() { Code::Forbidden } else { Code::Unauthenticated },
                "This installation has no operators: set METADATA_OPERATOR_TOKENS_FILE, or METADATA_OPERATORS where clients have certificates.",
            )),
            Some(Identity::Known(_)) => Err(Problem::with(
                Code::Forbidden,
                "This is for those who operate the installation; no role in an organization permits it.",
            )),
            None => Err(Problem::with(
                Code::Unauthenticated,
                "The request needs an operator's token, as `Authorization: Bearer TOKEN`, or an operator's certificate.",
            )),
        }
    }
}

impl FromRequest for Operator {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Self::of(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_an_operators() {
        let hash = SecretHash::from_stored(Sha256::digest("correct horse").into());
        let tokens = vec![("ada".into(), hash)];
        let operators = Operators { tokens, ..Operators::default() };
        assert_eq!(operators.by_token("correct horse").as_deref(), Some("ada"));
        for wrong in ["", "correct", "correct horse ", "Correct horse"] {
            assert_eq!(operators.by_token(wrong), None, "{wrong:?}");
        }
        assert_eq!(operators.by_certificate("ada"), None);
    }
}
