//! Random numbers that nobody can guess.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::Error;

/// Returns 256 random bits.
pub(crate) fn bytes() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Failed(Box::new(error)))?;
    Ok(bytes)
}

/// Returns 256 random bits in 43 characters of base64url.
pub(crate) fn text() -> Result<String, Error> {
    bytes().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}
