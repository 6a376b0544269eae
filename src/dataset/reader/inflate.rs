//! The archive of an .xlsx, checked before anything trusts it: every part is inflated once, in constant memory, and
//! measured. What an archive declares about itself is checked as well, but never believed.

use std::io::{ErrorKind, Read, Seek};

use memchr::memchr;
use zip::{ZipArchive, result::ZipError};

use super::{Limits, ReadError, limits::to_u64};

const CHUNK_BYTES: usize = 128 * 1024;
/// Below this size no ratio is suspicious.
const RATIO_FREE_BYTES: u64 = 1 << 20;
/// No start tag of interest has a longer name, prefix included.
const TAG_NAME_BYTES: usize = 24;

/// Refuses archives that are truncated, not a workbook, or larger inside than the limits allow.
pub(super) fn check(source: &mut (impl Read + Seek), limits: &Limits) -> Result<(), ReadError> {
    let mut archive = ZipArchive::new(source).map_err(archive_error)?;
    if archive.len() > limits.parts_max {
        return Err(ReadError::TooMany { what: "parts in its archive", max: to_u64(limits.parts_max) });
    }
    refuse_other_kinds(&archive)?;
    let mut buffer = vec![0_u8; CHUNK_BYTES];
    for place in 0..archive.len() {
        let mut part = archive.by_index(place).map_err(archive_error)?;
        let name = part.name().map_err(archive_error)?.into_owned();
        if part.encrypted() {
            return Err(ReadError::Encrypted);
        }
        let kind = PartKind::of(&name);
        let (bytes_max, setting) = match kind {
            PartKind::Sheet => (limits.sheet_bytes_max, " (import.inflate_bytes_max)"),
            PartKind::SharedStrings => (limits.shared_strings_bytes_max, ""),
            PartKind::Other => (limits.part_bytes_max, ""),
        };
        let allowance = Allowance {
            name: &name,
            bytes_max,
            setting,
            compressed: part.compressed_size(),
            inflation_max: limits.inflation_max,
        };
        allowance.check(part.size())?;
        let mut scan = Scan::new(kind, limits.record_bytes_max);
        loop {
            let kept = scan.kept;
            let Some(free) = buffer.get_mut(kept..) else { break };
            let read = match part.read(free) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(ReadError::Truncated {
                        detail: format!("{name} ends early or fails its checksum: {error}"),
                    });
                }
            };
            scan.total += to_u64(read);
            allowance.check(scan.total)?;
            scan.chunk(&mut buffer, kept + read, read == 0)
                .map_err(|detail| ReadError::Bomb { part: name.clone(), detail })?;
            if read == 0 {
                break;
            }
        }
        scan.check_declared_strings().map_err(|detail| ReadError::Bomb { part: name.clone(), detail })?;
    }
    Ok(())
}

fn archive_error(error: ZipError) -> ReadError {
    match error {
        ZipError::Io(error) if error.kind() != ErrorKind::UnexpectedEof => ReadError::Io(error),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => ReadError::Encrypted,
        other => ReadError::Truncated { detail: other.to_string() },
    }
}

fn refuse_other_kinds<R: Read + Seek>(archive: &ZipArchive<R>) -> Result<(), ReadError> {
    let has = |wanted: &str| archive.file_names().flatten().any(|name| name.eq_ignore_ascii_case(wanted));
    let found = if has("xl/workbook.xml") {
        return Ok(());
    } else if has("xl/workbook.bin") {
        "is a binary workbook (.xlsb)"
    } else if has("content.xml") && has("mimetype") {
        "is an OpenDocument file"
    } else if has("word/document.xml") {
        "is a Word document"
    } else if has("ppt/presentation.xml") {
        "is a presentation"
    } else {
        "is a zip archive without a workbook in it"
    };
    Err(ReadError::NotASpreadsheet { found: found.to_owned() })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartKind {
    Sheet,
    SharedStrings,
    Other,
}

impl PartKind {
    fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        if name.ends_with("sharedstrings.xml") {
            Self::SharedStrings
        } else if name.contains("worksheets/") && name.ends_with(".xml") {
            Self::Sheet
        } else {
            Self::Other
        }
    }
}

struct Allowance<'a> {
    name: &'a str,
    bytes_max: u64,
    /// What sets `bytes_max`, if something does.
    setting: &'static str,
    compressed: u64,
    inflation_max: u64,
}

impl Allowance<'_> {
    fn check(&self, bytes: u64) -> Result<(), ReadError> {
        let bomb = |detail| Err(ReadError::Bomb { part: self.name.to_owned(), detail });
        if bytes > self.bytes_max {
            return bomb(format!("inflates to more than {} bytes{}", self.bytes_max, self.setting));
        }
        if bytes > RATIO_FREE_BYTES && bytes > self.compressed.saturating_mul(self.inflation_max) {
            return bomb(format!("inflates to more than {} times its {} bytes", self.inflation_max, self.compressed));
        }
        Ok(())
    }
}

/// Measures the distance between cells, since the XML reader holds one of them in memory at a time.
struct Scan {
    kind: PartKind,
    cell_bytes_max: u64,
    /// Bytes seen since a cell, row or shared string began.
    run: u64,
    /// Bytes of an unfinished tag at the buffer's beginning.
    kept: usize,
    total: u64,
    in_cells: bool,
    declared_strings: DeclaredCount,
}

impl Scan {
    fn new(kind: PartKind, cell_bytes_max: u64) -> Self {
        let in_cells = kind != PartKind::Other;
        Self { kind, cell_bytes_max, run: 0, kept: 0, total: 0, in_cells, declared_strings: DeclaredCount::default() }
    }

    fn chunk(&mut self, buffer: &mut [u8], filled: usize, last: bool) -> Result<(), String> {
        let Some(bytes) = buffer.get(..filled) else { return Ok(()) };
        if self.kind == PartKind::SharedStrings {
            self.declared_strings.look(bytes.get(self.kept..).unwrap_or_default());
        }
        self.kept = 0;
        if !self.in_cells {
            return Ok(());
        }
        let mut rest = bytes;
        while let Some(at) = memchr(b'<', rest) {
            let Some(tag) = rest.get(at..) else { break };
            if tag.len() < TAG_NAME_BYTES && !last {
                self.pass(at)?;
                self.kept = tag.len();
                buffer.copy_within(filled - self.kept..filled, 0);
                return Ok(());
            }
            self.pass(at)?;
            match tag_name(tag) {
                b"c" | b"row" | b"si" => self.run = 0,
                // What follows the cells (merged cells, links) is not read.
                b"/sheetData" => {
                    self.in_cells = false;
                    return Ok(());
                }
                _ => {}
            }
            self.pass(1)?;
            rest = tag.get(1..).unwrap_or_default();
        }
        self.pass(rest.len())
    }

    fn pass(&mut self, bytes: usize) -> Result<(), String> {
        self.run += to_u64(bytes);
        if self.run > self.cell_bytes_max {
            return Err(format!("holds a cell of more than {} bytes", self.cell_bytes_max));
        }
        Ok(())
    }

    /// The number of shared strings is declared before them, and memory is reserved by it.
    fn check_declared_strings(&self) -> Result<(), String> {
        const STRING_BYTES_MIN: u64 = 5;
        let declared = self.declared_strings.most;
        if declared > self.total / STRING_BYTES_MIN {
            return Err(format!("declares {declared} strings in {} bytes", self.total));
        }
        Ok(())
    }
}

/// The local name of a tag that begins at `<`, with the slash of an end tag.
fn tag_name(tag: &[u8]) -> &[u8] {
    let name = tag.get(1..tag.len().min(TAG_NAME_BYTES)).unwrap_or_default();
    let is_end = name.first() == Some(&b'/');
    let end = name.iter().skip(1).position(|byte| !byte.is_ascii_alphanumeric() && *byte != b':');
    let name = name.get(..end.map_or(name.len(), |end| end + 1)).unwrap_or_default();
    match memchr(b':', name) {
        Some(colon) if !is_end => name.get(colon + 1..).unwrap_or_default(),
        Some(_) if name.ends_with(b":sheetData") => b"/sheetData",
        _ => name,
    }
}

/// The number of strings that a table declares. All that look like one count: what stands first may be a comment.
#[derive(Debug, Default)]
struct DeclaredCount {
    /// Bytes of the attribute's name that were just seen.
    matched: usize,
    count: Option<u64>,
    most: u64,
}

impl DeclaredCount {
    fn look(&mut self, mut bytes: &[u8]) {
        const NAME: &[u8] = b"uniqueCount";
        loop {
            if self.matched == 0 {
                let Some(at) = memchr(b'u', bytes) else { return };
                bytes = bytes.get(at..).unwrap_or_default();
            }
            let Some((byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            match NAME.get(self.matched) {
                Some(expected) if byte == expected => self.matched += 1,
                None if byte.is_ascii_digit() => {
                    let digit = u64::from(byte - b'0');
                    let count = self.count.unwrap_or(0).saturating_mul(10).saturating_add(digit);
                    (self.count, self.most) = (Some(count), self.most.max(count));
                }
                None if self.count.is_none() && matches!(byte, b'=' | b'"' | b'\'' | b' ' | b'\t' | b'\r' | b'\n') => {}
                _ => (self.matched, self.count) = (usize::from(*byte == b'u'), None),
            }
        }
    }
}
