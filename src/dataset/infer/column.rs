//! Statistics of a column, collected value by value in bounded memory.

use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
};

use jiff::tz::TimeZone;

use super::personal::ColumnLooks;
use crate::dataset::{
    ColumnType, Point, Value, ValueError,
    definition::{DateOrder, Dialect, Mark},
    mapping::{
        convert::{CURRENCIES, text_of, value_of},
        dates, is_scientific,
        numbers::{Marks, is_two_ways},
        reading::{CellError, Reading},
    },
    reader::{Cell, Numeral},
    text::{folded, nfc},
};

/// Numbers with more digits are identifiers, not amounts; and JSON readers lose digits of them.
const DIGITS_MAX: usize = 15;
/// Different values that every column may count.
const DISTINCT_COUNTED: usize = 1_000;
/// After so many values, a type is given up if more than one in ten do not fit.
const GIVE_UP_AFTER: u64 = 200;
/// Two-digit years after this one most likely belong to the last century, whatever a rule says.
const SHORT_YEAR_MAX: i16 = 2040;

/// Texts that mean "no value", in lower case.
const PLACEHOLDERS: [&str; 26] = [
    "na", "n/a", "n.a.", "n. a.", "#n/a", "null", "nil", "none", "nan", "-", "--", "---", "–", "—", ".", "..", "...",
    "?", "\\n", "k.a.", "k. a.", "s/d", "n.d.", "nd", "(null)", "(blank)",
];

/// How the values of a column fit one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) fits: u64,
    pub(super) misfits: u64,
    /// The lines of the first and last misfit.
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Fit {
    fn take(&mut self, line: u64, fits: bool) {
        if fits {
            self.fits += 1;
        } else {
            if self.misfits == 0 {
                self.first = line;
            }
            (self.misfits, self.last) = (self.misfits + 1, line);
        }
    }

    fn is_given_up(&self) -> bool {
        self.misfits * 10 > GIVE_UP_AFTER && self.misfits > self.fits / 9
    }

    /// Tells whether all values fit, except for one on this line.
    pub(super) fn is_whole_but(&self, line: Option<u64>) -> bool {
        self.fits > 0 && (self.misfits == 0 || (self.misfits == 1 && line == Some(self.first)))
    }
}

/// How numbers with one kind of decimal mark fit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Numbers {
    pub(super) integer: Fit,
    pub(super) number: Fit,
    /// Amounts with at most two decimals.
    pub(super) money: Fit,
    /// The greatest distance of a number from zero; infinite where a value is none.
    pub(super) largest: f64,
}

/// How dates with one order of day and month fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dates {
    pub(super) fit: Fit,
}

/// A column of the file.
#[derive(Debug)]
pub(super) struct ColumnStats {
    pub(super) header: String,
    /// Cells with a value, placeholders excluded.
    pub(super) filled: u64,
    /// Texts that mean "no value", and how often each occurs.
    pub(super) placeholders: Vec<(String, u64)>,
    /// Cells with an error.
    pub(super) errors: u64,
    pub(super) point: Numbers,
    pub(super) comma: Numbers,
    /// Values that fit only one of the decimal marks.
    pub(super) point_evidence: u64,
    pub(super) comma_evidence: u64,
    /// Values with a comma or a point before three digits, which can be read in two ways.
    pub(super) two_ways_comma: u64,
    pub(super) two_ways_point: u64,
    /// Places in a form that nothing else has.
    pub(super) places: Fit,
    pub(super) month_first: Dates,
    pub(super) day_first: Dates,
    /// Dates that can be read in two ways.
    pub(super) two_ways_date: u64,
    /// Dates written as eight digits and nothing else.
    pub(super) compact_dates: u64,
    /// Dates of three numbers without a four-digit year, and those of them that could begin with the year.
    pub(super) short_years: u64,
    pub(super) short_years_first: u64,
    pub(super) with_time: u64,
    pub(super) with_zone: u64,
    pub(super) currency: Option<char>,
    /// Whether several currencies occur.
    pub(super) mixed_currencies: bool,
    pub(super) percent: u64,
    /// Values whose text says more than their number: leading zeros, or a format that shows something else.
    pub(super) more_than_number: u64,
    pub(super) scientific: u64,
    pub(super) longest: usize,
    pub(super) looks: ColumnLooks,
    /// Hashes of the values, until many repeat or there are too many.
    hashes: Option<HashSet<u64, BuildHasherDefault<ReadyHash>>>,
    pub(super) distinct: u64,
    pub(super) repeated: u64,
    /// Whether `distinct` counts all values.
    pub(super) is_counted: bool,
    /// Whether the first row has a value.
    pub(super) first_row_filled: bool,
}

/// A hasher for values that are hashes already.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct ReadyHash(u64);

impl std::hash::Hasher for ReadyHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// How texts are read to detect their type: with either decimal mark, unless one is set.
#[derive(Debug)]
pub(super) struct Readings {
    point: Reading,
    comma: Reading,
}

impl Readings {
    pub(super) fn of(dialect: &Dialect) -> Self {
        let with = |decimal: Mark| {
            let said = Dialect { decimal: dialect.decimal.or(Some(decimal)), ..dialect.clone() };
            let (decimal, thousands) = said.marks();
            let marks = Marks { decimal, thousands, unsure: false };
            Reading { date_order: DateOrder::MonthFirst, epoch_1904: false, marks, zone: TimeZone::UTC }
        };
        Self { point: with(Mark::Point), comma: with(Mark::Comma) }
    }
}

impl ColumnStats {
    pub(super) fn new(header: &str) -> Self {
        Self {
            header: header.to_owned(),
            filled: 0,
            placeholders: Vec::new(),
            errors: 0,
            point: Numbers::default(),
            comma: Numbers::default(),
            point_evidence: 0,
            comma_evidence: 0,
            two_ways_comma: 0,
            two_ways_point: 0,
            places: Fit::default(),
            month_first: Dates::default(),
            day_first: Dates::default(),
            two_ways_date: 0,
            compact_dates: 0,
            with_time: 0,
            with_zone: 0,
            currency: None,
            mixed_currencies: false,
            short_years: 0,
            short_years_first: 0,
            percent: 0,
            more_than_number: 0,
            scientific: 0,
            longest: 0,
            looks: ColumnLooks::default(),
            hashes: Some(HashSet::default()),
            distinct: 0,
            repeated: 0,
            is_counted: true,
            first_row_filled: false,
        }
    }

    /// Tells whether all compared values differ.
    pub(super) fn never_repeats(&self) -> bool {
        self.repeated == 0 && self.filled > 0
    }

    /// Takes a cell in, and tells whether it holds something. `blanks` are the texts declared to mean "no value", folded.
    pub(super) fn add(
        &mut self,
        line: u64,
        cell: Cell<'_>,
        (blanks, readings): (&[String], &Readings),
        hashes_left: &mut usize,
    ) -> bool {
        let text = match text_of(cell) {
            Ok(text) if text.is_empty() => return false,
            Ok(text) => text,
            Err(_) => {
                self.errors += 1;
                return true;
            }
        };
        if !blanks.is_empty() && blanks.iter().any(|blank| *blank == folded(&text)) {
            return true;
        }
        if is_placeholder(&text) {
            match self.placeholders.iter_mut().find(|(known, _)| *known == *text) {
                Some((_, count)) => *count += 1,
                None => self.placeholders.push((text.into_owned(), 1)),
            }
            return true;
        }
        self.filled += 1;
        self.longest = self.longest.max(text.len());
        self.count_distinct(&text, hashes_left);
        if self.looks.values < GIVE_UP_AFTER * 50 {
            self.looks.add(&text);
        }
        self.add_place(line, &text);
        match cell {
            Cell::Number(number) => self.add_number(line, number, readings),
            Cell::Moment(moment) => {
                self.with_time += u64::from(moment.time() != jiff::civil::Time::midnight());
                self.month_first.fit.take(line, true);
                self.day_first.fit.take(line, true);
                self.no_number(line);
            }
            Cell::Bool(_) => {
                self.no_number(line);
                self.no_date(line);
            }
            _ => self.add_text(line, &text, readings),
        }
        true
    }

    /// How numbers with this decimal mark fit.
    pub(super) fn numbers(&self, decimal: Mark) -> &Numbers {
        if decimal == Mark::Comma { &self.comma } else { &self.point }
    }

    fn add_place(&mut self, line: u64, text: &str) {
        // Other pairs of numbers, such as 1,204, are something else as often.
        let text = text.trim_start();
        let begins = |tag: &str| text.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag));
        let is_meant = !self.places.is_given_up() && ["(", "{", "POINT", "SRID="].into_iter().any(begins);
        self.places.take(line, is_meant && Point::parse(text).is_ok());
    }

    fn count_distinct(&mut self, text: &str, hashes_left: &mut usize) {
        let Some(hashes) = &mut self.hashes else { return };
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(nfc(text).as_ref());
        if !hashes.insert(hash) {
            self.repeated += 1;
            if hashes.len() > DISTINCT_COUNTED && self.repeated > self.distinct {
                self.let_go(hashes_left);
            }
            return;
        }
        self.distinct += 1;
        if *hashes_left == 0 {
            self.let_go(hashes_left);
        } else {
            *hashes_left -= 1;
        }
    }

    fn let_go(&mut self, hashes_left: &mut usize) {
        *hashes_left += self.hashes.take().map_or(0, |hashes| hashes.len());
        self.is_counted = false;
    }

    /// Takes in a number of a workbook.
    fn add_number(&mut self, line: u64, number: Numeral<'_>, readings: &Readings) {
        self.no_date(line);
        let format = number.format;
        if format.is_of_time() || format.is_padded() || format.is_percent() {
            self.percent += u64::from(format.is_percent());
            self.more_than_number += 1;
        }
        for sign in CURRENCIES.into_iter().filter(|sign| format.has_sign_of(&[*sign])) {
            self.meet_currency(sign);
        }
        let cell = Cell::Number(number);
        let digits = number.digits.bytes().filter(u8::is_ascii_digit).count();
        for numbers in [&mut self.point, &mut self.comma] {
            numbers.take(line, cell, &readings.point, digits);
        }
    }

    fn meet_currency(&mut self, sign: char) {
        self.mixed_currencies = self.mixed_currencies || self.currency.is_some_and(|met| met != sign);
        self.currency = Some(sign);
    }

    fn no_number(&mut self, line: u64) {
        for numbers in [&mut self.point, &mut self.comma] {
            numbers.integer.take(line, false);
            numbers.number.take(line, false);
            numbers.money.take(line, false);
            numbers.largest = f64::INFINITY;
        }
    }

    fn no_date(&mut self, line: u64) {
        self.month_first.fit.take(line, false);
        self.day_first.fit.take(line, false);
    }

    fn add_text(&mut self, line: u64, text: &str, readings: &Readings) {
        self.add_number_text(line, text, readings);
        let is_dead = self.month_first.fit.is_given_up() && self.day_first.fit.is_given_up();
        let is_short = text.len() <= 48 && text.bytes().any(|byte| byte.is_ascii_digit());
        if is_dead || !is_short {
            self.no_date(line);
            return;
        }
        let month_first = sure_date(text, DateOrder::MonthFirst);
        let day_first = sure_date(text, DateOrder::DayFirst);
        self.month_first.fit.take(line, month_first.is_some());
        self.day_first.fit.take(line, day_first.is_some());
        self.two_ways_date += u64::from(month_first.is_some() && day_first.is_some() && month_first != day_first);
        if let Some(parts) = short_parts(text).filter(|_| month_first.or(day_first).is_some()) {
            self.short_years += 1;
            self.short_years_first += u64::from((1..=12).contains(&parts.1) && (1..=31).contains(&parts.2));
        }
        if let Some(written) = month_first.or(day_first) {
            self.compact_dates += u64::from(text.bytes().all(|byte| byte.is_ascii_digit()));
            self.with_time += u64::from(written.moment.time() != jiff::civil::Time::midnight());
            self.with_zone += u64::from(written.offset.is_some());
        }
    }

    fn add_number_text(&mut self, line: u64, text: &str, readings: &Readings) {
        if self.point.is_given_up() && self.comma.is_given_up() {
            self.no_number(line);
            return;
        }
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        if digits == 0 || digits * 3 < text.len() {
            self.no_number(line);
            return;
        }
        if let Some(sign) = text.chars().find(|letter| CURRENCIES.contains(letter)) {
            self.meet_currency(sign);
        }
        if text.ends_with('%') {
            self.percent += 1;
        }
        if is_scientific(text) || is_exponent_of_digits(text) {
            self.scientific += 1;
        }
        let cell = Cell::Text(text);
        let point = self.point.take(line, cell, &readings.point, digits);
        let comma = self.comma.take(line, cell, &readings.comma, digits);
        let marks = text.trim_matches(|letter: char| !letter.is_ascii_digit());
        if is_two_ways(marks) {
            *(if marks.contains(',') { &mut self.two_ways_comma } else { &mut self.two_ways_point }) += 1;
        } else if comma && !point && !marks.contains(',') {
            // Groups of three digits without decimals can also be the parts of an identifier.
            self.two_ways_point += 1;
        } else if marks.contains([',', '.']) && point != comma {
            *(if point { &mut self.point_evidence } else { &mut self.comma_evidence }) += 1;
        }
    }
}

impl Numbers {
    fn is_given_up(&self) -> bool {
        self.number.is_given_up() && self.money.is_given_up()
    }

    /// Takes a value in, and tells whether it is a number or an amount.
    fn take(&mut self, line: u64, cell: Cell<'_>, reading: &Reading, digits: usize) -> bool {
        let integer = digits <= DIGITS_MAX && value_of(cell, ColumnType::Integer, reading).is_ok();
        // Longer whole numbers are identifiers, too.
        let is_long = digits > DIGITS_MAX
            && matches!(
                value_of(cell, ColumnType::Integer, reading),
                Ok(_) | Err(CellError::Value(ValueError::OutOfRange))
            );
        let read = if is_long { None } else { value_of(cell, ColumnType::Number, reading).ok() };
        let number = integer || read.is_some();
        self.largest = match read {
            Some((Value::Number(number), _)) => self.largest.max(number.abs()),
            _ => f64::INFINITY,
        };
        let money = matches!(value_of(cell, ColumnType::Money, reading), Ok((Value::Money(_), true)));
        self.integer.take(line, integer);
        self.number.take(line, number);
        self.money.take(line, money);
        number || money
    }
}

/// The three numbers of a date such as `24-01-15`.
fn short_parts(text: &str) -> Option<(u8, u8, u8)> {
    let date = text.split([' ', 'T']).next()?;
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let number = |part: &str| if part.len() <= 2 { part.parse().ok() } else { None };
    match parts[..] {
        [first, second, third] => Some((number(first)?, number(second)?, number(third)?)),
        _ => None,
    }
}

/// Tells whether a text is digits, an E, and digits: most likely an identifier that looks like a number.
fn is_exponent_of_digits(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once(['e', 'E']).is_some_and(|(digits, exponent)| is_digits(digits) && is_digits(exponent))
}

/// A date whose century is certain.
fn sure_date(text: &str, order: DateOrder) -> Option<dates::WrittenDate> {
    let written = dates::of_text(text, order)?;
    let mut run = 0;
    let long_year = text.bytes().any(|byte| {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        run == 4
    });
    let is_sure = long_year || !(SHORT_YEAR_MAX + 1..2000 + dates::CENTURY_PIVOT).contains(&written.moment.year());
    is_sure.then_some(written)
}

/// Tells whether a text means "no value" even in a text column: nobody writes it for anything else.
pub(super) fn is_certain_placeholder(text: &str) -> bool {
    matches!(folded(text).as_ref(), "n/a" | "#n/a" | "null" | "(null)" | "(blank)" | "\\n" | "n.a." | "n. a.")
}

fn is_placeholder(text: &str) -> bool {
    text.len() <= 8 && PLACEHOLDERS.contains(&text.to_lowercase().as_str())
}
