//! Cells that fill blank cells below them, as below merged cells.

use crate::dataset::reader::{Cell, NumberFormat, Numeral};

/// A cell kept to fill blank cells below it.
#[derive(Debug, Default)]
pub(super) struct Above {
    text: String,
    kind: AboveKind,
}

#[derive(Debug, Default)]
enum AboveKind {
    #[default]
    Blank,
    Text,
    Number(NumberFormat),
    Bool(bool),
    Moment(jiff::civil::DateTime),
}

impl Above {
    /// Keeps a cell.
    pub(super) fn keep(&mut self, cell: Cell<'_>) {
        self.text.clear();
        self.kind = match cell {
            // An error is not filled down.
            Cell::Blank | Cell::Error(_) => AboveKind::Blank,
            Cell::Text(text) => {
                self.text.push_str(text);
                AboveKind::Text
            }
            Cell::Number(Numeral { digits, format }) => {
                self.text.push_str(digits);
                AboveKind::Number(format.clone())
            }
            Cell::Bool(flag) => AboveKind::Bool(flag),
            Cell::Moment(moment) => AboveKind::Moment(moment),
        };
    }

    /// The cell that was kept.
    pub(super) fn cell(&self) -> Cell<'_> {
        match &self.kind {
            AboveKind::Blank => Cell::Blank,
            AboveKind::Text => Cell::Text(&self.text),
            AboveKind::Number(format) => Cell::Number(Numeral { digits: &self.text, format }),
            AboveKind::Bool(flag) => Cell::Bool(*flag),
            AboveKind::Moment(moment) => Cell::Moment(*moment),
        }
    }
}
