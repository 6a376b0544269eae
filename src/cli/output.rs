//! Output of commands: text for people, or one JSON document.
//!
//! Guarantee: no stored or given text can move a terminal's cursor, turn the text's direction, or hide something: such characters are shown
//! as `\u{202e}`.

use std::{
    borrow::Cow,
    io::{self, BufRead, IsTerminal, Write},
};

use serde_json::Value;

use super::{
    failure::{Exit, Failure},
    printable::{BOLD, PLAIN, printable, printable_json},
};
use crate::domain::text::escaped;

/// What a command answers.
#[derive(Debug)]
pub(super) struct CommandAnswer {
    /// For `--json`.
    pub(super) document: Value,
    /// For people.
    pub(super) text: String,
    /// The exit code.
    pub(super) exit: Exit,
    /// Whether the text is a file's content, which is not to be changed unless it goes to a terminal.
    pub(super) is_file: bool,
}

impl CommandAnswer {
    /// What a command that did what it should answers.
    pub(super) fn new(document: Value, text: impl Into<String>) -> Self {
        Self { document, text: text.into(), exit: Exit::Done, is_file: false }
    }

    /// The same whose text is a file's content.
    pub(super) fn file(document: Value, text: impl Into<String>) -> Self {
        Self { is_file: true, ..Self::new(document, text) }
    }

    /// Prints it: as text, or as one JSON document.
    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        // A stopped server prints nothing, in either form.
        let is_document = json && !self.document.is_null();
        let mut text = if is_document { printable_json(&self.document) } else { self.printed().into_owned() };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // The reader, such as `head`, has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => {
                written.map_err(|error| Failure::unavailable(format!("standard output cannot be written: {error}")))
            }
        }
    }

    /// The text as it goes to standard output.
    fn printed(&self) -> Cow<'_, str> {
        if self.is_file && !std::io::stdout().is_terminal() { self.text.as_str().into() } else { printable(&self.text) }
    }
}

/// A table: aligned under headings on a terminal, otherwise one line per row with tabs between the cells.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // A cell must not look like two, or like another row.
        self.rows.push(cells.into_iter().map(|cell| escaped(&cell).into_owned()).collect());
    }

    pub(super) fn render(&self) -> String {
        if std::io::stdout().is_terminal() { self.aligned(is_coloured()) } else { self.plain() }
    }

    fn plain(&self) -> String {
        self.rows.iter().map(|row| row.join("\t") + "\n").collect()
    }

    fn aligned(&self, bold_headings: bool) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let chars = |row: &Vec<String>, column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let widths: Vec<usize> =
            (0..columns).map(|column| self.rows.iter().map(|row| chars(row, column)).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for (place, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            let line = cells.join("  ");
            let line = line.trim_end();
            if place == 0 && bold_headings {
                text.push_str(&format!("{BOLD}{line}{PLAIN}\n"));
            } else {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

/// Names and values under each other, aligned wherever it is printed.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("  {name:<width$}  {}\n", escaped(value))).collect()
}

fn is_coloured() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A number with its thousands apart: `2,166`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and what it counts: `1 row`, `2,166 rows`.
pub(super) fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{} {what}s", grouped(number)) }
}

/// A moment to the second, or nothing.
pub(super) fn moment(at: Option<jiff::Timestamp>) -> String {
    at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

/// Asks at the terminal whether to go on with what cannot be undone; `because` says why where there is none to ask at.
pub(super) fn confirmed(question: &str, because: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{because}, and there is no terminal to ask at; add --yes")));
    }
    let failed = |error: std::io::Error| Failure::unavailable(format!("the terminal cannot be asked: {error}"));
    let mut terminal = std::io::stderr().lock();
    write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush()).map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    if !answer.ends_with('\n') {
        // The terminal does not echo the end of input, so the next text would follow the question.
        writeln!(terminal).map_err(failed)?;
    }
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands() {
        let written: Vec<String> = [0, 7, 999, 1000, 2166, 1_000_000].map(grouped).into();
        assert_eq!(written, ["0", "7", "999", "1,000", "2,166", "1,000,000"]);
        assert_eq!((counted(1, "row"), counted(2, "row")), ("1 row".to_owned(), "2 rows".to_owned()));
    }

    #[test]
    fn tables() {
        let mut table = Table::new(&["NAME", "RATE"]);
        table.row(["é".to_owned(), "5".to_owned()]);
        table.row(["long\tname\n".to_owned(), String::new()]);
        assert_eq!(table.plain(), "NAME\tRATE\né\t5\nlong\\u{9}name\\u{a}\t\n");
        assert_eq!(table.aligned(false), "NAME                RATE\né                   5\nlong\\u{9}name\\u{a}\n");
        assert!(table.aligned(true).starts_with("\u{1b}[1mNAME"));
    }

    #[test]
    fn nothing_printed_moves_the_cursor_or_turns_the_line() {
        let hostile = "Ana\u{1b}[2J\u{202e}gro\u{9b}1m\r";
        let shown = "Ana\\u{1b}[2J\\u{202e}gro\\u{9b}1m\\u{d}";
        assert_eq!(facts(&[("name", format!("{hostile}\nid  7"))]), format!("  name  {shown}\\u{{a}}id  7\n"));
        assert_eq!(printable(&format!("{hostile}\n\tb")), format!("{shown}\n\tb"));
        let mut table = Table::new(&["NAME"]);
        table.row([hostile.to_owned()]);
        let bold = table.aligned(true);
        assert_eq!(printable(&bold), bold, "the heading stays as it is");
        assert_eq!(printable(&format!("{BOLD}a{PLAIN}\n{hostile}")), format!("{BOLD}a{PLAIN}\n{shown}"));
        let document = serde_json::json!({ "name": "a\u{202e}b\u{e0001}\u{7f}\u{1b}é" });
        let printed = printable_json(&document);
        assert_eq!(printed, "{\"name\":\"a\\u202eb\\udb40\\udc01\\u007f\\u001bé\"}");
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), document);
    }
}
