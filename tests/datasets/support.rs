//! What the tests share: where the real files are, and reading a file to its end.

use std::{
    io::{Cursor, Read, Write},
    path::{Path, PathBuf},
};

use permitd::dataset::{
    Definition, Record,
    json::write_record,
    reader::{FileRow, Header, Note, ReadError, ReadLimits, open},
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
    pub(crate) rejected: Vec<FileRow>,
    pub(crate) notes: Vec<Note>,
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
    import_within(bytes, file_name, definition, &ReadLimits::default())
}

pub(crate) fn import_within(
    bytes: &[u8],
    file_name: &str,
    definition: &Definition,
    limits: &ReadLimits,
) -> Result<Imported, ReadError> {
    let mut source = open(Cursor::new(bytes.to_vec()), file_name, definition, limits)?;
    let header = source.header().clone();
    let mut imported =
        Imported { definition: definition.clone(), header, rows: Vec::new(), rejected: Vec::new(), notes: Vec::new() };
    for row in source.by_ref() {
        match row? {
            FileRow::Record { line, key, record } => imported.rows.push((line, key, record)),
            rejected @ FileRow::Rejected { .. } => imported.rejected.push(rejected),
        }
    }
    imported.notes = source.notes().to_vec();
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
