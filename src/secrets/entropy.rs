//! Random bytes from a source that is passed in, so that tests can repeat a run.

use std::fmt;

use thiserror::Error;

/// A source of random bytes, passed in so that tests can repeat a run.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `bytes` with random bytes.
    ///
    /// # Errors
    /// When the source fails; nothing may then be derived from `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// The system's random source failed.
#[derive(Debug, Error)]
#[error("the system's random source failed: {0}; nothing secret can be made without it")]
pub struct EntropyError(String);

/// The operating system's random source.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|error| EntropyError(error.to_string()))
    }
}

/// A repeatable source: for tests only, since its bytes are not secret.
#[derive(Debug)]
pub struct SeededEntropy(std::sync::Mutex<rand_chacha::ChaCha8Rng>);

impl SeededEntropy {
    /// A source that gives the same bytes for the same seed.
    pub fn new(seed: u64) -> Self {
        use rand_chacha::rand_core::SeedableRng;
        Self(std::sync::Mutex::new(rand_chacha::ChaCha8Rng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        use rand_chacha::rand_core::Rng;
        let mut generator = self.0.lock().map_err(|error| EntropyError(error.to_string()))?;
        generator.fill_bytes(bytes);
        Ok(())
    }
}
