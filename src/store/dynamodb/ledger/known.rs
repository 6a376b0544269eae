//! A key's item, read.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;

use crate::{
    domain::{admission::LedgerRow, id::UserId, key::KeyHash},
    store::{
        StoreError,
        dynamodb::item::{Item, damaged, find_number, get_number, get_text},
    },
};

/// A key's item as this node last saw it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) terms: Terms,
    pub(super) row: LedgerRow,
    /// Whether the key was never used: the item has no consumption yet.
    pub(super) unused: bool,
    /// Whether others were seen to take grants of the key, too.
    pub(super) shared: bool,
}

/// What a key may.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Terms {
    pub(super) user: UserId,
    pub(super) hash: KeyHash,
    pub(super) valid_until: Option<Timestamp>,
    pub(super) plan: String,
    pub(super) on: bool,
    pub(super) version: u64,
}

impl Terms {
    pub(super) fn work_at(&self, now_ns: i64) -> bool {
        self.on && self.valid_until.is_none_or(|until| until.as_nanosecond() > i128::from(now_ns))
    }
}

impl Known {
    /// Reads the live item; nothing where it has no terms: then there is no such key.
    pub(super) fn read(item: &Item) -> Result<Option<Self>, StoreError> {
        if !item.contains_key("h") {
            return Ok(None);
        }
        let moment = |us| Timestamp::from_microsecond(us).map_err(|error| damaged("vu", error));
        let terms = Terms {
            user: UserId::parse(get_text(item, "u")?).map_err(|error| damaged("u", error))?,
            hash: KeyHash::parse(get_text(item, "h")?).map_err(|error| damaged("h", error))?,
            valid_until: find_number(item, "vu")?.map(moment).transpose()?,
            plan: get_text(item, "pl")?.to_owned(),
            on: matches!(item.get("on"), Some(AttributeValue::Bool(true))),
            version: get_number(item, "pv")?,
        };
        let row = LedgerRow {
            tat_ns: find_number(item, "tat")?.unwrap_or_default(),
            day: find_number(item, "day")?.unwrap_or_default(),
            used: find_number(item, "used")?.unwrap_or_default(),
        };
        Ok(Some(Self { terms, row, unused: !item.contains_key("day"), shared: false }))
    }
}
