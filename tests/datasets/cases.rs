//! Files of other people that went wrong once, each made small: what should come of them.

use std::io::{Cursor, Write};

use permitd::dataset::{
    Definition,
    definition::{Dialect, Said},
    infer::propose,
    reader::{FileRow, Note, ReadError, ReadLimits},
};
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    excel_97::{excel_97_with, formats, label, number, styled_number},
    support::{Imported, import},
};

const THINGS: &str = r#"
name = "things"
[key]
column = "code"
[[column]]
name = "code"
headers = ["CODE"]
required = true
[[column]]
name = "record_id"
type = "integer"
import = true
[[column]]
name = "txt"
headers = ["TXT"]
[[column]]
name = "low"
headers = ["LOW"]
fold = "lower"
[[column]]
name = "int"
type = "integer"
headers = ["INT"]
[[column]]
name = "amt"
type = "money"
headers = ["AMT"]
[[column]]
name = "num"
type = "number"
headers = ["NUM"]
[[column]]
name = "day"
type = "date"
headers = ["DAY"]
[[column]]
name = "ts"
type = "timestamp"
headers = ["TS"]
"#;

fn things() -> Definition {
    Definition::from_toml(THINGS, "things.toml").unwrap()
}

/// The definition with keys at its top.
fn things_with(keys: &str) -> Definition {
    Definition::from_toml(&format!("{keys}\n{THINGS}"), "things.toml").unwrap()
}

fn csv(bytes: &[u8]) -> Imported {
    import(bytes, "things.csv", &things()).unwrap()
}

fn refused(bytes: &[u8], name: &str) -> String {
    import(bytes, name, &things()).err().unwrap_or_else(|| panic!("{name} is imported")).to_string()
}

/// Lines, columns and reasons of what was rejected.
fn rejected(imported: &Imported) -> Vec<(u64, String, String)> {
    let problems = imported.rejected.iter().flat_map(|row| match row {
        FileRow::Rejected { line, problems, .. } => {
            problems.iter().map(|problem| (*line, problem.column.clone(), problem.reason.clone())).collect()
        }
        FileRow::Record { .. } => Vec::new(),
    });
    problems.collect()
}

fn proposed(bytes: &[u8], name: &str) -> (String, Definition) {
    let said = Said::default();
    let toml = propose(Cursor::new(bytes.to_vec()), name, "things", &said, &ReadLimits::default()).unwrap();
    let definition = Definition::from_toml(&toml, "t.toml").unwrap_or_else(|error| panic!("{error}\n{toml}"));
    (toml, definition)
}

/// A workbook: its sheets, each its name, whether it is hidden, and its XML behind the tag of the worksheet; and the codes of
/// the formats that its styles from 1 have.
fn workbook(sheets: &[(&str, bool, String)], codes: &[&str]) -> Vec<u8> {
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    let mut part = |name: &str, text: &str| {
        out.start_file(name, SimpleFileOptions::default()).unwrap();
        out.write_all(text.as_bytes()).unwrap();
    };
    let relation = |id: &str, kind: &str, target: &str| {
        format!(
            r#"<Relationship Id="{id}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/>"#
        )
    };
    part("[Content_Types].xml", "<Types/>");
    part(
        "_rels/.rels",
        &format!("<Relationships>{}</Relationships>", relation("r", "officeDocument", "xl/workbook.xml")),
    );
    let (mut listed, mut related) = (String::new(), relation("s", "styles", "styles.xml"));
    for (nth, (name, hidden, xml)) in sheets.iter().enumerate() {
        let state = if *hidden { r#" state="hidden""# } else { "" };
        listed += &format!(r#"<sheet name="{name}" sheetId="{nth}" r:id="s{nth}"{state}/>"#);
        related += &relation(&format!("s{nth}"), "worksheet", &format!("worksheets/sheet{nth}.xml"));
        part(&format!("xl/worksheets/sheet{nth}.xml"), &format!("<worksheet>{xml}</worksheet>"));
    }
    part("xl/workbook.xml", &format!("<workbook><sheets>{listed}</sheets></workbook>"));
    part("xl/_rels/workbook.xml.rels", &format!("<Relationships>{related}</Relationships>"));
    let number_formats: String = (164..)
        .zip(codes)
        .map(|(id, code)| format!(r#"<numFmt numFmtId="{id}" formatCode="{}"/>"#, code.replace('"', "&quot;")))
        .collect();
    let styles: String = (164..).zip(codes).map(|(id, _)| format!(r#"<xf numFmtId="{id}"/>"#)).collect();
    part(
        "xl/styles.xml",
        &format!(
            r#"<styleSheet><numFmts>{number_formats}</numFmts><cellStyleXfs><xf numFmtId="9"/></cellStyleXfs><cellXfs><xf numFmtId="0"/>{styles}</cellXfs></styleSheet>"#
        ),
    );
    out.finish().unwrap().into_inner()
}

/// The XML of rows, each of cells: a plain text is one, `<c…` is XML, an empty one is none.
fn rows(rows: &[&[&str]]) -> String {
    let mut xml = String::new();
    for (line, cells) in (1..).zip(rows) {
        xml += &format!(r#"<row r="{line}">"#);
        for (column, cell) in ('A'..='Z').zip(*cells) {
            let place = format!(r#"r="{column}{line}""#);
            xml += &match cell.strip_prefix("<c") {
                Some(rest) => format!("<c {place}{rest}"),
                None if cell.is_empty() => String::new(),
                None => format!(r#"<c {place} t="inlineStr"><is><t>{cell}</t></is></c>"#),
            };
        }
        xml += "</row>";
    }
    format!("<sheetData>{xml}</sheetData>")
}

fn sheet(cells: &[&[&str]], codes: &[&str]) -> Imported {
    import(&workbook(&[("Data", false, rows(cells))], codes), "things.xlsx", &things()).unwrap()
}

// --- Text files --------------------------------------------------------------------------------------------------------------

#[test]
fn b1_a_quote_that_is_never_closed() {
    let text = b"CODE,TXT,LOW\nk1,a,ok\nk2,b,\"unclosed\nk3,c,ok\nk4,d,ok\n";
    let error = refused(text, "things.csv");
    assert!(error.contains("line 3") && error.contains("quote = \"none\""), "{error}");
    let imported = import(text, "things.csv", &things_with("quote = \"none\"")).unwrap();
    assert_eq!(imported.column("code"), ["k1", "k2", "k3", "k4"]);
    assert_eq!(imported.column("low")[1], "\"unclosed");
}

#[test]
fn b2_quotes_in_tab_files() {
    let text = b"CODE\tTXT\tLOW\nk1\t\"quoted start only\tx\nk2\t5\" pipe\ty\nk3\tz\tw\n";
    let imported = import(text, "things.tsv", &things()).unwrap();
    assert_eq!(imported.column("txt"), ["\"quoted start only", "5\" pipe", "z"]);
    assert!(matches!(imported.notes[..], [Note::LiteralQuotes { line: 2 }]));
}

#[test]
fn b4_b5_delimiters_by_the_header() {
    for (name, text) in [
        ("things.csv", "CODE;TXT\nk0;Main St, No 5, Floor 2\nk1;Main St, No 5, Floor 2\n"),
        ("things.csv", "CODE|TXT\nk0|a; b; c\nk1|a; b; c\n"),
        ("things.csv", "City of X, Department of Y, Monthly report, 2016\n\nCODE;TXT\nk0;a\nk1;b\n"),
        ("things.tsv", "CODE\tTXT\nk0\tSmith, John, Jr, Esq\nk1\tSmith, John, Jr, Esq\n"),
        ("things.csv", "sep=;\nCODE;TXT\nk0;a,b\nk1;c,d\n"),
    ] {
        let imported = import(text.as_bytes(), name, &things()).unwrap();
        assert_eq!((imported.column("code"), imported.rejected.len()), (vec![json!("k0"), json!("k1")], 0), "{text}");
    }
}

#[test]
fn b9_utf_16() {
    for (mark, bytes) in
        [("\u{feff}", u16::to_le_bytes as fn(u16) -> [u8; 2]), ("\u{feff}", u16::to_be_bytes as fn(u16) -> [u8; 2])]
    {
        let text = format!("{mark}CODE\tTXT\r\nk1\té\r\n");
        let text: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
        assert_eq!(csv(&text).column("txt"), ["é"]);
    }
    let unmarked: Vec<u8> = "CODE\tTXT\r\nk1\té\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(refused(&unmarked, "things.csv").contains("utf-16le"));
    let said = import(&unmarked, "things.csv", &things_with("encoding = \"utf-16le\"")).unwrap();
    assert_eq!(said.column("txt"), ["é"]);
}

#[test]
fn b10_other_encodings() {
    let cyrillic = b"CODE,TXT\r\nk1,\xcf\xf0\xe8\xe2\xe5\xf2\r\n";
    let warned = csv(cyrillic);
    assert!(matches!(warned.notes[..], [Note::NotUtf8 { line: 2, records: 1, .. }]), "{:?}", warned.notes);
    for (encoding, bytes, expected) in [
        ("cp1251", cyrillic.as_slice(), "Привет"),
        ("macintosh", b"CODE,TXT\r\nk1,caf\x8e\r\n", "café"),
        ("shift_jis", b"CODE,TXT\r\nk1,\x93\x8c\x8b\x9e\r\n", "東京"),
    ] {
        let imported = import(bytes, "things.csv", &things_with(&format!("encoding = {encoding:?}"))).unwrap();
        assert_eq!((imported.column("txt"), imported.notes.len()), (vec![json!(expected)], 0), "{encoding}");
    }
}

#[test]
fn b12_rows_without_their_last_cells() {
    let imported = csv(b"CODE,TXT,LOW,INT\r\nk1,a\r\nk2,b,c,3\r\nk3,c,d,4,,\r\nk4,c,d,4,,x\r\n");
    assert_eq!(imported.column("code"), ["k1", "k2", "k3"]);
    assert_eq!(imported.column("int"), [json!(null), json!(3), json!(4)]);
    assert!(matches!(imported.notes[..], [Note::ShortRows { line: 2, rows: 1 }]));
    assert_eq!(rejected(&imported)[0].0, 5);
}

#[test]
fn b15_texts_kept_from_being_numbers() {
    let imported = csv(b"CODE,TXT\r\n=\"00123\",=\"0045\"\r\nk2,=HYPERLINK(\"http://x\")\r\n");
    assert_eq!(imported.column("code"), ["00123", "k2"]);
    assert_eq!(imported.column("txt"), ["0045", "=HYPERLINK(\"http://x\")"]);
}

#[test]
fn b19_headers_that_differ_by_punctuation() {
    let (toml, definition) = proposed(b"ID,Score,Score %,Temp+,Temp-\r\nk1,170,17,5,-5\r\nk2,180,18,6,-6\r\n", "a.csv");
    let first = import(b"ID,Score,Score %,Temp+,Temp-\r\nk1,170,17,5,-5\r\n", "a.csv", &definition).unwrap();
    let other = import(b"ID,Score %,Score,Temp-,Temp+\r\nk1,17,170,-5,5\r\n", "b.csv", &definition).unwrap();
    assert_eq!(first.json(&first.rows[0].2), other.json(&other.rows[0].2), "{toml}");
    assert_eq!(other.column("score"), [170]);
}

#[test]
fn headers_that_could_each_be_meant() {
    let definition = Definition::from_toml(&THINGS.replace("[\"TXT\"]", "[\"Txt no.\"]"), "t.toml").unwrap();
    let error = import(b"CODE,TXT NO,TXT_NO\nk1,a,b\n", "a.csv", &definition).err().unwrap().to_string();
    assert!(error.contains("\"TXT NO\" and \"TXT_NO\"") && error.contains("\"txt\""), "{error}");
    let exact = import(b"CODE,TXT NO,Txt no.\nk1,a,b\n", "a.csv", &definition).unwrap();
    assert_eq!((exact.column("txt"), exact.header.unmatched), (vec![json!("b")], vec!["TXT NO".to_owned()]));
}

#[test]
fn b21_b69_decomposed_headers_texts_and_keys() {
    let text = "CODE,TXT\ne\u{301},cafe\u{301}\n";
    assert_eq!(
        (csv(text.as_bytes()).column("code"), csv(text.as_bytes()).column("txt")),
        (vec![json!("é")], vec![json!("café")])
    );
    let (_, definition) = proposed("ID,Größe\nk1,170\nk2,180\n".as_bytes(), "a.csv");
    let decomposed = "ID,Gro\u{308}ße\nk1,170\n";
    let imported = import(decomposed.as_bytes(), "b.csv", &definition).unwrap();
    assert_eq!(imported.column("groesse"), [170]);
}

#[test]
fn b26_blank_words_by_an_option() {
    let text = b"CODE,TXT,INT\nk3,NULL,NULL\nk5,N/A,N/A\nk6,-,-\n";
    assert_eq!(csv(text).rejected.len(), 3, "they are no numbers until somebody says what they are");
    let said = Said { blanks: ["NULL", "N/A", "-"].map(str::to_owned).to_vec(), ..Said::default() };
    let imported = import(text, "things.csv", &things().reading_as(&said).unwrap()).unwrap();
    assert_eq!((imported.rejected.len(), imported.column("int")), (0, vec![Value::Null; 3]));
}

#[test]
fn b28_b30_fractions_and_zones() {
    let imported = csv(b"CODE,TS,DAY\n\
          k1,2016-12-01 09:30:00.123456,\n\
          k2,2016-12-01T09:30:00+0100,2016-12-01T23:30:00-08:00\n\
          k3,2016-12-01 09:30:00-08,2016-12-01 09:30:00+00\n\
          k4,2016-12-01 09:30:00 UTC,\n\
          k5,2016-12-01T09:30:00.1234567891Z,\n\
          k6,2016-12-31T23:59:60Z,\n");
    let moments =
        ["2016-12-01T09:30:00.123456Z", "2016-12-01T08:30:00Z", "2016-12-01T17:30:00Z", "2016-12-01T09:30:00Z"];
    assert_eq!(imported.column("ts"), moments);
    assert_eq!(imported.column("day"), [json!(null), json!("2016-12-01"), json!("2016-12-01"), json!(null)]);
    assert_eq!(rejected(&imported).iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [6, 7]);
}

#[test]
fn b32_the_zone_of_local_times() {
    let text = b"CODE,TS\nk1,12/1/2016 9:30 AM\nk2,3/13/2016 2:30 AM\n";
    let imported = import(text, "things.csv", &things_with("time_zone = \"America/Los_Angeles\"")).unwrap();
    assert_eq!(imported.column("ts"), ["2016-12-01T17:30:00Z"]);
    assert!(rejected(&imported)[0].2.contains("passed twice or never"));
}

#[test]
fn b37_numbers_of_other_places() {
    let german = things_with("decimal = \",\"");
    let imported =
        import("CODE;AMT;NUM\nk1;1234,50;1,5\nk2;1.234,50;0,25\nk3;1.204;1,204\n".as_bytes(), "a.csv", &german);
    let imported = imported.unwrap();
    assert_eq!(imported.column("amt"), [json!(1234.5), json!(1234.5), json!(1204.0)]);
    assert_eq!(imported.column("num"), [1.5, 0.25, 1.204]);
    let imported = csv("CODE,AMT\nk1,5-\nk2,€5\nk3,1.5E3\nk4,\"1.234,50\"\n".as_bytes());
    assert_eq!(imported.column("amt"), [-5.0, 5.0, 1500.0]);
    assert_eq!(rejected(&imported)[0].1, "amt", "never misread");
    let unsure = csv(b"CODE;NUM\nk1;1,204\nk2;1.204\nk3;0.204\n");
    assert_eq!(unsure.column("num"), [0.204]);
    assert!(rejected(&unsure).iter().all(|(.., reason)| reason.contains("say `decimal`")), "{:?}", unsure.rejected);
}

#[test]
fn b41_digits_that_a_number_would_lose() {
    let text =
        csv(b"CODE,NUM,INT,TXT\nn1,9007199254740993,9007199254740993,9007199254740993\nn2,007,1,007\nn3,1,02138,1\n");
    let of_sheet = sheet(
        &[
            &["CODE", "NUM", "INT", "TXT"],
            &[
                "n1",
                "<c><v>9007199254740993</v></c>",
                "<c><v>9007199254740993</v></c>",
                "<c><v>9007199254740993</v></c>",
            ],
            &["n2", "<c s=\"1\"><v>7</v></c>", "<c><v>1</v></c>", "<c s=\"1\"><v>7</v></c>"],
            &["n3", "<c><v>1</v></c>", "<c s=\"2\"><v>2138</v></c>", "<c><v>1</v></c>"],
        ],
        &["000", "00000"],
    );
    for imported in [&text, &of_sheet] {
        assert_eq!(imported.rows.len(), 0);
        let columns: Vec<(u64, String)> =
            rejected(imported).into_iter().map(|(line, column, _)| (line, column)).collect();
        assert_eq!(columns, [(2, "num".to_owned()), (3, "num".to_owned()), (4, "int".to_owned())]);
    }
}

#[test]
fn amounts_that_are_rounded_are_told() {
    let imported = csv(b"CODE,AMT\nk1,1.005\nk2,1.50\n");
    assert_eq!(imported.column("amt"), [1.01, 1.5]);
    assert!(matches!(imported.notes[..], [Note::Rounded { line: 2, values: 1 }]));
}

#[test]
fn skip_rows_stop_at_and_fill_down() {
    let definition = things_with("skip_rows = 2\nstop_at = [\"Total\", \"Source:*\"]\nfill_down = [\"txt\"]");
    let text = b"CODE,TXT\nnot,this\nCODE,TXT,INT\nk1,a,1\nk2,,2\nTotally,b,3\nk4,,4\nSource: x,,\nk5,c,5\n";
    let imported = import(text, "things.csv", &definition).unwrap();
    assert_eq!(imported.column("code"), ["k1", "k2", "Totally", "k4"]);
    assert_eq!(imported.column("txt"), ["a", "a", "b", "b"]);
    assert!(matches!(imported.notes[..], [Note::Stopped { line: 8 }]));
}

#[test]
fn values_under_no_header_are_told() {
    let imported = csv(b"CODE,,TXT,\nk1,x,a,\nk2,,b,\n");
    assert_eq!(imported.notes, [Note::Unnamed { columns: vec!["B".to_owned()] }]);
}

#[test]
fn what_is_said_of_a_file_is_checked() {
    for (keys, word) in [
        ("delimiter = \"ab\"", "delimiter"),
        ("quote = \"x\"", "quote"),
        ("encoding = \"klingon\"", "encoding"),
        ("decimal = \";\"", "decimal"),
        ("thousands = \".\"", "thousands"),
        ("time_zone = \"Mars\"", "time_zone"),
        ("skip_rows = -1", "skip_rows"),
        ("stop_at = [\"*\"]", "stop_at"),
        ("fill_down = [\"code2\"]", "fill_down"),
        ("sheet = 1", "sheet"),
    ] {
        let error = Definition::from_toml(&format!("{keys}\n{THINGS}"), "things.toml").unwrap_err();
        assert_eq!(error.path, word, "{error}");
    }
    let said = Said { fill_down: vec!["nothing".to_owned()], ..Said::default() };
    assert!(things().reading_as(&said).unwrap_err().contains("nothing"));
}

// --- Workbooks ---------------------------------------------------------------------------------------------------------------

#[test]
fn b36_amounts_are_rounded_as_in_text_files() {
    let imported =
        sheet(&[&["CODE", "AMT"], &["k1", "<c><v>1.005</v></c>"], &["k2", "<c><v>1.0149999999999999</v></c>"]], &[]);
    assert_eq!(imported.column("amt"), [1.01, 1.02]);
}

#[test]
fn b42_b43_b44_b57_a_text_is_what_the_sheet_shows() {
    let codes = ["00000", "h:mm", "[h]:mm:ss", "0.00%", "\"$\"#,##0.00", "yyyy-mm-dd"];
    let cells = [
        ("<c s=\"1\"><v>2138</v></c>", "02138"),
        ("<c s=\"2\"><v>0.5</v></c>", "12:00:00"),
        ("<c s=\"3\"><v>1.5</v></c>", "36:00:00"),
        ("<c s=\"4\"><v>0.125</v></c>", "12.50%"),
        ("<c s=\"5\"><v>1234.5</v></c>", "$1,234.50"),
        ("<c s=\"6\"><v>42705</v></c>", "2016-12-01"),
        ("<c><v>0.30000000000000004</v></c>", "0.3"),
        ("<c t=\"b\"><v>1</v></c>", "TRUE"),
        ("<c t=\"d\"><v>2016-12-01T00:00:00</v></c>", "2016-12-01T00:00:00"),
    ];
    let header: &[&str] = &["CODE", "TXT"];
    let keys: Vec<String> = (0..cells.len()).map(|nth| format!("k{nth}")).collect();
    let lines: Vec<[&str; 2]> = keys.iter().zip(&cells).map(|(key, (cell, _))| [key.as_str(), *cell]).collect();
    let table: Vec<&[&str]> = std::iter::once(header).chain(lines.iter().map(<[&str; 2]>::as_slice)).collect();
    let imported = sheet(&table, &codes);
    let expected: Vec<&str> = cells.iter().map(|(_, shown)| *shown).collect();
    assert_eq!(imported.column("txt"), expected);
    let times =
        sheet(&[&["CODE", "NUM", "DAY"], &["k", "<c s=\"2\"><v>0.5</v></c>", "<c s=\"2\"><v>0.5</v></c>"]], &codes);
    assert_eq!(rejected(&times).len(), 2, "a time of day is neither a number nor a date");
}

#[test]
fn an_old_workbook_shows_the_same() {
    let bytes = excel_97_with(
        &formats(&["00000", "h:mm", "yyyy\\-mm\\-dd"]),
        &[
            vec![label(0, 0, "CODE"), label(0, 1, "TXT"), label(0, 2, "DAY")],
            vec![label(1, 0, "k1"), styled_number(1, 1, 1, 2138.0), styled_number(1, 2, 3, 42_705.0)],
            vec![label(2, 0, "k2"), styled_number(2, 1, 2, 0.5)],
            vec![label(3, 0, "k3"), number(3, 1, 0.1 + 0.2)],
        ]
        .concat(),
    );
    let imported = import(&bytes, "things.xls", &things()).unwrap();
    assert_eq!(imported.column("txt"), ["02138", "12:00:00", "0.3"]);
    assert_eq!(imported.column("day")[0], "2016-12-01");
}

#[test]
fn b45_b52_formulas_without_a_value_and_errors_of_any_kind() {
    let imported = sheet(
        &[
            &["CODE", "TXT", "INT"],
            &["k1", "<c><f>1+1</f><v/></c>", ""],
            &["k2", "", "<c><f>2+3</f></c>"],
            &["k3", "<c t=\"str\"><f>\"\"</f><v></v></c>", "<c><f>2+3</f><v>5</v></c>"],
            &["k4", "<c t=\"e\"><v>#SPILL!</v></c>", ""],
            &["k5", "fine", "<c><v>7</v></c>"],
        ],
        &[],
    );
    assert_eq!(
        (imported.column("code"), imported.column("int")),
        (vec![json!("k3"), json!("k5")], vec![json!(5), json!(7)])
    );
    let reasons = rejected(&imported);
    assert!(reasons[0].2.contains("formula without a value") && reasons[1].1 == "int", "{reasons:?}");
    assert_eq!((reasons[2].0, reasons[2].2.as_str()), (5, "the cell holds #SPILL!"));
    assert_eq!(imported.notes, [Note::NoValues { count: 2 }]);
}

#[test]
fn b55_merged_cells_hidden_rows_and_columns_are_told() {
    let xml = format!(
        "<cols><col min=\"2\" max=\"2\" hidden=\"1\"/><col min=\"9\" max=\"16384\" hidden=\"1\"/></cols>{}<mergeCells><mergeCell ref=\"A9:C9\"/><mergeCell ref=\"B2:B3\"/></mergeCells>",
        rows(&[&["CODE", "TXT"], &["m1", "merged"], &["m2", ""]]).replace("<row r=\"3\"", "<row r=\"3\" hidden=\"1\"")
    );
    let bytes = workbook(&[("Data", false, xml)], &[]);
    let imported = import(&bytes, "things.xlsx", &things()).unwrap();
    assert_eq!(
        imported.notes,
        [
            Note::Merged { ranges: vec!["B2:B3".to_owned()], count: 1 },
            Note::HiddenRows { count: 1 },
            Note::HiddenColumns { letters: vec!["B".to_owned()] }
        ]
    );
    let filled = import(&bytes, "things.xlsx", &things_with("fill_down = [\"txt\"]")).unwrap();
    assert_eq!(filled.column("txt"), ["merged", "merged"]);
}

#[test]
fn the_first_visible_sheet_with_the_table() {
    let table = |key: &str| rows(&[&["CODE", "TXT"], &[key, "a"], &["z", "b"]]);
    let bytes = workbook(
        &[
            ("secret", true, table("hidden")),
            ("About", false, rows(&[&["This is a report"], &["of 2016"]])),
            ("2019", false, table("k19")),
            ("2020", false, table("k20")),
        ],
        &[],
    );
    let imported = import(&bytes, "things.xlsx", &things()).unwrap();
    assert_eq!((imported.header.sheet.as_deref(), imported.column("code")[0].as_str()), (Some("2019"), Some("k19")));
    let others = Note::OtherSheets {
        read: "2019".to_owned(),
        others: vec!["About".to_owned(), "2020".to_owned()],
        hidden: vec!["secret".to_owned()],
    };
    assert_eq!(imported.notes, [others]);
    let said = import(&bytes, "things.xlsx", &things_with("sheet = \"2020\"")).unwrap();
    assert_eq!(said.column("code")[0], "k20");
    let error = import(&bytes, "things.xlsx", &things_with("sheet = \"2021\"")).err().unwrap();
    assert!(matches!(&error, ReadError::NoSheet { wanted, .. } if wanted == "2021"), "{error}");
    let (toml, _) = proposed(&bytes, "things.xlsx");
    assert!(toml.contains("only the sheet \"2019\" was read"), "{toml}");
    let hidden = workbook(&[("x", false, rows(&[&["a"]])), ("secret", true, table("h"))], &[]);
    let imported = import(&hidden, "things.xlsx", &things()).unwrap();
    assert!(imported.notes.contains(&Note::HiddenSheet { name: "secret".to_owned() }), "{:?}", imported.notes);
}

#[test]
fn dates_of_january_1900_and_the_day_that_was_none() {
    let imported = sheet(
        &[
            &["CODE", "DAY"],
            &["k1", "<c s=\"1\"><v>1</v></c>"],
            &["k2", "<c s=\"1\"><v>59</v></c>"],
            &["k3", "<c s=\"1\"><v>60</v></c>"],
            &["k4", "<c s=\"1\"><v>61</v></c>"],
        ],
        &["yyyy-mm-dd"],
    );
    assert_eq!(imported.column("day"), ["1900-01-01", "1900-02-28", "1900-03-01"]);
    assert!(rejected(&imported)[0].2.contains("29 February 1900"));
}

#[test]
fn an_encrypted_old_workbook() {
    let record = [0x2f_u16.to_le_bytes(), 6_u16.to_le_bytes(), [1, 0], [1, 0], [1, 0]].concat();
    let bytes = excel_97_with(&record, &[]);
    assert!(matches!(import(&bytes, "secret.xls", &things()).err(), Some(ReadError::Encrypted)));
}

// --- One table, two files ----------------------------------------------------------------------------------------------------

#[test]
fn a_text_file_and_a_workbook_of_one_table_are_the_same_records() {
    let long = "x".repeat(450_000);
    let cells: [[(&str, String); 4]; 5] = [
        [
            ("k1", String::new()),
            ("-0", "<c><v>-0</v></c>".to_owned()),
            ("-0", "<c><v>-0</v></c>".to_owned()),
            ("0", "<c><v>0</v></c>".to_owned()),
        ],
        [
            ("k2", String::new()),
            ("TRUE", "<c t=\"b\"><v>1</v></c>".to_owned()),
            ("12.5%", "<c s=\"1\"><v>0.125</v></c>".to_owned()),
            ("1", "<c><v>1</v></c>".to_owned()),
        ],
        [
            ("k3", String::new()),
            ("12.5%", "<c s=\"1\"><v>0.125</v></c>".to_owned()),
            ("0.1", "<c><v>0.10000000000000001</v></c>".to_owned()),
            ("12345678901234567", "<c><v>12345678901234567</v></c>".to_owned()),
        ],
        [
            ("k4", String::new()),
            (&long, format!("<c t=\"inlineStr\"><is><t>{long}</t></is></c>")),
            ("1.5", "<c><v>1.5</v></c>".to_owned()),
            ("1", "<c><v>1</v></c>".to_owned()),
        ],
        [
            ("k5", String::new()),
            ("02138", "<c s=\"2\"><v>2138</v></c>".to_owned()),
            ("9007199254740993", "<c><v>9007199254740993</v></c>".to_owned()),
            ("1", "<c><v>1</v></c>".to_owned()),
        ],
    ];
    let mut text = "CODE,TXT,NUM,INT\n".to_owned();
    let mut table = vec![["CODE", "TXT", "NUM", "INT"].map(str::to_owned).to_vec()];
    for row in &cells {
        text += &row.iter().map(|(text, _)| *text).collect::<Vec<_>>().join(",");
        text.push('\n');
        table.push(
            row.iter().map(|(text, xml)| if xml.is_empty() { (*text).to_owned() } else { xml.clone() }).collect(),
        );
    }
    let borrowed: Vec<Vec<&str>> = table.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
    let lines: Vec<&[&str]> = borrowed.iter().map(Vec::as_slice).collect();
    let (text, sheet) = (csv(text.as_bytes()), sheet(&lines, &["0.0%", "00000"]));
    // A sheet has no zero with a sign.
    let without_sign = |imported: &Imported| imported.published().replace("\"-0\"", "\"0\"");
    assert_eq!(without_sign(&text), without_sign(&sheet));
    assert_eq!(rejected(&text), rejected(&sheet));
    let lines: Vec<u64> = rejected(&text).into_iter().map(|(line, ..)| line).collect();
    assert_eq!(
        (text.rows.len(), lines),
        (3, vec![5, 6]),
        "not every store holds 450,000 bytes, nor a double those digits"
    );
}

// --- What is no table --------------------------------------------------------------------------------------------------------

#[test]
fn what_is_no_table_is_named_with_what_to_do() {
    for (bytes, word) in [
        (b"\x1f\x8b\x08\x00".as_slice(), "gunzip"),
        (b"BZh91AY", "bunzip2"),
        (b"(\xb5/\xfd\x04", "unzstd"),
        (b"PAR1\x15\x04", "DuckDB"),
        (b"ARROW1\0\0", "Arrow"),
        (b"[\n {\"a\": 1},\n {\"a\": 2}\n]", "jq -c"),
        (b"{\n \"a\": 1\n}", "one JSON document"),
        (b"{\"type\":\"FeatureCollection\",\"features\":[]}", "GeoJSON"),
        (b"<html><table><tr><td>a</td></tr></table></html>", "web page"),
        (b"<?xml version=\"1.0\"?><Workbook xmlns=\"urn:schemas-microsoft-com:office:spreadsheet\">", "Excel 2003"),
        (b"SQLite format 3\0", "sqlite3"),
        (b"%PDF-1.7", "PDF"),
    ] {
        let error = refused(bytes, "things.csv");
        assert!(error.contains(word) && error.contains("is not a spreadsheet"), "{word}: {error}");
    }
    let archive = |name: &str, others: &[&str]| {
        let mut out = ZipWriter::new(Cursor::new(Vec::new()));
        for name in [name].iter().chain(others) {
            out.start_file(*name, SimpleFileOptions::default()).unwrap();
        }
        out.finish().unwrap().into_inner()
    };
    for (bytes, word) in [
        (archive("content.xml", &["mimetype"]), ".ods"),
        (archive("xl/workbook.bin", &[]), ".xlsb"),
        (archive("Index/Tables.iwa", &[]), "Numbers"),
        (archive("data/trees.csv", &[]), "unpack it"),
        (archive("trees.shp", &[]), "map data"),
        (archive("word/document.xml", &[]), "Word"),
    ] {
        assert!(refused(&bytes, "things.zip").contains(word), "{word}");
    }
}

// --- Lines of JSON -----------------------------------------------------------------------------------------------------------

#[test]
fn lines_of_json() {
    let text = "{\"code\":\"k1\",\"txt\":\"a \\\"b\\\"\",\"num\":0.1,\"int\":9007199254740993,\"ts\":\"2016-12-01T09:30:00.5Z\"}\n\
                {\"code\":\"k2\",\"txt\":null,\"num\":1e3}\n\n\
                {\"code\":\"k3\",\"num\":{\"a\":1}}\n\
                {\"code\":\"k4\",\"colour\":\"red\"}\n\
                {\"code\":\"k5\",\"txt\":true}\n";
    let imported = import(text.as_bytes(), "things.ndjson", &things()).unwrap();
    assert_eq!(imported.column("code"), ["k1", "k2", "k5"]);
    assert_eq!(imported.column("txt"), [json!("a \"b\""), json!(null), json!("true")]);
    assert_eq!(imported.column("int")[0], json!(9_007_199_254_740_993_i64));
    assert_eq!(imported.column("num"), [json!(0.1), json!(1000), json!(null)]);
    assert_eq!(imported.column("ts")[0], "2016-12-01T09:30:00.5Z");
    let lines: Vec<u64> = rejected(&imported).into_iter().map(|(line, ..)| line).collect();
    assert_eq!(lines, [4, 5]);
    let broken = import(b"{\"code\":\"k1\",\"txt\":\"a\"}\n{\"code\":Secret}\n", "x.ndjson", &things()).err().unwrap();
    assert!(broken.to_string().contains("line 2") && !broken.to_string().contains("Secret"), "{broken}");
}

#[test]
fn the_dialect_of_a_file_is_no_part_of_a_definition_that_says_none() {
    let stored = serde_json::to_string(&things()).unwrap();
    assert!(!stored.contains("dialect") && !stored.contains("fill_down"), "fingerprints stay as they were");
    assert_eq!(things().source.dialect, Dialect::default());
}
