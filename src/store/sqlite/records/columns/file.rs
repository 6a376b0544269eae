//! The file of a projection: the parts of its blocks, then a directory that says where they are, then a footer that says where the
//! directory is. Nothing in it is changed once it has its name.
//!
//! The least and greatest values of columns in blocks are kept as columns themselves, with a row for each block.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    super::{file::beside, reading::QuestionFailure, schema::RecordTable, shape::Shape},
    states::StateBlock,
};
use crate::{
    dataset::{
        Definition, Value,
        columns::{ChunkBounds, ChunkBuilder, Codes, ColumnChunk, Dictionary, Ranks, TornChunk},
    },
    private,
};

/// The layout that this code writes and reads.
const FORMAT: u32 = 2;
/// The end of a whole file.
const MAGIC: [u8; 8] = *b"permitdC";
/// The footer: where the directory is, its size and checksum, and the mark.
const FOOTER_BYTES: u64 = 8 + 8 + 4 + 8;
/// The largest directory that is read, bytes: that of 4,096 blocks of 256 columns takes less.
const DIRECTORY_BYTES_MAX: u64 = 512 << 20;
/// The most blocks of one table: a row of the bounds' columns for each.
const BLOCKS_MAX: usize = 1 << 16;

/// Why a file of a projection is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ColumnFileError {
    #[error("the disk is full ({0}): make room, and it is made within minutes")]
    DiskFull(io::Error),
    #[error(transparent)]
    Io(io::Error),
    #[error("the file is damaged: {0}")]
    Damaged(&'static str),
}

impl From<io::Error> for ColumnFileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull(error)
            }
            _ => Self::Io(error),
        }
    }
}

impl From<TornChunk> for ColumnFileError {
    fn from(_: TornChunk) -> Self {
        Self::Damaged("a part does not have its form")
    }
}

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileExtent {
    pub(super) at: u64,
    bytes: u64,
    crc: u32,
}

/// The version of a data set that a projection was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProjectedVersion {
    pub(super) instance: Uuid,
    pub(super) generation: u64,
    pub(super) version: u64,
    /// The moment of the version and the number of its changes. After a backup was restored, another version can have its number.
    pub(super) at: String,
    pub(super) changes: u64,
}

/// Which file a projection was made of. Another one can have the same versions: a backup that was put back, and has gone on since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DatabaseMark {
    inode: u64,
    /// When the file came to be, seconds and nanoseconds; none where the file system does not say. Numbers of files are used again.
    born: Option<(u64, u32)>,
}

impl DatabaseMark {
    pub(super) fn of(database: &Path) -> Option<Self> {
        let found = std::fs::metadata(database).ok()?;
        let born = found.created().ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Some(Self { inode: found.ino(), born: born.map(|born| (born.as_secs(), born.subsec_nanos())) })
    }
}

/// Where everything is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Directory {
    format: u32,
    pub(super) database: Option<DatabaseMark>,
    pub(super) of: ProjectedVersion,
    pub(super) blocks: Vec<BlockEntry>,
    /// The least and the greatest values of each column.
    bounds: Vec<(FileExtent, FileExtent)>,
}

/// A block of the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BlockEntry {
    /// Whether its states are earlier ones.
    pub(super) old: bool,
    pub(super) rows: usize,
    pub(super) first_row: i64,
    /// The numbers of the states, unless each is one more than that before.
    pub(super) numbers: Option<FileExtent>,
    pub(super) from: ChunkExtents,
    pub(super) from_max: u64,
    /// For earlier states.
    pub(super) until: Option<ChunkExtents>,
    pub(super) until_max: u64,
    pub(super) ranks: FileExtent,
    pub(super) columns: Vec<ColumnEntry>,
}

impl BlockEntry {
    pub(super) fn column(&self, place: usize) -> Result<&ColumnEntry, QuestionFailure> {
        self.columns.get(place).ok_or_else(|| QuestionFailure::columns("a column is missing"))
    }

    pub(super) fn table(&self) -> RecordTable {
        if self.old { RecordTable::Old } else { RecordTable::Records }
    }
}

/// The two parts of a column of a block.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct ChunkExtents {
    pub(super) dictionary: FileExtent,
    pub(super) codes: FileExtent,
}

/// A column of a block.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ColumnEntry {
    pub(super) chunk: ChunkExtents,
    /// The folded forms of texts, where they differ from the texts.
    folded: Option<FileExtent>,
    /// Their forms without accents, where they differ from the folded ones.
    bare: Option<FileExtent>,
    has_nulls: bool,
}

impl ColumnEntry {
    /// The dictionary of the folded forms.
    pub(super) fn folded(&self) -> FileExtent {
        self.folded.unwrap_or(self.chunk.dictionary)
    }

    /// The dictionary of the forms without case and accents.
    pub(super) fn bare(&self) -> FileExtent {
        self.bare.unwrap_or_else(|| self.folded())
    }
}

/// The path of a data set's projection.
pub(super) fn path_of(database: &Path) -> PathBuf {
    database.with_extension("columns")
}

/// The path of one that is being written.
pub(super) fn unfinished(database: &Path) -> PathBuf {
    beside(&path_of(database), "-unfinished")
}

/// Removes the projection of a data set's file, and one that is being written.
pub(in super::super) fn remove_file(database: &Path) -> io::Result<()> {
    // In this order: what is being written gets the other name.
    for path in [unfinished(database), path_of(database)] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A file that is being written.
pub(super) struct ColumnFileWriter {
    path: PathBuf,
    file: BufWriter<File>,
    at: u64,
    blocks: Vec<BlockEntry>,
    least: Vec<ChunkBuilder>,
    greatest: Vec<ChunkBuilder>,
    buffer: Vec<u8>,
}

impl ColumnFileWriter {
    /// Begins a file beside the data set's.
    pub(super) fn begin(database: &Path, shape: &Shape) -> Result<Self, ColumnFileError> {
        let path = unfinished(database);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let file = BufWriter::with_capacity(1 << 20, private::new_file(&path)?);
        let builders = || shape.definition.columns.iter().map(|column| ChunkBuilder::new(column.kind)).collect();
        Ok(Self { path, file, at: 0, blocks: Vec::new(), least: builders(), greatest: builders(), buffer: Vec::new() })
    }

    /// Appends a part.
    fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<FileExtent, ColumnFileError> {
        self.buffer.clear();
        write(&mut self.buffer);
        self.file.write_all(&self.buffer)?;
        let bytes = self.buffer.len() as u64;
        let extent = FileExtent { at: self.at, bytes, crc: crc32fast::hash(&self.buffer) };
        self.at += bytes;
        Ok(extent)
    }

    fn put_chunk(&mut self, chunk: &ColumnChunk) -> Result<ChunkExtents, ColumnFileError> {
        let dictionary = self.put(|out| chunk.dictionary.write(out))?;
        Ok(ChunkExtents { dictionary, codes: self.put(|out| chunk.codes.write(out))? })
    }

    /// Appends a block.
    pub(super) fn block(&mut self, states: &StateBlock, ranks: &Ranks) -> Result<(), ColumnFileError> {
        if self.blocks.len() >= BLOCKS_MAX {
            return Err(ColumnFileError::Damaged("the data set has too many blocks"));
        }
        let first_row = states.rows.first().copied().unwrap_or_default();
        let is_dense = states.rows.iter().zip(first_row..).all(|(row, next)| *row == next);
        let numbers = match is_dense {
            true => None,
            false => Some(self.put(|out| out.extend(states.rows.iter().flat_map(|row| row.to_le_bytes())))?),
        };
        let greatest = |chunk: &ColumnChunk| match chunk.bounds().greatest {
            Some(Value::Integer(version)) => version.unsigned_abs(),
            _ => 0,
        };
        let old = states.table == RecordTable::Old;
        let mut entry = BlockEntry {
            old,
            rows: states.rows.len(),
            first_row,
            numbers,
            from: self.put_chunk(&states.from)?,
            from_max: greatest(&states.from),
            until: if old { Some(self.put_chunk(&states.until)?) } else { None },
            until_max: if old { greatest(&states.until) } else { u64::MAX },
            ranks: self.put(|out| ranks.write(out))?,
            columns: Vec::with_capacity(states.columns.len()),
        };
        for (nth, column) in states.columns.iter().enumerate() {
            let Some(column) = column else { return Err(ColumnFileError::Damaged("a column is missing")) };
            let bounds = column.chunk.bounds();
            let chunk = self.put_chunk(&column.chunk)?;
            let (mut folded, mut bare) = (None, None);
            if let texts @ Dictionary::Texts(_) = &*column.chunk.dictionary {
                let (folded_texts, bare_texts) = (texts.folded(), texts.bare());
                if *texts != folded_texts {
                    folded = Some(self.put(|out| folded_texts.write(out))?);
                }
                if bare_texts != folded_texts {
                    bare = Some(self.put(|out| bare_texts.write(out))?);
                }
            }
            entry.columns.push(ColumnEntry { chunk, folded, bare, has_nulls: bounds.has_nulls });
            if let (Some(least), Some(greatest)) = (self.least.get_mut(nth), self.greatest.get_mut(nth)) {
                least.push(&bounds.least);
                greatest.push(&bounds.greatest.unwrap_or(Value::Null));
            }
        }
        self.blocks.push(entry);
        Ok(())
    }

    /// Ends the file and gives it its name.
    pub(super) fn finish(
        mut self,
        database: &Path,
        mark: Option<DatabaseMark>,
        of: ProjectedVersion,
    ) -> Result<(), ColumnFileError> {
        let mut bounds = Vec::with_capacity(self.least.len());
        for (least, greatest) in std::mem::take(&mut self.least).into_iter().zip(std::mem::take(&mut self.greatest)) {
            let (least, greatest) = (least.finish(), greatest.finish());
            bounds.push((self.put(|out| least.write(out))?, self.put(|out| greatest.write(out))?));
        }
        let blocks = std::mem::take(&mut self.blocks);
        let directory = serde_json::to_vec(&Directory { format: FORMAT, database: mark, of, blocks, bounds })
            .map_err(io::Error::from)?;
        let extent = self.put(|out| out.extend_from_slice(&directory))?;
        self.put(|out| {
            out.extend(extent.at.to_le_bytes());
            out.extend(extent.bytes.to_le_bytes());
            out.extend(extent.crc.to_le_bytes());
            out.extend(MAGIC);
        })?;
        // Not synced: what a machine's crash leaves of it is noticed by its checksums, and made anew.
        self.file.flush()?;
        crate::failpoint::crash_point("columns-written");
        std::fs::rename(&self.path, path_of(database))?;
        Ok(())
    }
}

impl Drop for ColumnFileWriter {
    fn drop(&mut self) {
        // A finished file has another name. What was given up, for want of room perhaps, takes none.
        std::fs::remove_file(&self.path).ok();
    }
}

/// A file that is read.
#[derive(Debug)]
pub(super) struct ColumnFile {
    file: File,
    pub(super) directory: Directory,
    /// By block, then by column.
    bounds: Vec<Vec<ChunkBounds>>,
}

impl ColumnFile {
    /// Opens the projection of a data set with these columns; none where there is no file.
    pub(super) fn open(database: &Path, definition: &Definition) -> Result<Option<Self>, ColumnFileError> {
        let file = match private::open_to_read(&path_of(database)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let length = file.metadata()?.len();
        let mut footer = [0; FOOTER_BYTES as usize];
        let footer_at = length.checked_sub(FOOTER_BYTES).ok_or(ColumnFileError::Damaged("it is too short"))?;
        file.read_exact_at(&mut footer, footer_at)?;
        let mut rest = footer.as_slice();
        let mut number = || {
            let (number, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(u64::from_le_bytes(*number))
        };
        let place = number().zip(number());
        let crc = rest.first_chunk().map(|crc| u32::from_le_bytes(*crc));
        let ((at, bytes), crc) = place.zip(crc).ok_or(ColumnFileError::Damaged("it has no footer"))?;
        if !footer.ends_with(&MAGIC) || bytes > DIRECTORY_BYTES_MAX || at.checked_add(bytes) != Some(footer_at) {
            return Err(ColumnFileError::Damaged("it has no end"));
        }
        let directory = read_part(&file, FileExtent { at, bytes, crc })?;
        let directory: Directory =
            serde_json::from_slice(&directory).map_err(|_| ColumnFileError::Damaged("its directory cannot be read"))?;
        if directory.format != FORMAT || directory.bounds.len() != definition.columns.len() {
            return Err(ColumnFileError::Damaged("it is of another layout"));
        }
        let blocks = directory.blocks.len();
        let mut bounds: Vec<Vec<ChunkBounds>> = vec![Vec::with_capacity(definition.columns.len()); blocks];
        for (nth, (least, greatest)) in directory.bounds.iter().enumerate() {
            let [least, greatest] = [least, greatest].map(|extent| {
                let bytes = read_part(&file, *extent)?;
                Ok::<_, ColumnFileError>(ColumnChunk::read(&bytes, blocks)?)
            });
            let (least, greatest) = (least?, greatest?);
            for (block, (entry, bounds)) in directory.blocks.iter().zip(&mut bounds).enumerate() {
                let (least, greatest) = (least.value(block), greatest.value(block));
                let has_nulls = entry.columns.get(nth).is_some_and(|column| column.has_nulls);
                // A column of nulls alone has a null at both ends; another one without a greatest value has no bound.
                let greatest = (least.is_null() || !greatest.is_null()).then_some(greatest);
                bounds.push(ChunkBounds { least, greatest, has_nulls });
            }
        }
        Ok(Some(Self { file, directory, bounds }))
    }

    pub(super) fn bounds(&self, block: usize, column: usize) -> Option<&ChunkBounds> {
        self.bounds.get(block)?.get(column)
    }

    pub(super) fn dictionary(&self, extent: FileExtent) -> Result<Dictionary, ColumnFileError> {
        let bytes = read_part(&self.file, extent)?;
        Dictionary::read(&mut bytes.as_slice()).ok_or(TornChunk.into())
    }

    pub(super) fn codes(&self, extent: FileExtent, rows: usize) -> Result<Codes, ColumnFileError> {
        let bytes = read_part(&self.file, extent)?;
        Codes::read(&mut bytes.as_slice(), rows).ok_or(TornChunk.into())
    }

    pub(super) fn ranks(&self, extent: FileExtent, rows: usize) -> Result<Ranks, ColumnFileError> {
        Ok(Ranks::read(&read_part(&self.file, extent)?, rows)?)
    }

    pub(super) fn numbers(&self, extent: FileExtent) -> Result<Vec<i64>, ColumnFileError> {
        let bytes = read_part(&self.file, extent)?;
        Ok(bytes.as_chunks().0.iter().map(|row| i64::from_le_bytes(*row)).collect())
    }
}

fn read_part(file: &File, extent: FileExtent) -> Result<Vec<u8>, ColumnFileError> {
    let length = usize::try_from(extent.bytes).map_err(|_| ColumnFileError::Damaged("a part is too large"))?;
    // A directory that says more than there is must not take the memory first.
    if extent.at.saturating_add(extent.bytes) > file.metadata()?.len() {
        return Err(ColumnFileError::Damaged("a part is missing"));
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, extent.at)?;
    if crc32fast::hash(&bytes) != extent.crc {
        return Err(ColumnFileError::Damaged("the checksum of a part differs"));
    }
    Ok(bytes)
}
