//! argon2id, in memory that is kept.

use std::sync::{Mutex, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{self, Output, ParamsString, Salt},
};

use crate::{
    Error,
    password::{Password, PasswordHash, Verified},
    random,
};

/// What a stored hash may ask for: some four times of what the original's did. Its parameters come
/// from the database, and whoever can write there must not be able to stop us.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 8;
const MAX_LANES: u32 = 16;

/// What workers that are at rest have hashed in.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Vec<Vec<Block>>>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// How many blocks each piece of memory has that is at rest.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> Vec<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Vec::len).collect()
    }

    /// Computes a hash.
    fn fill(
        &self,
        argon2: &Argon2<'_>,
        password: &Password,
        salt: &[u8],
        out: &mut [u8],
    ) -> argon2::Result<()> {
        let pool = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = argon2.params().block_count();
        let mut blocks = pool().pop().unwrap_or_default();
        if blocks.len() < count {
            blocks.resize(count, Block::new());
        }
        let outcome =
            argon2.hash_password_into_with_memory(password.0.as_bytes(), salt, out, &mut blocks);
        // One that was made for a larger hash of another time is given back to the system.
        if blocks.len() <= Params::DEFAULT.block_count() {
            pool().push(blocks);
        }
        outcome
    }

    pub(crate) fn hash(&self, password: &Password) -> Result<PasswordHash, Error> {
        let failed = |error: phc::Error| Error::Failed(Box::new(error));
        let argon2 = Argon2::default();
        let salt = random::bytes()?;
        let salt = Salt::new(&salt[..Salt::RECOMMENDED_LENGTH]).map_err(failed)?;
        let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
        self.fill(&argon2, password, &salt, &mut out)
            .map_err(|error| Error::Failed(Box::new(error)))?;
        let hash = phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(argon2.params())
                .map_err(|error| Error::Failed(Box::new(error)))?,
            salt: Some(salt),
            hash: Some(Output::new(&out).map_err(failed)?),
        };
        Ok(PasswordHash(hash.to_string()))
    }

    pub(crate) fn check(
        &self,
        password: &Password,
        stored: &PasswordHash,
    ) -> Result<Verified, Error> {
        let hash = phc::PasswordHash::new(&stored.0).map_err(|_| Error::UnreadableHash)?;
        let params = Params::try_from(&hash).map_err(|_| Error::UnreadableHash)?;
        let is_too_much = params.m_cost() > MAX_MEMORY_KIB
            || params.t_cost() > MAX_PASSES
            || params.p_cost() > MAX_LANES;
        let (Some(salt), Some(expected), false) = (&hash.salt, &hash.hash, is_too_much) else {
            return Err(Error::UnreadableHash);
        };
        let algorithm =
            Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| Error::UnreadableHash)?;
        let version = hash.version.map_or(Ok(Version::default()), Version::try_from);
        let version = version.map_err(|_| Error::UnreadableHash)?;
        let argon2 = Argon2::new(algorithm, version, params.clone());
        let mut out = vec![0; expected.len()];
        self.fill(&argon2, password, salt, &mut out).map_err(|_| Error::UnreadableHash)?;
        // Outputs are compared in constant time.
        let ok = Output::new(&out).map_err(|_| Error::UnreadableHash)? == *expected;
        Ok(Verified { ok, rehash: ok && !is_ours(&hash, &params) })
    }
}

/// Ours are the same for all: a weaker hash would be guessed, and one that takes longer told apart.
fn is_ours(hash: &phc::PasswordHash, params: &Params) -> bool {
    let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
        && hash.hash.is_some_and(|output| output.len() == Params::DEFAULT_OUTPUT_LEN)
        && cost(params) == cost(&Params::DEFAULT)
}
