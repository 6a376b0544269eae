//! Bounds of a key besides its owner's plan: until when it works, from which networks, and for which actions on which data sets.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::plan::{DATASETS_MAX, LIFE_DAYS_MAX};
use super::{
    network::AddressRange,
    personal::Personal,
    plan::{KeyRules, PlanError, checked_datasets},
};

/// Most networks that one key may be used from.
pub const NETWORKS_MAX: usize = 64;

/// What a request does with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataAction {
    /// Asks: records, pages, groups, changes.
    Read,
    /// Takes all that a question means as one stream.
    Export,
}

impl DataAction {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Read, Self::Export];

    /// The name in scopes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Export => "export",
        }
    }
}

/// What a key may be used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct KeyScopes {
    /// The data sets; null for all. A plan may allow fewer.
    pub datasets: Option<Vec<String>>,
    /// What it may do with them.
    pub actions: Vec<DataAction>,
}

impl Default for KeyScopes {
    fn default() -> Self {
        Self { datasets: None, actions: DataAction::ALL.to_vec() }
    }
}

impl KeyScopes {
    /// The scopes in order, each once.
    ///
    /// # Errors
    /// When the scopes are empty, too many, or contain a name that cannot be a data set's.
    pub fn checked(mut self) -> Result<Self, BoundsError> {
        self.datasets = checked_datasets(self.datasets)?;
        self.actions.sort_unstable();
        self.actions.dedup();
        if self.actions.is_empty() { Err(BoundsError::NoAction) } else { Ok(self) }
    }

    /// Tells whether the scopes allow this action.
    pub fn allow(&self, action: DataAction) -> bool {
        self.actions.contains(&action)
    }
}

/// Tells whether the list includes this data set; no list includes all.
pub fn names_dataset(datasets: Option<&[String]>, name: &str) -> bool {
    datasets.is_none_or(|datasets| datasets.iter().any(|dataset| dataset == name))
}

/// The bounds of a key: until when it works, from where, and what for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyBounds {
    /// When the key expires, a whole second.
    pub expires_at: Option<Timestamp>,
    /// The networks that the key may be used from, as `written` stores them; `None` for any.
    pub allowed_ips: Option<Personal>,
    /// What the key may be used for.
    pub scopes: KeyScopes,
}

/// Requested changes of a key; an absent field keeps its value, or the default of a new key. `Some(None)` clears a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// The label that its owner gives the key.
    pub label: Option<Option<String>>,
    /// When the key stops working.
    pub expires_at: Option<Option<Timestamp>>,
    /// The networks that the key may be used from.
    pub allowed_ips: Option<Option<Vec<String>>>,
    /// What the key may be used for.
    pub scopes: Option<Option<KeyScopes>>,
}

impl KeyChange {
    /// A new key with this label and no bounds of its own.
    pub fn labelled(label: &str) -> Self {
        Self { label: Some(Some(label.to_owned())), ..Self::default() }
    }
}

/// Why a key cannot have these bounds. No message repeats a network: networks are personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// The key would never work.
    #[error("expires_at must be in the future")]
    Past,
    /// The key would work for too long.
    #[error("expires_at must be within {} years: {latest} at the latest", LIFE_DAYS_MAX / 365)]
    Far {
        /// The latest moment.
        latest: Timestamp,
    },
    /// The plan limits the key's life to fewer days.
    #[error(
        "the user's plan lets a key work for {days} days after it was issued: expires_at must be {latest} at the latest; \
         rotate the key for a new one"
    )]
    BeyondPlan {
        /// The plan's limit.
        days: u32,
        /// The latest moment.
        latest: Timestamp,
    },
    /// The number of networks is zero or too high.
    #[error("allowed_ips must have 1 to {NETWORKS_MAX} entries; null, or nothing, means any address")]
    Networks,
    /// An entry is no network.
    #[error(
        "allowed_ips: entry {place} is no address and no network, such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"
    )]
    Network {
        /// The entry's place, from 1.
        place: usize,
    },
    /// The names of data sets are wrong.
    #[error(transparent)]
    Datasets(#[from] PlanError),
    /// The key would allow no action.
    #[error("scopes.actions must name read, export, or both; revoke a key that is to do nothing")]
    NoAction,
}

/// The age of a key and its plan's rules, to decide on its expiry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime<'a> {
    pub(super) issued_at: Timestamp,
    pub(super) now: Timestamp,
    pub(super) rules: &'a KeyRules,
}

impl Lifetime<'_> {
    /// The latest end that the plan allows the key.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.rules.key_max_age_days.map(|days| whole_second(days_after(self.issued_at, days)))
    }

    fn expiry(&self, wanted: Option<Timestamp>) -> Result<Option<Timestamp>, BoundsError> {
        let beyond = |latest| BoundsError::BeyondPlan { days: self.rules.key_max_age_days.unwrap_or_default(), latest };
        let Some(wanted) = wanted.map(whole_second) else {
            return match self.latest() {
                Some(latest) if latest <= self.now => Err(beyond(latest)),
                latest => Ok(latest),
            };
        };
        if wanted <= self.now {
            return Err(BoundsError::Past);
        }
        let farthest = whole_second(days_after(self.now, LIFE_DAYS_MAX));
        match self.latest() {
            Some(latest) if wanted > latest => Err(beyond(latest)),
            _ if wanted > farthest => Err(BoundsError::Far { latest: farthest }),
            _ => Ok(Some(wanted)),
        }
    }
}

impl KeyBounds {
    /// The bounds after a change. The expiry of a new key is decided in any case.
    ///
    /// # Errors
    /// The bound that is not allowed.
    pub(super) fn changed(self, change: KeyChange, life: Lifetime<'_>, is_new: bool) -> Result<Self, BoundsError> {
        let expires_at = match change.expires_at {
            None if !is_new => self.expires_at,
            wanted => life.expiry(wanted.flatten())?,
        };
        let allowed_ips = match change.allowed_ips {
            None => self.allowed_ips,
            Some(None) => None,
            Some(Some(networks)) => Some(Personal::Known(written(&networks)?)),
        };
        let scopes = match change.scopes {
            None => self.scopes,
            Some(scopes) => scopes.unwrap_or_default().checked()?,
        };
        Ok(Self { expires_at, allowed_ips, scopes })
    }
}

/// Networks in their stored form: one text, each network once, in the order given.
fn written(networks: &[String]) -> Result<String, BoundsError> {
    if !(1..=NETWORKS_MAX).contains(&networks.len()) {
        return Err(BoundsError::Networks);
    }
    let mut texts: Vec<String> = Vec::with_capacity(networks.len());
    for (network, place) in networks.iter().zip(1..) {
        let range = AddressRange::parse(network.trim()).ok_or(BoundsError::Network { place })?.to_string();
        if !texts.contains(&range) {
            texts.push(range);
        }
    }
    Ok(texts.join(" "))
}

/// The networks of a text made by `written`, one by one.
pub fn networks(text: &str) -> impl Iterator<Item = &str> {
    text.split_ascii_whitespace()
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn days_after(at: Timestamp, days: u32) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY_S: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn aged(days: u32) -> KeyRules {
        KeyRules { key_max_age_days: Some(days), ..KeyRules::default() }
    }

    fn expiry(rules: &KeyRules, now: i64, wanted: Option<i64>) -> Result<Option<Timestamp>, BoundsError> {
        Lifetime { issued_at: at(0), now: at(now), rules }.expiry(wanted.map(at))
    }

    proptest! {
        #[test]
        fn a_key_ends_after_now_and_within_ten_years_and_its_plan(
            days in prop::option::of(1..LIFE_DAYS_MAX),
            now in 0..400 * DAY_S,
            wanted in prop::option::of(-DAY_S..5000 * DAY_S),
        ) {
            let rules = KeyRules { key_max_age_days: days, ..KeyRules::default() };
            match expiry(&rules, now, wanted) {
                Ok(Some(end)) => {
                    prop_assert!(end > at(now) && end <= at(now + i64::from(LIFE_DAYS_MAX) * DAY_S));
                    prop_assert!(days.is_none_or(|days| end <= at(i64::from(days) * DAY_S)));
                    prop_assert!(wanted.is_none_or(|wanted| end == at(wanted)));
                }
                Ok(None) => prop_assert!(days.is_none() && wanted.is_none()),
                Err(BoundsError::Past) => prop_assert!(wanted.is_some_and(|wanted| wanted <= now)),
                Err(BoundsError::Far { .. }) => {
                    prop_assert!(wanted.is_some_and(|wanted| wanted > now + i64::from(LIFE_DAYS_MAX) * DAY_S));
                }
                Err(BoundsError::BeyondPlan { days: told, .. }) => {
                    prop_assert_eq!(Some(told), days);
                    prop_assert!(wanted.unwrap_or(now) >= i64::from(told) * DAY_S);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }

    #[test]
    fn a_plan_gives_new_keys_their_end_and_keeps_the_second() {
        assert_eq!(expiry(&aged(90), 0, None), Ok(Some(at(90 * DAY_S))));
        assert_eq!(expiry(&KeyRules::default(), 0, None), Ok(None));
        let rules = KeyRules::default();
        let life = Lifetime { issued_at: at(0), now: at(0), rules: &rules };
        assert_eq!(life.expiry(Some("1970-01-02T00:00:00.75Z".parse().unwrap())), Ok(Some(at(DAY_S))));
        assert_eq!(expiry(&aged(1), 2 * DAY_S, None), Err(BoundsError::BeyondPlan { days: 1, latest: at(DAY_S) }));
    }

    #[test]
    fn what_is_absent_stays_and_null_takes_away() {
        let rules = KeyRules::default();
        let life = Lifetime { issued_at: at(0), now: at(5), rules: &rules };
        let ips = |texts: &[&str]| Some(Some(texts.iter().map(|text| (*text).to_owned()).collect()));
        let scopes = KeyScopes {
            datasets: Some(vec!["b".to_owned(), "a".to_owned(), "b".to_owned()]),
            actions: vec![DataAction::Export],
        };
        let all = KeyChange {
            expires_at: Some(Some(at(9))),
            allowed_ips: ips(&["192.0.2.9/24", "2001:db8::1", "192.0.2.0/24"]),
            scopes: Some(Some(scopes)),
            ..KeyChange::default()
        };
        let bounds = KeyBounds::default().changed(all, life, true).unwrap();
        assert_eq!(bounds.allowed_ips.as_ref().and_then(Personal::known), Some("192.0.2.0/24 2001:db8::1"));
        assert_eq!(bounds.scopes.datasets, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert!(bounds.scopes.allow(DataAction::Export) && !bounds.scopes.allow(DataAction::Read));
        assert_eq!(bounds.clone().changed(KeyChange::default(), life, false), Ok(bounds.clone()));
        let nothing = KeyChange { expires_at: Some(None), allowed_ips: Some(None), scopes: Some(None), label: None };
        assert_eq!(bounds.changed(nothing, life, false), Ok(KeyBounds::default()));
    }

    #[test]
    fn what_cannot_be_is_refused_without_repeating_an_address() {
        let rules = KeyRules::default();
        let life = Lifetime { issued_at: at(0), now: at(5), rules: &rules };
        let with = |texts: Vec<String>| {
            let change = KeyChange { allowed_ips: Some(Some(texts)), ..KeyChange::default() };
            KeyBounds::default().changed(change, life, false).unwrap_err()
        };
        assert_eq!(with(Vec::new()), BoundsError::Networks);
        assert_eq!(with(vec!["192.0.2.1".to_owned(); NETWORKS_MAX + 1]), BoundsError::Networks);
        let wrong = with(vec!["192.0.2.1".to_owned(), "198.51.100.300".to_owned()]);
        assert_eq!(wrong, BoundsError::Network { place: 2 });
        assert!(!wrong.to_string().contains("198.51"), "{wrong}");
        let scopes = |datasets: Option<Vec<String>>, actions| KeyScopes { datasets, actions }.checked().unwrap_err();
        assert_eq!(scopes(None, Vec::new()), BoundsError::NoAction);
        assert!(matches!(scopes(Some(Vec::new()), DataAction::ALL.to_vec()), BoundsError::Datasets(_)));
        assert!(matches!(scopes(Some(vec!["No".to_owned()]), DataAction::ALL.to_vec()), BoundsError::Datasets(_)));
    }
}
