//! The parts beside the rows: how often the values of a column occur, and the column's chart.

use serde_json::{Value as Json, json};

use super::{
    DataReader,
    address::PageAddress,
    chart::{self, Bars},
    wording,
};
use crate::dataset::{ColumnType, Value, query::InvalidParam, suggest, summary::Facet};

/// Values that are listed.
const VALUES_LISTED: usize = 20;
/// Characters of a value that are shown.
const VALUE_CHARS: usize = 60;
/// The drawing's size.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// The room for names and numbers around the bars.
const LEFT: f64 = 230.0;
const FOOT: f64 = 24.0;
const HEAD: f64 = 16.0;
/// The height of a horizontal bar, with the space below it.
const ROW: f64 = 26.0;
/// Names below vertical bars at most.
const NAMES_MAX: usize = 6;

/// How many values of a column the page needs.
pub(super) fn values_wanted(kind: ColumnType, is_drawn: bool) -> u32 {
    match (kind, is_drawn) {
        (ColumnType::Text, _) | (_, false) => VALUES_LISTED as u32,
        (_, true) => chart::VALUES_MAX,
    }
}

/// The column that one of the page's own parameters names.
pub(super) fn column(
    reader: &DataReader<'_>,
    address: &PageAddress,
    parameter: &str,
) -> Result<Option<usize>, InvalidParam> {
    let Some(name) = address.get(parameter) else { return Ok(None) };
    let definition = &reader.data_set.definition;
    definition.column_index(name).map(Some).ok_or_else(|| {
        let names = definition.columns.iter().map(|column| column.name.as_str());
        InvalidParam::new(parameter, "there is no such column", suggest::nearest(name, names))
    })
}

/// The values of a column for the page's list: each leads to its rows.
pub(super) fn listed(reader: &DataReader<'_>, address: &PageAddress, facet: &Facet, records: u64) -> Json {
    let definition = &reader.data_set.definition;
    let name = definition.column_name(facet.column);
    let language = reader.visit.language;
    let entries: Vec<Json> = facet
        .values
        .iter()
        .take(VALUES_LISTED)
        .map(|(value, count)| {
            let (parameter, text) = condition(reader, name, value);
            let is_chosen = address.get(&parameter) == Some(text.as_str());
            let others = [name.to_owned(), format!("{name}__eq"), format!("{name}__in"), format!("{name}__isnull")];
            let bare = address.without(&others.each_ref().map(String::as_str));
            let href =
                if is_chosen { bare.path(&reader.base()) } else { bare.with(&parameter, &text).path(&reader.base()) };
            json!({
                "label": wording::cut(&wording::value(value, language), VALUE_CHARS), "is_empty": value.is_null(),
                "plain": value.to_string(), "count": count, "href": href, "is_chosen": is_chosen,
            })
        })
        .collect();
    let complete = facet.complete && facet.values.len() <= VALUES_LISTED;
    json!({ "column": wording::label(name), "name": name, "entries": entries, "complete": complete, "records": records })
}

/// The condition for the records with a value; in full (`__eq`) where the short form could be read as something else.
fn condition(reader: &DataReader<'_>, name: &str, value: &Value) -> (String, String) {
    if value.is_null() {
        return (format!("{name}__isnull"), "true".to_owned());
    }
    let text = value.to_string();
    let plain = PageAddress::default().with(name, &text);
    let is_plain = text.trim() == text && reader.data.question(&reader.data_set, &plain.query()).is_ok();
    (if is_plain { name.to_owned() } else { format!("{name}__eq") }, text)
}

/// A column's chart: the drawing, and the table behind it.
pub(super) fn drawn(reader: &DataReader<'_>, address: &PageAddress, facet: &Facet, records: u64) -> Json {
    let definition = &reader.data_set.definition;
    let (name, kind) = (definition.column_name(facet.column), definition.column_kind(facet.column));
    let language = reader.visit.language;
    let column = wording::label(name);
    let Some(mut bars) = chart::bars(name, kind, facet, language) else {
        return json!({ "column": column, "too_many": chart::VALUES_MAX });
    };
    // Not all values of a text column are known.
    let known: u64 = bars.bars.iter().map(|bar| bar.count).sum();
    bars.others = records.saturating_sub(known).saturating_sub(bars.empty);
    let drawing = if bars.lying { lying(&bars) } else { standing(&bars) };
    let bare_of =
        [format!("{name}__gte"), format!("{name}__lt"), format!("{name}__lte"), format!("{name}__eq"), name.to_owned()];
    let bare = address.without(&bare_of.each_ref().map(String::as_str));
    let rows: Vec<Json> = bars
        .bars
        .iter()
        .map(|bar| {
            let led = bar.conditions.iter().fold(bare.clone(), |led, (name, value)| led.with(name, value));
            json!({ "label": wording::cut(&bar.label, VALUE_CHARS), "count": bar.count, "href": led.path(&reader.base()) })
        })
        .collect();
    json!({ "column": column, "drawing": drawing, "rows": rows, "empty": bars.empty, "others": bars.others })
}

/// Rounds a number of the drawing to a tenth.
fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

fn lying(bars: &Bars) -> Json {
    let most = bars.bars.iter().map(|bar| bar.count).max().unwrap_or(1).max(1) as f64;
    let drawn = bars.bars.iter().enumerate().map(|(nth, bar)| {
        let y = nth as f64 * ROW;
        let width = (WIDTH - LEFT - 90.0) * bar.count as f64 / most;
        json!({
            "x": LEFT, "y": tenth(y + 3.0), "w": tenth(width.max(1.0)), "h": ROW - 8.0, "label": wording::cut(&bar.label, 32),
            "text_x": LEFT - 10.0, "text_y": tenth(y + 17.0), "anchor": "end", "count": bar.count,
            "count_x": tenth(LEFT + width + 8.0), "full": wording::cut(&bar.label, 200),
        })
    });
    let drawn: Vec<Json> = drawn.collect();
    json!({ "width": WIDTH, "height": (bars.bars.len() as f64 * ROW).max(ROW), "lying": true, "bars": drawn })
}

fn standing(bars: &Bars) -> Json {
    let most = bars.bars.iter().map(|bar| bar.count).max().unwrap_or(1).max(1);
    let wide = WIDTH / bars.bars.len().max(1) as f64;
    let every = bars.bars.len().div_ceil(NAMES_MAX).max(1);
    let room = HEIGHT - FOOT - HEAD;
    let drawn = bars.bars.iter().enumerate().map(|(nth, bar)| {
        let height = room * bar.count as f64 / most as f64;
        let height = if bar.count > 0 { height.max(1.5) } else { 0.0 };
        let x = nth as f64 * wide;
        let is_named = nth % every == 0;
        json!({
            "x": tenth(x + wide * 0.06), "y": tenth(HEIGHT - FOOT - height), "w": tenth(wide * 0.88), "h": tenth(height),
            "label": if is_named { bar.short.as_str() } else { "" }, "text_x": tenth(x + wide * 0.06), "text_y": HEIGHT - 7.0,
            "anchor": "start", "count": bar.count, "full": bar.label,
        })
    });
    let drawn: Vec<Json> = drawn.collect();
    json!({ "width": WIDTH, "height": HEIGHT, "lying": false, "bars": drawn, "most": most, "axis": HEIGHT - FOOT })
}
