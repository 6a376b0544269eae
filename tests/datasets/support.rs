//! What the tests share: where the real files are, and reading a file to its end.

use std::{
    io::{Cursor, Read, Write},
    path::{Path, PathBuf},
};

use permitd::dataset::{
    Definition, Record,
    json::write_record,
    reader::{Header, ImportRow, Limits, ReadError, open},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A file of real data, if the machine has it.
pub(crate) fn shared_file(name: &str) -> Option<Vec<u8>> {
    let named = std::env::var_os("PERMITD_SHARED_DATA").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/data"));
    let found = named.into_iter().chain(above).map(|folder| folder.join(name)).find(|path| path.is_file());
    match found {
        Some(path) => Some(std::fs::read(path).unwrap()),
        None => {
            println!("skipped: {name} is not here; set PERMITD_SHARED_DATA to the folder that holds it");
            None
        }
    }
}

pub(crate) fn builtin(name: &str) -> Definition {
    Definition::builtin().unwrap().into_iter().find(|definition| definition.name == name).unwrap()
}

pub(crate) struct Imported {
    pub(crate) definition: Definition,
    pub(crate) header: Header,
    pub(crate) rows: Vec<(u64, String, Record)>,
    pub(crate) rejected: Vec<ImportRow>,
}

impl Imported {
    /// The records of a key, as JSON.
    pub(crate) fn of_key(&self, key: &str) -> Vec<serde_json::Value> {
        self.rows.iter().filter(|(_, bears, _)| bears == key).map(|(.., record)| self.json(record)).collect()
    }

    pub(crate) fn json(&self, record: &Record) -> serde_json::Value {
        let mut text = Vec::new();
        write_record(&self.definition, record, &mut text);
        serde_json::from_slice(&text).unwrap()
    }

    /// Every value of a column, as JSON.
    pub(crate) fn column(&self, name: &str) -> Vec<serde_json::Value> {
        self.rows.iter().map(|(.., record)| self.json(record)[name].clone()).collect()
    }

    /// All that would be published, as one text.
    pub(crate) fn published(&self) -> String {
        self.rows.iter().map(|(.., record)| self.json(record).to_string()).collect()
    }
}

pub(crate) fn import(bytes: &[u8], file_name: &str, definition: &Definition) -> Result<Imported, ReadError> {
    import_within(bytes, file_name, definition, &Limits::default())
}

pub(crate) fn import_within(
    bytes: &[u8],
    file_name: &str,
    definition: &Definition,
    limits: &Limits,
) -> Result<Imported, ReadError> {
    let source = open(Cursor::new(bytes.to_vec()), file_name, definition, limits)?;
    let header = source.header().clone();
    let mut imported = Imported { definition: definition.clone(), header, rows: Vec::new(), rejected: Vec::new() };
    for row in source {
        match row? {
            ImportRow::Record { line, key, record } => imported.rows.push((line, key, record)),
            rejected @ ImportRow::Rejected { .. } => imported.rejected.push(rejected),
        }
    }
    Ok(imported)
}

/// A workbook with one part replaced by what `write` writes.
pub(crate) fn with_part(workbook: &[u8], part: &str, write: impl FnOnce(&mut dyn Write)) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(Cursor::new(workbook)).unwrap();
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for place in 0..archive.len() {
        let mut entry = archive.by_index(place).unwrap();
        let name = entry.name().unwrap().into_owned();
        if name != part {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            out.start_file(name, options).unwrap();
            out.write_all(&bytes).unwrap();
        }
    }
    out.start_file(part, options).unwrap();
    write(&mut out);
    out.finish().unwrap().into_inner()
}

/// A record of the format of Excel 97: its kind, its length, its bytes.
fn biff(kind: u16, bytes: &[&[u8]]) -> Vec<u8> {
    let body = bytes.concat();
    let mut record = kind.to_le_bytes().to_vec();
    record.extend(u16::try_from(body.len()).unwrap().to_le_bytes());
    record.extend(body);
    record
}

/// An .xls of one sheet, written by hand since nothing else here writes them.
pub(crate) fn excel_97(cells: &[(u16, u16, Result<&str, f64>)]) -> Vec<u8> {
    let beginning = |kind: u16| biff(0x0809, &[&0x0600_u16.to_le_bytes(), &kind.to_le_bytes(), &[0; 12]]);
    let end = biff(0x000a, &[]);
    let sheet_entry = |offset: u32| biff(0x0085, &[&offset.to_le_bytes(), &[0, 0, 4, 0], b"data"]);
    let globals = beginning(5).len() + sheet_entry(0).len() + end.len();
    let mut stream =
        [beginning(5), sheet_entry(u32::try_from(globals).unwrap()), end.clone(), beginning(0x10)].concat();
    for (row, column, value) in cells {
        let place = [row.to_le_bytes(), column.to_le_bytes(), [0, 0]].concat();
        stream.extend(match value {
            Ok(text) => {
                biff(0x0204, &[&place, &u16::try_from(text.len()).unwrap().to_le_bytes(), &[0], text.as_bytes()])
            }
            Err(number) => biff(0x0203, &[&place, &number.to_le_bytes()]),
        });
    }
    stream.extend(end);
    // Streams of less than 4,096 bytes are kept elsewhere in a compound file.
    stream.resize(4_096, 0);
    let (none, last): (u32, u32) = (0xffff_ffff, 0xffff_fffe);
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    file.resize(24, 0);
    file.extend([0x3e, 0, 3, 0, 0xfe, 0xff, 9, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    file.extend(words(&[0, 1, 1, 0, 4_096, last, 0, last, 0, 0]));
    file.resize(512, 0xff);
    // The table of sectors: itself, the directory, and the eight of the stream.
    let mut table = vec![0xffff_fffd, last];
    table.extend((3..=9).chain([last]));
    table.resize(128, none);
    file.extend(words(&table));
    let entry = |name: &str, kind: u8, child: u32, start: u32, size: u32| {
        let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u8::try_from(entry.len() + 2).unwrap();
        entry.resize(64, 0);
        entry.extend([length, 0, kind, 1]);
        entry.extend(words(&[none, none, child]));
        entry.resize(116, 0);
        entry.extend(words(&[start, size, 0]));
        entry
    };
    file.extend(entry("Root Entry", 5, 1, last, 0));
    file.extend(entry("Workbook", 2, none, 2, 4_096));
    file.resize(512 * 3, 0);
    file.extend(stream);
    file
}
