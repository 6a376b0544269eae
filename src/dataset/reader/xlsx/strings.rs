//! The shared texts of cells, kept in memory one after another.

use std::io::{Read, Seek};

use quick_xml::events::Event;

use super::{
    archive::{Archive, PartKind},
    part::XmlPart,
};
use crate::dataset::reader::{ReadError, limits::to_u64};

/// Memory of a string besides its bytes.
const STRING_BYTES: u64 = 16;

#[derive(Debug, Default)]
pub(super) struct Strings {
    text: String,
    ends: Vec<usize>,
}

impl Strings {
    pub(super) fn get(&self, place: usize) -> Option<&str> {
        let end = *self.ends.get(place)?;
        let begin = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.text.get(begin..end)
    }
}

pub(super) fn read<R: Read + Seek>(archive: &mut Archive<R>, path: &str) -> Result<Strings, ReadError> {
    let limits = archive.limits().clone();
    let Some(mut part) = archive.part_of(path, PartKind::Strings)? else { return Ok(Strings::default()) };
    let bytes_max = usize::try_from(limits.record_bytes_max).unwrap_or(usize::MAX);
    let mut strings = Strings::default();
    let mut text = String::new();
    loop {
        match part.next()? {
            Event::Start(tag) if tag.local_name().as_ref() == "si" => {
                text.clear();
                rich_text(&mut part, &mut text, bytes_max)?;
                strings.text.push_str(&text);
            }
            Event::Empty(tag) if tag.local_name().as_ref() == "si" => {}
            Event::Eof => return Ok(strings),
            _ => continue,
        }
        strings.ends.push(strings.text.len());
        let bytes = to_u64(strings.text.len()) + STRING_BYTES * to_u64(strings.ends.len());
        if bytes > limits.shared_strings_bytes_max {
            let max = limits.shared_strings_bytes_max;
            return Err(ReadError::TooMany { what: "bytes of texts that cells share", max });
        }
    }
}

/// Appends the texts of an element's runs up to its end, without phonetic texts.
pub(super) fn rich_text<R: Read>(part: &mut XmlPart<R>, out: &mut String, bytes_max: usize) -> Result<(), ReadError> {
    let begin = out.len();
    let (mut depth, mut phonetic) = (0_usize, None);
    loop {
        let is_text = match part.next()? {
            Event::Start(tag) => {
                let name = tag.local_name();
                let is_text = name.as_ref() == "t" && phonetic.is_none();
                if !is_text {
                    depth += 1;
                    if name.as_ref() == "rPh" && phonetic.is_none() {
                        phonetic = Some(depth);
                    }
                }
                is_text
            }
            Event::End(_) if depth == 0 => {
                unescape_controls(out, begin);
                return Ok(());
            }
            Event::End(_) => {
                if phonetic == Some(depth) {
                    phonetic = None;
                }
                depth -= 1;
                false
            }
            Event::Eof => return Err(part.ended()),
            _ => false,
        };
        if is_text {
            part.text_into(out, bytes_max)?;
        }
    }
}

/// Decodes `_x000D_`, the format's notation for characters that XML cannot hold (ECMA-376-1, 22.9.2.19, ST_Xstring).
fn unescape_controls(text: &mut String, begin: usize) {
    let written = text.get(begin..).unwrap_or_default();
    if memchr::memmem::find(written.as_bytes(), b"_x").is_none() {
        return;
    }
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find("_x") {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let code = escape.get(2..6).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let letter = code.filter(|_| escape.get(6..7) == Some("_")).and_then(|code| u32::from_str_radix(code, 16).ok());
        match letter.and_then(char::from_u32) {
            Some(letter) => {
                out.push(letter);
                rest = escape.get(7..).unwrap_or_default();
            }
            None => {
                out.push_str("_x");
                rest = escape.get(2..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    text.truncate(begin);
    text.push_str(&out);
}

#[cfg(test)]
mod tests {
    use super::unescape_controls;

    #[test]
    fn controls() {
        for (written, meant) in [
            ("a_x000D_b", "a\rb"),
            ("_x005F_x000D_", "_x000D_"),
            ("_x00", "_x00"),
            ("file_x1_y", "file_x1_y"),
            ("_xD800_", "_xD800_"),
            ("plain", "plain"),
        ] {
            let mut text = format!("_x000D_{written}");
            unescape_controls(&mut text, 7);
            assert_eq!(text, format!("_x000D_{meant}"));
        }
    }
}
