//! Workbooks by their parts. What is inside of an archive is compressed and has a checksum, which no mutation survives: so
//! the parts are mutated, and the archive is made around them.
//!
//! ```text
//! --- xl/workbook.xml
//! <workbook>…
//! +++ xl/worksheets/sheet1.xml
//! <worksheet>…
//! ```
//!
//! Parts behind `---` are stored, those behind `+++` deflated.

use std::io::{Cursor, Read, Write};

use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

const STORED: &[u8] = b"--- ";
const DEFLATED: &[u8] = b"+++ ";

/// The archive of these parts; none where the bytes do not begin with one.
pub fn of_parts(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(STORED) && !bytes.starts_with(DEFLATED) {
        return None;
    }
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut open = false;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let method = match line.get(..4) {
            Some(STORED) => Some(CompressionMethod::Stored),
            Some(DEFLATED) => Some(CompressionMethod::Deflated),
            _ => None,
        };
        if let Some(method) = method {
            let name = String::from_utf8_lossy(&line[4..]);
            // Two parts of one name, and the like, cannot be written.
            open = archive.start_file(name.trim(), SimpleFileOptions::default().compression_method(method)).is_ok();
        } else if open {
            archive.write_all(line).ok()?;
        }
    }
    Some(archive.finish().ok()?.into_inner())
}

/// The parts of an archive, as [`of_parts`] reads them.
pub fn parts_of(archive: &[u8]) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).expect("an archive");
    let mut parts = Vec::new();
    for place in 0..archive.len() {
        let mut part = archive.by_index(place).expect("a part");
        parts.extend_from_slice(if place % 2 == 0 { STORED } else { DEFLATED });
        parts.extend_from_slice(part.name().expect("a name").as_bytes());
        parts.push(b'\n');
        part.read_to_end(&mut parts).expect("its bytes");
        parts.push(b'\n');
    }
    parts
}
