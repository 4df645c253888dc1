//! The proof that an operator asked: the server makes it, and the worker that executes an operation checks it. A
//! row in the queue proves nothing by itself, for whoever has the server's role of the database can add one.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use crate::{OperationId, OperationKind, OperationRequest, Timestamp};

/// What the server and the worker both know, and the database does not.
#[derive(Clone)]
pub struct OperationsKey(Hmac<Sha256>);

/// What is proven: who asked for what, when.
#[derive(Debug, Clone, Copy)]
pub struct AskedOperation<'a> {
    /// Which operation.
    pub id: OperationId,
    /// What is to be done.
    pub kind: OperationKind,
    /// With what.
    pub request: &'a OperationRequest,
    /// Which operator asked.
    pub requested_by: &'a str,
    /// When.
    pub created_at: Timestamp,
}

impl OperationsKey {
    /// Takes what `METADATA_OPERATIONS_KEY` says.
    pub fn new(text: &str) -> Self {
        // A key of its own, of the length that is best (RFC 2104 section 3).
        let key = Sha512::new_with_prefix("operations ").chain_update(text).finalize();
        Self(Hmac::new(&key))
    }

    /// Proves that an operator asked: an HMAC-SHA-256 of all of it.
    pub fn prove(&self, asked: &AskedOperation<'_>) -> Vec<u8> {
        self.mac(asked).finalize().into_bytes().to_vec()
    }

    /// Tells whether a proof is one, in constant time.
    pub fn accepts(&self, asked: &AskedOperation<'_>, proof: &[u8]) -> bool {
        self.mac(asked).verify_slice(proof).is_ok()
    }

    fn mac(&self, asked: &AskedOperation<'_>) -> Hmac<Sha256> {
        let AskedOperation { id, kind, request, requested_by, created_at } = asked;
        let mut mac = self.0.clone();
        // JSON, so that no two sets of fields have the same bytes.
        let fields = serde_json::json!([
            "brownie operation 1",
            id,
            kind.as_str(),
            request,
            requested_by,
            created_at.timestamp_micros(),
        ]);
        mac.update(fields.to_string().as_bytes());
        mac
    }
}

impl fmt::Debug for OperationsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[operations key]")
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_proof_holds_for_what_was_asked_and_nothing_else() {
        let key = OperationsKey::new("thirty-two characters, or even more");
        let request = OperationRequest { backup_name: Some("a".into()), ..Default::default() };
        let asked = AskedOperation {
            id: OperationId::from_uuid(Uuid::from_u128(1)),
            kind: OperationKind::Delete,
            request: &request,
            requested_by: "ada",
            created_at: Timestamp::UNIX_EPOCH,
        };
        let proof = key.prove(&asked);
        assert!(key.accepts(&asked, &proof));
        let other = OperationRequest { backup_name: Some("b".into()), ..Default::default() };
        let others = [
            AskedOperation { id: OperationId::from_uuid(Uuid::from_u128(2)), ..asked },
            AskedOperation { kind: OperationKind::Restore, ..asked },
            AskedOperation { request: &other, ..asked },
            AskedOperation { requested_by: "grace", ..asked },
            AskedOperation {
                created_at: Timestamp::UNIX_EPOCH + chrono::TimeDelta::microseconds(1),
                ..asked
            },
        ];
        assert!(others.iter().all(|asked| !key.accepts(asked, &proof)));
        assert!(!key.accepts(&asked, &proof[..31]) && !key.accepts(&asked, &[]));
        assert!(!OperationsKey::new("another").accepts(&asked, &proof));
    }
}
