//! Why Vault does not give what it is asked for.

/// Why Vault does not give what it is asked for. No message holds a token or a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultFault {
    /// It does not answer, or not in time, or that it cannot now.
    #[error("Vault at {address} is away: {why}")]
    Away {
        /// Where it should be.
        address: String,
        /// What was seen of it.
        why: String,
    },
    /// It is there, and nobody has unsealed it.
    #[error("Vault at {address} is sealed; unseal it")]
    Sealed {
        /// Where it is.
        address: String,
    },
    /// Our token does not open anything.
    #[error(
        "Vault does not know our token: it is wrong, expired or revoked; give VAULT_TOKEN another"
    )]
    TokenRefused,
    /// It does not let us in.
    #[error("Vault does not let us in by {path}: {why}")]
    LogInRefused {
        /// The way in.
        path: String,
        /// What it says.
        why: String,
    },
    /// What we log in with cannot be read.
    #[error("{what} for Vault cannot be had: {why}")]
    NoCredential {
        /// Token, `secret_id` or the pod's token.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Our token is good, but not for this.
    #[error(
        "Vault's policy does not let us use {path}; it needs read for a secret, update to issue"
    )]
    Denied {
        /// What we asked for.
        path: String,
    },
    /// There is nothing.
    #[error("Vault has nothing at {path}")]
    NotFound {
        /// What we asked for.
        path: String,
    },
    /// What it answers cannot be used.
    #[error("Vault answers what cannot be used for {path}: {why}")]
    Nonsense {
        /// What we asked for.
        path: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// We cannot even ask.
    #[error("Vault cannot be asked: {why}")]
    Setup {
        /// What is wrong.
        why: String,
    },
}
