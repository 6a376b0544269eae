//! Reads files of rows: detects their format by content, streams their rows within limits, and maps them to records.
//!
//! A thread of its own reads and maps the rows, some batches ahead of the receiver: reading overlaps with writing, and the bounded channel
//! between them bounds the memory.

use std::{
    io::{self, Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

pub use self::import_row::{CellProblem, FileRow, Header, HeaderColumn};
use super::{
    Definition,
    definition::Dialect,
    last_rows::LastRows,
    mapping::{FileReading, HeaderSearch, Mapper, is_blank},
};
pub use detect::FileFormat;
pub use error::ReadError;
pub use limits::ReadLimits;
pub use note::{NoRecord, Note};
pub use number_format::NumberFormat;
pub use rows::{Cell, Flow, Numeral, RowCells, RowSink};
pub use sheet_name::SheetName;
pub(in crate::dataset) use xlsx::letters_of;

mod biff;
mod compound;
mod delimited;
mod detect;
mod error;
mod import_row;
mod json_lines;
mod limits;
pub(in crate::dataset) mod note;
pub(in crate::dataset) mod number_format;
pub(in crate::dataset) mod rows;
pub(in crate::dataset) mod serial;
mod sheet_name;
mod xls;
mod xlsx;

const BATCHES_AHEAD: usize = 4;
const BATCH_ROWS: usize = 256;
/// The batch size for a caller that only takes the first rows; no batch waits then.
const LOOKED_AT_ROWS: usize = 64;
/// Approximate bytes of text in a batch.
const BATCH_BYTES: usize = 512 * 1024;

/// The progress of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadProgress {
    /// Bytes of the file that have been read.
    pub bytes_read: u64,
    /// Bytes of the file.
    pub bytes_total: u64,
}

/// The rows of an opened file, in their order. After an error there are no more: an import is all or nothing.
#[derive(Debug)]
pub struct ImportSource {
    header: Header,
    format: FileFormat,
    progress: Arc<AtomicU64>,
    bytes_total: u64,
    batches: Option<Receiver<ReaderMessage>>,
    current: std::vec::IntoIter<FileRow>,
    notes: Vec<Note>,
}

enum ReaderMessage {
    Header(Header),
    Rows(Vec<FileRow>),
    Failed(ReadError),
    Ended(Vec<Note>),
}

/// Opens a file: detects its format, checks it against the limits, and finds the header of `definition` in it. The file's name only matters
/// if it claims a format that the content does not have.
///
/// # Errors
/// Everything that makes the file as a whole unusable, see [`ReadError`].
pub fn open(
    source: impl Read + Seek + Send + 'static,
    file_name: &str,
    definition: &Definition,
    limits: &ReadLimits,
) -> Result<ImportSource, ReadError> {
    open_ahead(source, file_name, definition, limits, Ahead { batches: BATCHES_AHEAD, batch_rows: BATCH_ROWS })
}

/// The same for a caller that only takes the first rows: hardly more rows are read than are taken.
///
/// # Errors
/// As of [`open`].
pub fn open_to_look(
    source: impl Read + Seek + Send + 'static,
    file_name: &str,
    definition: &Definition,
    limits: &ReadLimits,
) -> Result<ImportSource, ReadError> {
    open_ahead(source, file_name, definition, limits, Ahead { batches: 0, batch_rows: LOOKED_AT_ROWS })
}

/// How far reading may be ahead of the receiver.
#[derive(Clone, Copy)]
struct Ahead {
    /// The most waiting batches.
    batches: usize,
    /// The most rows in a batch.
    batch_rows: usize,
}

fn open_ahead(
    mut source: impl Read + Seek + Send + 'static,
    file_name: &str,
    definition: &Definition,
    limits: &ReadLimits,
    ahead: Ahead,
) -> Result<ImportSource, ReadError> {
    let bytes_total = source.seek(SeekFrom::End(0))?;
    let dialect = &definition.source.dialect;
    let format = contained(|| detect::detect(&mut source, file_name, dialect, limits))?;
    let progress = Arc::new(AtomicU64::new(0));
    let (sender, batches) = sync_channel(ahead.batches);

    let counted = CountedSource { source, read: Arc::clone(&progress) };
    let limits = limits.clone();
    let definition = Arc::new(definition.clone());
    let file_name = file_name.to_owned();
    std::thread::Builder::new().name("dataset-reader".into()).spawn(move || {
        let dialect = definition.source.dialect.clone();
        let mut sink = Importer::new(definition, limits.header_rows_max, sender, ahead.batch_rows);
        let outcome = read_rows(counted, format, &file_name, &dialect, &limits, &mut sink);
        sink.finish(outcome);
    })?;

    match batches.recv() {
        Ok(ReaderMessage::Header(header)) => Ok(ImportSource {
            header,
            format,
            progress,
            bytes_total,
            batches: Some(batches),
            current: Vec::new().into_iter(),
            notes: Vec::new(),
        }),
        Ok(ReaderMessage::Failed(error)) => Err(error),
        Ok(ReaderMessage::Rows(_) | ReaderMessage::Ended(_)) | Err(_) => Err(reader_died()),
    }
}

/// Streams the rows of a file of known format into a sink.
fn read_rows<R: Read + Seek>(
    mut counted: CountedSource<R>,
    format: FileFormat,
    file_name: &str,
    dialect: &Dialect,
    limits: &ReadLimits,
    sink: &mut impl RowSink,
) -> Result<(), ReadError> {
    match format {
        FileFormat::Delimited => delimited::read(counted, file_name, dialect, limits, sink),
        FileFormat::JsonLines => json_lines::read(counted, limits, sink),
        FileFormat::Xls => contained(|| xls::read(counted, dialect.sheet.as_deref(), limits, sink)),
        FileFormat::Xlsx => {
            counted.source.rewind()?;
            xlsx::read(counted, dialect.sheet.as_deref(), limits, sink)
        }
    }
}

/// Turns a panic into an error. The library for workbooks of Excel 97 panics on some damaged files, and that for compound files might;
/// neither should end a command or a thread.
fn contained<T>(read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(reader_died()))
}

/// The encoding in which a text file's beginning is read, by its WHATWG name. Leaves the source at its start.
///
/// # Errors
/// When the file cannot be read.
pub fn encoding_of(source: &mut (impl Read + Seek), dialect: &Dialect) -> Result<Option<String>, ReadError> {
    Ok(delimited::encoding_of(source, dialect)?)
}

/// Streams the raw rows of a file into a sink, on the caller's thread.
///
/// # Errors
/// As for [`open`], except for the header, which is not searched.
pub fn scan(
    mut source: impl Read + Seek,
    file_name: &str,
    dialect: &Dialect,
    limits: &ReadLimits,
    sink: &mut impl RowSink,
) -> Result<FileFormat, ReadError> {
    let format = contained(|| detect::detect(&mut source, file_name, dialect, limits))?;
    read_rows(CountedSource { source, read: Arc::default() }, format, file_name, dialect, limits, sink)?;
    Ok(format)
}

fn reader_died() -> ReadError {
    ReadError::Malformed { detail: "its reader gave up on it; save the file again from a spreadsheet program".into() }
}

impl ImportSource {
    /// The header that was recognised.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file's format.
    pub fn format(&self) -> FileFormat {
        self.format
    }

    /// Notes on the file for a person, after all rows were taken.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The progress of reading; some rows ahead of those taken.
    pub fn progress(&self) -> ReadProgress {
        let bytes_read = self.progress.load(Ordering::Relaxed).min(self.bytes_total);
        ReadProgress { bytes_read, bytes_total: self.bytes_total }
    }
}

impl Iterator for ImportSource {
    type Item = Result<FileRow, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.current.next() {
                return Some(Ok(row));
            }
            let message = self.batches.as_ref()?.recv();
            match message {
                Ok(ReaderMessage::Rows(rows)) => self.current = rows.into_iter(),
                Ok(ReaderMessage::Ended(notes)) => {
                    self.notes = notes;
                    self.batches = None;
                    return None;
                }
                Ok(ReaderMessage::Failed(error)) => {
                    self.batches = None;
                    return Some(Err(error));
                }
                Ok(ReaderMessage::Header(_)) | Err(_) => {
                    self.batches = None;
                    return Some(Err(reader_died()));
                }
            }
        }
    }
}

/// Searches the header, then maps rows and hands them over in batches.
struct Importer {
    /// The number of rows skipped at the top.
    skip_rows: u32,
    search: HeaderSearch,
    mapper: Option<Mapper>,
    sheet: Option<String>,
    sheets: Vec<SheetName>,
    file: FileReading,
    notes: Vec<Note>,
    /// The rows above the header: the first line, the last line and their number.
    above: Option<(u64, u64, u64)>,
    last: LastRows,
    batch: Vec<FileRow>,
    batch_rows: usize,
    sender: SyncSender<ReaderMessage>,
    /// Whether the receiver still exists. Its absence is no error: the caller changed their mind.
    listening: bool,
}

impl Importer {
    fn new(
        definition: Arc<Definition>,
        header_rows_max: usize,
        sender: SyncSender<ReaderMessage>,
        batch_rows: usize,
    ) -> Self {
        Self {
            skip_rows: definition.source.dialect.skip_rows,
            search: HeaderSearch::new(definition, header_rows_max),
            mapper: None,
            sheet: None,
            sheets: Vec::new(),
            file: FileReading::default(),
            notes: Vec::new(),
            above: None,
            last: LastRows::default(),
            batch: Vec::with_capacity(batch_rows),
            batch_rows,
            sender,
            listening: true,
        }
    }

    fn send(&mut self, message: ReaderMessage) {
        self.listening = self.listening && self.sender.send(message).is_ok();
    }

    fn flush(&mut self) {
        let rows = std::mem::replace(&mut self.batch, Vec::with_capacity(self.batch_rows));
        self.send(ReaderMessage::Rows(rows));
    }

    fn finish(mut self, outcome: Result<(), ReadError>) {
        let ending = match outcome {
            Err(error) => ReaderMessage::Failed(error),
            Ok(()) if self.mapper.is_none() => ReaderMessage::Failed(self.search.failure()),
            Ok(()) => {
                self.flush();
                let read = self.sheet.as_deref();
                let mut notes = read.map_or_else(Vec::new, |read| Note::of_sheets(&self.sheets, read));
                notes.append(&mut self.notes);
                notes.extend(self.above.map(|(first, last, rows)| Note::AboveHeader { lines: (first, last), rows }));
                notes.extend(self.mapper.iter().flat_map(Mapper::notes));
                let rows = self.last.no_records();
                if !rows.is_empty() {
                    notes.push(Note::NoRecords { rows });
                }
                ReaderMessage::Ended(notes)
            }
        };
        self.send(ending);
    }
}

impl RowSink for Importer {
    fn sheets(&mut self, sheets: &[SheetName]) {
        self.sheets = sheets.to_vec();
    }

    fn delimiter(&mut self, delimiter: u8) {
        self.file.delimiter = Some(delimiter);
    }

    fn sheet(&mut self, name: Option<&str>, epoch_1904: bool) {
        self.sheet = name.map(str::to_owned);
        self.file.epoch_1904 = epoch_1904;
        self.above = None;
        self.search.restart();
    }

    fn recognised<R: RowCells>(&self, row: &R) -> usize {
        self.search.recognised(row)
    }

    fn note(&mut self, note: Note) {
        // Notes from before the header, on other sheets, do not concern the rows read.
        if self.mapper.is_some() || matches!(note, Note::LiteralQuotes { .. }) {
            self.notes.push(note);
        }
    }

    fn row<R: RowCells>(&mut self, line: u64, row: &R) -> Result<Flow, ReadError> {
        if line <= u64::from(self.skip_rows) {
            return Ok(Flow::Continue);
        }
        let Some(mapper) = &mut self.mapper else {
            if let Some(found) = self.search.look(row)? {
                let header = Header {
                    sheet: self.sheet.clone(),
                    line,
                    brings_ids: found.brings_ids,
                    unmatched: found.unmatched.clone(),
                    absent: found.absent.clone(),
                    delimiter: self.file.delimiter,
                    columns: found.columns(),
                };
                self.mapper = Some(Mapper::new(found, self.file)?);
                self.send(ReaderMessage::Header(header));
                return Ok(Flow::Continue);
            }
            let is_blank = (0..row.width()).all(|place| is_blank(row.cell(place)));
            if !is_blank {
                let above = self.above.get_or_insert((line, line, 0));
                (above.1, above.2) = (line, above.2 + 1);
            }
            return Ok(if self.search.is_exhausted() { Flow::NextSheet } else { Flow::Continue });
        };
        if mapper.ends_before(line, row) {
            return Ok(Flow::Stop);
        }
        self.last.meet(line, row);
        if let Some(mapped) = mapper.map(line, row) {
            self.batch.push(mapped);
            if self.batch.len() >= self.batch_rows || mapper.take_bytes_if(BATCH_BYTES) {
                self.flush();
            }
        }
        Ok(if self.listening { Flow::Continue } else { Flow::Stop })
    }

    fn sheet_end(&mut self) -> Flow {
        if self.mapper.is_some() { Flow::Stop } else { Flow::Continue }
    }
}

/// A source that counts the bytes read from it.
struct CountedSource<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for CountedSource<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read.fetch_add(u64::try_from(read).unwrap_or(0), Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: Seek> Seek for CountedSource<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}
