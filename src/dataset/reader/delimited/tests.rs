use std::io::Cursor;

use super::*;

/// The lines and cells of rows.
#[derive(Default)]
struct ReadRows {
    lines: Vec<u64>,
    cells: Vec<Vec<String>>,
    flaws: Vec<u64>,
    notes: Vec<Note>,
}

impl RowSink for ReadRows {
    fn sheet(&mut self, _name: Option<&str>, _epoch_1904: bool) {}

    fn row<R: RowCells>(&mut self, line: u64, row: &R) -> Result<Flow, ReadError> {
        self.lines.push(line);
        if row.flaw().is_some() {
            self.flaws.push(line);
        }
        let text = |place| match row.cell(place) {
            Cell::Text(text) => text.trim_end_matches('\r').to_owned(),
            Cell::Blank => String::new(),
            other => format!("{other:?}"),
        };
        self.cells.push((0..row.width()).map(text).collect());
        Ok(Flow::Continue)
    }

    fn sheet_end(&mut self) -> Flow {
        Flow::Stop
    }

    fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

fn read_as(bytes: &[u8], name: &str, dialect: &Dialect) -> Result<ReadRows, ReadError> {
    let mut rows = ReadRows::default();
    read(Cursor::new(bytes), name, dialect, &ReadLimits::default(), &mut rows)?;
    Ok(rows)
}

fn rows(text: &str) -> ReadRows {
    read_as(text.as_bytes(), "some.csv", &Dialect::default()).unwrap()
}

fn said(key: &str, text: &str) -> Dialect {
    let mut dialect = Dialect::default();
    dialect.say(key, text).unwrap();
    dialect
}

#[test]
fn a_row_begins_on_its_line_however_the_file_ends() {
    for (text, lines) in [
        ("a,b\n1,2", &[1, 2][..]),
        ("a,b\n\n1,2\n", &[1, 3]),
        ("a,b\r\n\r\n1,2\r\n", &[1, 3]),
        ("a,b\r\r1,2\r", &[1, 3]),
        ("a\n\"b\nc\"", &[1, 2]),
        ("a\n\"b\nc\"\n", &[1, 2]),
        ("a\n\"b\n\"\nc\n", &[1, 2, 4]),
        ("a\n\"b\n\"\n", &[1, 2]),
        ("a\n\"b\"\"\n\"\n", &[1, 2]),
        ("a\n\"b\n\",\n", &[1, 2]),
        ("sep=;\na;b\n1;2\n", &[2, 3]),
    ] {
        assert_eq!(rows(text).lines, lines, "{text:?}");
    }
}

#[test]
fn an_open_quote_never_takes_rows() {
    for (text, line) in
        [("a,b\n1,\"x\n2,y\n", 2), ("a\n\n\"b\n", 3), ("a,b\n1,\"x\n2,y\n3,\"z\"\n", 2), ("a,b\n\"1\n\",\"x\n2,y\n", 3)]
    {
        let error = read_as(text.as_bytes(), "some.csv", &Dialect::default()).err();
        assert!(matches!(error, Some(ReadError::OpenQuote { line: found }) if found == line), "{text:?} {error:?}");
    }
    let flawed = rows("a,b\n1,\"x\"y\n2,z\n");
    assert_eq!((flawed.lines, flawed.flaws), (vec![1, 2, 3], vec![2]));
    let closed_late = rows("a,b,c\n1,2,\"x\n3,4,5\n6,7,y\"\n8,9,z\n");
    assert_eq!((closed_late.lines, closed_late.flaws), (vec![1, 2, 5], vec![2]));
    let honest = "a,b,c\n1,2,\"Dear Sir,\nplease\nbye\"\n8,9,z\n";
    assert_eq!(rows(honest).flaws, [0; 0]);
    let literal = read_as(b"a,b\n1,\"x\n2,y\n", "some.csv", &said("quote", "none")).unwrap();
    assert_eq!(literal.cells, [["a", "b"], ["1", "\"x"], ["2", "y"]]);
}

#[test]
fn quotes_among_tabs_are_texts_unless_they_enclose() {
    let bare = rows("id\tsize\tnote\n1\t\"5 inch\tx\n2\t6 inch\"\ty\n3\t7\tz\n");
    assert_eq!(bare.cells[1], ["1", "\"5 inch", "x"]);
    assert_eq!((bare.cells.len(), bare.notes), (4, vec![Note::LiteralQuotes { line: 2 }]));
    let enclosed = rows("id\tnote\n1\t\"two\tcells\"\n2\t\"a \"\"b\"\"\"\n");
    assert_eq!(enclosed.cells[1..], [["1", "two\tcells"], ["2", "a \"b\""]]);
}

#[test]
fn delimiters() {
    for text in [
        "Item, kind;Age\nSmith, J;5\nLee, A;6\n",
        "ID;Val, EUR\n1;2,5\n2;3,5\n",
        "CODE;TXT\nk0;Main St, No 5, Floor 2\nk1;Main St, No 5, Floor 2\n",
        "CODE|TXT\nk0|a; b; c\nk1|a; b; c\n",
        "City of X, Department of Y, Monthly report, 2016\n\nCODE;TXT\nk1;a\nk2;b\n",
        "id\tplace\n1\ta, b, c\n2\td, e, f\n",
        "lat;lon\n48,8566;2,3522\n45,7640;4,8357\n",
        "id;a;b;c\n1;1,5;1,25;1,75\n2;2,5;2,25;2,75\n",
        "sep=;\nid;a\n1;x\n",
        "a,b,c,\nx,2,3\ny,5,6\n",
        "id,\"a;b;c;d\"\n1,\"x;y;z;u\"\n",
        "name\nx\ny\n",
    ] {
        let widths: Vec<usize> = rows(text).cells.iter().map(Vec::len).collect();
        let widest = widths.iter().max().unwrap();
        assert!(!text.starts_with("Item") || *widest == 2, "{text:?}");
        let expected = if text.starts_with("id;a;b;c") {
            4
        } else if text.starts_with("name") {
            1
        } else {
            2
        };
        let last = widths.last().unwrap();
        assert!(*last == expected || text.starts_with("a,b,c,") && *last == 3, "{text:?} {widths:?}");
    }
    for text in
        ["Address\n1 Main St, Boston, MA\n2 Main St, Boston, MA\n", "Note\na; b\nc; d\n", "Park\nX\nY\nZ, W\nQ\n"]
    {
        assert!(rows(text).cells.iter().all(|row| row.len() == 1), "{text:?}");
    }
    assert_eq!(rows("id,share\n1,12\t5\n").cells[1], ["1", "12\t5"]);
    let tabs = read_as(b"id\tplace\n1\tx, y\n", "some.tsv", &Dialect::default()).unwrap();
    assert_eq!(tabs.cells[0], ["id", "place"]);
}

#[test]
fn encodings() {
    let utf_16: Vec<u8> = "\u{feff}id\té\n1\tx\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read_as(&utf_16, "some.csv", &Dialect::default()).unwrap().cells, [["id", "é"], ["1", "x"]]);
    let cyrillic = b"id,x\n1,\xcf\xf0\xe8\xe2\xe5\xf2\n";
    assert_eq!(read_as(cyrillic, "some.csv", &said("encoding", "windows-1251")).unwrap().cells[1][1], "Привет");
    let guessed = read_as(cyrillic, "some.csv", &Dialect::default()).unwrap();
    assert!(matches!(guessed.notes[..], [Note::NotUtf8 { line: 2, records: 1, .. }]), "{:?}", guessed.notes);
    let unreadable = read_as(b"id,x\n1,\x81\n", "some.csv", &Dialect::default()).unwrap();
    assert!(unreadable.cells[1][1].contains("no letter"), "{:?}", unreadable.cells);
    let said_so = read_as(b"id,x\n1,\x81\n", "some.csv", &said("encoding", "windows-1252")).unwrap();
    assert!(said_so.cells[1][1].contains("no letter"), "{:?}", said_so.cells);
    let japanese = read_as(b"id,x\n1,\x83|\x81\x5c\n", "some.csv", &said("encoding", "shift_jis")).unwrap();
    assert_eq!(japanese.cells[1][1], "ポ―");
    let broken = read_as(b"id,x\n1,\x83\n", "some.csv", &said("encoding", "shift_jis")).unwrap();
    assert!(broken.cells[1][1].contains("no letter"), "{:?}", broken.cells);
}

#[test]
fn texts_that_were_kept_from_being_numbers() {
    let kept = rows("CODE,TXT\n=\"00123\",=\"0045\"\n\"=\"\"007\"\"\",=HYPERLINK(\"http://x\")\n");
    assert_eq!(kept.cells[1..], [["00123", "0045"], ["007", "=HYPERLINK(\"http://x\")"]]);
}

#[test]
fn a_carriage_return_at_the_end_of_the_sample_is_no_line_of_an_old_mac() {
    let mut text = format!("id,{}\r\n", "x".repeat(BUFFER_BYTES - 4));
    text.push_str("1,2\r\n3,4\r\n");
    assert_eq!(rows(&text).lines, [1, 2, 3]);
}

#[test]
fn blank_lines_are_no_rows_and_cost_nothing() {
    let text = format!("a,b\n{}1,2\r\n{}", "\n".repeat(3 << 20), "\r\n".repeat(1000));
    assert_eq!(rows(&text).lines, [1, (3 << 20) + 2]);
}
