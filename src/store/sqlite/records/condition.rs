//! Filters as SQL, in two-valued logic: true or false, never unknown.

use std::borrow::Cow;

use rusqlite::types::Value as Sql;

use super::{schema::owned, shape::Shape};
use crate::dataset::query::{Filter, Test, after_prefix};

/// A list of so many parameters.
pub(super) fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// The SQL conditions of a test of a column. If not `sought`, no index is searched for it. For null they may be unknown, which
/// counts as false.
pub(super) fn of_test(column: &str, test: &Test, sought: bool) -> Vec<(String, Vec<Sql>)> {
    let name = if sought { Cow::Borrowed(column) } else { Cow::Owned(format!("+{column}")) };
    let one = |condition: String, params: Vec<Sql>| vec![(condition, params)];
    match test {
        Test::Equal(value) => one(format!("{name} = ?"), vec![owned(value)]),
        Test::NotEqual(value) => one(format!("{name} IS NOT ?"), vec![owned(value)]),
        Test::Less(value) => one(format!("{name} < ?"), vec![owned(value)]),
        Test::LessOrEqual(value) => one(format!("{name} <= ?"), vec![owned(value)]),
        Test::Greater(value) => one(format!("{name} > ?"), vec![owned(value)]),
        Test::GreaterOrEqual(value) => one(format!("{name} >= ?"), vec![owned(value)]),
        Test::Between(low, high) => one(format!("{name} BETWEEN ? AND ?"), vec![owned(low), owned(high)]),
        Test::In(list) => one(format!("{name} IN ({})", marks(list.len())), list.iter().map(owned).collect()),
        Test::NotIn(list) => {
            let condition = format!("({name} IS NULL OR {name} NOT IN ({}))", marks(list.len()));
            one(condition, list.iter().map(owned).collect())
        }
        Test::Contains(needle) => one(format!("contains_folded({name}, ?)"), vec![Sql::Text(needle.clone())]),
        Test::StartsWith(prefix) => {
            let mut conditions = one(format!("{name} >= ?"), vec![Sql::Text(prefix.clone())]);
            conditions.extend(after_prefix(prefix).map(|end| (format!("{name} < ?"), vec![Sql::Text(end)])));
            conditions
        }
        Test::Inside(area) => {
            let (low, high) = area.ends();
            let (operator, value) = area.written();
            let ends = vec![Sql::Integer(low.packed()), Sql::Integer(high.packed())];
            let mut conditions = one(format!("{name} BETWEEN ? AND ?"), ends);
            let written = vec![Sql::Text(operator.to_owned()), Sql::Text(value)];
            conditions.push((format!("point_inside({name}, ?, ?)"), written));
            conditions
        }
        Test::Null(true) => one(format!("{name} IS NULL"), Vec::new()),
        Test::Null(false) => one(format!("{name} IS NOT NULL"), Vec::new()),
    }
}

/// A filter as one SQL condition that no index is searched for.
pub(super) fn of_filter(shape: &Shape, filter: &Filter) -> (String, Vec<Sql>) {
    match filter {
        Filter::All(filters) => joined(shape, filters, " AND ", "1"),
        Filter::Any(filters) => joined(shape, filters, " OR ", "0"),
        Filter::Not(filter) => {
            let (condition, params) = of_filter(shape, filter);
            // The negation of unknown would be unknown.
            (format!("NOT ifnull({condition}, 0)"), params)
        }
        Filter::Words(search) => {
            let names: Vec<&str> = search.columns().iter().map(|column| shape.name(*column)).collect();
            (format!("has_words(?, {})", names.join(", ")), vec![Sql::Text(search.words().join(" "))])
        }
        Filter::Term(term) => {
            let (conditions, params): (Vec<String>, Vec<Vec<Sql>>) =
                of_test(shape.name(term.column), &term.test, false).into_iter().unzip();
            (format!("({})", conditions.join(" AND ")), params.concat())
        }
    }
}

fn joined(shape: &Shape, filters: &[Filter], between: &str, of_none: &str) -> (String, Vec<Sql>) {
    if filters.is_empty() {
        return (of_none.to_owned(), Vec::new());
    }
    let (conditions, params): (Vec<String>, Vec<Vec<Sql>>) =
        filters.iter().map(|filter| of_filter(shape, filter)).unzip();
    (format!("({})", conditions.join(between)), params.concat())
}
