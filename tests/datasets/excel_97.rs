//! An .xls, written by hand since nothing else here writes them. The fuzzer's seeds are made with it, too.

/// A record: its kind, its length, its bytes.
pub(crate) fn record(kind: u16, bytes: &[&[u8]]) -> Vec<u8> {
    let body = bytes.concat();
    let length = u16::try_from(body.len()).unwrap();
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), &body].concat()
}

/// A cell of text. Rows and columns count from 0.
pub(crate) fn label(row: u16, column: u16, text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    record(0x0204, &[&place(row, column), &length.to_le_bytes(), &[0], text.as_bytes()])
}

/// A cell with a number.
pub(crate) fn number(row: u16, column: u16, number: f64) -> Vec<u8> {
    styled_number(row, column, 0, number)
}

/// A cell with a number, shown as the style says.
pub(crate) fn styled_number(row: u16, column: u16, style: u16, number: f64) -> Vec<u8> {
    record(0x0203, &[&row.to_le_bytes(), &column.to_le_bytes(), &style.to_le_bytes(), &number.to_le_bytes()])
}

/// The records of a workbook's head by which numbers are shown by codes, those of the styles from 1.
#[allow(dead_code, reason = "the seeds need none")]
pub(crate) fn formats(codes: &[&str]) -> Vec<u8> {
    let format = |(id, code): (u16, &&str)| {
        let length = u16::try_from(code.len()).unwrap();
        record(0x041e, &[&id.to_le_bytes(), &length.to_le_bytes(), &[0], code.as_bytes()])
    };
    let style = |id: u16| record(0x00e0, &[&[0, 0], &id.to_le_bytes(), &[0; 16]]);
    let own = (164..).zip(codes);
    let styles = std::iter::once(0).chain(own.clone().map(|(id, _)| id)).map(style);
    own.map(format).chain(styles).flatten().collect()
}

fn place(row: u16, column: u16) -> Vec<u8> {
    [row.to_le_bytes(), column.to_le_bytes(), [0, 0]].concat()
}

/// 32-bit numbers as the format writes them.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A workbook whose one sheet is made of these records: a compound file of one stream.
pub(crate) fn excel_97(cells: &[Vec<u8>]) -> Vec<u8> {
    excel_97_with(&[], cells)
}

/// The same with more records in the workbook's head.
pub(crate) fn excel_97_with(head: &[u8], cells: &[Vec<u8>]) -> Vec<u8> {
    let beginning = |kind: u16| record(0x0809, &[&0x0600_u16.to_le_bytes(), &kind.to_le_bytes(), &[0; 12]]);
    let end = record(0x000a, &[]);
    let sheet_entry = |offset: u32| record(0x0085, &[&offset.to_le_bytes(), &[0, 0, 4, 0], b"data"]);
    let globals = beginning(5).len() + head.len() + sheet_entry(0).len() + end.len();
    let sheet_at = u32::try_from(globals).unwrap();
    let stream =
        [beginning(5), head.to_vec(), sheet_entry(sheet_at), end.clone(), beginning(0x10), cells.concat(), end]
            .concat();
    compound_file("Workbook", stream)
}

/// A compound file of one stream.
pub(crate) fn compound_file(name: &str, mut stream: Vec<u8>) -> Vec<u8> {
    const STREAM_BYTES: usize = 4_096;
    // Shorter streams are kept elsewhere in a compound file, and longer ones need more sectors than its table names.
    assert!(stream.len() <= STREAM_BYTES, "more cells than have room");
    stream.resize(STREAM_BYTES, 0);
    let (none, last): (u32, u32) = (0xffff_ffff, 0xffff_fffe);
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
    file.extend(directory_entry("Root Entry", 5, [none, 1], last, 0));
    file.extend(directory_entry(name, 2, [none, none], 2, 4_096));
    file.resize(512 * 3, 0);
    file.extend(stream);
    file
}

/// An entry of a compound file's directory, with its next sibling and its first child.
pub(crate) fn directory_entry(name: &str, kind: u8, [next, child]: [u32; 2], start: u32, size: u32) -> Vec<u8> {
    let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u8::try_from(entry.len() + 2).unwrap();
    entry.resize(64, 0);
    entry.extend([length, 0, kind, 1]);
    entry.extend(words(&[0xffff_ffff, next, child]));
    entry.resize(116, 0);
    entry.extend(words(&[start, size, 0]));
    entry
}
