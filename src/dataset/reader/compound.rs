//! The compound file that an .xls is: a file system of sectors, of which one stream is the workbook.
//!
//! The library that reads workbooks follows a chain of sectors as long as it goes on, also in a ring. So the stream is
//! taken out of its file here, and handed on in a file that holds nothing else.

use super::ReadError;

/// The first sectors of the table of sectors are listed in the header.
const LISTED: std::ops::Range<usize> = 76..512;
/// Numbers of sectors from here on mean something else: free, the end of a chain.
const SECTOR_END: u32 = 0xffff_fffa;
const FREE: u32 = 0xffff_ffff;
const LAST: u32 = 0xffff_fffe;
const IS_TABLE: u32 = 0xffff_fffd;
const ENTRY_BYTES: usize = 128;
/// Smaller streams are kept in sectors of their own, which are cut out of a stream.
const SMALL_STREAM_BYTES: usize = 4_096;
const SMALL_SECTOR_BYTES: usize = 64;
/// The larger size of a sector that the format knows.
const SECTOR_BYTES: usize = 4_096;

/// The workbook's stream.
pub(super) fn workbook_stream(file: &[u8]) -> Result<Vec<u8>, ReadError> {
    let sector_bytes = match u16_at(file, 30) {
        Some(9) => 512,
        Some(12) => 4_096,
        _ => return Err(damaged("its header has no size of sectors")),
    };
    let sectors = Sectors { bytes: file.get(sector_bytes..).unwrap_or_default(), sector_bytes };
    let table = sectors.table(file)?;
    let entries = sectors.chain(u32_at(file, 48).unwrap_or(LAST), &table, usize::MAX)?;
    let named = |name: &str| entries.chunks_exact(ENTRY_BYTES).find(|entry| is_named(entry, name));
    let entry = named("Workbook").or_else(|| named("Book")).ok_or_else(|| damaged("there is no workbook in it"))?;
    let (start, length) = place_of(entry);
    if length >= SMALL_STREAM_BYTES {
        return sectors.chain(start, &table, length);
    }
    let (root_start, root_length) = entries.get(..ENTRY_BYTES).map_or((LAST, 0), place_of);
    let small = sectors.chain(root_start, &table, root_length)?;
    let small_table = words(&sectors.chain(u32_at(file, 60).unwrap_or(LAST), &table, usize::MAX)?);
    Sectors { bytes: &small, sector_bytes: SMALL_SECTOR_BYTES }.chain(start, &small_table, length)
}

/// A compound file that holds this stream of a workbook and nothing else.
pub(super) fn wrapped(stream: &[u8]) -> Result<Vec<u8>, ReadError> {
    let too_large = |_| damaged("its workbook is too large");
    let length = stream.len().max(SMALL_STREAM_BYTES);
    let sectors = u32::try_from(length.div_ceil(SECTOR_BYTES)).map_err(too_large)?;
    // The directory, the stream, and then the table, which tells of itself, too.
    let table_at = 1 + sectors;
    let entries = u32::try_from(SECTOR_BYTES / 4).map_err(too_large)?;
    let tables = (table_at + 1).div_ceil(entries - 1);
    let mut table = vec![LAST];
    table.extend((2..table_at).chain([LAST]));
    table.resize(table.len() + usize::try_from(tables).map_err(too_large)?, IS_TABLE);
    table.resize(table.len().next_multiple_of(SECTOR_BYTES / 4), FREE);

    let mut file = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    file.resize(24, 0);
    file.extend([0x3e, 0, 4, 0, 0xfe, 0xff, 12, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    let small = u32::try_from(SMALL_STREAM_BYTES).map_err(too_large)?;
    for word in [1, tables, 0, 0, small, LAST, 0, LAST, 0].into_iter().chain(table_at..table_at + tables) {
        file.extend(word.to_le_bytes());
    }
    if file.len() > LISTED.end {
        return Err(damaged("its workbook is too large"));
    }
    file.resize(LISTED.end, 0xff);
    file.resize(SECTOR_BYTES, 0);
    push_entry("Root Entry", 5, 0, 0, &mut file);
    push_entry("Workbook", 2, 1, u32::try_from(length).map_err(too_large)?, &mut file);
    file.resize(2 * SECTOR_BYTES, 0);
    file.extend_from_slice(stream);
    file.resize(file.len().max(2 * SECTOR_BYTES + length).next_multiple_of(SECTOR_BYTES), 0);
    file.extend(table.iter().flat_map(|word| word.to_le_bytes()));
    Ok(file)
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

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

fn is_named(entry: &[u8], name: &str) -> bool {
    let letters = entry.get(..64).unwrap_or_default().as_chunks().0.iter().map(|letter| u16::from_le_bytes(*letter));
    let letters = letters.take_while(|letter| *letter != 0);
    letters.map(|letter| u8::try_from(letter).unwrap_or(0).to_ascii_lowercase()).eq(name.to_ascii_lowercase().bytes())
}

/// The first sector of an entry's stream, and its length.
fn place_of(entry: &[u8]) -> (u32, usize) {
    let length = u32_at(entry, 120).and_then(|length| usize::try_from(length).ok());
    (u32_at(entry, 116).unwrap_or(LAST), length.unwrap_or(0))
}

fn push_entry(name: &str, kind: u8, start: u32, length: u32, file: &mut Vec<u8>) {
    let begin = file.len();
    file.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    let name_bytes = u8::try_from(file.len() - begin + 2).unwrap_or(64);
    file.resize(begin + 64, 0);
    file.extend([name_bytes, 0, kind, 1]);
    let child = if kind == 5 { 1 } else { FREE };
    [FREE, FREE, child].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.resize(begin + 116, 0);
    [start, length, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
}

struct Sectors<'a> {
    bytes: &'a [u8],
    sector_bytes: usize,
}

impl<'a> Sectors<'a> {
    /// A sector; the last one of a file may be cut.
    fn get(&self, number: u32) -> Option<&'a [u8]> {
        let start = usize::try_from(number).ok()?.checked_mul(self.sector_bytes)?;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        rest.get(..self.sector_bytes.min(rest.len()))
    }

    /// More sectors than these are no more than some of them again.
    fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.sector_bytes)
    }

    /// The table that says which sector follows on which.
    fn table(&self, file: &[u8]) -> Result<Vec<u32>, ReadError> {
        let mut listed = words(file.get(LISTED).unwrap_or_default());
        let mut next = u32_at(file, 68).unwrap_or(LAST);
        for _ in 0..=self.count() {
            if next >= SECTOR_END {
                let sectors = listed.into_iter().filter(|number| *number < SECTOR_END).take(self.count());
                let sectors = sectors.map(|number| self.get(number).ok_or_else(|| damaged("a sector is missing")));
                return Ok(sectors.collect::<Result<Vec<_>, _>>()?.into_iter().flat_map(words).collect());
            }
            listed.extend(words(self.get(next).ok_or_else(|| damaged("a sector is missing"))?));
            next = listed.pop().unwrap_or(LAST);
        }
        Err(damaged("its list of sectors never ends"))
    }

    /// What the sectors hold that follow on one another from `start` on, up to a length.
    fn chain(&self, start: u32, table: &[u32], length: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        let mut next = start;
        for _ in 0..=self.count() {
            if next >= SECTOR_END || bytes.len() >= length {
                bytes.truncate(length);
                return Ok(bytes);
            }
            bytes.extend_from_slice(self.get(next).ok_or_else(|| damaged("a sector is missing"))?);
            let following = usize::try_from(next).ok().and_then(|number| table.get(number));
            next = *following.ok_or_else(|| damaged("a chain of sectors leads nowhere"))?;
        }
        Err(damaged("a chain of sectors never ends"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_ring_of_sectors_is_refused() {
        let mut file = wrapped(&[1; 10_000]).unwrap();
        assert_eq!(workbook_stream(&file).unwrap(), [1; 10_000]);
        // The directory's only sector follows on itself.
        let table = file.len() - SECTOR_BYTES;
        file[table..table + 4].copy_from_slice(&0_u32.to_le_bytes());
        assert!(workbook_stream(&file).unwrap_err().to_string().contains("never ends"));
    }

    #[test]
    fn many_sectors_have_many_tables() {
        let stream = vec![7; 5_000_000];
        let file = wrapped(&stream).unwrap();
        assert_eq!(u32_at(&file, 44), Some(2));
        assert_eq!(workbook_stream(&file).unwrap(), stream);
    }

    proptest! {
        #[test]
        fn what_is_wrapped_is_found(mut stream in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            let file = wrapped(&stream).unwrap();
            stream.resize(stream.len().max(SMALL_STREAM_BYTES), 0);
            prop_assert_eq!(workbook_stream(&file).unwrap(), stream);
        }
    }
}
