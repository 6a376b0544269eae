//! The guesses, written as a definition with comments.

use std::fmt::{self, Write};

use super::guess::Guess;
use crate::dataset::{ColumnType, definition::DateOrder};

pub(super) fn definition(dataset: &str, file_name: &str, guesses: &[Guess], rows: usize) -> String {
    let mut out = String::new();
    let written = write_definition(&mut out, dataset, file_name, guesses, rows);
    // Writing to memory has no way to fail.
    debug_assert!(written.is_ok());
    out
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Comments are one line each, whatever a file's name holds.
fn comment(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn write_definition(out: &mut String, dataset: &str, file_name: &str, guesses: &[Guess], rows: usize) -> fmt::Result {
    // Of equals the first: identifiers stand to the left.
    let best = |but: Option<&Guess>| {
        let others = guesses.iter().rev().filter(move |guess| but.is_none_or(|but| but.name != guess.name));
        others.max_by(|left, right| left.key_score.total_cmp(&right.key_score))
    };
    // An id of the rows themselves is a record's id, when something else is what people ask for.
    let row_id = guesses.iter().find(|guess| is_row_id(guess, rows));
    let row_id = row_id.filter(|row_id| best(Some(row_id)).is_some_and(|other| other.key_score > 1.0));
    let key = best(row_id);
    let is_taken = |name: &str| guesses.iter().any(|guess| guess.name == name);
    let record_id = match row_id {
        Some(row_id) => row_id.name.as_str(),
        None if is_taken("record_id") => "row_of_key",
        None => "record_id",
    };
    let load_date = if is_taken("load_date") { "imported_on" } else { "load_date" };
    let day_first = guesses.iter().any(|guess| guess.date_order == Some(DateOrder::DayFirst));

    writeln!(
        out,
        "# Proposed from the first {rows} rows of {}. A guess: read it before you use it.",
        comment(file_name)
    )?;
    writeln!(out, "# The language is described in schemas/datasets/README.md.\n")?;
    writeln!(out, "name = {}                # the first segment of its paths", quoted(dataset))?;
    writeln!(out, "title = {}", quoted(&dataset.replace('_', " ")))?;
    writeln!(out, "record_id = {}", quoted(record_id))?;
    writeln!(out, "load_date = {}", quoted(load_date))?;
    let order = if day_first { "day_first" } else { "month_first" };
    writeln!(out, "date_order = {}           # how 1/2/2016 is read", quoted(order))?;
    writeln!(out, "blanks = []                          # texts that stand for no value, such as \"N/A\"\n")?;
    if let Some(key) = key {
        writeln!(out, "[key]")?;
        writeln!(out, "# {} different values in {} rows; several records may share one.", key.distinct, key.filled)?;
        writeln!(out, "column = {}", quoted(&key.name))?;
        writeln!(out, "prefix = \"\"                          # what every key begins with, such as \"#\"\n")?;
    }
    for guess in guesses {
        write_column(out, guess, key.is_some_and(|key| key.name == guess.name))?;
    }
    if row_id.is_none() {
        writeln!(out, "# The row's place among those of its key, from 1: the import fills it.")?;
        writeln!(out, "[[column]]\nname = {}\ntype = \"integer\"\nimport = true\n", quoted(record_id))?;
    }
    writeln!(out, "# The day the record was inserted or last changed: the import fills it.")?;
    writeln!(out, "[[column]]\nname = {}\ntype = \"date\"\nimport = true", quoted(load_date))
}

fn is_row_id(guess: &Guess, rows: usize) -> bool {
    ["record_id", "row_id", "object_id", "objectid"].contains(&guess.name.as_str())
        && guess.personal.is_none()
        && guess.distinct == rows
        && matches!(guess.kind, ColumnType::Integer | ColumnType::Text)
}

fn write_column(out: &mut String, guess: &Guess, is_key: bool) -> fmt::Result {
    if let Some(reason) = guess.personal {
        writeln!(out, "# This looks personal, {reason}. It is read by nobody until you publish it.")?;
    } else if guess.filled == 0 {
        writeln!(out, "# No value was seen.")?;
    } else {
        writeln!(out, "# {} values, {} different.", guess.filled, guess.distinct)?;
    }
    writeln!(out, "[[column]]")?;
    writeln!(out, "name = {}", quoted(&guess.name))?;
    let kind = if is_key { ColumnType::Text } else { guess.kind };
    writeln!(out, "type = {}", quoted(kind.as_str()))?;
    writeln!(out, "headers = [{}]", quoted(&guess.header))?;
    if guess.occurrence > 1 {
        writeln!(out, "occurrence = {}", guess.occurrence)?;
    }
    if is_key {
        writeln!(out, "required = true")?;
    } else if guess.personal.is_some() {
        writeln!(out, "publish = false")?;
    }
    writeln!(out)
}
