//! How the cells of a workbook show numbers, by style number.

use std::{
    collections::HashMap,
    io::{Read, Seek},
};

use quick_xml::events::Event;

use super::{
    archive::{Archive, PartKind},
    part::{attributes, unescaped},
};
use crate::dataset::reader::{NumberFormat, ReadError, limits::to_u64};

/// The format's limit.
const STYLES_MAX: usize = 65_490;

#[derive(Debug, Default)]
pub(super) struct Styles {
    formats: Vec<NumberFormat>,
    /// The format of each style.
    of_styles: Vec<usize>,
}

static GENERAL: NumberFormat = NumberFormat::General;

impl Styles {
    pub(super) fn format(&self, style: usize) -> &NumberFormat {
        self.of_styles.get(style).and_then(|place| self.formats.get(*place)).unwrap_or(&GENERAL)
    }
}

pub(super) fn read<R: Read + Seek>(archive: &mut Archive<R>, path: &str) -> Result<Styles, ReadError> {
    let Some(mut part) = archive.part_of(path, PartKind::Other)? else { return Ok(Styles::default()) };
    let mut codes: HashMap<u32, NumberFormat> = HashMap::new();
    let mut ids: Vec<u32> = Vec::new();
    let mut in_cells = false;
    loop {
        match part.next()? {
            Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                "numFmt" => {
                    let (mut id, mut code) = (None, String::new());
                    for (key, value) in attributes(&tag) {
                        match key {
                            "numFmtId" => id = value.parse().ok(),
                            "formatCode" => code = unescaped(value),
                            _ => {}
                        }
                    }
                    if let Some(id) = id
                        && codes.len() < STYLES_MAX
                    {
                        codes.insert(id, NumberFormat::of_code(&code));
                    }
                }
                "cellXfs" => in_cells = true,
                "xf" if in_cells => {
                    let id = attributes(&tag).find(|(key, _)| *key == "numFmtId").and_then(|(_, id)| id.parse().ok());
                    ids.push(id.unwrap_or(0));
                    if ids.len() > STYLES_MAX {
                        return Err(ReadError::TooMany { what: "styles", max: to_u64(STYLES_MAX) });
                    }
                }
                _ => {}
            },
            Event::End(tag) if tag.local_name().as_ref() == "cellXfs" => in_cells = false,
            Event::Eof => break,
            _ => {}
        }
    }
    let mut styles = Styles::default();
    let mut places: HashMap<u32, usize> = HashMap::new();
    for id in ids {
        let place = *places.entry(id).or_insert_with(|| {
            styles.formats.push(codes.get(&id).cloned().unwrap_or_else(|| NumberFormat::built_in(id)));
            styles.formats.len() - 1
        });
        styles.of_styles.push(place);
    }
    Ok(styles)
}
