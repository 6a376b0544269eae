//! What a data set does not publish any more. A column that was withdrawn leaves its values in rows of the past: in the
//! attribute of the column, and in those that indexes are keyed by.
//!
//! Guarantees: a value of a column that any later generation of columns was without is shown nowhere. The import that
//! withdraws a column takes these attributes from the rows once it is committed: before that, readers need them. If it died in
//! between, the next import into the data set does it. A row from which something was taken says in which epoch, so that a
//! server that has not heard of that import does not take what is missing for null.

use std::{collections::HashMap, sync::Arc};

use super::row::{self, Layout};
use crate::store::{
    StoreError,
    dynamodb::item::{Item, find_number},
};

/// The columns that a data set had in the course of time.
#[derive(Debug)]
pub(super) struct Published {
    /// Each with the epoch that ended it; nothing has ended the present ones.
    layouts: Vec<(u64, Arc<Layout>)>,
    /// The columns whose values are in an attribute that an index is keyed by.
    indexed: HashMap<String, Vec<String>>,
}

impl Published {
    /// `present` after all that an epoch has ended.
    pub(super) fn new(ended: impl IntoIterator<Item = (u64, Arc<Layout>)>, present: Arc<Layout>) -> Self {
        let layouts: Vec<_> = ended.into_iter().chain([(u64::MAX, present)]).collect();
        let mut indexed = HashMap::new();
        for (_, layout) in &layouts {
            let name = |column: usize| layout.definition().column_name(column).to_owned();
            for index in layout.indexes() {
                indexed.insert(index.partition_attribute.clone(), index.partition.into_iter().map(name).collect());
                indexed.insert(index.order_attribute.clone(), index.order.iter().copied().map(name).collect());
            }
        }
        Self { layouts, indexed }
    }

    /// Whether a column has been published ever since an epoch, and is so at present.
    fn lasts(&self, column: &str, since: u64) -> bool {
        let mut later = self.layouts.iter().filter(|(until, _)| *until > since);
        later.all(|(_, layout)| layout.definition().column_index(column).is_some())
    }

    /// The attributes that hold what is not published any more, of a row that an epoch ended. Of indexes nobody knows of, too:
    /// no version that is read by them holds the row.
    pub(super) fn withdrawn_from(&self, item: &Item, ended: u64) -> Vec<String> {
        let Some((_, present)) = self.layouts.last() else { return Vec::new() };
        let lasts = |column: &str| {
            column == present.key_attribute() || column == present.id_attribute() || self.lasts(column, ended)
        };
        let (own, columns): (Vec<&String>, Vec<&String>) = item.keys().partition(|name| row::is_own(name));
        let columns: Vec<String> = columns.into_iter().filter(|name| !lasts(name)).cloned().collect();
        if columns.is_empty() {
            // What is null is in no attribute of a column, and no value of it is in an index.
            return columns;
        }
        let is_left = |name: &str| {
            row::is_bookkeeping(name)
                || self.indexed.get(name).is_some_and(|columns| columns.iter().all(|column| lasts(column)))
        };
        let indexes = own.into_iter().filter(|name| !is_left(name)).cloned();
        indexes.chain(columns).collect()
    }
}

/// Whether something was taken from a row by an import that a reader has not heard of.
pub(super) fn is_news(item: &Item, visible: u64) -> Result<bool, StoreError> {
    Ok(find_number(item, row::ERASED)?.is_some_and(|erased: u64| erased > visible))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dataset::{Definition, Record, Value},
        store::{dynamodb::item::number, records::samples::definition},
    };

    fn layout(definition: Definition) -> Arc<Layout> {
        Arc::new(Layout::new(Arc::new(definition), 4))
    }

    fn without(name: &str) -> Definition {
        let mut definition = definition();
        definition.columns.retain(|column| column.name != name);
        definition.load_date = definition.columns.iter().position(|column| column.name == "load_date");
        let named = |column: &str| column == name;
        definition.indexes.retain(|index| !named(&index.partition) && !index.sort.as_deref().is_some_and(named));
        definition
    }

    fn item() -> Item {
        let mut record = Record { values: vec![Value::Null; definition().columns.len()] };
        record.values[0] = Value::Text("k".to_owned());
        record.values[1] = Value::Integer(1);
        record.values[2] = Value::Text("filed".to_owned());
        record.values[3] = Value::Integer(7);
        let mut item = layout(definition()).item(1, &record, (1, 1)).unwrap();
        item.insert(row::TO.to_owned(), number(3));
        item.insert("$by-forgotten".to_owned(), number(3));
        item
    }

    fn withdrawn(ended: &[(u64, Definition)], present: Definition, at: u64) -> Vec<String> {
        let ended = ended.iter().map(|(until, definition)| (*until, layout(definition.clone())));
        let mut withdrawn = Published::new(ended, layout(present)).withdrawn_from(&item(), at);
        withdrawn.sort();
        withdrawn
    }

    #[test]
    fn what_is_still_published_stays() {
        assert!(withdrawn(&[], definition(), 3).is_empty());
        assert!(withdrawn(&[(2, without("status"))], definition(), 3).is_empty(), "that was before");
        assert!(withdrawn(&[], without("latitude"), 3).is_empty(), "there is no such value");
    }

    #[test]
    fn a_column_goes_with_what_indexes_hold_of_it() {
        let gone = withdrawn(&[(5, definition())], without("status"), 3);
        assert!(gone.contains(&"status".to_owned()), "{gone:?}");
        let indexed: Vec<&String> = gone.iter().filter(|name| name.starts_with("$by-status")).collect();
        assert!(!indexed.is_empty() && gone.contains(&"$by-forgotten".to_owned()), "{gone:?}");
        for left in ["number", "record_id", "units", "$walk", "$order", row::FROM, row::TO, row::VERSION] {
            assert!(!gone.contains(&left.to_owned()), "{left} of {gone:?}");
        }
        let back = [(5, definition()), (7, without("status"))];
        assert_eq!(withdrawn(&back, definition(), 3), gone, "also when it is published again");
        assert!(withdrawn(&back, definition(), 7).is_empty(), "what came after that is not concerned");
    }

    #[test]
    fn who_has_not_heard_of_it_is_told() {
        let mut item = item();
        assert!(!is_news(&item, 0).unwrap());
        item.insert(row::ERASED.to_owned(), number(5));
        assert!(is_news(&item, 4).unwrap() && !is_news(&item, 5).unwrap());
    }
}
