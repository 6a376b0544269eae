//! Projection: writing the rows that follow from a stream, and the ledger's terms that follow from the rows.
//!
//! Guarantees: a row replaces only an older one, whoever else writes at the same time and however late. Consumption in the ledger
//! is never touched.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Dynamo, StoreError, fetch,
    item::{Item, get_number, number},
    rows,
    schema::{LEDGER, VIEWS},
    terms::Terms,
    write,
};
use crate::domain::view::Rows;

/// A write that follows from a stream.
#[derive(Debug, Clone)]
pub(super) enum Write {
    /// A row of the views.
    Row(Item),
    /// A pointer to a row, which never changes.
    Pointer(Item),
    /// A key's terms.
    Terms(Box<Terms>),
}

/// The stored version that a write may replace.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Over {
    /// None, or an older one.
    Older,
    /// The one that was seen, whatever it was; none when there was none.
    Seen(Option<AttributeValue>),
}

/// The rows of a commit's own version, and terms. Checked: all of them can be written.
pub(super) fn of_commit(rows: &Rows, version: u64) -> Result<Vec<Write>, StoreError> {
    let terms = Terms::of_commit(rows, version);
    of(&rows.clone().of_version(version), terms)
}

/// All rows and terms of a stream.
pub(super) fn of_all(rows: &Rows) -> Result<Vec<Write>, StoreError> {
    of(rows, Terms::of(rows))
}

fn of(rows: &Rows, terms: Vec<Terms>) -> Result<Vec<Write>, StoreError> {
    let mut writes = Vec::new();
    for item in rows::to_items(rows)? {
        let is_pointer = rows::pointed_at(&item)?.is_some();
        writes.push(if is_pointer { Write::Pointer(item) } else { Write::Row(item) });
    }
    writes.extend(terms.into_iter().map(|terms| Write::Terms(Box::new(terms))));
    Ok(writes)
}

/// Writes where the stored version is older.
pub(super) async fn write(dynamo: &Dynamo, writes: Vec<Write>) -> Result<(), StoreError> {
    let work = writes.into_iter().map(|write| write_one(dynamo, write, Over::Older)).collect();
    fetch::in_parallel(work).await?;
    Ok(())
}

/// Writes under a condition on the stored version. Returns whether the condition held.
pub(super) async fn write_one(dynamo: &Dynamo, write: Write, over: Over) -> Result<bool, StoreError> {
    match write {
        Write::Row(item) => put_row(dynamo, item, over).await,
        Write::Pointer(item) => put_pointer(dynamo, item).await,
        Write::Terms(terms) => update_terms(dynamo, &terms, over).await,
    }
}

impl Over {
    /// The condition, and the value in it that stands for a version.
    pub(super) fn condition(self, version: u64) -> (&'static str, Option<AttributeValue>) {
        match self {
            Self::Older => ("attribute_not_exists(pv) OR pv < :version", Some(number(version))),
            Self::Seen(Some(seen)) => ("pv = :version", Some(seen)),
            Self::Seen(None) => ("attribute_not_exists(pv)", None),
        }
    }
}

async fn put_row(dynamo: &Dynamo, item: Item, over: Over) -> Result<bool, StoreError> {
    let table = dynamo.table(VIEWS);
    let (condition, value) = over.condition(get_number(&item, "pv")?);
    let put = || {
        let mut request = dynamo.client().put_item().table_name(&table).set_item(Some(item.clone()));
        if let Some(value) = &value {
            request = request.expression_attribute_values(":version", value.clone());
        }
        request.condition_expression(condition).send()
    };
    write::conditional(&table, put).await
}

async fn put_pointer(dynamo: &Dynamo, item: Item) -> Result<bool, StoreError> {
    let table = dynamo.table(VIEWS);
    let put = || dynamo.client().put_item().table_name(&table).set_item(Some(item.clone())).send();
    write::conditional(&table, put).await
}

async fn update_terms(dynamo: &Dynamo, terms: &Terms, over: Over) -> Result<bool, StoreError> {
    let table = dynamo.table(LEDGER);
    let whose = match &over {
        // A key that was issued twice, as older versions allowed, stays with its present owner.
        Over::Older => " AND (attribute_not_exists(u) OR u = :u)",
        Over::Seen(_) => "",
    };
    let (condition, value) = over.condition(terms.version);
    let condition = format!("({condition}){whose}");
    let (update, values) = terms.update();
    let send = || {
        let mut request = dynamo.client().update_item().table_name(&table).set_key(Some(terms.item_key()));
        for (name, value) in &values {
            request = request.expression_attribute_values(*name, value.clone());
        }
        if let Some(value) = &value {
            request = request.expression_attribute_values(":version", value.clone());
        }
        request
            .update_expression(&update)
            .expression_attribute_names("#on", "on")
            .condition_expression(&condition)
            .send()
    };
    write::conditional(&table, send).await
}
