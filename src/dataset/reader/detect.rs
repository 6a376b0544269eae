//! Detects a file's format by its content: names can be wrong.

use std::io::{Read, Seek, SeekFrom};

use encoding_rs::Encoding;
use memchr::memmem;

use super::{ReadError, ReadLimits, compound};
use crate::dataset::definition::Dialect;

/// The most bytes that are examined.
const SAMPLE_BYTES: u64 = 64 * 1024;
const ZIP: &[u8] = b"PK";
const COMPOUND_FILE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// An Office Open XML workbook.
    Xlsx,
    /// A workbook of Excel 97 to 2003.
    Xls,
    /// Text with delimiters.
    Delimited,
    /// One JSON object a line.
    JsonLines,
}

/// Detects the format. Leaves the source at its start.
pub(super) fn detect(
    source: &mut (impl Read + Seek),
    file_name: &str,
    dialect: &Dialect,
    limits: &ReadLimits,
) -> Result<FileFormat, ReadError> {
    let length = source.seek(SeekFrom::End(0))?;
    source.rewind()?;
    let mut sample = Vec::new();
    source.by_ref().take(SAMPLE_BYTES).read_to_end(&mut sample)?;
    let format = if sample.starts_with(ZIP) && sample.get(2).is_some_and(|byte| *byte < b' ') {
        FileFormat::Xlsx
    } else if sample.starts_with(COMPOUND_FILE) {
        if compound::is_encrypted(source)? {
            return Err(ReadError::Encrypted);
        }
        if length > limits.xls_bytes_max {
            return Err(ReadError::TooMany { what: "bytes in an .xls file", max: limits.xls_bytes_max });
        }
        FileFormat::Xls
    } else {
        text_format(&sample, file_name, dialect)
            .map_err(|found| ReadError::NotASpreadsheet { found: found.to_owned() })?
    };
    source.rewind()?;
    Ok(format)
}

/// The format of a text, or what else it is.
fn text_format(sample: &[u8], file_name: &str, dialect: &Dialect) -> Result<FileFormat, &'static str> {
    if let Some(found) = MAGIC.iter().find(|(magic, _)| sample.starts_with(magic)).map(|(_, found)| *found) {
        return Err(found);
    }
    if sample.starts_with(b"\xff\xfe\0\0") || sample.starts_with(b"\0\0\xfe\xff") {
        return Err("is UTF-32 text: convert it first, with `iconv -f UTF-32 -t UTF-8 FILE > NEW`");
    }
    let is_wide = dialect.charset().is_some_and(|charset| !charset.is_ascii_compatible());
    let marked = Encoding::for_bom(sample).filter(|(encoding, _)| *encoding != encoding_rs::UTF_8);
    if is_wide || marked.is_some() {
        return Ok(FileFormat::Delimited);
    }
    let text = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample).trim_ascii_start();
    if text.is_empty() {
        return Err("is empty");
    }
    let lead: Vec<u8> = text.iter().take(2_000).map(u8::to_ascii_lowercase).collect();
    let begins = |word: &[u8]| lead.starts_with(word);
    let has = |word: &[u8]| memmem::find(&lead, word).is_some();
    if begins(b"<!doctype") || begins(b"<html") || begins(b"<table") || begins(b"<head") || begins(b"<body") {
        return Err(
            "is a web page: perhaps an error page of the site it was fetched from, or a report under a false name; open it in a spreadsheet program and save it as .xlsx",
        );
    }
    if begins(b"<?xml") || begins(b"<") {
        return Err(if has(b"urn:schemas-microsoft-com:office:spreadsheet") {
            "is a workbook in XML, of Excel 2003: open it in a spreadsheet program and save it as .xlsx"
        } else if begins(b"<kml") || has(b"<kml") {
            "is map data (KML): export its table as .csv"
        } else if begins(b"<?xml") {
            "is XML: save its table as .csv or .xlsx"
        } else {
            "is markup, and no table"
        });
    }
    if begins(b"{") {
        if has(b"\"featurecollection\"") {
            return Err("is GeoJSON: export its table as .csv");
        }
        // An object over several lines is a document; our exports write one object a line.
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let is_whole = |line: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
        let cut = sample.len() as u64 == SAMPLE_BYTES && !text.contains(&b'\n');
        let claims_lines = [".ndjson", ".jsonl"].iter().any(|ending| file_name.to_ascii_lowercase().ends_with(ending));
        let has_more = text.trim_ascii().len() > line.len();
        return if cut || (is_whole(line) && (has_more || claims_lines)) {
            Ok(FileFormat::JsonLines)
        } else {
            Err(
                "is one JSON document: write one object a line (NDJSON), for example with `jq -c '.[]'`, or save its table as .csv",
            )
        };
    }
    if begins(b"[") && (has(b"{") || has(b"[[")) && !has(b"\n[") {
        return Err(
            "is a JSON list: write one object a line (NDJSON), for example with `jq -c '.[]'`, or save its table as .csv",
        );
    }
    if sample.contains(&0) {
        return Err(if looks_like_utf_16(sample) {
            "is UTF-16 text without a mark: say which encoding, utf-16le or utf-16be"
        } else {
            "is binary data of no known kind, or text with NUL bytes in it: if it is text, take them out with `tr -d '\\0' < FILE > NEW`"
        });
    }
    // Reports named .xls are often text; nothing writes text into files named .xlsx.
    if file_name.to_ascii_lowercase().ends_with(".xlsx") {
        return Err("is text or data under the name of an .xlsx workbook");
    }
    Ok(FileFormat::Delimited)
}

/// The first bytes of other formats, and their names.
const MAGIC: [(&[u8], &str); 17] = [
    (b"\x1f\x8b", "is compressed with gzip: unpack it first, with `gunzip`"),
    (b"BZh", "is compressed with bzip2: unpack it first, with `bunzip2`"),
    (b"\xfd7zXZ\0", "is compressed with xz: unpack it first, with `unxz`"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd: unpack it first, with `unzstd`"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it and import the file that is inside"),
    (b"Rar!", "is a RAR archive: unpack it and import the file that is inside"),
    (b"PAR1", "is Parquet: write it as CSV first, for example with DuckDB: COPY (FROM 'x.parquet') TO 'x.csv'"),
    (b"ARROW1", "is Arrow or Feather: write it as CSV first"),
    (b"Obj\x01", "is Avro: write it as CSV first"),
    (
        b"SQLite format 3\0",
        "is a SQLite database: write its table as CSV first, with `sqlite3 -header -csv FILE 'SELECT * FROM …'`",
    ),
    (b"\x00\x01\x00\x00Standard ", "is an Access database: export its table as .csv or .xlsx"),
    (b"%PDF", "is a PDF: ask for the table that it was made of"),
    (b"%!PS", "is PostScript"),
    (b"{\\rtf", "is a text document (RTF)"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
    (b"\x7fELF", "is binary data: a program"),
];

/// Tells whether nearly every other byte is zero, as in UTF-16 texts of Latin letters.
fn looks_like_utf_16(sample: &[u8]) -> bool {
    let pairs = sample.as_chunks::<2>().0;
    let (low, high) = pairs.iter().fold((0, 0), |(low, high), [first, second]| {
        (low + usize::from(*second == 0 && *first != 0), high + usize::from(*first == 0 && *second != 0))
    });
    pairs.len() >= 2 && low.max(high) * 10 >= pairs.len() * 8
}
