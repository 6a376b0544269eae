//! A map of a column of points: the records are counted by cells of geohashes, and each cell is a tile that is drawn here.

use serde_json::{Value as Json, json};

use super::{
    DataReader,
    address::{MAP, PageAddress},
    drawing::tenth,
    wording,
};
use crate::{
    dataset::{
        ColumnType, Value,
        columns::Measured,
        place::{GEOHASH_LENGTH_MAX, geohash_ends},
        query::{Groups, InvalidParam},
        suggest,
    },
    domain::id::UserId,
    http::Problem,
    store::records::RecordsGroups,
};

/// The requests that a map costs: one finds where the points are, one counts them.
pub(super) const COST: u64 = 2;
/// The letters of the cells by which it is found where the points are: some 5 km.
const FIRST_LETTERS: u8 = 5;
/// Cells at most.
const CELLS_MAX: usize = 1_000;
/// The fewest cells side by side, if points lie so far apart.
const CELLS_ACROSS: f64 = 20.0;
/// The drawing's size.
const WIDTH: f64 = 720.0;
const HEIGHT_MAX: f64 = 720.0;
const HEIGHT_MIN: f64 = 160.0;
/// Cells in the table behind the map.
const LISTED: usize = 20;

/// West, south, east and north, in degrees.
type Ends = [f64; 4];

/// The column of points that the map shows.
///
/// # Errors
/// When there is no such column.
pub(super) fn column(reader: &DataReader<'_>, address: &PageAddress) -> Result<Option<usize>, InvalidParam> {
    let Some(name) = address.get(MAP) else { return Ok(None) };
    let definition = &reader.data_set.definition;
    let is_point = |place: &usize| definition.column_kind(*place) == ColumnType::Point;
    definition.column_index(name).filter(is_point).map(Some).ok_or_else(|| {
        let columns = definition.columns.iter().filter(|column| column.kind == ColumnType::Point);
        InvalidParam::new(
            MAP,
            "there is no such column of points",
            suggest::nearest(name, columns.map(|column| column.name.as_str())),
        )
    })
}

/// The columns that a map can show.
pub(super) fn choices(reader: &DataReader<'_>) -> Json {
    let columns = reader.data_set.definition.columns.iter().filter(|column| column.kind == ColumnType::Point);
    columns.map(|column| json!({ "name": column.name, "label": wording::label(&column.name) })).collect()
}

/// Asks where the points are, then for their numbers by cells; the map.
///
/// # Errors
/// The same as for the API.
pub(super) async fn drawn(
    reader: &DataReader<'_>,
    who: UserId,
    address: &PageAddress,
    column: usize,
) -> Result<Json, Problem> {
    let name = reader.data_set.definition.column_name(column);
    let ask = async |letters: u8| {
        let asked = question(reader, address, name, letters)?;
        reader.data.groups_of(who, &reader.data_set, &asked).await.map(|found| cells(&found))
    };
    let mut cells = ask(FIRST_LETTERS).await?;
    if let Some(around) = around(&cells) {
        let letters = letters_for(around);
        if letters != FIRST_LETTERS {
            cells = ask(letters).await?;
        }
    }
    Ok(map(reader, address, name, &cells))
}

fn question(reader: &DataReader<'_>, address: &PageAddress, name: &str, letters: u8) -> Result<Groups, Problem> {
    let by = format!("geohash({name},{letters})");
    let asked = address.of_groups(&by, None, None, CELLS_MAX).with("sort", "-count");
    reader.data.question_of_groups(&reader.data_set, &asked.query()).map_err(|wrong| Problem::invalid_params(&wrong))
}

/// The cells that were found: ends and number of records.
struct FoundCells {
    cells: Vec<(Ends, u64)>,
    /// Records without a point.
    without: u64,
    is_cut: bool,
}

fn cells(RecordsGroups { found, .. }: &RecordsGroups) -> FoundCells {
    let (mut cells, mut without) = (Vec::new(), 0);
    for row in &found.rows {
        let [Measured::Value(hash), Measured::Value(Value::Integer(count))] = row.as_slice() else { continue };
        let count = u64::try_from(*count).unwrap_or_default();
        match hash {
            Value::Text(hash) => cells.extend(geohash_ends(hash).map(|ends| (ends, count))),
            _ => without = count,
        }
    }
    FoundCells { cells, without, is_cut: (found.rows.len() as u64) < found.count }
}

/// The ends of a box that was asked for, unless it crosses the antimeridian.
fn ends_of(text: &str) -> Option<Ends> {
    let degrees: Vec<f64> = text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    let [west, south, east, north] = degrees.as_slice() else { return None };
    (west <= east).then_some([*west, *south, *east, *north])
}

/// The box around all cells.
fn around(found: &FoundCells) -> Option<Ends> {
    let boxes = found.cells.iter().map(|(ends, _)| *ends);
    boxes.reduce(|[west, south, east, north], [w, s, e, n]| [west.min(w), south.min(s), east.max(e), north.max(n)])
}

/// The letters of cells of which enough fit into a box side by side.
fn letters_for([west, south, east, north]: Ends) -> u8 {
    let across = (east - west).max(2.0 * (north - south));
    // A letter has five bits, of which the longitude has three and two in turns.
    let width = |letters: u8| 360.0 / f64::from(1_u32 << (u32::from(letters) * 5).div_ceil(2).min(31));
    (1..GEOHASH_LENGTH_MAX)
        .find(|letters| across / width(*letters) >= CELLS_ACROSS)
        .unwrap_or(GEOHASH_LENGTH_MAX)
        .min(9)
}

fn map(reader: &DataReader<'_>, address: &PageAddress, name: &str, found: &FoundCells) -> Json {
    let (base, label) = (reader.base(), wording::label(name));
    let Some([west, south, east, north]) = around(found) else {
        return json!({ "column": label, "cells": [], "without": found.without });
    };
    // Degrees of longitude are shorter the farther from the equator they are.
    let shrunk = (f64::midpoint(south, north)).to_radians().cos().max(0.1);
    let height = (WIDTH * (north - south) / ((east - west) * shrunk)).clamp(HEIGHT_MIN, HEIGHT_MAX);
    let most = found.cells.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let condition = format!("{name}__bbox");
    let bare = address.without(&[&condition, "bbox"]);
    let own = [condition.as_str(), "bbox"].into_iter().filter_map(|name| address.get(name)).filter_map(ends_of);
    let own: Vec<Ends> = own.collect();
    let tile = |([w, s, e, n], count): &(Ends, u64)| {
        // A cell is without its eastern and northern side, and a box is not; the box that was asked for holds on.
        let less = |degrees: f64, most: f64| if degrees < most { degrees - 1e-7 } else { degrees };
        let cell = [*w, *s, less(*e, 180.0), less(*n, 90.0)];
        let area = own.iter().fold(cell, |[w, s, e, n], [west, south, east, north]| {
            [w.max(*west), s.max(*south), e.min(*east), n.min(*north)]
        });
        let area = area.map(|degrees| format!("{}", (degrees * 1e7).round() / 1e7)).join(",");
        let x = |degrees: f64| WIDTH * (degrees - west) / (east - west);
        let y = |degrees: f64| height * (north - degrees) / (north - south);
        // By the logarithm: a few cells have most of the records.
        let strength = (*count as f64 + 1.0).ln() / (most as f64 + 1.0).ln();
        json!({
            "x": tenth(x(*w)), "y": tenth(y(*n)), "w": tenth(x(*e) - x(*w)), "h": tenth(y(*s) - y(*n)), "count": count,
            "opacity": (20.0 + 80.0 * strength).round() / 100.0, "href": bare.with(&condition, &area).path(&base), "area": area,
            "middle": format!("{:.5}, {:.5}", f64::midpoint(*s, *n), f64::midpoint(*w, *e)),
        })
    };
    let tiles: Vec<Json> = found.cells.iter().map(tile).collect();
    let listed: Vec<Json> = tiles.iter().take(LISTED).cloned().collect();
    json!({
        "column": label, "width": WIDTH, "height": tenth(height), "cells": tiles, "listed": listed, "without": found.without,
        "is_cut": found.is_cut, "records": found.cells.iter().map(|(_, count)| count).sum::<u64>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_fit_what_is_shown() {
        assert_eq!(letters_for([-180.0, -85.0, 180.0, 85.0]), 2, "the world");
        assert_eq!(letters_for([-122.52, 37.7, -122.35, 37.83]), 6, "a city");
        assert_eq!(ends_of("-122.5, 37.7,-122.4,37.8"), Some([-122.5, 37.7, -122.4, 37.8]));
        assert_eq!((ends_of("170,-2,-170,2"), ends_of("1,2,3")), (None, None));
        assert_eq!(letters_for([-122.4201, 37.7701, -122.42, 37.7702]), 9, "a house");
        for letters in 1..=9_u8 {
            let whole = [-122.5, 37.5, -122.5, 37.5];
            assert!(letters_for(whole) >= letters.min(9));
        }
    }
}
