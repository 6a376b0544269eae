//! Texts that people enter: names, labels, file names. Each is one line that shows everything it contains.
//!
//! A control character, a line break or a mark of writing direction can make a text look like another one in a mail, on a terminal or in a
//! page (Unicode Technical Report 36, sections 2.6 and 3.5). Such a text is refused on input, and escaped where an older one is shown.

use std::{borrow::Cow, fmt::Write as _};

use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};

/// A character that no name may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HiddenCharacter {
    /// A control character, such as a tab or an escape.
    #[error("a control character (U+{0:04X})")]
    Control(u32),
    /// A character that ends a line.
    #[error("a line break (U+{0:04X})")]
    LineBreak(u32),
    /// A character that changes the writing direction.
    #[error("a mark of writing direction (U+{0:04X})")]
    Direction(u32),
    /// A character without width that is no part of a letter.
    #[error("an invisible character (U+{0:04X})")]
    Invisible(u32),
}

/// The reason why a character may not be in a text of one line, if there is one.
///
/// The joiners U+200C and U+200D are allowed: names in Persian and in scripts of India need them. So are the selectors U+FE0E and U+FE0F,
/// with which emoji are written.
pub fn hidden(c: char) -> Option<HiddenCharacter> {
    let code = u32::from(c);
    Some(match c {
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => HiddenCharacter::LineBreak(code),
        _ if c.is_control() => HiddenCharacter::Control(code),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            HiddenCharacter::Direction(code)
        }
        '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' => return None,
        // A blank letter, annotation marks, and code points that are no characters.
        '\u{2800}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' => HiddenCharacter::Invisible(code),
        // Fillers, variant selectors (which can carry any text unseen), tags, and other characters without width.
        _ if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) => HiddenCharacter::Invisible(code),
        _ => return None,
    })
}

/// Tells whether a character shows nothing: a space of any kind, a blank letter, or a character without width.
fn shows_nothing(c: char) -> bool {
    c.is_whitespace() || c == '\u{2800}' || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

fn is_space_or_joiner(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200c}' | '\u{200d}')
}

/// Tells whether a text shows nothing: only spaces of any kind, joiners, selectors and blank letters.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(shows_nothing)
}

/// A text without surrounding spaces and joiners; `None` if it shows nothing.
///
/// # Errors
/// The first character that hides something. Line breaks at the ends are spaces, but are refused, too.
pub fn one_line(text: &str) -> Result<Option<&str>, HiddenCharacter> {
    if is_blank(text) {
        return Ok(None);
    }
    match text.chars().find_map(hidden) {
        Some(found) => Err(found),
        // Joiners join nothing at either end, and selectors select nothing at the beginning.
        None => Ok(Some(text.trim_start_matches(shows_nothing).trim_end_matches(is_space_or_joiner))),
    }
}

/// The text as a terminal may show it: hiding characters are escaped, as in `\u{202e}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escaped_but(text, |_| false)
}

/// The same, except for characters that the text may hold.
pub fn escaped_but(text: &str, may_hold: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_shown = |c: char| may_hold(c) || hidden(c).is_none();
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_shown(c) {
            shown.push(c);
        } else {
            // Writing into a text does not fail.
            write!(shown, "{}", c.escape_unicode()).ok();
        }
    }
    Cow::Owned(shown)
}

/// A number and what it counts: `1 row`, `2 rows`.
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_hides_something_is_named() {
        for (text, what) in [
            ("Line1\nBcc: evil@example.org", "a line break (U+000A)"),
            ("a\u{2028}b", "a line break (U+2028)"),
            ("a\rb", "a line break (U+000D)"),
            ("a\tb", "a control character (U+0009)"),
            ("\u{1b}[31mred", "a control character (U+001B)"),
            ("a\u{9b}b", "a control character (U+009B)"),
            ("Ana \u{202e}gro.elpmaxe", "a mark of writing direction (U+202E)"),
            ("a\u{2067}b", "a mark of writing direction (U+2067)"),
            ("a\u{200b}b", "an invisible character (U+200B)"),
            ("\u{feff}Ana", "an invisible character (U+FEFF)"),
            ("adm\u{3164}in", "an invisible character (U+3164)"),
            ("a\u{e0159}b", "an invisible character (U+E0159)"),
            ("a\u{34f}b", "an invisible character (U+034F)"),
            ("a\u{2800}b", "an invisible character (U+2800)"),
            ("a\u{1d173}b", "an invisible character (U+1D173)"),
            ("a\u{1bca0}b", "an invisible character (U+1BCA0)"),
            ("a\u{180b}b", "an invisible character (U+180B)"),
            ("a\u{fe00}b", "an invisible character (U+FE00)"),
            ("a\u{17b4}b", "an invisible character (U+17B4)"),
        ] {
            assert_eq!(one_line(text).unwrap_err().to_string(), what, "{text:?}");
        }
    }

    #[test]
    fn names_of_people_pass() {
        for name in [
            "Ana Núñez",
            "José",
            "李小龍",
            "محمد",
            "मोहन",
            "می\u{200c}خواهم",
            "👩\u{200d}🔬",
            "I ❤\u{fe0f} Ana",
            "O'Brien-Ünal Jr.",
        ] {
            assert_eq!(one_line(name), Ok(Some(name)));
            assert_eq!(escaped(name), name);
        }
        assert_eq!(one_line("  Ana \u{a0}"), Ok(Some("Ana")));
        assert_eq!(one_line("\u{200c}\u{fe0f}Ana \u{200d}"), Ok(Some("Ana")));
        assert_eq!(one_line("Ana ❤\u{fe0f}"), Ok(Some("Ana ❤\u{fe0f}")));
    }

    #[test]
    fn blank_is_none() {
        for text in ["", "   ", "\t", "\n", "\u{a0}\u{3000}", "\u{200d}", "\u{3164}", "\u{fe0f}", "\u{200d}\u{fe0f} "] {
            assert_eq!(one_line(text), Ok(None), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_hides_nothing(text: String) {
            let shown = escaped(&text).into_owned();
            prop_assert!(shown.chars().all(|c| hidden(c).is_none()));
            prop_assert_eq!(escaped(&shown), shown.as_str(), "once is enough");
            if one_line(&text).is_ok() && !is_blank(&text) {
                prop_assert_eq!(shown, text);
            }
        }
    }
}
