//! Makes untrusted texts safe in files that are opened in a spreadsheet.

use std::borrow::Cow;

/// Characters at which a spreadsheet takes a cell for a formula, or which may hide such a beginning:
/// <https://owasp.org/www-community/attacks/CSV_Injection>. The last four are wide forms that some spreadsheets take for the others.
const BEGINNINGS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// A cell that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe in front, which marks a text. A text that
/// begins with apostrophes and then like a formula gets another one, so that removing one apostrophe from every such text restores the
/// original.
pub fn inert(cell: &str) -> Cow<'_, str> {
    if begins_like_a_formula(cell) { format!("'{cell}").into() } else { cell.into() }
}

fn begins_like_a_formula(cell: &str) -> bool {
    // Not all spreadsheets care about leading spaces.
    cell.trim_start_matches(['\'', ' ']).starts_with(BEGINNINGS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The original text, by the rule of [`inert`].
    fn original(cell: &str) -> &str {
        match cell.strip_prefix('\'') {
            Some(rest) if begins_like_a_formula(rest) => rest,
            _ => cell,
        }
    }

    #[test]
    fn formulas_are_texts() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            (" =1", "' =1"),
            ("'=1", "''=1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("a=1", "a=1"),
            ("'t was", "'t was"),
            ("12/31/2016", "12/31/2016"),
            ("", ""),
        ] {
            assert_eq!(inert(cell), written, "{cell:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_there_can_be_had_again(cell in "['=+@ \t\r\n-]{0,4}.{0,6}") {
            let written = inert(&cell).into_owned();
            prop_assert!(!written.starts_with(BEGINNINGS));
            prop_assert_eq!(original(&written), cell.as_str());
        }
    }
}
