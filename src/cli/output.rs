//! What commands print: text for people, or one JSON document.

use std::io::{BufRead, IsTerminal, Write};

use serde_json::Value;

use super::{Exit, Failure};

/// What a command answers.
#[derive(Debug)]
pub(super) struct Answer {
    /// For `--json`.
    pub(super) document: Value,
    /// For people.
    pub(super) text: String,
    /// The exit code.
    pub(super) exit: Exit,
}

impl Answer {
    /// What a command that did what it should answers.
    pub(super) fn new(document: Value, text: impl Into<String>) -> Self {
        Self { document, text: text.into(), exit: Exit::Done }
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
        self.rows.push(cells.into_iter().map(|cell| cell.replace(char::is_control, " ")).collect());
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
                text.push_str(&format!("\u{1b}[1m{line}\u{1b}[0m\n"));
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
    facts.iter().map(|(name, value)| format!("  {name:<width$}  {value}\n")).collect()
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
        // The end of the input is not echoed: what is said next would follow the question.
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
        assert_eq!(table.plain(), "NAME\tRATE\né\t5\nlong name \t\n");
        assert_eq!(table.aligned(false), "NAME        RATE\né           5\nlong name\n");
        assert!(table.aligned(true).starts_with("\u{1b}[1mNAME"));
    }
}
