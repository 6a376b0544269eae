//! Reads a person's item, and a key's.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::{
    domain::{
        admission::{LedgerRow, Reservation, UsageCount},
        key::KeyId,
    },
    store::{
        StoreError,
        dynamodb::item::{self, Item, damaged, find_number, find_text, get_number, number},
    },
};

/// A person's item as this node last saw it.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) row: LedgerRow,
    /// Whether the person never asked for anything: there is no item yet.
    pub(super) unused: bool,
    /// Whether others were seen to take grants of the person.
    pub(super) shared: bool,
    /// The latest day that was left for an earlier one, with its count kept apart: a day that begins can have a count already only
    /// up to this one.
    pub(super) far_day: Option<i64>,
    /// The last grant of each node that has not come back, each in an attribute named by [`reservation_name`].
    pub(super) reservations: BTreeMap<u64, Reservation>,
    /// The counts of the day's requests, by attribute name ([`count_names`]).
    pub(super) counts: BTreeMap<String, i64>,
    /// The number of countings: it tells whether `counts` are those of the item.
    pub(super) tallies: u64,
    /// The keys and sessions with a known last use, and its time.
    pub(super) uses: BTreeMap<KeyId, i64>,
}

/// The prefixes of the names of counts: requests, and the difference between these and their cost against the quota.
const COUNTS: [&str; 2] = ["u|", "c|"];

/// The attributes that count the requests of a line: their names hold key, status and data set.
pub(super) fn count_names(line: &UsageCount) -> [String; 2] {
    let key = line.key.as_ref().map_or("", KeyId::as_str);
    COUNTS.map(|kind| format!("{kind}{key}|{}|{}", line.status, line.dataset))
}

/// The values that a line adds to its attributes.
pub(super) fn count_values(line: &UsageCount) -> [i64; 2] {
    [line.requests, line.counted - line.requests]
}

/// The counts of an item.
pub(super) fn counts(item: &Item) -> Result<BTreeMap<String, i64>, StoreError> {
    let names = item.keys().filter(|name| COUNTS.iter().any(|kind| name.starts_with(kind)));
    names.map(|name| Ok((name.clone(), get_number(item, name)?))).collect()
}

/// The counts of a day as lines.
pub(super) fn lines(day: i64, counts: &BTreeMap<String, i64>) -> Vec<UsageCount> {
    let line = |(name, requests): (&String, &i64)| {
        let mut parts = name.strip_prefix(COUNTS[0])?.splitn(3, '|');
        let (key, status, dataset) = (parts.next()?, parts.next()?, parts.next()?);
        let differs = counts.get(&format!("{}{key}|{status}|{dataset}", COUNTS[1])).copied().unwrap_or(0);
        Some(UsageCount {
            day,
            key: KeyId::parse(key).ok(),
            dataset: dataset.into(),
            status: status.parse().unwrap_or(0),
            requests: *requests,
            counted: requests + differs,
        })
    };
    counts.iter().filter_map(line).collect()
}

/// The prefixes of the attributes of last uses: the time, and the sealed network with the time of its sealing.
const USES: [&str; 2] = ["l|", "w|"];

/// The attributes of a key's last use.
pub(super) fn use_names(key: KeyId) -> [String; 2] {
    USES.map(|kind| format!("{kind}{key}"))
}

/// The time of sealing, and the sealed network.
type SealedAt = (i64, String);

/// The keys of an item with a known last use: its time, and the sealed network with the time of its sealing.
pub(super) fn uses(item: &Item) -> Result<Vec<(KeyId, i64, Option<SealedAt>)>, StoreError> {
    let keys = item.keys().filter_map(|name| KeyId::parse(name.strip_prefix(USES[0])?).ok());
    keys.map(|key| {
        let [at, network] = use_names(key);
        let sealed = find_text(item, &network)?.and_then(|text| text.split_once(' '));
        let sealed = sealed.and_then(|(at_us, sealed)| Some((at_us.parse().ok()?, sealed.to_owned())));
        Ok((key, get_number(item, &at)?, sealed))
    })
    .collect()
}

/// The prefix of the attributes of reservations.
const RESERVATION: &str = "n_";

/// The attribute of a node's last reservation.
pub(super) fn reservation_name(node: u64) -> String {
    format!("{RESERVATION}{node:x}")
}

/// The value of that attribute.
pub(super) fn reservation_value(kept: &Reservation) -> AttributeValue {
    AttributeValue::M(item::item([
        ("s", number(kept.serial)),
        ("c", number(kept.count)),
        ("d", number(kept.day)),
        ("t", number(kept.tat_ns)),
        ("l", number(kept.limit_ns)),
        ("i", number(kept.interval_ns)),
    ]))
}

fn reservations(item: &Item) -> Result<BTreeMap<u64, Reservation>, StoreError> {
    let named = item.iter().filter_map(|(name, value)| Some((name, name.strip_prefix(RESERVATION)?, value)));
    let read = |(name, node, value): (&String, &str, &AttributeValue)| {
        let node = u64::from_str_radix(node, 16).map_err(|error| damaged(name, error))?;
        let AttributeValue::M(map) = value else { return Err(damaged(name, "it is no map")) };
        let kept = Reservation {
            serial: get_number(map, "s")?,
            count: get_number(map, "c")?,
            day: get_number(map, "d")?,
            tat_ns: get_number(map, "t")?,
            limit_ns: get_number(map, "l")?,
            interval_ns: get_number(map, "i")?,
        };
        Ok((node, kept))
    };
    named.map(read).collect()
}

/// The consumption of a person, or in an earlier version of a key.
pub(super) fn consumption(item: &Item) -> Result<LedgerRow, StoreError> {
    Ok(LedgerRow {
        tat_ns: find_number(item, "tat")?.unwrap_or_default(),
        day: find_number(item, "day")?.unwrap_or_default(),
        used: find_number(item, "used")?.unwrap_or_default(),
        interval_ns: find_number(item, "iv")?.unwrap_or_default(),
        owed_ns: find_number(item, "ow")?.unwrap_or_default(),
        owed_burst: find_number(item, "ob")?.unwrap_or_default(),
    })
}

impl Known {
    /// Reads the live item.
    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        let (unused, far_day) = (!item.contains_key("day"), find_number(item, "far")?);
        let (counts, tallies) = (counts(item)?, find_number(item, "tn")?.unwrap_or_default());
        let reservations = reservations(item)?;
        let uses = uses(item)?.into_iter().map(|(key, at_us, _)| (key, at_us)).collect();
        Ok(Self { row: consumption(item)?, unused, shared: false, far_day, reservations, counts, tallies, uses })
    }
}
