//! Questions to a data set: which records (filter), which of their columns (select), in which order (sort), how many, and
//! after which one (cursor). What a store answers is defined here; how it finds it is the store's business.

mod filter;
mod parse;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use filter::{Filter, Term, Test, after_prefix, ascending, contains_folded, folded};
pub use parse::{OPERATORS, RESERVED, parse};

use super::{Definition, Value};

/// How large a question may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Conditions in one query.
    pub terms_max: usize,
    /// Values in one list.
    pub list_values_max: usize,
    /// Columns in `sort`.
    pub sort_columns_max: usize,
    /// Bytes of one parameter's decoded value.
    pub value_bytes_max: usize,
    /// Records in a page when `limit` is absent.
    pub page_records_default: u32,
    /// Records in a page at most: a larger `limit` is brought down to it.
    pub page_records_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            terms_max: 32,
            list_values_max: 200,
            sort_columns_max: 8,
            value_bytes_max: 4096,
            page_records_default: 100,
            page_records_max: 1000,
        }
    }
}

/// A parameter that cannot be answered: an entry of a problem document's `invalid_params`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvalidParam {
    /// The parameter's name as the caller wrote it (shortened when absurdly long).
    pub name: String,
    /// What is wrong with it and what to write instead.
    pub reason: String,
    /// The name or value that was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
}

/// One term of an order. Nulls come last in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortTerm {
    /// The column's place in [`Definition::columns`].
    pub column: usize,
    /// From the largest value to the smallest.
    pub descending: bool,
}

/// A place in an order: the values of one record in the columns of [`Query::order`].
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The version of the data set that the record was read from.
    pub version: u64,
    /// As many values as the order has terms.
    pub values: Vec<Value>,
}

/// A question to a data set, checked against its definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Which records.
    pub filter: Filter,
    /// Which columns, by place, in the order to publish them in; none means all of them.
    pub select: Option<Vec<usize>>,
    /// The order as asked for; [`Query::order`] is the total one.
    pub sort: Vec<SortTerm>,
    /// Records in the answer at most.
    pub limit: u32,
    /// Answer with what comes after this place.
    pub after: Option<Position>,
    /// Say in the answer how it was found.
    pub explain: bool,
}

impl Query {
    /// The order of the answer: `sort`, and then the record's key and record id, by which no two records are alike. They
    /// follow in the direction of the last sort term, so that one index serves an order and its reverse.
    pub fn order(&self, definition: &Definition) -> Vec<SortTerm> {
        let descending = self.sort.last().is_some_and(|term| term.descending);
        let mut order = self.sort.clone();
        for column in [definition.key, definition.record_id] {
            if !order.iter().any(|term| term.column == column) {
                order.push(SortTerm { column, descending });
            }
        }
        order
    }

    /// One text for all ways of asking the same: the order of parameters and of list values does not count, nor does a
    /// default that is spelt out. `cursor` is not part of it.
    pub fn normal_form(&self, definition: &Definition) -> String {
        let mut form = self.scope(definition);
        form.push_str(";select=");
        for column in self.select.iter().flatten() {
            push_name(definition, *column, &mut form);
        }
        form.push_str(&format!(";limit={}", self.limit));
        if self.explain {
            form.push_str(";explain");
        }
        form
    }

    /// The part of [`Query::normal_form`] that says which records come in which order. A cursor is bound to it and to
    /// nothing else: `limit`, `select` and `explain` may change from page to page without losing one's place.
    pub fn scope(&self, definition: &Definition) -> String {
        let mut form = String::from("filter=");
        self.filter.write_normal_form(definition, &mut form);
        form.push_str(";sort=");
        for term in self.order(definition) {
            form.push(if term.descending { '-' } else { '+' });
            push_name(definition, term.column, &mut form);
        }
        form
    }
}

fn push_name(definition: &Definition, column: usize, out: &mut String) {
    out.push_str(definition.columns.get(column).map_or("", |column| column.name.as_str()));
    out.push(',');
}
