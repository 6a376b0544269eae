//! The conditions on places without the name of their column: `near=37.77,-122.42,500m`, `bbox=…`, `within=…`.

use std::borrow::Cow;

use super::QueryReading;
use crate::dataset::{ColumnType, query::Operator};

impl QueryReading<'_> {
    /// Takes a parameter that is a condition on the only column of points. False where it is none: columns have had such names.
    pub(super) fn is_place(&mut self, name: &str, value: &str) -> bool {
        let Some(operator) = Operator::PLACES.into_iter().find(|operator| operator.name() == name) else { return false };
        if self.definition.column_index(name).is_some() {
            return false;
        }
        let points = self.definition.points();
        match points.as_slice() {
            [column] => self.condition_on(name, (*column, operator), value),
            [] => {
                let reason = "is a condition on a column of points, and this data set has none".to_owned();
                self.refuse(name, reason, None);
            }
            several => {
                let names: Vec<String> =
                    several.iter().map(|place| format!("{}__{name}", self.definition.column_name(*place))).collect();
                let reason = format!("does not say which column of points it is about: write {}", names.join(" or "));
                self.refuse(name, reason, names.into_iter().next());
            }
        }
        true
    }

    /// The values of a list of a column. Commas within a point separate nothing: points are in parentheses, or pairs of numbers.
    pub(super) fn values<'t>(&self, column: usize, text: &'t str) -> Result<Vec<Cow<'t, str>>, String> {
        if self.definition.column_kind(column) != ColumnType::Point || text.starts_with('[') {
            return self.list(text);
        }
        let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
        for (at, next) in text.char_indices() {
            match next {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                // The first comma of a pair of numbers separates nothing.
                ',' if depth == 0 && text.get(start..at).is_some_and(|item| item.contains(['(', ','])) => {
                    items.push(Cow::Borrowed(text.get(start..at).unwrap_or_default()));
                    start = at + 1;
                }
                _ => {}
            }
        }
        items.push(Cow::Borrowed(text.get(start..).unwrap_or_default()));
        Ok(items)
    }
}
