//! The compound file format of .xls: a file system of sectors, in which one stream is the workbook.
//!
//! calamine follows a chain of sectors without end if it forms a ring. So the workbook's stream is extracted here and passed on in a file
//! that holds nothing else. The crate `cfb` does both, and refuses rings, but has no limit on what it reads to open a file: a table that 1
//! MB of sectors lists over and over took 1 GB, and 61 MB of names with one hash took 88 s. So it gets a source with an end, see
//! [`BoundedSource`].

use std::{
    cell::Cell,
    io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom, Write},
};

use cfb::{CompoundFile, Version};

use super::{ReadError, limits::to_u64};

/// The names of the workbook's stream; the second is that of Excel 5 and 95.
const WORKBOOK: [&str; 2] = ["Workbook", "Book"];
/// The stream of a password-protected .xlsx.
const ENCRYPTED: &str = "EncryptedPackage";
/// The most bytes of a file's tables and directory. The tables of a file of 64 MiB take less than 5 MiB, and each of its streams takes 128
/// bytes of the directory.
const TABLES_BYTES_MAX: u64 = 8 << 20;
const BUFFER_BYTES: usize = 4_096;

/// The workbook's stream.
pub(super) fn workbook_stream(file: &[u8]) -> Result<Vec<u8>, ReadError> {
    let length = to_u64(file.len());
    let left = Cell::new(TABLES_BYTES_MAX);
    let mut file = CompoundFile::open(BoundedSource { source: Cursor::new(file), left: &left }).map_err(unreadable)?;
    // A chain contains each sector once.
    left.set(length);
    let name = WORKBOOK.into_iter().find(|name| file.is_stream(name));
    let name = name.ok_or_else(|| damaged("there is no workbook in it"))?;
    let mut stream = Vec::new();
    file.open_stream(name).and_then(|mut found| found.read_to_end(&mut stream)).map_err(unreadable)?;
    Ok(stream)
}

/// A compound file that holds this stream of a workbook and nothing else.
pub(super) fn wrapped(stream: &[u8]) -> Result<Vec<u8>, ReadError> {
    // In the newer version, calamine requires a part that only small streams need.
    let mut file = CompoundFile::create_with_version(Version::V3, Cursor::new(Vec::new()))?;
    let mut workbook = file.create_stream("Workbook")?;
    workbook.write_all(stream)?;
    workbook.flush()?;
    drop(workbook);
    Ok(file.into_inner().into_inner())
}

/// Tells whether the compound file is a password-protected workbook. An unreadable file is none.
pub(super) fn is_encrypted(source: &mut (impl Read + Seek)) -> Result<bool, ReadError> {
    let left = Cell::new(TABLES_BYTES_MAX);
    let source = BufReader::with_capacity(BUFFER_BYTES, source);
    match CompoundFile::open(BoundedSource { source, left: &left }) {
        Ok(file) => Ok(file.is_stream(ENCRYPTED)),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn damaged(detail: &str) -> ReadError {
    ReadError::Malformed { detail: format!("not a readable .xls workbook: {detail}") }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn unreadable(error: io::Error) -> ReadError {
    if error.kind() == ErrorKind::UnexpectedEof {
        return damaged("it ends too early");
    }
    damaged(&error.to_string())
}

/// A source of which only a limited number of bytes can be read.
struct BoundedSource<'a, R> {
    source: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for BoundedSource<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        let left = self.left.get().checked_sub(to_u64(read));
        self.left.set(
            left.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "its tables and its directory are too large"))?,
        );
        Ok(read)
    }
}

impl<R: Seek> Seek for BoundedSource<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.source.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use calamine::{Reader, Xls};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_wrapped_is_found(stream in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            prop_assert_eq!(workbook_stream(&wrapped(&stream).unwrap()).unwrap(), stream);
        }
    }

    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &u16::try_from(data.len()).unwrap().to_le_bytes(), data].concat()
    }

    #[test]
    fn calamine_reads_what_is_wrapped_however_large() {
        let begin = |kind: u8| record(0x0809, &[0, 6, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let cell = record(0x0203, &[[0; 6].as_slice(), &1.5_f64.to_le_bytes()].concat());
        let sheet = [begin(16), cell, record(10, &[])].concat();
        let entry = |at: usize| {
            let at = u32::try_from(at).unwrap().to_le_bytes();
            record(0x0085, &[at.as_slice(), b"\0\0\x01\0s"].concat())
        };
        // In small sectors; in sectors; in more sectors than the file's head lists tables for.
        for unknown in [0, 1, 1_500] {
            let unknown = record(0x1234, &[0; 8_000]).repeat(unknown);
            let at = begin(5).len() + entry(0).len() + unknown.len() + 4;
            let stream = [begin(5), entry(at), unknown, record(10, &[]), sheet.clone()].concat();
            let file = wrapped(&stream).unwrap();
            assert!(workbook_stream(&file).unwrap() == stream);
            let mut workbook: Xls<_> = Xls::new(Cursor::new(file)).unwrap();
            let cells = workbook.worksheet_range("s").unwrap();
            assert_eq!(cells.get_value((0, 0)), Some(&calamine::Data::Float(1.5)), "{at}");
        }
    }

    /// A file of these streams, whose names are paths.
    fn file_of(streams: &[(&str, &[u8])]) -> Vec<u8> {
        let mut file = CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        for (path, bytes) in streams {
            if let Some((storage, _)) = path.rsplit_once('/') {
                file.create_storage_all(storage).unwrap();
            }
            file.create_stream(path).unwrap().write_all(bytes).unwrap();
        }
        file.into_inner().into_inner()
    }

    #[test]
    fn a_workbook_that_lies_in_another_is_not_taken_for_it() {
        let file = file_of(&[("MBD0001/Workbook", b"within"), ("Book", b"around")]);
        assert_eq!(workbook_stream(&file).unwrap(), b"around");
        let none = workbook_stream(&file_of(&[("MBD0001/Workbook", b"within")])).unwrap_err();
        assert!(none.to_string().contains("no workbook in it"), "{none}");
    }

    #[test]
    fn a_file_that_ends_too_early() {
        let file = wrapped(&[7; 100_000]).unwrap();
        for kept in [100, 4_000, 4_200, 9_000, file.len() / 2, file.len() - 5_000] {
            assert!(matches!(workbook_stream(&file[..kept]), Err(ReadError::Malformed { .. })), "{kept}");
        }
    }
}
