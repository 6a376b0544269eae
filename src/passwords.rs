//! Hashes passwords: argon2id (RFC 9106) as a PHC string, which holds its parameters.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use thiserror::Error;

use crate::{
    domain::password::PasswordText,
    secrets::{Entropy, EntropyError},
};

/// Bytes of a salt (RFC 9106, section 3.1).
pub const SALT_BYTES: usize = 16;

/// Why a password was not hashed.
#[derive(Debug, Error)]
pub enum HashError {
    /// The parameters cannot be combined.
    #[error("accounts.argon2_…: {0}")]
    Parameters(String),
    /// There are no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// How passwords are hashed.
#[derive(Debug, Clone)]
pub struct PasswordHashing {
    params: Params,
    /// A hash by the same parameters that matches no password.
    nobody: String,
}

impl PasswordHashing {
    /// Hashing by these parameters.
    ///
    /// # Errors
    /// [`HashError::Parameters`].
    pub fn new(memory_kib: u32, iterations: u32, parallelism: u32) -> Result<Self, HashError> {
        let params = Params::new(memory_kib, iterations, parallelism, None);
        let params = params.map_err(|error| HashError::Parameters(error.to_string()))?;
        // A salt and a hash of the usual lengths.
        let nobody = format!(
            "$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}$AAAAAAAAAAAAAAAAAAAAAA\
             $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        Ok(Self { params, nobody })
    }

    /// Hashes a password, with a new salt.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn hash(&self, password: &PasswordText, entropy: &dyn Entropy) -> Result<String, HashError> {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let hashed = argon2.hash_password_with_salt(password.as_bytes(), &salt);
        hashed.map(|hash| hash.to_string()).map_err(|error| HashError::Parameters(error.to_string()))
    }

    /// Whether a password has this hash. Without a hash it takes as long, and returns `false`.
    pub fn verify(&self, password: &PasswordText, phc: Option<&str>) -> bool {
        let Ok(hash) = PasswordHash::new(phc.unwrap_or(&self.nobody)) else { return false };
        let is_right = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        is_right && phc.is_some()
    }

    /// Whether a hash was made with other parameters.
    pub fn is_outdated(&self, phc: &str) -> bool {
        let made_by = PasswordHash::new(phc).ok().and_then(|hash| Params::try_from(&hash).ok());
        made_by.is_none_or(|params| {
            (params.m_cost(), params.t_cost(), params.p_cost())
                != (self.params.m_cost(), self.params.t_cost(), self.params.p_cost())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SeededEntropy;

    #[test]
    fn a_password_is_known_by_its_hash_and_by_no_other() {
        let hashing = PasswordHashing::new(16, 1, 1).unwrap();
        let entropy = SeededEntropy::new(1);
        let (right, wrong) =
            (PasswordText::given("correct horse").unwrap(), PasswordText::given("incorrect horse").unwrap());
        let phc = hashing.hash(&right, &entropy).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=16,t=1,p=1$"), "{phc}");
        assert_ne!(hashing.hash(&right, &entropy).unwrap(), phc, "each has a salt of its own");
        assert!(hashing.verify(&right, Some(&phc)) && !hashing.verify(&wrong, Some(&phc)));
        assert!(!hashing.verify(&right, None) && !hashing.verify(&right, Some("junk")));
        assert!(PasswordHash::new(&hashing.nobody).is_ok(), "as much work as any");
        assert!(!hashing.is_outdated(&phc));
        let costlier = PasswordHashing::new(32, 1, 1).unwrap();
        assert!(costlier.is_outdated(&phc) && costlier.verify(&right, Some(&phc)), "older hashes still hold");
        assert!(PasswordHashing::new(8, 1, 2).is_err(), "too little memory for the lanes");
    }
}
