//! What the columns of a file seem to be, judged after all rows were read.

use super::{
    ColumnTable,
    column::{ColumnStats, Fit, Numbers, is_certain_placeholder},
    name::words_of,
    personal,
};
use crate::dataset::{
    ColumnType,
    definition::{DateOrder, Mark, Said},
};

/// The longest key of a record, in bytes.
const KEY_BYTES_MAX: usize = 256;
/// A column named like a key may be the key if this many of a thousand values differ.
const KEY_PER_MILLE: u64 = 800;

const MONEY_WORDS: [&str; 18] = [
    "cost",
    "price",
    "fee",
    "amount",
    "valuation",
    "paid",
    "dollars",
    "euro",
    "euros",
    "preis",
    "kosten",
    "betrag",
    "prix",
    "montant",
    "precio",
    "importe",
    "prezzo",
    "valor",
];
/// Words that turn a price or fee into something that is no amount.
const NO_MONEY_WORDS: [&str; 12] =
    ["center", "centre", "code", "id", "number", "type", "change", "percent", "class", "category", "index", "rank"];
const DATE_WORDS: [&str; 20] = [
    "opened", "closed", "issued", "filed", "created", "updated", "expires", "start", "end", "dob", "when", "date",
    "day", "datum", "fecha", "data", "jour", "tag", "giorno", "dated",
];
const KEY_WORDS: [&str; 10] =
    ["permit", "application", "case", "job", "license", "licence", "reference", "parcel", "account", "ticket"];
const NUMBER_WORDS: [&str; 10] = ["number", "no", "id", "key", "nbr", "num", "nr", "code", "identifier", "uuid"];
const LATITUDE_WORDS: [&str; 2] = ["latitude", "lat"];
const LONGITUDE_WORDS: [&str; 4] = ["longitude", "long", "lng", "lon"];
/// Words for identifiers that are numbers: leading zeros count, and nobody adds them up.
const LABEL_WORDS: [&str; 27] = [
    "version",
    "release",
    "revision",
    "zip",
    "zipcode",
    "postal",
    "postcode",
    "plz",
    "cap",
    "cep",
    "phone",
    "telephone",
    "tel",
    "fax",
    "mobile",
    "cell",
    "fips",
    "ssn",
    "isbn",
    "ean",
    "upc",
    "iban",
    "sim",
    "imei",
    "vin",
    "apn",
    "parcel",
];

/// How the whole file writes its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub(super) decimal: Mark,
    /// Whether the file shows its decimal mark.
    decimal_is_shown: bool,
    /// Whether a comma before three digits may be a decimal or a grouping mark.
    comma_is_unsure: bool,
    point_is_unsure: bool,
    pub(super) date_order: Option<DateOrder>,
    zone_is_said: bool,
    /// A row below the header with nothing but units.
    pub(super) units_line: Option<u64>,
}

/// The verdict on a column.
#[derive(Debug)]
pub(super) struct ColumnVerdict {
    pub(super) kind: ColumnType,
    /// The reasons, and what a person should check; one line each.
    pub(super) remarks: Vec<String>,
    pub(super) personal: Option<&'static str>,
    pub(super) date_order: Option<DateOrder>,
    /// Texts that mean "no value" in this column.
    pub(super) blanks: Vec<String>,
    /// How suitable the column is as the key.
    pub(super) key_score: u64,
}

impl Writing {
    pub(super) fn of(table: &ColumnTable, said: &Said) -> Self {
        let dialect = &said.dialect;
        let units_line = units_line(table);
        let shows = |evidence: fn(&ColumnStats) -> u64, numbers: fn(&ColumnStats) -> &Numbers| {
            let columns = table.columns.iter();
            columns.filter(|column| evidence(column) > 0 && is_number(numbers(column), units_line)).count()
        };
        let point = shows(|column| column.point_evidence, |column| &column.point);
        let comma = shows(|column| column.comma_evidence, |column| &column.comma);
        let decimal = dialect.decimal.unwrap_or(if comma > point { Mark::Comma } else { Mark::Point });
        let decimal_is_shown = dialect.decimal.is_some() || point + comma > 0;
        // In a comma-separated file a comma within a cell groups digits, as such files' writers do.
        let is_comma_file = table.delimiter == Some(b',');
        let order = |first: fn(&ColumnStats) -> &Fit, other: fn(&ColumnStats) -> &Fit| {
            table
                .columns
                .iter()
                .any(|column| first(column).is_whole_but(units_line) && !other(column).is_whole_but(units_line))
        };
        let month_first = order(|column| &column.month_first.fit, |column| &column.day_first.fit);
        let day_first = order(|column| &column.day_first.fit, |column| &column.month_first.fit);
        let date_order = match (month_first, day_first) {
            (true, false) => Some(DateOrder::MonthFirst),
            (false, true) => Some(DateOrder::DayFirst),
            _ => None,
        };
        Self {
            decimal,
            decimal_is_shown,
            comma_is_unsure: !decimal_is_shown && !is_comma_file,
            point_is_unsure: !decimal_is_shown && table.delimiter == Some(b';'),
            date_order: said.date_order.or(date_order),
            zone_is_said: dialect.time_zone.is_some(),
            units_line,
        }
    }

    /// Tells whether the definition should set the decimal mark, so that it holds for all later files.
    pub(super) fn says_decimal(&self, delimiter: Option<u8>) -> bool {
        self.decimal == Mark::Comma || (self.decimal_is_shown && delimiter == Some(b';'))
    }
}

fn is_number(numbers: &Numbers, but: Option<u64>) -> bool {
    numbers.number.is_whole_but(but) || numbers.money.is_whole_but(but)
}

/// The line of the first row, if it holds units instead of values.
fn units_line(table: &ColumnTable) -> Option<u64> {
    let (line, begins_blank) = table.first?;
    let is_odd = |column: &&ColumnStats| {
        let number = &column.point.number;
        number.fits > 0 && number.misfits == 1 && number.first == line && column.filled > 1
    };
    // A row with a value in its first cell may be a record that differs from those below it.
    (begins_blank && table.columns.iter().any(|column| is_odd(&column))).then_some(line)
}

impl ColumnVerdict {
    pub(super) fn of(column: &ColumnStats, writing: &Writing, rows: u64) -> Self {
        let words = words_of(&column.header);
        let mut verdict = Self {
            kind: ColumnType::Text,
            remarks: Vec::new(),
            personal: personal::reason(&words, column.looks),
            date_order: None,
            blanks: Vec::new(),
            key_score: 0,
        };
        verdict.kind = if column.filled == 0 { ColumnType::Text } else { verdict.kind_of(column, &words, writing) };
        // In a text column a dash or word may be a value: `Na` is sodium, and `None` may be a garage.
        let is_blank = |text: &&(String, u64)| verdict.kind != ColumnType::Text || is_certain_placeholder(&text.0);
        let blanks: Vec<&(String, u64)> = column.placeholders.iter().filter(is_blank).collect();
        if !blanks.is_empty() {
            let counts: Vec<String> = blanks.iter().map(|(text, count)| format!("{text:?} in {count}")).collect();
            verdict.remarks.push(format!("No value: {}.", counts.join(", ")));
        }
        verdict.blanks = blanks.into_iter().map(|(text, _)| text.clone()).collect();
        // The row of units is no record.
        let rows = rows - u64::from(writing.units_line.is_some());
        verdict.key_score = key_score(column, &words, verdict.kind, rows, verdict.personal.is_some());
        verdict
    }

    fn kind_of(&mut self, column: &ColumnStats, words: &[String], writing: &Writing) -> ColumnType {
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let but = writing.units_line;
        if let Some(kind) = self.date_of(column, has(&DATE_WORDS), writing) {
            return kind;
        }
        if column.places.is_whole_but(but) {
            self.remarks.push("Coordinates are kept with seven decimals of a degree, about a centimetre.".to_owned());
            return ColumnType::Point;
        }
        let numbers = column.numbers(writing.decimal);
        let is_odd = (column.two_ways_comma > 0 && writing.comma_is_unsure && column.point_evidence == 0)
            || (column.two_ways_point > 0 && writing.point_is_unsure && column.point_evidence == 0);
        if is_odd && is_number(numbers, but) {
            self.remarks.push(
                "Numbers such as 1,204 or 1.204 can be read in two ways here: say decimal = \".\" or \",\" above, and then a type."
                    .to_owned(),
            );
            return ColumnType::Text;
        }
        let misfits = |name: &str, fit: &Fit| {
            let all = fit.fits + fit.misfits;
            format!(
                "{} of {all} values {} not fit the type {name}, the first on line {}: so it is text.",
                fit.misfits,
                if fit.misfits == 1 { "does" } else { "do" },
                fit.first
            )
        };
        if column.places.fits > 0 && column.places.misfits * 10 <= column.filled {
            self.remarks.push(misfits("point", &column.places));
            return ColumnType::Text;
        }
        if column.more_than_number > 0 || column.percent > 0 || column.scientific > 0 {
            let why = if column.percent > 0 {
                "Percentages are kept as they are written; type = \"number\" makes 0.125 of 12.5%."
            } else if column.scientific > 0 {
                "Numbers in scientific notation may have lost digits: they are kept as they are written."
            } else {
                "The sheet shows more than the numbers (zeros before them, times): they are kept as it shows them."
            };
            if numbers.number.fits > 0 {
                self.remarks.push(why.to_owned());
            }
            return ColumnType::Text;
        }
        if has(&LABEL_WORDS) {
            return ColumnType::Text;
        }
        if column.mixed_currencies {
            self.remarks.push("The amounts are of several currencies: they are kept as they are written.".to_owned());
            return ColumnType::Text;
        }
        let sounds_like_money = has(&MONEY_WORDS) && !has(&NO_MONEY_WORDS);
        if numbers.money.is_whole_but(but) && (column.currency.is_some() || sounds_like_money) {
            return ColumnType::Money;
        }
        if numbers.integer.is_whole_but(but) {
            return ColumnType::Integer;
        }
        if numbers.number.is_whole_but(but) {
            return ColumnType::Number;
        }
        if numbers.number.misfits > 0 && numbers.number.misfits * 10 <= column.filled {
            let (name, fit) = if numbers.integer.misfits == numbers.number.misfits {
                ("integer", &numbers.integer)
            } else {
                ("number", &numbers.number)
            };
            self.remarks.push(misfits(name, fit));
        } else if numbers.money.misfits > 0 && numbers.money.misfits * 10 <= column.filled {
            self.remarks.push(misfits("money", &numbers.money));
        }
        ColumnType::Text
    }

    /// The type of a column of dates; `None` if it holds no dates.
    fn date_of(&mut self, column: &ColumnStats, is_named: bool, writing: &Writing) -> Option<ColumnType> {
        let but = writing.units_line;
        let month_first = column.month_first.fit.is_whole_but(but);
        let day_first = column.day_first.fit.is_whole_but(but);
        if !month_first && !day_first {
            let fit = if column.month_first.fit.misfits <= column.day_first.fit.misfits {
                &column.month_first.fit
            } else {
                &column.day_first.fit
            };
            if fit.fits > 0 && fit.misfits * 10 <= column.filled {
                self.remarks.push(format!(
                    "{} of {} values {} not fit the type date, the first on line {}: so it is text.",
                    fit.misfits,
                    fit.fits + fit.misfits,
                    if fit.misfits == 1 { "does" } else { "do" },
                    fit.first
                ));
                return Some(ColumnType::Text);
            }
            return None;
        }
        // Eight digits are more often a number than a date.
        if column.compact_dates > 0 && !(is_named && column.compact_dates == column.filled) {
            return None;
        }
        if column.short_years > 0 && column.short_years == column.short_years_first {
            self.remarks.push(
                "Dates such as 24-01-15 can begin or end with the year, and these may be no dates at all: it is text."
                    .to_owned(),
            );
            return Some(ColumnType::Text);
        }
        // Three short numbers may also be a version or a code.
        if column.short_years > 0 && !is_named {
            self.remarks.push("These look like dates with short years: if they are, say type = \"date\".".to_owned());
            return Some(ColumnType::Text);
        }
        if column.two_ways_date > 0 {
            match (month_first, day_first, writing.date_order) {
                (true, false, _) => self.date_order = Some(DateOrder::MonthFirst),
                (false, true, _) => self.date_order = Some(DateOrder::DayFirst),
                (true, true, Some(order)) => self.date_order = Some(order),
                _ => {
                    self.remarks.push(
                        "Dates such as 1/2/2016 can be read in two ways, and nothing in the file says which: say date_order = \"month_first\" or \"day_first\" here, and type = \"date\"."
                            .to_owned(),
                    );
                    return Some(ColumnType::Text);
                }
            }
        } else if month_first != day_first {
            self.date_order = Some(if month_first { DateOrder::MonthFirst } else { DateOrder::DayFirst });
        }
        if column.with_zone > 0 && column.with_zone < column.month_first.fit.fits.max(column.day_first.fit.fits) {
            self.remarks.push("Some times have a zone and some have not: so it is text.".to_owned());
            return Some(ColumnType::Text);
        }
        if column.with_time == 0 && column.with_zone == 0 {
            return Some(ColumnType::Date);
        }
        if column.with_zone == 0 && !writing.zone_is_said {
            self.remarks.push("Times without a zone are taken as UTC, unless time_zone is said above.".to_owned());
        }
        Some(ColumnType::Timestamp)
    }
}

/// What columns of coordinates have in their names besides; `None` where a column is none of latitudes, or of longitudes.
pub(super) fn coordinate_of(
    column: &ColumnStats,
    verdict: &ColumnVerdict,
    decimal: Mark,
    is_latitude: bool,
) -> Option<Vec<String>> {
    let (names, most): (&[&str], f64) = if is_latitude { (&LATITUDE_WORDS, 90.0) } else { (&LONGITUDE_WORDS, 180.0) };
    let (meant, others): (Vec<String>, Vec<String>) =
        words_of(&column.header).into_iter().partition(|word| names.contains(&word.as_str()));
    let is_it = meant.len() == 1
        && verdict.kind == ColumnType::Number
        && verdict.personal.is_none()
        && column.errors == 0
        && column.numbers(decimal).largest <= most;
    is_it.then_some(others)
}

/// How suitable a column is as the key: 0 if it cannot be one.
fn key_score(column: &ColumnStats, words: &[String], kind: ColumnType, rows: u64, is_personal: bool) -> u64 {
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let ends_in_number = words
        .last()
        .is_some_and(|last| ["no", "id", "number", "nr", "num", "key"].iter().any(|end| last.ends_with(end)));
    let can_be = matches!(kind, ColumnType::Text | ColumnType::Integer)
        && column.filled >= rows
        && column.errors == 0
        && column.placeholders.is_empty()
        && column.scientific == 0
        && column.longest <= KEY_BYTES_MAX
        && !is_personal;
    if !can_be {
        return 0;
    }
    let named = if has(&KEY_WORDS) && (has(&NUMBER_WORDS) || ends_in_number) {
        2_000
    } else if has(&NUMBER_WORDS) || ends_in_number {
        1_000
    } else {
        0
    };
    // Records may share a key that people know; any other key must be unique.
    let per_mille = column.distinct * 1_000 / rows.max(1);
    match (column.never_repeats(), named) {
        (true, named) => 1_000 + named,
        (false, 2_000) if column.is_counted && per_mille >= KEY_PER_MILLE => 2_001,
        _ => 0,
    }
}
