//! Plans: the limits on people's requests and the rules for their keys.

mod stream;

use serde::{Deserialize, Serialize};

pub use self::stream::Plan;

/// The most data sets that a key or a plan may name.
pub const DATASETS_MAX: usize = 64;
/// Longest life that a key may be given, days: ten years.
pub const LIFE_DAYS_MAX: u32 = 3653;

/// The plan of people for whom none is named.
pub const DEFAULT_PLAN: &str = "default";
/// Longest name of a plan.
pub const PLAN_NAME_CHARS_MAX: usize = 40;
/// Highest rate, requests per second.
pub const RATE_PER_S_MAX: f64 = 10_000_000.0;
/// Lowest rate: one request in a thousand seconds.
pub const RATE_PER_S_MIN: f64 = 0.001;
/// Highest burst, requests.
pub const BURST_MAX: u32 = 10_000_000;
/// Highest quota, requests per UTC day.
pub const QUOTA_PER_DAY_MAX: u64 = 1_000_000_000_000;

/// The most working keys of one person if the plan does not say.
pub const KEYS_MAX_DEFAULT: u32 = 20;
/// The largest number of keys that a plan may allow.
pub const KEYS_MAX_MOST: u32 = 100;
/// Longest name of a data set, bytes.
const DATASET_NAME_BYTES_MAX: usize = 64;

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The name is not valid.
    #[error(
        "a plan's name is 1 to {PLAN_NAME_CHARS_MAX} lower-case letters, digits, '-' and '_', beginning with a letter; not {0:?}"
    )]
    Name(String),
    /// A number is out of bounds.
    #[error("{field} must be between {min} and {max}")]
    Bounds {
        /// The field.
        field: &'static str,
        /// The least value.
        min: String,
        /// The greatest value.
        max: String,
    },
    /// There are too many data sets, or none.
    #[error("datasets must have 1 to {DATASETS_MAX} names; null, or nothing, means all")]
    Datasets,
    /// An entry is not a data set's name.
    #[error("datasets: entry {place} is no name of a data set: lower-case letters, digits and `_`, a letter first")]
    Dataset {
        /// The entry's place, from 1.
        place: usize,
    },
}

/// What a plan says of its people's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeyRules {
    /// Days for which a key works after it was issued; null until it is ended.
    pub key_max_age_days: Option<u32>,
    /// The data sets that the plan's people may read; null for all.
    pub datasets: Option<Vec<String>>,
    /// Most keys of a person that work at the same time; null for 20.
    pub keys_max: Option<u32>,
}

impl KeyRules {
    /// Checks the bounds; sorts the names of data sets, each once.
    ///
    /// # Errors
    /// The first that is out of bounds.
    pub fn checked(mut self) -> Result<Self, PlanError> {
        let within = |field, given: Option<u32>, max: u32| match given {
            Some(given) if !(1..=max).contains(&given) => {
                Err(PlanError::Bounds { field, min: "1".to_owned(), max: max.to_string() })
            }
            _ => Ok(()),
        };
        within("key_max_age_days", self.key_max_age_days, LIFE_DAYS_MAX)?;
        within("keys_max", self.keys_max, KEYS_MAX_MOST)?;
        self.datasets = checked_datasets(self.datasets)?;
        Ok(self)
    }

    /// Most keys of a person that work at the same time.
    pub fn keys_max(&self) -> u32 {
        self.keys_max.unwrap_or(KEYS_MAX_DEFAULT)
    }
}

/// The names of data sets in order, each once.
///
/// # Errors
/// When there are none or too many, or one is not a valid name.
pub(super) fn checked_datasets(names: Option<Vec<String>>) -> Result<Option<Vec<String>>, PlanError> {
    let Some(mut names) = names else { return Ok(None) };
    let is_name = |name: &String| {
        name.len() <= DATASET_NAME_BYTES_MAX
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if !(1..=DATASETS_MAX).contains(&names.len()) {
        return Err(PlanError::Datasets);
    }
    if let Some(place) = names.iter().position(|name| !is_name(name)) {
        return Err(PlanError::Dataset { place: place + 1 });
    }
    names.sort_unstable();
    names.dedup();
    Ok(Some(names))
}

/// The limits of a plan. The reference system's: 5 requests per second, burst 10, 1,000 a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Limits {
    /// Requests per second at which the token bucket fills.
    pub rate_per_s: f64,
    /// Requests that the token bucket holds.
    pub burst: u32,
    /// Requests per UTC day.
    pub quota_per_day: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rate_per_s: 5.0, burst: 10, quota_per_day: 1000 }
    }
}

impl Limits {
    /// Checks the bounds.
    ///
    /// # Errors
    /// The first number that is out of bounds.
    pub fn checked(self) -> Result<Self, PlanError> {
        let bounds = |field, min: String, max: String| Err(PlanError::Bounds { field, min, max });
        if !(RATE_PER_S_MIN..=RATE_PER_S_MAX).contains(&self.rate_per_s) {
            return bounds("rate_per_s", RATE_PER_S_MIN.to_string(), RATE_PER_S_MAX.to_string());
        }
        if !(1..=BURST_MAX).contains(&self.burst) {
            return bounds("burst", "1".to_owned(), BURST_MAX.to_string());
        }
        if !(1..=QUOTA_PER_DAY_MAX).contains(&self.quota_per_day) {
            return bounds("quota_per_day", "1".to_owned(), QUOTA_PER_DAY_MAX.to_string());
        }
        Ok(self)
    }
}

/// Checks a plan's name.
///
/// # Errors
/// When it is not made of lower-case letters, digits, `-` and `_`, or is too long.
pub fn check_name(name: &str) -> Result<(), PlanError> {
    let sane = name.len() <= PLAN_NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if sane { Ok(()) } else { Err(PlanError::Name(name.chars().take(80).collect())) }
}
