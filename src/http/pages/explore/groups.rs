//! Groups as a chart: records by a column or a part of a date, with what is measured of each group, split by another column.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::{Value as Json, json};

use super::{
    DataReader,
    address::{GROUP_BY, GROUP_MEASURE, GROUP_SPLIT, PageAddress},
    chart, drawing, wording,
};
use crate::{
    dataset::{
        ColumnType, Value,
        columns::Measured,
        query::{GroupKey, Groups, InvalidParam, KeyPart, MeasureKind},
    },
    http::Problem,
    store::records::RecordsGroups,
};

/// Groups that are asked for at most.
const GROUPS_MAX: usize = 1_000;
/// Bars at most: of more periods the latest are shown, of other groups the largest.
const PERIODS_MAX: usize = 120;
const BARS_MAX: usize = 15;
/// Values of the column that bars are split by, with a colour of their own.
const SERIES_MAX: usize = 5;
/// Characters of a key that are shown.
const KEY_CHARS: usize = 40;
/// Parts of dates that are offered.
const PARTS: [&str; 5] = ["month", "quarter", "year", "week", "weekday"];
/// Measures of numbers that are offered.
const MEASURES: [&str; 5] = ["sum", "mean", "median", "min", "max"];

/// The question for the groups that the page's own parameters name; none where they name none.
///
/// # Errors
/// What is wrong with these parameters. What is wrong with others is said elsewhere.
pub(super) fn question(reader: &DataReader<'_>, address: &PageAddress) -> Result<Option<Groups>, Vec<InvalidParam>> {
    let Some(by) = address.get(GROUP_BY) else {
        let alone = [GROUP_MEASURE, GROUP_SPLIT].into_iter().filter(|name| address.get(name).is_some());
        let reason = "is of groups: say what to group by, too, in group-by";
        let wrong: Vec<InvalidParam> = alone.map(|name| InvalidParam::new(name, reason, None)).collect();
        return if wrong.is_empty() { Ok(None) } else { Err(wrong) };
    };
    let asked = address.of_groups(by, address.get(GROUP_SPLIT), address.get(GROUP_MEASURE), GROUPS_MAX);
    let own = |wrong: InvalidParam| match wrong.name.as_str() {
        "by" => Some(InvalidParam { name: GROUP_BY.to_owned(), did_you_mean: None, ..wrong }),
        "measure" => Some(InvalidParam { name: GROUP_MEASURE.to_owned(), did_you_mean: None, ..wrong }),
        _ => None,
    };
    let groups = match reader.data.question_of_groups(&reader.data_set, &asked.query()) {
        Ok(groups) => groups,
        Err(wrong) => {
            let wrong: Vec<InvalidParam> = wrong.into_iter().filter_map(own).collect();
            return if wrong.is_empty() { Ok(None) } else { Err(wrong) };
        }
    };
    let adds_up = |groups: &Groups| {
        groups.measures.iter().all(|measure| matches!(measure.kind, MeasureKind::Count | MeasureKind::Sum))
    };
    if groups.by.len() > 1 && !adds_up(&groups) {
        let reason = "bars are split of numbers of records and of sums only: choose one of these, or no second column";
        return Err(vec![InvalidParam::new(GROUP_SPLIT, reason, None)]);
    }
    Ok(Some(groups))
}

/// The choices of the form.
pub(super) fn choices(reader: &DataReader<'_>) -> Json {
    let definition = &reader.data_set.definition;
    let (mut by, mut split, mut measures) = (Vec::new(), Vec::new(), Vec::new());
    for column in &definition.columns {
        let (name, label) = (&column.name, wording::label(&column.name));
        let whole = json!({ "value": name, "column": label, "part": "" });
        match column.kind {
            ColumnType::Date | ColumnType::Timestamp => {
                by.extend(
                    PARTS.map(|part| json!({ "value": format!("{part}({name})"), "column": label, "part": part })),
                );
            }
            ColumnType::Integer | ColumnType::Money | ColumnType::Number => {
                measures.extend(
                    MEASURES.map(|kind| json!({ "value": format!("{kind}({name})"), "column": label, "kind": kind })),
                );
                if column.kind == ColumnType::Integer {
                    by.push(whole.clone());
                    split.push(whole);
                }
            }
            _ => {
                by.push(whole.clone());
                split.push(whole);
            }
        }
    }
    json!({ "by": by, "split": split, "measures": measures })
}

/// A bar: its groups' key, and the measure by the value that splits it.
struct GroupBar {
    key: Value,
    by_series: BTreeMap<usize, f64>,
    total: f64,
    /// The total as it is written.
    written: Value,
}

/// The sum of two measures of one column.
fn added(one: &Value, other: &Value, sum: f64) -> Value {
    let exact = match (one, other) {
        (Value::Integer(one), Value::Integer(other)) => one.checked_add(*other).map(Value::Integer),
        (Value::Money(one), Value::Money(other)) => one.checked_add(*other).map(Value::Money),
        _ => None,
    };
    exact.unwrap_or(Value::Number(sum))
}

/// The chart and the table of found groups.
///
/// # Errors
/// When a message is missing.
pub(super) fn drawn(
    reader: &DataReader<'_>,
    address: &PageAddress,
    asked: &Groups,
    found: &RecordsGroups,
) -> Result<Json, Problem> {
    let language = reader.visit.language;
    let Some(key) = asked.by.first() else { return Ok(Json::Null) };
    let columns = asked.columns(&reader.data_set.definition);
    let name_of = |place: usize| columns.get(place).map_or("", |column| column.name.as_str());
    let series = if asked.by.len() > 1 { series(&found.found.rows) } else { Vec::new() };
    let mut bars: Vec<GroupBar> = Vec::new();
    for row in &found.found.rows {
        let (Some(Measured::Value(value)), Some(measured)) = (row.first(), row.last()) else { continue };
        let nth = match row.get(1) {
            Some(Measured::Value(split)) if asked.by.len() > 1 => {
                series.iter().position(|known| known == split).unwrap_or(SERIES_MAX)
            }
            _ => 0,
        };
        let written = measured.value();
        let number = chart::number(&written);
        match bars.iter_mut().find(|bar| bar.key == *value) {
            Some(bar) => {
                *bar.by_series.entry(nth).or_default() += number;
                bar.total += number;
                bar.written = added(&bar.written, &written, bar.total);
            }
            None => bars.push(GroupBar {
                key: value.clone(),
                by_series: BTreeMap::from([(nth, number)]),
                total: number,
                written,
            }),
        }
    }
    let found_bars = bars.len();
    let is_of_time = !matches!(key.part, KeyPart::Whole);
    if is_of_time {
        bars = without_gaps(bars, key.part);
        let surplus = bars.len().saturating_sub(PERIODS_MAX);
        bars.drain(..surplus);
    } else {
        bars.sort_by(|left, right| right.total.abs().total_cmp(&left.total.abs()));
        bars.truncate(BARS_MAX);
    }
    let base = reader.base();
    let label = |value: &Value| match value {
        Value::Integer(day) if key.part == KeyPart::Weekday => {
            wording::say(language, &format!("explore-weekday-{day}"), &[])
        }
        Value::Integer(year) if key.part == KeyPart::Year => Ok(year.to_string()),
        value => Ok(wording::cut(&wording::value(value, language), KEY_CHARS).into_owned()),
    };
    let labels: Vec<String> = bars.iter().map(|bar| label(&bar.key)).collect::<Result<_, _>>()?;
    let rows: Vec<Json> = bars
        .iter()
        .zip(&labels)
        .map(|(bar, label)| {
            let led = conditions(reader, key, &bar.key).map(|conditions| {
                let bare = address.without(&conditions.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
                conditions.iter().fold(bare, |led, (name, value)| led.with(name, value)).path(&base)
            });
            json!({
                "label": label, "is_empty": bar.key.is_null(), "href": led,
                "written": wording::value(&bar.written, language),
            })
        })
        .collect();
    let stacks: Vec<drawing::Stack> = bars
        .iter()
        .zip(&labels)
        .map(|(bar, label)| drawing::Stack {
            label: label.clone(),
            full: label.clone(),
            written: wording::value(&bar.written, language),
            parts: bar.by_series.iter().map(|(nth, number)| (*nth, *number)).collect(),
        })
        .collect();
    let names: Vec<String> =
        series.iter().map(|value| wording::cut(&wording::value(value, language), KEY_CHARS).into_owned()).collect();
    let has_others = bars.iter().any(|bar| bar.by_series.contains_key(&SERIES_MAX));
    let is_cut = bars.len() < found_bars || (found.found.rows.len() as u64) < found.found.count;
    let asks = address.of_groups(
        address.get(GROUP_BY).unwrap_or_default(),
        address.get(GROUP_SPLIT),
        address.get(GROUP_MEASURE),
        GROUPS_MAX,
    );
    let url = format!(
        "{}{}",
        reader.visit.service.public_url,
        asks.path(&format!("/{}/groups", reader.data_set.definition.name))
    );
    Ok(json!({
        "key": wording::label(name_of(0)), "measure": wording::label(name_of(columns.len() - 1)),
        "split": (asked.by.len() > 1).then(|| wording::label(name_of(1))),
        "drawing": drawing::stacked(&stacks, is_of_time), "rows": rows, "series": names, "has_others": has_others,
        "is_cut": is_cut, "shown": bars.len(), "curl": format!("curl -H \"x-api-key: $KEY\" '{}'", url.replace('\'', "%27")),
    }))
}

/// The values of the second key with the largest sums, in the order of their size.
fn series(rows: &[Vec<Measured>]) -> Vec<Value> {
    let mut sums: Vec<(Value, f64)> = Vec::new();
    for row in rows {
        let (Some(Measured::Value(split)), Some(measured)) = (row.get(1), row.last()) else { continue };
        let number = chart::number(&measured.value()).abs();
        match sums.iter_mut().find(|(known, _)| known == split) {
            Some((_, sum)) => *sum += number,
            None => sums.push((split.clone(), number)),
        }
    }
    sums.sort_by(|left, right| right.1.total_cmp(&left.1));
    sums.into_iter().take(SERIES_MAX).map(|(value, _)| value).collect()
}

/// The periods from the first to the last one, also those without records. What has no period comes last.
fn without_gaps(mut bars: Vec<GroupBar>, part: KeyPart) -> Vec<GroupBar> {
    let (mut of_none, mut periods) = (Vec::new(), BTreeMap::new());
    for bar in bars.drain(..) {
        match period(part, &bar.key) {
            Some(nth) => drop(periods.insert(nth, bar)),
            None => of_none.push(bar),
        }
    }
    let ends = periods.first_key_value().zip(periods.last_key_value()).map(|((first, _), (last, _))| (*first, *last));
    let Some((first, last)) = ends else { return of_none };
    // Only the latest are shown.
    let first = first.max(last.saturating_sub(i64::try_from(PERIODS_MAX).unwrap_or(i64::MAX)));
    let mut all: Vec<GroupBar> = (first..=last)
        .map(|nth| {
            periods.remove(&nth).unwrap_or_else(|| GroupBar {
                key: named(part, nth),
                by_series: BTreeMap::new(),
                total: 0.0,
                written: Value::Integer(0),
            })
        })
        .collect();
    all.extend(of_none);
    all
}

/// The number of a period among all of its kind.
fn period(part: KeyPart, key: &Value) -> Option<i64> {
    let parts = |text: &str, mark: &str| {
        let (year, nth) = text.split_once(mark)?;
        Some((year.parse::<i64>().ok()?, nth.parse::<i64>().ok()?))
    };
    match (part, key) {
        (KeyPart::Year | KeyPart::Weekday, Value::Integer(number)) => Some(*number),
        (KeyPart::Month, Value::Text(text)) => parts(text, "-").map(|(year, month)| year * 12 + month - 1),
        (KeyPart::Quarter, Value::Text(text)) => parts(text, "-Q").map(|(year, quarter)| year * 4 + quarter - 1),
        (KeyPart::Week, Value::Text(text)) => {
            let (year, week) = parts(text, "-W")?;
            let week = jiff::civil::ISOWeekDate::new(year.try_into().ok()?, week.try_into().ok()?, MONDAY).ok()?;
            Some(i64::from(week.date().since(EPOCH_MONDAY).ok()?.get_days()) / 7)
        }
        _ => None,
    }
}

const MONDAY: jiff::civil::Weekday = jiff::civil::Weekday::Monday;
/// A Monday that weeks are counted from.
const EPOCH_MONDAY: Date = Date::constant(1970, 1, 5);

/// The key of a period without records.
fn named(part: KeyPart, nth: i64) -> Value {
    match part {
        KeyPart::Year | KeyPart::Weekday => Value::Integer(nth),
        KeyPart::Month => Value::Text(format!("{:04}-{:02}", nth.div_euclid(12), nth.rem_euclid(12) + 1)),
        KeyPart::Quarter => Value::Text(format!("{:04}-Q{}", nth.div_euclid(4), nth.rem_euclid(4) + 1)),
        KeyPart::Week => {
            let days = nth.saturating_mul(7);
            let monday = jiff::Span::new().try_days(days).and_then(|days| EPOCH_MONDAY.checked_add(days));
            monday.map_or(Value::Null, |monday| {
                let week = monday.iso_week_date();
                Value::Text(format!("{:04}-W{:02}", week.year(), week.week()))
            })
        }
        _ => Value::Null,
    }
}

/// The conditions for the records of a group; none where no conditions say it.
fn conditions(reader: &DataReader<'_>, key: &GroupKey, value: &Value) -> Option<Vec<(String, String)>> {
    let name = reader.data_set.definition.column_name(key.column);
    if value.is_null() {
        return Some(vec![(format!("{name}__isnull"), "true".to_owned())]);
    }
    let between = |from: String, to: String| Some(vec![(format!("{name}__gte"), from), (format!("{name}__lt"), to)]);
    let month = |nth: i64| format!("{:04}-{:02}-01", nth.div_euclid(12), nth.rem_euclid(12) + 1);
    match (key.part, period(key.part, value)) {
        (KeyPart::Whole, _) => Some(vec![(format!("{name}__eq"), value.to_string())]),
        (KeyPart::Year, Some(year)) => between(month(year * 12), month((year + 1) * 12)),
        (KeyPart::Quarter, Some(nth)) => between(month(nth * 3), month((nth + 1) * 3)),
        (KeyPart::Month, Some(nth)) => between(month(nth), month(nth + 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_their_numbers_and_names() {
        for (part, key) in [
            (KeyPart::Year, Value::Integer(2016)),
            (KeyPart::Weekday, Value::Integer(7)),
            (KeyPart::Month, Value::Text("2016-12".into())),
            (KeyPart::Quarter, Value::Text("2016-Q4".into())),
            (KeyPart::Week, Value::Text("2020-W53".into())),
            (KeyPart::Week, Value::Text("1969-W01".into())),
        ] {
            let nth = period(part, &key).unwrap();
            assert_eq!(named(part, nth), key, "{key}");
        }
        let week = |text: &str| period(KeyPart::Week, &Value::Text(text.into())).unwrap();
        assert_eq!(week("2021-W01") - week("2020-W53"), 1);
        assert_eq!(period(KeyPart::Month, &Value::Null), None);
    }

    #[test]
    fn months_without_records_have_a_bar() {
        let bar = |key: Value| GroupBar { key, by_series: BTreeMap::new(), total: 1.0, written: Value::Integer(1) };
        let text = |text: &str| Value::Text(text.into());
        let bars = vec![bar(Value::Null), bar(text("2016-11")), bar(text("2017-02"))];
        let shown: Vec<Value> = without_gaps(bars, KeyPart::Month).into_iter().map(|bar| bar.key).collect();
        assert_eq!(shown, [text("2016-11"), text("2016-12"), text("2017-01"), text("2017-02"), Value::Null]);
        let many = vec![bar(text("0001-01")), bar(text("2017-02"))];
        assert_eq!(without_gaps(many, KeyPart::Month).len(), PERIODS_MAX + 1);
    }
}
