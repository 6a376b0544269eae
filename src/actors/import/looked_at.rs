//! Previews files before their import: how they are read, what their columns mean, and a proposal for a file without a definition. The file
//! is stored here, so that it need not be sent again.
//!
//! Guarantees: each caller has a limited number of stored files, each for a day; an import has its own copy of a file, so that later
//! decisions on the stored file do not affect it.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    ImportError, Imports, Upload, UploadRefusal, WantedImport,
    redefined::{Redefinition, own_definition},
    spool::{self, Spool, Ticket, UNFINISHED},
    staging::failed_to,
    work::blocking,
};
use crate::{
    actors::commit::{CommandError, Envelope},
    dataset::{
        Definition, Value,
        definition::Said,
        infer,
        reader::{self, CellProblem, FileFormat, FileRow, ReadLimits},
    },
    domain::id::{StreamId, Who},
    private::{self, Earlier},
};

/// Stored files of one caller at the same time.
const SENT_PER_CALLER_MAX: usize = 10;
/// How long a file is stored.
const SENT_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// Rows that each view of the preview page reads: as many as take some milliseconds.
const ROWS_MAX: u64 = 500;
/// Of these, the rows that are shown.
const SHOWN_ROWS_MAX: usize = 10;
/// The problems of cells that are shown.
const SHOWN_PROBLEMS_MAX: usize = 50;
/// Files that are read at the same time: reading takes time and memory.
const READINGS_MAX: usize = 2;
/// Characters of a cell or a header that are shown.
const CELL_CHARS_MAX: usize = 200;
const FILE: &str = "file";
const ABOUT: &str = "json";

static READINGS: Semaphore = Semaphore::const_new(READINGS_MAX);

/// A stored file that waits to be imported, and how to import it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SentFile {
    /// Its id.
    pub id: Uuid,
    /// The data set to import into; `None` for a new one.
    pub dataset: Option<String>,
    /// The user's definition of a new data set.
    pub definition: Option<String>,
    /// The user's change to the existing definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redefinition: Option<Redefinition>,
    /// The name of a new data set, before it has a definition.
    pub name: Option<String>,
    /// The last import of the file.
    pub import: Option<Uuid>,
    /// Whether the file is the whole data set.
    pub replace: bool,
    /// Whether stored records keep their values of columns that the file does not have.
    pub keep_absent: bool,
    /// The options for reading the file, by the names of parameters.
    pub options: Vec<(String, String)>,
    /// Its name.
    pub file_name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// The sender.
    pub who: Who,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// How a file is read, and its first rows.
#[derive(Debug, Clone, Serialize)]
pub struct LookedAt {
    /// The format: `xlsx`, `xls`, `delimited` or `json_lines`.
    pub format: &'static str,
    /// The encoding of a text.
    pub encoding: Option<String>,
    /// The delimiter of a text.
    pub delimiter: Option<String>,
    /// The sheet, in formats that have them.
    pub sheet: Option<String>,
    /// The line of the header.
    pub header_line: u64,
    /// The decimal mark.
    pub decimal: &'static str,
    /// The date order: `month_first` or `day_first`.
    pub date_order: &'static str,
    /// The columns of the file.
    pub columns: Vec<LookedColumn>,
    /// Columns of the definition that the file does not have.
    pub absent: Vec<String>,
    /// The published columns.
    pub names: Vec<String>,
    /// The first rows as records; `None` for a missing value.
    pub rows: Vec<Vec<Option<String>>>,
    /// The number of rows read.
    pub read: u64,
    /// Of these, the rejected ones.
    pub rejected: u64,
    /// Whether the file has no more rows.
    pub is_all: bool,
    /// The first problems of cells.
    pub problems: Vec<LookedProblem>,
    /// Notes for a person; known once all of the file was read.
    pub notes: Vec<String>,
}

/// A column of a file, and its meaning.
#[derive(Debug, Clone, Serialize)]
pub struct LookedColumn {
    /// Its header.
    pub header: String,
    /// The columns of the definition that read it; empty when none does.
    pub read_as: Vec<ReadAs>,
}

/// A column of the definition that reads a file's column.
#[derive(Debug, Clone, Serialize)]
pub struct ReadAs {
    /// The name.
    pub name: String,
    /// The type.
    pub kind: &'static str,
    /// Whether it is published.
    pub is_published: bool,
}

/// A cell with an invalid value.
#[derive(Debug, Clone, Serialize)]
pub struct LookedProblem {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: String,
    /// The cell's text.
    pub value: String,
    /// What was expected.
    pub reason: String,
}

impl Imports {
    /// Checks that this person may store another file.
    ///
    /// # Errors
    /// When they have too many stored files, or the folder cannot be read.
    pub async fn has_room_to_look(&self, who: &Who) -> Result<(), UploadRefusal> {
        let waiting = self.sent_files().await.map_err(|error| UploadRefusal::Io(io::Error::other(error)))?;
        if waiting.iter().filter(|sent| sent.who == *who).count() >= SENT_PER_CALLER_MAX {
            return Err(UploadRefusal::TooManyLookedAt(SENT_PER_CALLER_MAX));
        }
        Ok(())
    }

    /// Stores an arrived file. `about` has its facts, except for size and hash, which are taken from the upload.
    ///
    /// # Errors
    /// When they have too many stored files by now, or the file cannot be stored.
    pub async fn lay_by(&self, upload: Upload, about: SentFile) -> Result<SentFile, UploadRefusal> {
        let Upload { arriving, .. } = upload;
        // Other files may have been stored while this one arrived.
        let _turn = self.work.accepting.lock().await;
        self.has_room_to_look(&about.who).await?;
        let sent = SentFile { bytes: arriving.bytes(), sha256: arriving.sha256(), ..about };
        let (shelf, kept) = (Shelf::of(&self.work.spool), sent.clone());
        blocking(move || {
            private::directory(&shelf.0).map_err(|error| failed_to("kept")(io::Error::other(error)))?;
            arriving.kept_at(&shelf.path(kept.id, FILE)).map_err(failed_to("kept"))?;
            shelf.write(&kept).map_err(failed_to("kept"))
        })
        .await
        .map_err(|error| UploadRefusal::Io(io::Error::other(error)))?;
        Ok(sent)
    }

    /// The stored files, the latest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn sent_files(&self) -> Result<Vec<SentFile>, ImportError> {
        let shelf = Shelf::of(&self.work.spool);
        blocking(move || shelf.all().map_err(failed_to("listed"))).await
    }

    /// A file stored on this server.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn sent_file(&self, id: Uuid) -> Result<Option<SentFile>, ImportError> {
        let shelf = Shelf::of(&self.work.spool);
        blocking(move || shelf.read(id).map_err(failed_to("read"))).await
    }

    /// Stores how a file is now to be imported. A removed file stays removed.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn change_sent_file(&self, sent: &SentFile) -> Result<(), ImportError> {
        let (shelf, sent) = (Shelf::of(&self.work.spool), sent.clone());
        blocking(move || shelf.write(&sent).map_err(failed_to("kept"))).await
    }

    /// Removes a stored file; one that is gone is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove_sent_file(&self, id: Uuid) -> Result<(), ImportError> {
        let shelf = Shelf::of(&self.work.spool);
        blocking(move || shelf.remove(id).map_err(failed_to("removed"))).await
    }

    /// The definition for reading a file.
    ///
    /// # Errors
    /// When the definition has a mistake, or there is none.
    pub fn definition_of(&self, sent: &SentFile) -> Result<Arc<Definition>, ImportError> {
        if let Some(name) = &sent.dataset {
            let known = self.found_definition(name)?;
            return match &sent.redefinition {
                None => Ok(known.definition),
                Some(Redefinition { text, of }) => own_definition(text, name, Some(&known), Some(of)),
            };
        }
        let text = sent.definition.as_deref().unwrap_or_default();
        let own =
            Definition::from_toml(text, "the definition").map_err(|error| ImportError::Said(error.to_string()))?;
        let known = (self.work.settings.definitions)(&own.name).map_err(ImportError::Definitions)?;
        own_definition(text, &own.name, known.as_ref(), None)
    }

    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// When there is no definition, or the file cannot be read by it.
    pub async fn look_at(&self, sent: &SentFile) -> Result<LookedAt, ImportError> {
        let definition = self.definition_of(sent)?;
        let said = said(sent)?;
        let reading = definition.reading_as(&said).map_err(ImportError::Said)?;
        let (shelf, sent) = (Shelf::of(&self.work.spool), sent.clone());
        let limits = self.work.settings.limits.clone();
        let _place = READINGS.acquire().await;
        blocking(move || look(shelf.open(sent.id)?, &sent.file_name, &reading, &limits)).await
    }

    /// Proposes a definition for a file without one.
    ///
    /// # Errors
    /// When the file is no table.
    pub async fn propose(&self, sent: &SentFile, name: &str) -> Result<String, ImportError> {
        let said = said(sent)?;
        let (shelf, sent, name) = (Shelf::of(&self.work.spool), sent.clone(), name.to_owned());
        let limits = self.work.settings.limits.clone();
        let _place = READINGS.acquire().await;
        blocking(move || Ok(infer::propose(shelf.open(sent.id)?, &sent.file_name, &name, &said, &limits)?)).await
    }

    /// Imports a stored file after the waiting ones, or only does a dry run. Returns the import's id. The file stays.
    ///
    /// # Errors
    /// When its data set has no definition, or the import's copy cannot be stored.
    pub async fn import_sent(&self, sent: SentFile, dry_run: bool, envelope: &Envelope) -> Result<Uuid, ImportError> {
        let definition = self.definition_of(&sent)?;
        definition.reading_as(&said(&sent)?).map_err(ImportError::Said)?;
        let _turn = self.work.accepting.lock().await;
        if let Some(first) = self.work.accepted_before(envelope).await? {
            return Ok(first);
        }
        let shelf = Shelf::of(&self.work.spool);
        let stream = StreamId::DataSet(definition.name.clone());
        let id = envelope.command.derived_uuid("import", &stream);
        let (text, redefines) = match (&sent.dataset, &sent.redefinition) {
            (None, _) => (sent.definition.clone(), None),
            (Some(_), None) => (None, None),
            (Some(_), Some(Redefinition { text, of })) => (Some(text.clone()), Some(of.clone())),
        };
        let wanted = WantedImport {
            dataset: definition.name.clone(),
            replace: sent.replace,
            dry_run,
            keep_absent: sent.keep_absent,
            options: sent.options.clone(),
            definition: text,
            redefines,
            file_name: sent.file_name.clone(),
        };
        let keep = move |spool: &Spool, ticket: &Ticket| spool.keep_again(&shelf.path(sent.id, FILE), ticket);
        self.take_in((id, sent.bytes, sent.sha256.clone()), wanted, envelope, keep).await
    }

    /// A new id for a file.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn new_sent_id(&self) -> Result<Uuid, ImportError> {
        Ok(self.work.committer.new_id().map_err(CommandError::from)?)
    }

    /// Removes files that were imported or stored for too long.
    pub(super) async fn clear_looked_at(&self) -> Result<(), ImportError> {
        for sent in self.sent_files().await? {
            let is_done = match sent.import {
                Some(import) => self.status(import).await?.is_some_and(|found| found.status == "completed"),
                None => false,
            };
            if is_done || self.work.is_older(sent.sent_at, SENT_LIFE) {
                self.remove_sent_file(sent.id).await?;
            }
        }
        Ok(())
    }
}

/// The options of a file.
fn said(sent: &SentFile) -> Result<Said, ImportError> {
    let options = sent.options.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    Said::of(options).map_err(|(name, reason)| ImportError::Said(format!("{name}: {reason}")))
}

fn look(mut file: File, file_name: &str, reading: &Definition, limits: &ReadLimits) -> Result<LookedAt, ImportError> {
    let dialect = &reading.source.dialect;
    let encoding = reader::encoding_of(&mut file, dialect)?;
    let mut source = reader::open_to_look(file, file_name, reading, limits)?;
    let header = source.header().clone();
    let format = match source.format() {
        FileFormat::Xlsx => "xlsx",
        FileFormat::Xls => "xls",
        FileFormat::Delimited => "delimited",
        FileFormat::JsonLines => "json_lines",
    };
    let fields = &reading.source.fields;
    let columns = header.columns.iter().map(|column| {
        let read_as = column.fields.iter().filter_map(|place| fields.get(*place));
        let read_as = read_as.map(|field| ReadAs {
            name: field.name.clone(),
            kind: field.kind.as_str(),
            is_published: field.target.is_some(),
        });
        LookedColumn { header: cut(&column.header), read_as: read_as.collect() }
    });
    let mut looked = LookedAt {
        format,
        encoding: encoding.filter(|_| matches!(source.format(), FileFormat::Delimited | FileFormat::JsonLines)),
        delimiter: header.delimiter.map(|byte| char::from(byte).to_string()),
        sheet: header.sheet.clone(),
        header_line: header.line,
        decimal: dialect.decimal_mark(),
        date_order: reading.source.date_order.as_str(),
        columns: columns.collect(),
        absent: header.absent.clone(),
        names: reading.columns.iter().map(|column| column.name.clone()).collect(),
        rows: Vec::new(),
        read: 0,
        rejected: 0,
        is_all: false,
        problems: Vec::new(),
        notes: Vec::new(),
    };
    while looked.read < ROWS_MAX {
        let Some(row) = source.next() else {
            looked.is_all = true;
            looked.notes = source.notes().iter().map(ToString::to_string).collect();
            break;
        };
        looked.read += 1;
        match row? {
            FileRow::Record { record, .. } if looked.rows.len() < SHOWN_ROWS_MAX => {
                let text = |value: &Value| (!value.is_null()).then(|| cut(&value.to_string()));
                looked.rows.push(record.values.iter().map(text).collect());
            }
            FileRow::Record { .. } => {}
            FileRow::Rejected { line, problems, .. } => {
                looked.rejected += 1;
                let left = SHOWN_PROBLEMS_MAX.saturating_sub(looked.problems.len());
                looked.problems.extend(problems.into_iter().take(left).map(|problem| told(line, problem)));
            }
        }
    }
    Ok(looked)
}

fn told(line: u64, CellProblem { column, value, reason }: CellProblem) -> LookedProblem {
    LookedProblem { line, column, value: cut(&value), reason }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text.to_owned(),
    }
}

/// The folder of stored files.
struct Shelf(PathBuf);

impl Shelf {
    fn of(spool: &Spool) -> Self {
        Self(spool.shelf())
    }

    fn path(&self, id: Uuid, kind: &str) -> PathBuf {
        self.0.join(format!("{id}.{kind}"))
    }

    fn open(&self, id: Uuid) -> Result<File, ImportError> {
        private::open_to_read(&self.path(id, FILE)).map_err(failed_to("read"))
    }

    fn read(&self, id: Uuid) -> io::Result<Option<SentFile>> {
        spool::read(&self.path(id, ABOUT))
    }

    fn write(&self, sent: &SentFile) -> io::Result<()> {
        if !self.path(sent.id, FILE).try_exists()? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let content = serde_json::to_vec(sent).map_err(io::Error::other)?;
        private::write_whole(&self.path(sent.id, ABOUT), UNFINISHED, &content, Earlier::Goes).map(drop)
    }

    fn remove(&self, id: Uuid) -> io::Result<()> {
        for kind in [ABOUT, FILE] {
            spool::gone(fs::remove_file(self.path(id, kind)))?;
        }
        Ok(())
    }

    /// All stored files, the latest first.
    fn all(&self) -> io::Result<Vec<SentFile>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_suffix(".json").and_then(|id| Uuid::parse_str(id).ok()) else { continue };
            // A file that was removed meanwhile is skipped.
            all.extend(self.read(id)?);
        }
        all.sort_by_key(|sent| std::cmp::Reverse((sent.sent_at, sent.id)));
        Ok(all)
    }
}

impl Spool {
    /// Removes a crash's remainders: files without a description.
    pub(super) fn clear_shelf(&self) -> io::Result<u64> {
        let shelf = Shelf::of(self);
        if !shelf.0.try_exists()? {
            return Ok(0);
        }
        let mut removed = private::remove_unfinished(&shelf.0, UNFINISHED)?;
        for entry in fs::read_dir(&shelf.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Some(id) = name.strip_suffix(".file").and_then(|id| Uuid::parse_str(id).ok()) else { continue };
            if !shelf.path(id, ABOUT).try_exists()? {
                spool::gone(fs::remove_file(shelf.path(id, FILE)))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
