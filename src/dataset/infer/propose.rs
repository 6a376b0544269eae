//! Writes the verdicts as a definition with comments.

use std::fmt::{self, Write};

use super::{
    ChosenHeader, ColumnTable,
    column::ColumnStats,
    name::{unique_name, words_of},
    verdict::{ColumnVerdict, Writing, coordinate_of},
};
use crate::dataset::{
    ColumnType,
    definition::{COLUMNS_MAX, DateOrder, Mark, Quote, Said, normal_header},
};

/// Columns that the import fills.
const OWN_COLUMNS: usize = 3;
/// Longer headers are not written into a definition.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// The most columns that a comment lists.
const NAMED_MAX: usize = 2_000;

/// A column and its verdict.
struct Draft<'a> {
    column: &'a ColumnStats,
    verdict: ColumnVerdict,
    name: String,
    occurrence: usize,
}

/// The columns left out, and why.
#[derive(Default)]
struct LeftOut {
    blank: Vec<String>,
    beyond: Vec<String>,
    long: Vec<String>,
}

pub(super) fn definition(
    dataset: &str,
    file_name: &str,
    (said, guessed): (&Said, Option<u64>),
    chosen: &ChosenHeader,
    table: ColumnTable,
) -> Option<String> {
    let mut out = String::new();
    let writing = Writing::of(&table, said);
    let (drafts, left_out) = drafts(&table, &writing);
    if drafts.is_empty() {
        return None;
    }
    let written = write_definition(
        &mut out,
        &Proposal {
            dataset,
            file_name,
            said,
            guessed,
            chosen,
            table: &table,
            writing,
            drafts: &drafts,
            left_out: &left_out,
        },
    );
    // Writing to memory cannot fail.
    debug_assert!(written.is_ok());
    Some(out)
}

struct Proposal<'a> {
    dataset: &'a str,
    file_name: &'a str,
    said: &'a Said,
    /// The number of rows that were not UTF-8, if the encoding is a guess.
    guessed: Option<u64>,
    chosen: &'a ChosenHeader,
    table: &'a ColumnTable,
    writing: Writing,
    drafts: &'a [Draft<'a>],
    left_out: &'a LeftOut,
}

fn drafts<'a>(table: &'a ColumnTable, writing: &Writing) -> (Vec<Draft<'a>>, LeftOut) {
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    let mut left_out = LeftOut::default();
    for (place, column) in table.columns.iter().enumerate() {
        if column.header.trim().is_empty() {
            if column.filled > 0 {
                left_out.blank.push(letters_of(place));
            }
            continue;
        }
        if drafts.len() + OWN_COLUMNS >= COLUMNS_MAX {
            left_out.beyond.push(column.header.clone());
            continue;
        }
        if column.header.len() > HEADER_BYTES_MAX {
            left_out.long.push(letters_of(place));
            continue;
        }
        let normal = normal_header(&column.header);
        let same = drafts.iter().filter(|draft| normal_header(&draft.column.header) == normal).count();
        let is_taken = |name: &str| drafts.iter().any(|draft| draft.name == name);
        let name = unique_name(&words_of(&column.header), is_taken);
        let verdict = ColumnVerdict::of(column, writing, table.rows);
        drafts.push(Draft { column, verdict, name, occurrence: same + 1 });
    }
    (drafts, left_out)
}

fn letters_of(place: usize) -> String {
    crate::dataset::reader::letters_of(place)
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Keeps comments to one line each, whatever the file contains.
fn comment(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn write_definition(out: &mut String, proposal: &Proposal<'_>) -> fmt::Result {
    let Proposal { dataset, drafts, table, .. } = proposal;
    // On equal scores the first wins: identifiers stand to the left.
    let best = |but: Option<&str>| {
        let others = drafts.iter().rev().filter(move |draft| but != Some(draft.name.as_str()));
        others.max_by_key(|draft| draft.verdict.key_score).filter(|draft| draft.verdict.key_score > 0)
    };
    // If people ask for another column, a row id becomes the record id.
    let row_id = drafts.iter().find(|draft| is_row_id(draft));
    let row_id = row_id.filter(|row_id| best(Some(&row_id.name)).is_some_and(|other| other.verdict.key_score > 2_000));
    let key = best(row_id.map(|row_id| row_id.name.as_str()));
    let is_taken = |name: &str| drafts.iter().any(|draft| draft.name == name);
    let free = |name: &str, other: &str| if is_taken(name) { other.to_owned() } else { name.to_owned() };
    let row = free("row", "row_of_file");
    let record_id = row_id.map_or_else(|| free("record_id", "row_of_key"), |row_id| row_id.name.clone());
    let load_date = free("load_date", "imported_on");

    write_head(out, proposal)?;
    writeln!(out, "name = {}                # the first segment of its paths", quoted(dataset))?;
    writeln!(out, "title = {}", quoted(&dataset.replace('_', " ")))?;
    writeln!(out, "record_id = {}", quoted(&record_id))?;
    writeln!(out, "load_date = {}", quoted(&load_date))?;
    write_dialect(out, proposal)?;
    writeln!(out, "\n[key]")?;
    let (key_name, key_score) = key.map_or((row.as_str(), 0), |key| (key.name.as_str(), key.verdict.key_score));
    match key {
        Some(key) if key_score > 0 && key.column.never_repeats() => {
            let compared = if key.column.is_counted {
                String::new()
            } else {
                format!(" (the first {} were compared)", key.column.distinct)
            };
            writeln!(out, "# Every row has a value here, and each another one{compared}.")?;
        }
        Some(key) => writeln!(
            out,
            "# {} different values in {} rows: several records may share one.",
            key.column.distinct, table.rows
        )?,
        None => {
            writeln!(
                out,
                "# No column identifies its rows, so that a row is found by its place in the file. Import such a file as a"
            )?;
            writeln!(out, "# whole, in place of what was there; or name a column that identifies.")?;
        }
    }
    writeln!(out, "column = {}", quoted(key_name))?;
    writeln!(out, "prefix = \"\"                          # what every key begins with, such as \"#\"\n")?;
    if key.is_none() {
        writeln!(out, "# The row's place among the rows of the file, from 1: the import fills it.")?;
        writeln!(out, "[[column]]\nname = {}\ntype = \"text\"\nimport = true\n", quoted(&row))?;
    }
    for draft in *drafts {
        write_column(out, draft, draft.name == key_name && key.is_some(), proposal.writing.date_order)?;
    }
    write_places(out, drafts, proposal.writing.decimal)?;
    if row_id.is_none() {
        writeln!(out, "# The row's place among those of its key, from 1: the import fills it.")?;
        writeln!(out, "[[column]]\nname = {}\ntype = \"integer\"\nimport = true\n", quoted(&record_id))?;
    }
    writeln!(out, "# The day the record was inserted or last changed: the import fills it.")?;
    writeln!(out, "[[column]]\nname = {}\ntype = \"date\"\nimport = true", quoted(&load_date))
}

/// Writes what was read, and what a person should check.
fn write_head(out: &mut String, proposal: &Proposal<'_>) -> fmt::Result {
    let Proposal { file_name, chosen, table, writing, left_out, .. } = proposal;
    let rows = table.rows;
    writeln!(
        out,
        "# Proposed from {} of {}, which are all. A guess: read it before you use it.",
        counted(rows, "row"),
        comment(file_name)
    )?;
    writeln!(
        out,
        "# The header was found on line {}; if that is a record and no header, write one above it.",
        chosen.line
    )?;
    for note in &table.notes {
        writeln!(out, "# Look at this: {}.", comment(&note.to_string()))?;
    }
    if let Some(line) = writing.units_line {
        writeln!(
            out,
            "# Look at this: line {line} looks like units of measurement and no record; it will be rejected."
        )?;
    }
    for row in table.last.no_records() {
        let (line, what) = (row.line, row.looks_like);
        writeln!(
            out,
            "# Look at this: line {line} looks like {what} and no record; stop_at ends the table before it."
        )?;
    }
    for draft in proposal.drafts.iter().filter(|draft| is_sparse_group(draft.column, table.rows)) {
        writeln!(
            out,
            "# Look at this: {:?} is blank below each of its values, as below merged cells; fill_down would fill it.",
            comment(&draft.column.header)
        )?;
    }
    let mut write_left_out = |columns: &[String], why: &str| {
        let (shown, more) = columns.split_at(columns.len().min(NAMED_MAX));
        if shown.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = shown.iter().map(|name| comment(name)).collect();
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        writeln!(out, "# Not in this draft, {why}: {}{more}.", names.join(", "))
    };
    write_left_out(&left_out.blank, "because they have values but no header (give them one)")?;
    write_left_out(&left_out.beyond, &format!("because a data set has at most {COLUMNS_MAX} columns"))?;
    write_left_out(&left_out.long, "because their headers are too long")?;
    writeln!(out)
}

/// Writes the keys of the file's dialect.
fn write_dialect(out: &mut String, proposal: &Proposal<'_>) -> fmt::Result {
    let Proposal { said, table, writing, drafts, .. } = proposal;
    let dialect = &said.dialect;
    let has_dates = drafts.iter().any(|draft| matches!(draft.verdict.kind, ColumnType::Date | ColumnType::Timestamp));
    let order = match writing.date_order {
        Some(DateOrder::DayFirst) => "day_first",
        _ => "month_first",
    };
    if has_dates || writing.date_order.is_some() {
        writeln!(out, "date_order = {}           # how 1/2/2016 is read", quoted(order))?;
    }
    if let Some(delimiter) = dialect.delimiter {
        let name = if delimiter == b'\t' { "tab".to_owned() } else { char::from(delimiter).to_string() };
        writeln!(out, "delimiter = {}", quoted(&name))?;
    }
    match dialect.quote {
        Some(Quote::None) => writeln!(out, "quote = \"none\"")?,
        Some(Quote::Byte(byte)) => writeln!(out, "quote = {}", quoted(&char::from(byte).to_string()))?,
        None => {}
    }
    if let Some(records) = proposal.guessed {
        let rows = counted(records, "row");
        writeln!(
            out,
            "# {rows} not in UTF-8. This encoding is a guess: look at letters such as é in what was imported."
        )?;
    }
    if let Some(encoding) = &dialect.encoding {
        writeln!(out, "encoding = {}", quoted(encoding))?;
    }
    if let Some(sheet) = &dialect.sheet {
        writeln!(out, "sheet = {}", quoted(sheet))?;
    }
    if dialect.decimal.is_some() || writing.says_decimal(table.delimiter) {
        writeln!(
            out,
            "decimal = {}                       # the decimal mark of numbers that are texts",
            quoted(writing.decimal.as_str())
        )?;
    }
    if let Some(thousands) = dialect.thousands {
        writeln!(out, "thousands = {}", quoted(thousands.as_str()))?;
    }
    match &dialect.time_zone {
        Some(zone) => writeln!(out, "time_zone = {}", quoted(zone))?,
        None if drafts
            .iter()
            .any(|draft| draft.verdict.kind == ColumnType::Timestamp && draft.column.with_zone == 0) =>
        {
            writeln!(out, "# time_zone = \"America/Los_Angeles\"  # of times that write no zone; UTC, if left out")?;
        }
        None => {}
    }
    if dialect.skip_rows > 0 {
        writeln!(out, "skip_rows = {}", dialect.skip_rows)?;
    }
    let stops: Vec<String> = if dialect.stop_at.is_empty() {
        table.last.no_records().into_iter().map(|row| row.stop_at).collect()
    } else {
        dialect.stop_at.clone()
    };
    if !stops.is_empty() {
        let off = if dialect.stop_at.is_empty() { "# " } else { "" };
        let stops: Vec<String> = stops.iter().map(|stop| quoted(stop)).collect();
        writeln!(out, "{off}stop_at = [{}]                  # the table ends before such a row", stops.join(", "))?;
    }
    let blanks: Vec<String> = said.blanks.iter().map(|blank| quoted(blank)).collect();
    let blanks = blanks.join(", ");
    writeln!(
        out,
        "blanks = [{blanks}]                          # texts that stand for no value in every column, such as \"N/A\""
    )
}

/// Tells whether a column looks like merged cells: values in few rows, all different, the first row included.
fn is_sparse_group(column: &ColumnStats, rows: u64) -> bool {
    rows >= 4
        && column.filled >= 2
        && column.filled * 2 <= rows
        && column.placeholders.is_empty()
        && column.never_repeats()
        && column.longest <= 64
        && column.first_row_filled
}

fn is_row_id(draft: &Draft<'_>) -> bool {
    ["record_id", "row_id", "object_id", "objectid"].contains(&draft.name.as_str())
        && draft.verdict.personal.is_none()
        && draft.column.never_repeats()
        && draft.verdict.key_score > 0
        && matches!(draft.verdict.kind, ColumnType::Integer | ColumnType::Text)
}

/// A text of so many characters is likely to be of words that people look for.
const SENTENCE_CHARS: usize = 40;

/// Proposes a place for each pair of a latitude and a longitude that every row has both of, or none.
fn write_places(out: &mut String, drafts: &[Draft<'_>], decimal: Mark) -> fmt::Result {
    let mut named: Vec<String> = drafts.iter().map(|draft| draft.name.clone()).collect();
    let of = |is_latitude: bool| {
        let words = move |draft: &'_ Draft<'_>| coordinate_of(draft.column, &draft.verdict, decimal, is_latitude);
        drafts.iter().filter_map(move |draft| words(draft).map(|words| (draft, words)))
    };
    for (latitude, mut words) in of(true) {
        let mut fitting = of(false)
            .filter(|(longitude, others)| *others == words && longitude.column.filled == latitude.column.filled);
        let (Some((longitude, _)), None) = (fitting.next(), fitting.next()) else { continue };
        if named.len() + OWN_COLUMNS >= COLUMNS_MAX {
            continue;
        }
        words.push("location".to_owned());
        let name = unique_name(&words, |name| named.iter().any(|known| known == name));
        writeln!(out, "# A place of two columns: near, bbox, within and maps ask for it.")?;
        writeln!(out, "[[column]]\nname = {}\ntype = \"point\"", quoted(&name))?;
        writeln!(out, "latitude = {}\nlongitude = {}\n", quoted(&latitude.name), quoted(&longitude.name))?;
        named.push(name);
    }
    Ok(())
}

fn write_column(out: &mut String, draft: &Draft<'_>, is_key: bool, date_order: Option<DateOrder>) -> fmt::Result {
    let Draft { column, verdict, .. } = draft;
    if let Some(reason) = verdict.personal {
        writeln!(out, "# This looks personal ({reason}). It is read by nobody until you publish it.")?;
    } else if column.filled == 0 {
        writeln!(out, "# No value was seen.")?;
    } else {
        let different = match column.is_counted {
            true => format!("{} different", column.distinct),
            false => format!("more than {} different", column.distinct.saturating_sub(1)),
        };
        writeln!(out, "# {}, {different}.", counted(column.filled, "value"))?;
    }
    if !is_key {
        for remark in &verdict.remarks {
            writeln!(out, "# {}", comment(remark))?;
        }
    }
    if column.errors > 0 {
        writeln!(
            out,
            "# {} cells hold an error of the sheet: their rows are rejected, unless `blanks` names it.",
            column.errors
        )?;
    }
    writeln!(out, "[[column]]")?;
    writeln!(out, "name = {}", quoted(&draft.name))?;
    let kind = if is_key { ColumnType::Text } else { verdict.kind };
    writeln!(out, "type = {}", quoted(kind.as_str()))?;
    writeln!(out, "headers = [{}]", quoted(column.header.trim()))?;
    if draft.occurrence > 1 {
        writeln!(out, "occurrence = {}", draft.occurrence)?;
    }
    let order = verdict.date_order.filter(|order| Some(*order) != date_order);
    if let (ColumnType::Date | ColumnType::Timestamp, Some(order)) = (kind, order) {
        let order = if order == DateOrder::DayFirst { "day_first" } else { "month_first" };
        writeln!(out, "date_order = {}", quoted(order))?;
    }
    if !verdict.blanks.is_empty() && !is_key {
        let blanks: Vec<String> = verdict.blanks.iter().map(|blank| quoted(blank)).collect();
        writeln!(out, "blanks = [{}]", blanks.join(", "))?;
    }
    if is_key {
        writeln!(out, "required = true")?;
    }
    if kind == ColumnType::Text && !is_key && verdict.personal.is_none() && column.longest >= SENTENCE_CHARS {
        writeln!(out, "searchable = true")?;
    }
    if verdict.personal.is_some() {
        if !is_key {
            writeln!(out, "publish = false")?;
        }
        writeln!(out, "personal = true")?;
    }
    writeln!(out)
}
