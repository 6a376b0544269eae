//! `[accounts]`: how people sign in.

use serde::Deserialize;

use crate::domain::{attempts::Slowing, sign_in::Bounds};

const SECOND_US: i64 = 1_000_000;
/// The longest wait: guessers can keep the owner out for no longer than this after they stop.
const WAIT_MAX_US: i64 = 900 * SECOND_US;
/// The quiet time after which wrong attempts are forgotten.
const FORGOTTEN_AFTER_US: i64 = 3600 * SECOND_US;

/// How people sign in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSettings {
    /// `accounts.sign_in`
    pub sign_in: bool,
    /// `accounts.second_factor`
    pub second_factor: SecondFactorDemand,
    /// `accounts.password_chars_min`
    pub password_chars_min: usize,
    /// `accounts.argon2_memory_kib`
    pub argon2_memory_kib: u32,
    /// `accounts.argon2_iterations`
    pub argon2_iterations: u32,
    /// `accounts.argon2_parallelism`
    pub argon2_parallelism: u32,
    /// `accounts.hash_threads`
    pub hash_threads: usize,
    /// `accounts.hash_queue_max`
    pub hash_queue_max: usize,
    /// `accounts.sessions_max`, of one person.
    pub sessions_max: usize,
    /// `accounts.sessions_per_hour_max`, of one person.
    pub sessions_per_hour_max: u32,
    /// `accounts.session_h`
    pub session_h: u32,
    /// `accounts.session_idle_min`
    pub session_idle_min: u32,
    /// `accounts.invitation_link_h`
    pub invitation_link_h: u32,
    /// `accounts.claim_link_h`
    pub claim_link_h: u32,
    /// `accounts.reset_link_min`
    pub reset_link_min: u32,
    /// `accounts.wrong_passwords_max`
    pub wrong_passwords_max: u32,
    /// `accounts.wrong_passwords_wait_s`
    pub wrong_passwords_wait_s: u32,
}

/// `accounts.second_factor`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecondFactorDemand {
    /// People may have a second factor.
    Optional,
    /// Administrators must have one.
    Administrators,
}

impl AccountSettings {
    /// The limits of a person's sessions.
    pub fn bounds(&self) -> Bounds {
        Bounds { sessions: self.sessions_max, sessions_per_hour: self.sessions_per_hour_max }
    }

    /// How wrong passwords and codes slow further attempts at one account: the last free attempt makes the next one wait.
    pub fn slowing(&self) -> Slowing {
        Slowing {
            free: self.wrong_passwords_max.saturating_sub(1),
            window_us: FORGOTTEN_AFTER_US,
            first_wait_us: i64::from(self.wrong_passwords_wait_s) * SECOND_US,
            wait_max_us: WAIT_MAX_US,
        }
    }
}
