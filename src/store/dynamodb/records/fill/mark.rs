//! The mark of a filling: an item of the table `state`, written before anything else, and removed when all of it is visible.

use uuid::Uuid;

use crate::{
    domain::lineage::RecordsIdentity,
    store::{
        StoreError,
        dynamodb::item::{Item, damaged, get_number, get_text, item, number, text},
    },
};

/// The kind of the marks: their partition key in the table `state`.
const KIND: &str = "records-fill";

/// What there is of a filling, beside the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FillMark {
    /// Below the epochs of all versions.
    pub(super) base: u64,
    /// What is filled in.
    pub(super) identity: RecordsIdentity,
    /// Whether the table may hold rows of before.
    pub(super) owes: bool,
}

impl FillMark {
    pub(super) fn epoch(&self, version: u64) -> u64 {
        self.base.saturating_add(version)
    }

    /// The last epoch.
    pub(super) fn top(&self) -> u64 {
        self.epoch(self.identity.version)
    }

    pub(super) fn key(name: &str) -> Item {
        item([("k", text(KIND)), ("r", text(name))])
    }

    pub(super) fn item(&self, name: &str) -> Item {
        let RecordsIdentity { instance, version, last_import } = self.identity;
        let mut item = Self::key(name);
        item.extend([
            ("base".to_owned(), number(self.base)),
            ("instance".to_owned(), text(instance.to_string())),
            ("version".to_owned(), number(version)),
            ("last_import".to_owned(), text(last_import.to_string())),
            ("owes".to_owned(), number(u8::from(self.owes))),
        ]);
        item
    }

    pub(super) fn read(item: &Item) -> Result<Self, StoreError> {
        let uuid = |name: &str| Uuid::try_parse(get_text(item, name)?).map_err(|error| damaged(name, error));
        let identity = RecordsIdentity {
            instance: uuid("instance")?,
            version: get_number(item, "version")?,
            last_import: uuid("last_import")?,
        };
        Ok(Self { base: get_number(item, "base")?, identity, owes: get_number::<u8>(item, "owes")? == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let [instance, last_import] = [7, 8].map(Uuid::from_u128);
        for owes in [false, true] {
            let mark =
                FillMark { base: 1_700_000_000, identity: RecordsIdentity { instance, version: 9, last_import }, owes };
            assert_eq!(FillMark::read(&mark.item("things")).unwrap(), mark);
            assert_eq!((mark.epoch(1), mark.top()), (1_700_000_001, 1_700_000_009));
        }
    }
}
