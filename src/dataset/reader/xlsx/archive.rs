//! The archive of an .xlsx. Each part has a budget, and all parts together have one, too.

use std::{
    cell::Cell,
    io::{Read, Seek, SeekFrom},
    rc::Rc,
};

use zip::{ZipArchive, result::ZipError};

use super::part::{Allowance, XmlPart};
use crate::dataset::reader::{ReadError, ReadLimits, limits::to_u64};

/// The most bytes of an archive's end record, with its comment.
const END_BYTES_MAX: u64 = 22 + 65_535;
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const LOCATOR_64_BYTES: usize = 20;

/// The kind of a part, which decides its size limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Sheet,
    Strings,
    Other,
}

pub(super) struct Archive<R> {
    zip: ZipArchive<R>,
    limits: ReadLimits,
    /// Inflated bytes that all parts together may still produce.
    left: Rc<Cell<u64>>,
}

impl<R: Read + Seek> Archive<R> {
    pub(super) fn open(mut source: R, limits: &ReadLimits) -> Result<Self, ReadError> {
        let length = source.seek(SeekFrom::End(0))?;
        let parts = declared_parts(&mut source, length)?;
        let max = to_u64(limits.parts_max);
        // The list is read into memory as a whole.
        if parts > max {
            return Err(ReadError::TooMany { what: "parts in its archive", max });
        }
        source.rewind()?;
        let zip = ZipArchive::new(source).map_err(archive_error)?;
        refuse_other_kinds(&zip)?;
        let left = length.saturating_mul(limits.inflation_max).max(super::part::RATIO_FREE_BYTES);
        Ok(Self { zip, limits: limits.clone(), left: Rc::new(Cell::new(left)) })
    }

    pub(super) fn part_of(&mut self, path: &str, kind: PartKind) -> Result<Option<XmlPart<impl Read>>, ReadError> {
        let Some(place) = self.place(path) else { return Ok(None) };
        let file = self.zip.by_index(place).map_err(archive_error)?;
        if file.encrypted() {
            return Err(ReadError::Encrypted);
        }
        let (bytes_max, setting) = match kind {
            PartKind::Sheet => (self.limits.sheet_bytes_max, " (import.inflate_bytes_max)"),
            PartKind::Strings => (self.limits.shared_strings_bytes_max, ""),
            PartKind::Other => (self.limits.part_bytes_max, ""),
        };
        let allowance = Allowance {
            name: path.to_owned(),
            bytes_max,
            setting,
            compressed: file.compressed_size(),
            inflation_max: self.limits.inflation_max,
            event_bytes_max: self.limits.record_bytes_max,
            all: Rc::clone(&self.left),
        };
        allowance.check(file.size())?;
        Ok(Some(XmlPart::new(file, allowance)))
    }

    pub(super) fn part(&mut self, path: &str) -> Result<Option<XmlPart<impl Read>>, ReadError> {
        self.part_of(path, PartKind::Sheet)
    }

    /// The limits on reading.
    pub(super) fn limits(&self) -> &ReadLimits {
        &self.limits
    }

    /// The place of a part: names ignore case, and some writers use backslashes.
    fn place(&self, path: &str) -> Option<usize> {
        let exact = self.zip.index_for_name(path);
        exact.or_else(|| {
            let same = |name: &str| {
                name.len() == path.len()
                    && name.bytes().zip(path.bytes()).all(|(left, right)| {
                        let left = if left == b'\\' { b'/' } else { left };
                        left.eq_ignore_ascii_case(&right)
                    })
            };
            self.zip.file_names().position(|name| name.is_ok_and(|name| same(&name)))
        })
    }
}

/// The number of parts that the archive's end declares, in either of its two forms.
fn declared_parts(source: &mut (impl Read + Seek), length: u64) -> Result<u64, ReadError> {
    let tail_bytes = length.min(END_BYTES_MAX + to_u64(LOCATOR_64_BYTES));
    source.seek(SeekFrom::Start(length - tail_bytes))?;
    let mut tail = Vec::new();
    source.by_ref().take(tail_bytes).read_to_end(&mut tail)?;
    let mut most = 0;
    for end in memchr::memmem::rfind_iter(&tail, END) {
        let record = tail.get(end..).unwrap_or_default();
        let Some(count) = record.get(10..12).and_then(|bytes| bytes.try_into().ok()) else { continue };
        most = most.max(u64::from(u16::from_le_bytes(count)));
        let locator = end.checked_sub(LOCATOR_64_BYTES).and_then(|start| tail.get(start..end));
        let Some(locator) = locator.filter(|locator| locator.starts_with(LOCATOR_64)) else { continue };
        let Some(at) = locator.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes) else {
            continue;
        };
        source.seek(SeekFrom::Start(at.min(length)))?;
        let mut record = Vec::new();
        source.by_ref().take(56).read_to_end(&mut record)?;
        if record.starts_with(END_64)
            && let Some(count) = record.get(32..40).and_then(|bytes| bytes.try_into().ok())
        {
            most = most.max(u64::from_le_bytes(count));
        }
    }
    Ok(most)
}

pub(super) fn archive_error(error: ZipError) -> ReadError {
    match error {
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => ReadError::Io(error),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => ReadError::Encrypted,
        other => ReadError::Truncated { detail: other.to_string() },
    }
}

fn refuse_other_kinds<R: Read + Seek>(archive: &ZipArchive<R>) -> Result<(), ReadError> {
    let has =
        |wanted: &dyn Fn(&str) -> bool| archive.file_names().flatten().any(|name| wanted(&name.to_ascii_lowercase()));
    let is = |wanted: &'static str| move |name: &str| name == wanted;
    let found = if has(&|name| name.ends_with("workbook.xml")) {
        return Ok(());
    } else if has(&is("xl/workbook.bin")) {
        "is a binary workbook (.xlsb): save it as .xlsx"
    } else if has(&is("content.xml")) && has(&is("mimetype")) {
        "is an OpenDocument file (.ods): save it as .xlsx"
    } else if has(&is("word/document.xml")) {
        "is a Word document: copy its table into a spreadsheet and save that as .xlsx"
    } else if has(&is("ppt/presentation.xml")) {
        "is a presentation"
    } else if has(&|name| name.ends_with(".iwa") || name == "index.zip") {
        "is a Numbers spreadsheet: export it as .xlsx"
    } else if has(&|name| [".csv", ".tsv", ".txt", ".xlsx", ".xls"].iter().any(|ending| name.ends_with(ending))) {
        "is a zip archive with a table in it: unpack it and import the file that is inside"
    } else if has(&|name| name.ends_with(".shp")) {
        "is a zip archive of map data: export its table as .csv"
    } else {
        "is a zip archive without a workbook in it"
    };
    Err(ReadError::NotASpreadsheet { found: found.to_owned() })
}
