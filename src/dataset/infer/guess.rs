//! What a column seems to be.

use std::collections::HashSet;

use super::{Kept, Nature};
use crate::dataset::{
    ColumnType, Value,
    definition::{DateOrder, RESERVED_COLUMNS, normal_header},
    mapping::convert::{Reading, value_of},
    reader::Cell,
};

const NAME_BYTES_MAX: usize = 40;
/// Numbers with more digits are names of things, not amounts.
const INTEGER_DIGITS_MAX: usize = 15;

const MONEY_WORDS: [&str; 9] = ["cost", "price", "fee", "amount", "valuation", "value", "paid", "dollars", "total"];
const PERSONAL_WORDS: [&str; 14] = [
    "phone",
    "telephone",
    "tel",
    "mobile",
    "fax",
    "email",
    "mail",
    "owner",
    "applicant",
    "contractor",
    "contact",
    "person",
    "surname",
    "company",
];
/// Words that make a "name" another thing's than a person's.
const IMPERSONAL_WORDS: [&str; 10] =
    ["street", "road", "project", "city", "county", "district", "neighborhood", "file", "building", "place"];
const KEY_WORDS: [&str; 8] = ["permit", "application", "case", "job", "record", "license", "licence", "reference"];
const NUMBER_WORDS: [&str; 6] = ["number", "no", "id", "key", "nbr", "num"];

/// What a column seems to be.
#[derive(Debug)]
pub(super) struct Guess {
    pub(super) header: String,
    /// The published name, unique among the guesses.
    pub(super) name: String,
    /// Which of the columns with this header it is.
    pub(super) occurrence: usize,
    pub(super) kind: ColumnType,
    pub(super) date_order: Option<DateOrder>,
    pub(super) filled: usize,
    pub(super) distinct: usize,
    /// Why it looks personal.
    pub(super) personal: Option<&'static str>,
    /// How well it would do as the key.
    pub(super) key_score: f64,
}

impl Guess {
    pub(super) fn of<'a>(
        header: &str,
        values: impl Iterator<Item = &'a Kept> + Clone,
        rows: usize,
        earlier: &[Self],
    ) -> Self {
        let words = words_of(header);
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let filled = values.clone().count();
        let distinct = values.clone().map(|cell| cell.text.as_str()).collect::<HashSet<_>>().len();
        let (kind, date_order) = kind_of(values.clone(), has(&MONEY_WORDS));
        let personal = personal_reason(&words, values);
        let normal = normal_header(header);
        let occurrence = 1 + earlier.iter().filter(|guess| normal_header(&guess.header) == normal).count();
        let share = |count: usize, of: usize| {
            f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / f64::from(u32::try_from(of.max(1)).unwrap_or(1))
        };
        let mut key_score = share(distinct, filled) * share(filled, rows);
        if has(&KEY_WORDS) && has(&NUMBER_WORDS) {
            key_score += 1.0;
        } else if has(&NUMBER_WORDS) && !has(&IMPERSONAL_WORDS) {
            key_score += 0.5;
        }
        let could_be_key = matches!(kind, ColumnType::Text | ColumnType::Integer) && filled > 0 && personal.is_none();
        Self {
            header: header.to_owned(),
            name: unique_name(&words, earlier),
            occurrence,
            kind,
            date_order,
            filled,
            distinct,
            personal,
            key_score: if could_be_key { key_score } else { -1.0 },
        }
    }
}

/// The words of a header in lower-case ASCII: `ContractorPhone`, `CONTRACTOR_PHONE` and `contractor phone` are the same.
fn words_of(header: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for letter in header.chars() {
        let begins = was_small && letter.is_uppercase();
        was_small = letter.is_lowercase();
        if letter == '#' {
            words.extend(["number".to_owned(), String::new()]);
            continue;
        }
        if begins || !letter.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut()
            && letter.is_ascii_alphanumeric()
        {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn unique_name(words: &[String], earlier: &[Guess]) -> String {
    let mut name = words.join("_");
    name.truncate(NAME_BYTES_MAX);
    let name = name.trim_end_matches('_');
    let name = match name.as_bytes().first() {
        Some(first) if first.is_ascii_lowercase() => name.to_owned(),
        _ => format!("column_{name}").trim_end_matches('_').to_owned(),
    };
    let is_reserved = RESERVED_COLUMNS.contains(&name.as_str());
    let name = if is_reserved { format!("{name}_column") } else { name };
    let is_taken = |name: &str| earlier.iter().any(|guess| guess.name == name);
    if !is_taken(&name) {
        return name;
    }
    (2..).map(|place: usize| format!("{name}_{place}")).find(|name| !is_taken(name)).unwrap_or(name)
}

pub(super) fn is_number(text: &str) -> bool {
    let reading = Reading { date_order: DateOrder::MonthFirst, epoch_1904: false };
    value_of(Cell::Text(text), ColumnType::Money, reading).is_ok()
}

fn kind_of<'a>(
    values: impl Iterator<Item = &'a Kept> + Clone,
    sounds_like_money: bool,
) -> (ColumnType, Option<DateOrder>) {
    if values.clone().next().is_none() {
        return (ColumnType::Text, None);
    }
    for date_order in [DateOrder::MonthFirst, DateOrder::DayFirst] {
        let reading = Reading { date_order, epoch_1904: false };
        let as_moment = |cell: &Kept| match value_of(Cell::Text(&cell.text), ColumnType::Timestamp, reading) {
            Ok(Value::Timestamp(moment)) if cell.nature != Nature::Number => Some(moment),
            _ => None,
        };
        if values.clone().all(|cell| as_moment(cell).is_some() && !is_compact(&cell.text)) {
            // One time of day for all of them is a date that was exported with a clock.
            let times: HashSet<i64> =
                values.clone().filter_map(as_moment).map(|at| at.as_second().rem_euclid(86_400)).collect();
            return (if times.len() > 1 { ColumnType::Timestamp } else { ColumnType::Date }, Some(date_order));
        }
    }
    let reading = Reading { date_order: DateOrder::MonthFirst, epoch_1904: false };
    let all = |kind| values.clone().all(|cell| value_of(Cell::Text(&cell.text), kind, reading).is_ok());
    let padded = |text: &str| text.len() > 1 && text.starts_with('0') && !text.starts_with("0.");
    let is_amount = |cell: &Kept| !padded(&cell.text) && cell.text.len() <= INTEGER_DIGITS_MAX;
    let has_currency = values.clone().any(|cell| cell.text.contains('$'));
    let kind = if (sounds_like_money || has_currency) && all(ColumnType::Money) {
        ColumnType::Money
    } else if all(ColumnType::Integer) && values.clone().all(is_amount) {
        ColumnType::Integer
    } else if all(ColumnType::Number) && !values.clone().any(|cell| padded(&cell.text)) && !all(ColumnType::Integer) {
        ColumnType::Number
    } else {
        ColumnType::Text
    };
    (kind, None)
}

/// Eight digits may be a date, but are more often a number.
fn is_compact(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn personal_reason<'a>(words: &[String], values: impl Iterator<Item = &'a Kept> + Clone) -> Option<&'static str> {
    let has = |list: &[&str]| words.iter().any(|word| list.iter().any(|other| word == other));
    let joined: String = words.concat();
    if has(&PERSONAL_WORDS) || ["phone", "email"].iter().any(|word| joined.contains(word)) {
        return Some("by its header");
    }
    if has(&["name", "names", "firstname", "lastname"]) && !has(&IMPERSONAL_WORDS) {
        return Some("by its header: whose name?");
    }
    let share = |matches: fn(&str) -> bool| {
        let (hits, all) = values
            .clone()
            .fold((0_usize, 0_usize), |(hits, all), cell| (hits + usize::from(matches(&cell.text)), all + 1));
        all > 0 && hits * 3 >= all
    };
    if share(is_email) {
        return Some("by its values: e-mail addresses");
    }
    if share(is_telephone) {
        return Some("by its values: telephone numbers");
    }
    None
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !text.contains(' '))
}

/// Written as a telephone number is: ten or eleven digits with marks between them.
fn is_telephone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let marks = text.bytes().filter(|byte| matches!(byte, b'(' | b')' | b'-' | b' ' | b'.' | b'+')).count();
    (10..=11).contains(&digits) && marks >= 2 && digits + marks == text.len() && !text.starts_with('-')
}
