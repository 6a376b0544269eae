//! Makes texts and documents safe to print.
//!
//! Guarantee: no stored or given text can move a terminal's cursor, turn the text's direction, or hide something: such characters are shown
//! as `\u{202e}`.

use std::borrow::Cow;

use serde_json::Value;

use crate::domain::text::{escaped_but, hidden};

/// What makes a table's headings stand out, and what ends that.
pub(super) const BOLD: &str = "\u{1b}[1m";
pub(super) const PLAIN: &str = "\u{1b}[0m";

/// A text of several lines as it may be printed: what stands in its lines hides nothing. Only headings may be bold.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(BOLD) {
        return escaped_but(text, |c| matches!(c, '\n' | '\t'));
    }
    let line = |line: &str| match line.strip_prefix(BOLD).and_then(|rest| rest.strip_suffix(PLAIN)) {
        Some(heading) => format!("{BOLD}{}{PLAIN}", escaped_but(heading, |c| c == '\t')),
        None => escaped_but(line, |c| c == '\t').into_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n").into()
}

/// A document as it may be printed: JSON can write any character in another way, which means the same.
pub(super) fn printable_json(document: &Value) -> String {
    let text = document.to_string();
    if text.chars().all(|c| hidden(c).is_none()) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c).is_none() {
            shown.push(c);
        } else {
            // JSON has such characters only within texts, where it escapes them like this.
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        }
    }
    shown
}
