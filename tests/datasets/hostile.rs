//! Files that are not what they claim, or that mean harm: each ends early, with an error that says so.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use permitd::dataset::{
    Definition,
    reader::{ReadError, ReadLimits, open},
};
use rust_xlsxwriter::Workbook;

use crate::{
    excel_97::{compound_file, excel_97, label, record},
    support::{builtin, import, import_within, with_part},
};

fn refused(bytes: &[u8], name: &str) -> ReadError {
    match import(bytes, name, &builtin("permits")) {
        Err(error) => error,
        Ok(imported) => panic!("{name} gave {} rows", imported.rows.len()),
    }
}

fn honest_workbook() -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    for line in 0..200_u32 {
        let key = if line == 0 { "APPLICATION #".to_owned() } else { format!("#{line}") };
        sheet.write_string(line, 0, key).unwrap();
        sheet.write_string(line, 1, "STATUS").unwrap();
    }
    workbook.save_to_buffer().unwrap()
}

/// The honest workbook with one part replaced by what `write` writes.
fn workbook_with(part: &str, write: impl FnOnce(&mut dyn Write)) -> Vec<u8> {
    with_part(&honest_workbook(), part, write)
}

#[test]
fn what_is_not_a_spreadsheet() {
    for (bytes, word) in [
        (b"".as_slice(), "empty"),
        (b"   \n\n", "empty"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"\xef\xbb\xbf", "empty"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "web page"),
        (b"{\"error\":\"not found\"}", "JSON"),
        (b"a\x00,\x00b\x00,\x00c\x00", "UTF-16 text without a mark"),
        (b"\x1f\x8b\x08\x00", "gunzip"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"[{\"a\":1}]", "a JSON list"),
        (b"SQLite format 3\0", "SQLite"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00\x00", "binary"),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "zip archive without a workbook"),
    ] {
        let error = refused(bytes, "report.csv");
        assert!(matches!(error, ReadError::NotASpreadsheet { .. }), "{word}: {error}");
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
    assert!(matches!(refused(b"APPLICATION #,STATUS\n1,ISSUED\n", "report.xlsx"), ReadError::NotASpreadsheet { .. }));
}

#[test]
fn no_row_is_a_header() {
    let error = refused(b"APLICATION NUMBR,STATUS,LOT\n1,ISSUED,2\n", "typo.csv").to_string();
    for part in ["\"permits\"", "application_number", "APPLICATION_NUMBER", "nearest is \"APLICATION NUMBR\""] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("status (known"), "that one is there: {error}");
    let only_rows = refused(b"Invented Person,555 0100\nAnother Person,555 0101\n", "rows.csv").to_string();
    assert!(!only_rows.contains("Person") && !only_rows.contains("555"), "{only_rows}");
}

#[test]
fn truncated_archives() {
    let whole = honest_workbook();
    for kept in [4, 100, whole.len() / 2, whole.len() - 30] {
        let error = refused(&whole[..kept], "cut.xlsx");
        assert!(matches!(error, ReadError::Truncated { .. }), "{kept}: {error}");
    }
    let mut flipped = whole.clone();
    let middle = whole.len() / 3;
    for byte in &mut flipped[middle..middle + 40] {
        *byte ^= 0x5a;
    }
    refused(&flipped, "flipped.xlsx");
}

#[test]
fn bombs_end_before_they_are_inflated() {
    let zeros = vec![b' '; 1 << 20];
    let repeated = |out: &mut dyn Write| {
        for _ in 0..64 {
            out.write_all(&zeros).unwrap();
        }
    };
    for part in ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml"] {
        let bytes = workbook_with(part, repeated);
        assert!(bytes.len() < 200_000);
        let error = refused(&bytes, "bomb.xlsx");
        assert!(matches!(&error, ReadError::Bomb { part: named, .. } if named == part), "{part}: {error}");
    }
}

#[test]
fn an_archive_that_lies_about_its_sizes() {
    let mut bytes = workbook_with("xl/sharedStrings.xml", |out| {
        for _ in 0..16 {
            out.write_all(&vec![b' '; 1 << 20]).unwrap();
        }
    });
    // The central directory's uncompressed size of every part becomes 100.
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(4).position(|window| window == b"PK\x01\x02") {
        at += found;
        bytes[at + 24..at + 28].copy_from_slice(&100_u32.to_le_bytes());
        at += 4;
    }
    let error = refused(&bytes, "liar.xlsx");
    assert!(matches!(error, ReadError::Bomb { .. } | ReadError::Truncated { .. }), "{error}");
}

#[test]
fn what_a_table_of_strings_claims_is_not_believed() {
    let table = |count: &str, strings: &str| {
        let text = format!(r#"<sst uniqueCount="{count}">{strings}</sst>"#);
        workbook_with("xl/sharedStrings.xml", |out| out.write_all(text.as_bytes()).unwrap())
    };
    let claimed = import(&table("99999999999999", "<si><t>a</t></si>"), "strings.xlsx", &builtin("permits"));
    assert!(matches!(claimed, Err(ReadError::NoHeader { .. })), "no memory is reserved by it");
    let limits = ReadLimits { shared_strings_bytes_max: 1 << 20, ..ReadLimits::default() };
    let many = import_within(&table("1", &"<si/>".repeat(100_000)), "strings.xlsx", &builtin("permits"), &limits);
    assert!(matches!(many.err(), Some(ReadError::TooMany { what: "bytes of texts that cells share", .. })));
}

#[test]
fn a_cell_without_an_end() {
    let bytes = workbook_with("xl/worksheets/sheet1.xml", |out| {
        out.write_all(br#"<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>"#).unwrap();
        // Not compressible enough to be caught by its ratio.
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            b'a' + u8::try_from(state >> 60).unwrap()
        };
        let text: Vec<u8> = (0..3 << 20).map(|_| noise()).collect();
        out.write_all(&text).unwrap();
        out.write_all(b"</t></is></c></row></sheetData></worksheet>").unwrap();
    });
    let error = refused(&bytes, "cell.xlsx").to_string();
    assert!(error.contains("a cell of more than"), "{error}");
}

#[test]
fn an_encrypted_workbook() {
    let bytes = compound_file("EncryptedPackage", vec![7; 4_000]);
    assert!(matches!(refused(&bytes, "secret.xlsx"), ReadError::Encrypted));
    let other = compound_file("WordDocument", vec![7; 4_000]);
    assert!(refused(&other, "old.xls").to_string().contains("no workbook in it"));
    // Letters of two bytes in a cell are no name of a stream.
    let text: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = record(0x0204, &[&[1, 0, 1, 0, 0, 0, 16, 0, 1], &text]);
    let told = excel_97(&[label(0, 0, "APPLICATION #"), label(0, 1, "STATUS"), label(1, 0, "1"), wide]);
    let imported = import(&told, "told.xls", &builtin("permits")).unwrap();
    assert_eq!(imported.column("status"), ["encryptedpackage"]);
}

/// Two gigabytes of one line, made as they are read, that count how much was asked for.
struct EndlessLine {
    position: u64,
    read: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

const ENDLESS_BYTES: u64 = 2 << 30;
const LEAD: &[u8] = b"APPLICATION #,STATUS\n1,\"";

impl Read for EndlessLine {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        for byte in buffer.iter_mut() {
            if self.position >= ENDLESS_BYTES {
                break;
            }
            *byte = usize::try_from(self.position).ok().and_then(|at| LEAD.get(at)).copied().unwrap_or(b'x');
            self.position += 1;
            filled += 1;
        }
        self.read.fetch_add(filled as u64, std::sync::atomic::Ordering::SeqCst);
        Ok(filled)
    }
}

impl Seek for EndlessLine {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(back) => ENDLESS_BYTES.saturating_add_signed(back),
            SeekFrom::Current(by) => self.position.saturating_add_signed(by),
        };
        Ok(self.position)
    }
}

#[test]
fn two_gigabytes_of_one_line() {
    let read = std::sync::Arc::default();
    let source = EndlessLine { position: 0, read: std::sync::Arc::clone(&read) };
    let rows = open(source, "endless.csv", &builtin("permits"), &ReadLimits::default()).unwrap();
    let mut outcomes: Vec<_> = rows.collect();
    let Some(Err(error)) = outcomes.pop() else { panic!("an endless record is an error") };
    assert!(matches!(error, ReadError::RecordTooLong { line: 2, max: 1_048_576 }), "{error}");
    assert!(outcomes.is_empty());
    assert!(read.load(std::sync::atomic::Ordering::SeqCst) < 4 << 20, "it ended early");
}

/// A table in each of the formats, by its cells.
fn in_each_format(table: &[&[&str]]) -> [(&'static str, Vec<u8>); 3] {
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    let mut cells = Vec::new();
    for (line, row) in (0..).zip(table) {
        for (column, text) in (0..).zip(*row) {
            sheet.write_string(u32::from(line), column, *text).unwrap();
            cells.push(label(line, column, text));
        }
    }
    let csv: Vec<String> = table.iter().map(|row| row.join(",")).collect();
    let xlsx = workbook.save_to_buffer().unwrap();
    [("it.csv", csv.join("\n").into_bytes()), ("it.xlsx", xlsx), ("it.xls", excel_97(&cells))]
}

#[test]
fn limits_end_a_file_that_passes_them() {
    let limits = ReadLimits { rows_max: 4, columns_max: 5, record_bytes_max: 600, ..ReadLimits::default() };
    let refusal = |table: &[&[&str]]| {
        in_each_format(table).map(|(name, bytes)| {
            let error = import_within(&bytes, name, &builtin("permits"), &limits).err();
            error.unwrap_or_else(|| panic!("{name} is imported"))
        })
    };
    let header: &[&str] = &["APPLICATION #", "STATUS"];
    let within = in_each_format(&[header, &["1", "a"], &["2", "b"], &["3", "c"]]);
    for (name, bytes) in within {
        assert_eq!(import_within(&bytes, name, &builtin("permits"), &limits).unwrap().rows.len(), 3, "{name}");
    }
    for error in refusal(&[header, &["1", "a"], &["2", "b"], &["3", "c"], &["4", "d"]]) {
        assert_eq!(error.to_string(), "the file has more than 4 rows: split it, or raise import.rows_max");
    }
    let far = [label(0, 0, "APPLICATION #"), label(0, 1, "STATUS"), label(9, 0, "1"), label(9, 1, "a")];
    let far = import_within(&excel_97(&far), "far.xls", &builtin("permits"), &limits).unwrap();
    assert_eq!((far.rows.len(), far.rows[0].0), (1, 10), "what lies between is no row, as in an .xlsx");
    for error in refusal(&[header, &["1", "a", "b", "c", "d", "e"]]) {
        assert!(matches!(error, ReadError::TooMany { what: "columns", max: 5 }), "{error}");
    }
    for error in refusal(&[header, &["1", &"a".repeat(2_000)]]) {
        assert!(error.to_string().contains("600 bytes"), "{error}");
    }
}

#[test]
fn a_long_cell_is_found_wherever_its_sheet_lies() {
    let limits = ReadLimits { record_bytes_max: 600, ..ReadLimits::default() };
    let places = "<Relationships><Relationship Id=\"rId1\" Type=\"http://x/relationships/worksheet\" Target=\"data/one.xml\"/></Relationships>";
    let moved = workbook_with("xl/_rels/workbook.xml.rels", |part| part.write_all(places.as_bytes()).unwrap());
    let with_text = |text: &str| {
        let row = |line, text: &str| {
            format!(
                "<row r=\"{line}\"><c r=\"A{line}\" t=\"inlineStr\"><is><t>{text}</t></is></c><c r=\"B{line}\" t=\"inlineStr\"><is><t>STATUS</t></is></c></row>"
            )
        };
        let sheet =
            format!("<worksheet><sheetData>{}{}</sheetData></worksheet>", row(1, "APPLICATION #"), row(2, text));
        let bytes = with_part(&moved, "xl/data/one.xml", |part| part.write_all(sheet.as_bytes()).unwrap());
        import_within(&bytes, "moved.xlsx", &builtin("permits"), &limits)
    };
    assert_eq!(with_text("1").unwrap().rows.len(), 1);
    assert!(with_text(&"1".repeat(601)).err().unwrap().to_string().contains("600 bytes"));
}

/// The error over a workbook whose sheet holds these rows.
fn refused_rows(rows: &str) -> String {
    let sheet = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
    let bytes = workbook_with("xl/worksheets/sheet1.xml", |part| part.write_all(sheet.as_bytes()).unwrap());
    refused(&bytes, "rows.xlsx").to_string()
}

#[test]
fn rows_that_bear_one_number_are_not_lost() {
    let row = |key| format!("<row r=\"2\"><c r=\"A2\"><v>{key}</v></c></row>");
    let error = refused_rows(&format!("{}{}", row(1), row(2)));
    assert!(error.contains("row 2 stands after row 2"), "{error}");
    let twice = "<row r=\"2\"><c r=\"A2\"><v>1</v></c><c r=\"A2\"><v>2</v></c></row>";
    assert!(refused_rows(twice).contains("row 2 has two cells in column 1"));
}

#[test]
fn an_error_quotes_no_cell() {
    let header = "<row r=\"1\"><c r=\"A1\" t=\"str\"><v>APPLICATION #</v></c><c r=\"B1\" t=\"str\"><v>STATUS</v></c><c r=\"C1\" t=\"str\"><v>LOT</v></c></row>";
    for cell in [
        "t=\"e\"><v>Jane Secret</v>",
        "t=\"Jane Secret\"><v>1</v>",
        "t=\"b\"><v>Jane Secret</v>",
        "t=\"n\"><v>Jane Secret</v>",
    ] {
        let sheet = format!(
            "<worksheet><sheetData>{header}<row r=\"2\"><c r=\"A2\"><v>1</v></c><c r=\"B2\"><v>2</v></c><c r=\"C2\" {cell}</c></row></sheetData></worksheet>"
        );
        let bytes = workbook_with("xl/worksheets/sheet1.xml", |part| part.write_all(sheet.as_bytes()).unwrap());
        let imported = import(&bytes, "cells.xlsx", &builtin("permits")).unwrap();
        let shown = format!("{:?}", imported.rejected);
        assert!(imported.rejected.len() == 1 && shown.contains("lot") && !shown.contains("Secret"), "{shown}");
    }
}

#[test]
fn a_row_of_many_texts_is_as_long_as_they_are_together() {
    let limits = ReadLimits { record_bytes_max: 600, ..ReadLimits::default() };
    let (header, text) = (["APPLICATION #", "STATUS", "x", "y"], "a".repeat(250));
    for (name, bytes) in in_each_format(&[&header, &["1", &text, &text, &text]]) {
        let error = import_within(&bytes, name, &builtin("permits"), &limits).err();
        assert!(error.is_some_and(|error| error.to_string().contains("600 bytes")), "{name}");
    }
}

#[test]
fn a_key_or_a_record_id_that_not_every_store_can_hold_costs_its_row() {
    let definition = include_str!("things.toml").replace("type = \"integer\"\nimport = true", "headers = [\"Id\"]");
    let definition = Definition::from_toml(&definition, "things.toml").unwrap();
    let [fits, long] = [256, 257].map(|length| "x".repeat(length));
    let rows = [["Tag", "Id", "Colour"], [&fits, &fits, "red"], [&long, "a", "red"], ["b", &long, "red"]];
    for (name, bytes) in in_each_format(&rows.each_ref().map(|row| row.as_slice())) {
        let imported = import(&bytes, name, &definition).unwrap();
        assert_eq!((imported.rows.len(), imported.rejected.len()), (1, 2), "{name}");
        for (rejected, column) in imported.rejected.iter().zip(["tag", "record_id"]) {
            let shown = format!("{rejected:?}");
            assert!(shown.contains(column) && shown.contains("longer than 256 bytes"), "{name}: {shown}");
        }
    }
}

#[test]
fn an_open_quote_is_told_by_the_line_that_it_is_on() {
    let text = format!("APPLICATION #,STATUS\n1,\"{}", "x\n".repeat(1 << 20));
    let error = refused(text.as_bytes(), "open.csv");
    assert!(matches!(error, ReadError::RecordTooLong { line: 2, .. }), "{error}");
}

#[test]
fn a_reader_whose_taker_has_left_stops() {
    let mut text = b"APPLICATION #,STATUS\n".to_vec();
    for key in 0..50_000 {
        text.extend_from_slice(format!("{key},ISSUED\n").as_bytes());
    }
    let mut rows = open(Cursor::new(text), "left.csv", &builtin("permits"), &ReadLimits::default()).unwrap();
    assert!(rows.next().is_some_and(|row| row.is_ok()));
    assert!(rows.progress().bytes_read > 0 && rows.progress().bytes_total > 400_000);
    drop(rows);
}
