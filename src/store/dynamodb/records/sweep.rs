//! Removes data that must not be kept from the table of records: values of withdrawn columns, and records that were dropped as a
//! whole. Both are rare, and rows of imports that died in between have to be found, too: so the whole table is scanned.
//!
//! Guarantees: a row from which values were erased carries the epoch of that, so that a node that has not heard of that import does
//! not take them for null. The data set's state notes a sweep as owed until the whole table was scanned.

use std::time::Duration;

use super::{import::DynamoImport, manifest, shared::table};
use crate::store::{
    StoreError,
    dynamodb::{
        item::{Item, number},
        schema, unavailable,
    },
    records::RecordStoreError,
};

impl DynamoImport {
    /// Waits until other nodes have heard of the visible state: until then they may read the data to be removed.
    fn let_others_hear(&self) -> Result<(), RecordStoreError> {
        // A node with older knowledge refreshes it before reading.
        let heard = Duration::from_millis(self.node.shared.settings.hearing_ms.saturating_mul(3) / 2);
        self.run(async move {
            tokio::time::sleep(heard).await;
            Ok(())
        })
    }

    /// Does the sweep that an earlier import left owed, if that import died before it.
    pub(super) fn pay_debt(&mut self) -> Result<(), RecordStoreError> {
        match self.stored.as_ref().and_then(|stored| stored.owed) {
            Some(owed) => self.sweep(owed),
            None => Ok(()),
        }
    }

    /// Scans the table of records, and removes data that the state no longer has.
    pub(super) fn sweep(&self, owed: u64) -> Result<(), RecordStoreError> {
        self.let_others_hear()?;
        let (dynamo, name) = (self.dynamo.clone(), self.name().to_owned());
        let Some(head) = self.run(async move { manifest::of(&dynamo, &name).await })? else { return Ok(()) };
        let visible = head.epochs.visible();
        let mut writer = self.records_writer();
        let mut start: Option<Item> = None;
        loop {
            let (items, next) = self.page(start.take())?;
            for item in &items {
                let (id, epoch) = head.layout.place(item).map_err(|error| self.failed(error))?;
                // Rows of a running import are left alone.
                if epoch > visible {
                    continue;
                }
                let key = crate::store::dynamodb::item::get_text(item, head.layout.key_attribute());
                let key = head.layout.key_of(key.map_err(|error| self.failed(error))?, id, epoch);
                if epoch < head.born {
                    writer.delete(key).map_err(|error| self.failed(error))?;
                    continue;
                }
                let withdrawn = head.layout.withdrawn_from(item).map_err(|error| self.failed(error))?;
                if !withdrawn.is_empty() {
                    writer.erase(key, &withdrawn, visible).map_err(|error| self.failed(error))?;
                }
            }
            match next {
                Some(next) if !next.is_empty() => start = Some(next),
                _ => break,
            }
        }
        writer.finish().map_err(|error| self.failed(error))?;
        self.settle_debt(visible, owed)
    }

    fn page(&self, start: Option<Item>) -> Result<(Vec<Item>, Option<Item>), RecordStoreError> {
        let (dynamo, table) = (self.dynamo.clone(), table(&self.node.shared, self.name()));
        self.run(async move {
            let request = dynamo.client().scan().table_name(&table).consistent_read(true);
            let page = request.set_exclusive_start_key(start).send().await;
            let page = page.map_err(|error| unavailable(&table, &error))?;
            Ok((page.items.unwrap_or_default(), page.last_evaluated_key))
        })
    }

    /// Notes that no sweep is owed any more, unless another import was committed meanwhile: that one sweeps by itself.
    fn settle_debt(&self, visible: u64, owed: u64) -> Result<(), RecordStoreError> {
        let (dynamo, name) = (self.dynamo.clone(), self.name().to_owned());
        self.run(async move {
            let table = dynamo.table(schema::STATE);
            let request = dynamo.client().update_item().table_name(&table).set_key(Some(manifest::key(&name)));
            let request = request
                .update_expression("REMOVE #o")
                .condition_expression("#e = :e AND #o = :o")
                .expression_attribute_names("#o", manifest::OWED)
                .expression_attribute_names("#e", manifest::EPOCH)
                .expression_attribute_values(":e", number(visible))
                .expression_attribute_values(":o", number(owed));
            match request.send().await {
                Ok(_) => Ok(()),
                Err(error)
                    if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) =>
                {
                    Ok(())
                }
                Err(error) => Err::<(), StoreError>(unavailable(&table, &error)),
            }
        })
    }
}
