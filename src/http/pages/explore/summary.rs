//! The parts beside the rows: how often the values of a column occur, and the column's chart.

use serde_json::{Value as Json, json};

use super::{
    DataReader,
    address::PageAddress,
    chart,
    drawing::{self, Stack},
    wording,
};
use crate::dataset::{ColumnType, Value, query::InvalidParam, suggest, summary::Facet};

/// Values that are listed.
const VALUES_LISTED: usize = 20;
/// Characters of a value that are shown.
const VALUE_CHARS: usize = 60;
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
    let written = |count: u64| crate::http::pages::wording::number(count as f64, language);
    let stacks: Vec<Stack> = bars
        .bars
        .iter()
        .map(|bar| Stack {
            label: bar.short.clone(),
            full: bar.label.clone(),
            written: written(bar.count),
            parts: vec![(0, bar.count as f64)],
        })
        .collect();
    let drawing = drawing::stacked(&stacks, !bars.lying);
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
