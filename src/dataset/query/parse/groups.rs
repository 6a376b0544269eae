//! Parses the parameters of groups: `by=status,month(file_date)&measure=count,sum(estimated_cost)&having=count>10&sort=-count`.

use super::{OF_GROUPS, PROBLEMS_MAX, QueryReading, expression};
use crate::dataset::{
    ColumnType, Definition, Value,
    definition::Source,
    place::GEOHASH_LENGTH_MAX,
    query::{
        Filter, Format, GroupKey, Groups, InvalidParam, KeyPart, Measure, MeasureKind, QueryLimits, SortTerm,
        group_columns,
    },
    suggest,
};

/// The longest name that a question gives to a key or a measure, bytes.
const NAME_BYTES_MAX: usize = 64;

/// Reads the query string of a question for groups.
///
/// # Errors
/// As [`parse`](super::parse).
pub fn parse_groups(
    definition: &Definition,
    raw_query: &str,
    limits: &QueryLimits,
) -> Result<Groups, Vec<InvalidParam>> {
    let mut reading = QueryReading::new(definition, limits, &OF_GROUPS).read(raw_query);
    let texts = std::mem::take(&mut reading.groups);
    let by = reading.keys(texts.by.as_deref());
    let measures = reading.measures(texts.measure.as_deref());
    reading.check_names(&by, &measures);
    let columns = group_columns(definition, &by, &measures);
    // Conditions and orders of groups are read as those of records, against the columns of groups.
    let grouped = Definition {
        columns,
        key: usize::MAX,
        record_id: usize::MAX,
        load_date: None,
        indexes: Vec::new(),
        source: Source::default(),
        ..definition.clone()
    };
    let having = texts.having.map_or(Filter::All(Vec::new()), |text| reading.having(&grouped, &text));
    let sort = texts.sort.map_or_else(Vec::new, |text| reading.group_order(&grouped, &text));
    if let Some(format) = reading.format.filter(|format| !matches!(format, Format::Json | Format::Csv)) {
        let reason = format!("is {}: groups are answered as json or csv", format.name());
        reading.refuse("format", reason, Some("csv".to_owned()));
    }
    let groups = Groups {
        filter: reading.condition(),
        by,
        measures,
        having,
        sort,
        limit: reading.limit,
        format: reading.format,
        csv_safe: reading.csv_safe,
        bom: reading.bom,
        delimiter: reading.delimiter,
        numbers_as_texts: reading.numbers_as_texts,
        as_of: reading.as_of,
    };
    reading.finish(groups)
}

impl QueryReading<'_> {
    fn keys(&mut self, text: Option<&str>) -> Vec<GroupKey> {
        let Some(text) = text else {
            let reason = "is missing: name what to group by, such as by=status or by=month(file_date)";
            self.refuse("by", reason.to_owned(), None);
            return Vec::new();
        };
        let items = self.items("by", text, self.limits.group_keys_max);
        items.iter().filter_map(|item| self.key(item)).collect()
    }

    fn key(&mut self, item: &str) -> Option<GroupKey> {
        let (alias, call) = aliased(item);
        let (function, arguments) = called(call);
        let Some(function) = function else {
            let column = self.column("by", call)?;
            return Some(GroupKey { name: alias.unwrap_or(call).to_owned(), column, part: KeyPart::Whole });
        };
        if function == "bin" {
            let (name, width) = arguments.split_once(',').unwrap_or((arguments, ""));
            let column = self.column("by", name.trim())?;
            let part = self.bin(column, width.trim())?;
            let name = alias.map_or_else(|| format!("bin_{}", self.definition.column_name(column)), str::to_owned);
            return Some(GroupKey { name, column, part });
        }
        if function == "geohash" {
            return self.geohash(alias, arguments);
        }
        let Some((function, part)) = KeyPart::DATES.into_iter().find(|(name, _)| *name == function) else {
            let names = || KeyPart::DATES.into_iter().map(|(name, _)| name).chain(["bin", "geohash"]);
            let reason = format!(
                "there is nothing like {:?} to group by: a column, or {} of one",
                shortened(function),
                names().collect::<Vec<_>>().join(", ")
            );
            self.refuse("by", reason, suggest::nearest(function, names()).map(str::to_owned));
            return None;
        };
        let column = self.column("by", arguments.trim())?;
        let kind = self.definition.column_kind(column);
        let suits = match part {
            KeyPart::Hour => kind == ColumnType::Timestamp,
            _ => matches!(kind, ColumnType::Date | ColumnType::Timestamp),
        };
        if !suits {
            let wanted = if part == KeyPart::Hour { "timestamps" } else { "dates and timestamps" };
            self.refuse(
                "by",
                format!("{function} is a part of {wanted}, and {:?} is no such column", arguments.trim()),
                None,
            );
            return None;
        }
        let name = alias.map_or_else(|| format!("{function}_{}", self.definition.column_name(column)), str::to_owned);
        Some(GroupKey { name, column, part })
    }

    /// The key `geohash(location,6)`.
    fn geohash(&mut self, alias: Option<&str>, arguments: &str) -> Option<GroupKey> {
        let (name, length) = arguments.split_once(',').unwrap_or((arguments, ""));
        let column = self.column("by", name.trim())?;
        if self.definition.column_kind(column) != ColumnType::Point {
            let reason = format!("there are geohashes of points, and {:?} is no such column", name.trim());
            self.refuse("by", reason, None);
            return None;
        }
        let found = length.trim().parse().ok().filter(|length| (1..=GEOHASH_LENGTH_MAX).contains(length));
        let Some(length) = found else {
            let reason = format!(
                "{:?} is no length of a geohash: expected a number of letters from 1 to {GEOHASH_LENGTH_MAX}, as in geohash({},6)",
                shortened(length.trim()),
                name.trim()
            );
            self.refuse("by", reason, None);
            return None;
        };
        let name = alias.map_or_else(|| format!("geohash_{}", self.definition.column_name(column)), str::to_owned);
        Some(GroupKey { name, column, part: KeyPart::Geohash(length) })
    }

    /// The part for bins of a column, of a width that is written as its values are.
    fn bin(&mut self, column: usize, width: &str) -> Option<KeyPart> {
        let kind = self.definition.column_kind(column);
        if !matches!(kind, ColumnType::Integer | ColumnType::Money | ColumnType::Number) {
            let name = self.definition.column_name(column).to_owned();
            self.refuse("by", format!("there are bins of numbers and amounts, and {name:?} is no such column"), None);
            return None;
        }
        let part = match Value::parse(kind, width) {
            Ok(Value::Integer(width) | Value::Money(width)) if width > 0 => Some(KeyPart::WholeBin(width)),
            Ok(Value::Number(width)) if width > 0.0 => Some(KeyPart::RealBin(width)),
            _ => None,
        };
        if part.is_none() {
            let reason = format!(
                "{:?} is no width of a bin: expected a number above 0, as in bin(cost,10000)",
                shortened(width)
            );
            self.refuse("by", reason, None);
        }
        part
    }

    fn measures(&mut self, text: Option<&str>) -> Vec<Measure> {
        let items = self.items("measure", text.unwrap_or("count"), self.limits.measures_max);
        items.iter().filter_map(|item| self.measure(item)).collect()
    }

    fn measure(&mut self, item: &str) -> Option<Measure> {
        let (alias, call) = aliased(item);
        let (function, arguments) = called(call);
        let name = function.unwrap_or(call);
        let Some((name, kind)) = MeasureKind::ALL.into_iter().find(|(known, _)| *known == name) else {
            let names = || MeasureKind::ALL.into_iter().map(|(name, _)| name);
            let reason = format!(
                "there is no measure {:?}: there are {}",
                shortened(name),
                names().collect::<Vec<_>>().join(", ")
            );
            let meant = if name == "avg" { Some("mean") } else { suggest::nearest(name, names()) };
            self.refuse("measure", reason, meant.map(str::to_owned));
            return None;
        };
        if function.is_none() && kind == MeasureKind::Count {
            return Some(Measure { name: alias.unwrap_or(name).to_owned(), kind, column: None });
        }
        if function.is_none() {
            let meant = format!("{name}(…)");
            self.refuse("measure", format!("{name} is of a column: write {name}(column)"), Some(meant));
            return None;
        }
        let column = self.column("measure", arguments.trim())?;
        if !kind.suits(self.definition.column_kind(column)) {
            let of = self.definition.column_name(column).to_owned();
            let reason = match self.definition.column_kind(column) {
                ColumnType::Point => {
                    format!("there is no {name} of points such as {of:?}: there are count and distinct")
                }
                _ => format!("{name} is of numbers and amounts, and {of:?} is no such column"),
            };
            self.refuse("measure", reason, None);
            return None;
        }
        let name = alias.map_or_else(|| format!("{name}_{}", self.definition.column_name(column)), str::to_owned);
        Some(Measure { name, kind, column: Some(column) })
    }

    /// The items of a list, of which there may be so many. Commas within parentheses separate nothing.
    fn items<'t>(&mut self, parameter: &str, text: &'t str, most: usize) -> Vec<&'t str> {
        let (mut items, mut depth, mut start) = (Vec::new(), 0_usize, 0);
        for (at, next) in text.char_indices() {
            match next {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    items.push(text.get(start..at).unwrap_or_default().trim());
                    start = at + 1;
                }
                _ => {}
            }
        }
        items.push(text.get(start..).unwrap_or_default().trim());
        if items.len() > most {
            self.refuse(parameter, format!("names {}: at most {most} are allowed", items.len()), None);
            items.truncate(most);
        }
        items
    }

    /// Refuses names that no column of an answer can have, and names that two have.
    fn check_names(&mut self, by: &[GroupKey], measures: &[Measure]) {
        let names: Vec<(&str, &str)> = by
            .iter()
            .map(|key| ("by", key.name.as_str()))
            .chain(measures.iter().map(|measure| ("measure", measure.name.as_str())))
            .collect();
        for (nth, (parameter, name)) in names.iter().enumerate() {
            let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            let is_column = self.definition.column_index(name).is_some();
            if !is_column && (name.len() > NAME_BYTES_MAX * 2 || name.is_empty() || !name.bytes().all(is_word)) {
                let reason = format!("{:?} is no name: use lower-case letters, digits and _", shortened(name));
                self.refuse(parameter, reason, None);
            }
            if names.iter().take(nth).any(|(_, other)| other == name) {
                let reason =
                    format!("two of the answer's columns would be named {name:?}: name one, as in total:{name}");
                self.refuse(parameter, reason, None);
            }
        }
    }

    fn having(&mut self, grouped: &Definition, text: &str) -> Filter {
        match expression::parse(grouped, self.limits, self.terms_left, text) {
            Ok(filter) => {
                self.terms_left = self.terms_left.saturating_sub(filter.terms());
                filter
            }
            Err(problems) => {
                self.problems
                    .extend(problems.into_iter().map(|problem| InvalidParam { name: "having".to_owned(), ..problem }));
                Filter::All(Vec::new())
            }
        }
    }

    fn group_order(&mut self, grouped: &Definition, text: &str) -> Vec<SortTerm> {
        let mut order: Vec<SortTerm> = Vec::new();
        for name in text.split(',') {
            if self.problems.len() >= PROBLEMS_MAX {
                break;
            }
            let (bare, descending) = name.strip_prefix('-').map_or((name, false), |bare| (bare, true));
            match grouped.column_index(bare) {
                Some(column) if order.iter().any(|term| term.column == column) => {
                    self.refuse("sort", format!("names {bare:?} twice"), None);
                }
                Some(column) => order.push(SortTerm { column, descending }),
                None => {
                    let names: Vec<&str> = grouped.columns.iter().map(|column| column.name.as_str()).collect();
                    let reason = format!("groups have no column {:?}: they have {}", shortened(bare), names.join(", "));
                    let meant = suggest::nearest(bare, names.iter().copied()).map(str::to_owned);
                    self.refuse("sort", reason, meant);
                }
            }
        }
        order
    }
}

/// An item without the name that it is given: `total:sum(cost)` is `sum(cost)` under the name `total`.
fn aliased(item: &str) -> (Option<&str>, &str) {
    match item.split_once(':') {
        Some((alias, call)) if !alias.contains('(') => (Some(alias.trim()), call.trim()),
        _ => (None, item),
    }
}

/// The function of an item and its arguments: `month` and `file_date` of `month(file_date)`; no function of a plain name.
fn called(item: &str) -> (Option<&str>, &str) {
    match item.strip_suffix(')').and_then(|item| item.split_once('(')) {
        Some((function, arguments)) => (Some(function.trim()), arguments),
        None => (None, item),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(NAME_BYTES_MAX).collect()
}
