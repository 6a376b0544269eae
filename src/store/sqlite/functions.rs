//! SQL functions beside SQLite's own.

use rusqlite::{Connection, functions::FunctionFlags, types::ValueRef};

use crate::dataset::{
    Point,
    place::Area,
    query::{WordBits, WordSearch},
    text::{bare, contains_folded},
};

/// The flags of a function without side effects that depends only on its arguments.
pub(super) const PURE: FunctionFlags =
    FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC).union(FunctionFlags::SQLITE_INNOCUOUS);

/// Adds `contains_folded(text, needle)`, which ignores case and composition: see [`contains_folded`]. A null contains nothing.
pub(super) fn add_contains_folded(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_scalar_function("contains_folded", 2, PURE, |call| {
        let needle = call.get_raw(1).as_str()?;
        Ok(match call.get_raw(0) {
            ValueRef::Text(text) => std::str::from_utf8(text).is_ok_and(|text| contains_folded(text, needle)),
            _ => false,
        })
    })
}

/// Adds `has_words(words, text, …)`: whether the texts together have each word; see [`WordSearch`].
pub(super) fn add_has_words(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_scalar_function("has_words", -1, PURE, |call| {
        let Ok(Some(search)) = WordSearch::new(call.get_raw(0).as_str()?, Vec::new()) else { return Ok(false) };
        let mut all = 0;
        for nth in 1..call.len() {
            if let ValueRef::Text(text) = call.get_raw(nth)
                && let Ok(text) = std::str::from_utf8(text)
            {
                all |= search.bits_of(&bare(text)).0;
            }
        }
        Ok(search.is_met(WordBits(all)))
    })
}

/// Adds `point_inside(point, operator, value)`, which tells whether a packed point is in an area: see [`Area::contains`]. A null is in none.
pub(super) fn add_point_inside(connection: &Connection) -> rusqlite::Result<()> {
    connection.create_scalar_function("point_inside", 3, PURE, |call| {
        // The area is the same for all rows of a statement.
        let area = call.get_or_create_aux(1, |operator| {
            Area::read(operator.as_str()?, call.get_raw(2).as_str()?).map_err(|error| {
                Box::new(rusqlite::Error::UserFunctionError(error.into())) as Box<dyn std::error::Error + Send + Sync>
            })
        })?;
        Ok(match call.get_raw(0) {
            ValueRef::Integer(packed) => Point::unpacked(packed).is_some_and(|point| area.contains(point)),
            _ => false,
        })
    })
}
