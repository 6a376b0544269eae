//! What a file is, told by its content: names lie.

use std::io::{Read, Seek, SeekFrom};

use memchr::memmem;

use super::{Limits, ReadError};

/// How much of a text file is looked at for its delimiter.
const SAMPLE_BYTES: u64 = 64 * 1024;
const ZIP: &[u8] = b"PK";
const COMPOUND_FILE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An Office Open XML workbook.
    Xlsx,
    /// A workbook of Excel 97 to 2003.
    Xls,
    /// Text with delimiters.
    Delimited,
}

pub(super) struct Detected {
    pub(super) format: Format,
    /// The beginning of a text file.
    pub(super) sample: Vec<u8>,
}

/// Tells the format. The source is left at its start.
pub(super) fn detect(source: &mut (impl Read + Seek), file_name: &str, limits: &Limits) -> Result<Detected, ReadError> {
    let length = source.seek(SeekFrom::End(0))?;
    source.rewind()?;
    let mut sample = Vec::new();
    source.by_ref().take(SAMPLE_BYTES).read_to_end(&mut sample)?;
    let format = if sample.starts_with(ZIP) && sample.get(2).is_some_and(|byte| *byte < b' ') {
        Format::Xlsx
    } else if sample.starts_with(COMPOUND_FILE) {
        source.rewind()?;
        if is_encrypted_package(source)? {
            return Err(ReadError::Encrypted);
        }
        if length > limits.xls_bytes_max {
            return Err(ReadError::TooMany { what: "bytes in an .xls file", max: limits.xls_bytes_max });
        }
        Format::Xls
    } else {
        // Reports under the name of .xls are often text; nothing writes text under the name of .xlsx.
        let claims_xlsx = file_name.to_ascii_lowercase().ends_with(".xlsx");
        let misnamed = claims_xlsx.then_some("is text or data under the name of an .xlsx workbook");
        if let Some(found) = other_kind(&sample).or(misnamed) {
            return Err(ReadError::NotASpreadsheet { found: found.to_owned() });
        }
        Format::Delimited
    };
    source.rewind()?;
    Ok(Detected { format, sample })
}

/// What a file is that is neither a workbook nor a table of text.
fn other_kind(sample: &[u8]) -> Option<&'static str> {
    let text = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample).trim_ascii_start();
    if text.is_empty() {
        return Some("is empty");
    }
    let lead: Vec<u8> = text.iter().take(16).map(u8::to_ascii_lowercase).collect();
    if sample.starts_with(b"\xff\xfe") || sample.starts_with(b"\xfe\xff") {
        Some("is UTF-16 text; save it as \"CSV UTF-8\"")
    } else if lead.starts_with(b"%pdf") {
        Some("is a PDF")
    } else if lead.starts_with(b"<!doctype") || lead.starts_with(b"<html") || lead.starts_with(b"<table") {
        Some("is a web page, perhaps an error page of the site it was fetched from, or a report under a false name")
    } else if lead.starts_with(b"<?xml") {
        Some("is XML")
    } else if lead.starts_with(b"{") || lead.starts_with(b"[{") {
        Some("is JSON")
    } else if sample.contains(&0) {
        Some("is binary data of no known kind")
    } else {
        None
    }
}

/// Whether a compound file holds an encrypted workbook: a stream of that name is in its directory.
fn is_encrypted_package(source: &mut impl Read) -> Result<bool, ReadError> {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let finder = memmem::Finder::new(&name);
    let mut window = Vec::new();
    loop {
        let read = source.by_ref().take(SAMPLE_BYTES).read_to_end(&mut window)?;
        if finder.find(&window).is_some() {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        let overlap = window.len().min(name.len());
        window.drain(..window.len() - overlap);
    }
}
