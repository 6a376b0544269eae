//! Writes the rows of the table as markup. For their thousands of cells a template takes several times as long, more for the values given
//! to it than for the text that it writes.

use std::borrow::Cow;

use super::wording::cut;
use crate::http::pages::templates::escaped;

/// Characters of a text that a cell shows at once.
const CELL_CHARS: usize = 80;
/// Characters of a text that a cell holds at most; the record's page has the whole text.
const CELL_CHARS_MAX: usize = 1_000;
/// Bytes for the texts of all cells.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Writes rows, with their texts as far as there is room.
pub(super) struct HtmlRows {
    markup: String,
    room: usize,
}

impl HtmlRows {
    pub(super) fn new() -> Self {
        Self { markup: String::new(), room: TEXT_BYTES_MAX }
    }

    /// Writes a row: `href` is the address of the record's page, `name` stands in for an empty first cell, and each cell says whether it is
    /// a number.
    pub(super) fn write(&mut self, href: &str, name: &str, cells: impl Iterator<Item = (String, bool)>) {
        self.markup.push_str("<tr>");
        for (place, (whole, is_number)) in cells.enumerate() {
            let (short, more) = self.texts(&whole);
            let short = escaped(&short);
            if place == 0 {
                let shown = if short.is_empty() { escaped(name) } else { short };
                self.put(&["<th scope=\"row\"><a href=\"", &escaped(href), "\">", &shown, "</a></th>"]);
            } else if !more.is_empty() {
                self.put(&["<td><details><summary>", &short, "</summary>", &escaped(&more), "</details></td>"]);
            } else {
                self.put(&[if is_number { "<td class=\"number\">" } else { "<td>" }, &short, "</td>"]);
            }
        }
        self.markup.push_str("</tr>\n");
    }

    fn put(&mut self, parts: &[&str]) {
        self.markup.extend(parts.iter().copied());
    }

    /// The text that a cell shows, and the longer one that it holds; less where there is no room.
    fn texts<'t>(&mut self, whole: &'t str) -> (Cow<'t, str>, Cow<'t, str>) {
        let takes = |text: &str| escaped(text).len();
        let (mut short, mut more) = (cut(whole, CELL_CHARS), Cow::Borrowed(""));
        if short != whole {
            more = cut(whole, CELL_CHARS_MAX);
        }
        if takes(&short) + takes(&more) > self.room {
            more = Cow::Borrowed("");
        }
        if takes(&short) > self.room {
            short = Cow::Borrowed("…");
        }
        self.room = self.room.saturating_sub(takes(&short) + takes(&more));
        (short, more)
    }

    /// The markup of the rows.
    pub(super) fn finish(self) -> String {
        self.markup
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(cells: &[(&str, bool)]) -> String {
        let mut rows = HtmlRows::new();
        rows.write("/a?b&c", "its <name>", cells.iter().map(|(text, is_number)| ((*text).to_owned(), *is_number)));
        rows.finish()
    }

    #[test]
    fn the_first_cell_leads_to_the_record() {
        let link = |text: &str| format!("<tr><th scope=\"row\"><a href=\"/a?b&amp;c\">{text}</a></th>");
        assert_eq!(
            written(&[("7", true), ("8", true), ("x", false)]),
            link("7") + "<td class=\"number\">8</td><td>x</td></tr>\n"
        );
        assert_eq!(written(&[("", true)]), link("its &lt;name&gt;") + "</tr>\n");
        let long = "y".repeat(81);
        let short = "y".repeat(80);
        assert_eq!(
            written(&[("", true), (&long, false)]),
            link("its &lt;name&gt;") + &format!("<td><details><summary>{short}…</summary>{long}</details></td></tr>\n")
        );
    }

    #[test]
    fn texts_take_bounded_room() {
        let mut rows = HtmlRows::new();
        for _ in 0..2_000 {
            rows.write("/", "name", ["", &"<".repeat(2_000)].into_iter().map(|text| (text.to_owned(), false)));
        }
        let markup = rows.finish();
        assert!(markup.len() < TEXT_BYTES_MAX + 2_000 * 200, "{}", markup.len());
        assert_eq!(markup.matches("<tr>").count(), 2_000);
    }

    proptest! {
        #[test]
        fn no_text_becomes_markup(href in ".{0,20}", name in ".{0,20}", text in "[<>&\"'a-c/!-]{0,120}") {
            let mut rows = HtmlRows::new();
            rows.write(&href, &name, [text.clone(), text].into_iter().map(|text| (text, false)));
            let markup = rows.finish();
            let known = ["<tr>", "</tr>", "<td>", "</td>", "<th scope=\"row\">", "</th>", "<a href=\"", "\">", "</a>", "<details>",
                "</details>", "<summary>", "</summary>"];
            let left = known.iter().fold(markup, |left, known| left.replacen(known, "", 2));
            prop_assert!(!left.contains(['<', '>', '"', '\'']), "{left}");
        }
    }
}
