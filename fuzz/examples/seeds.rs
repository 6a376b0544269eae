//! Writes the seeds: what the fuzzer begins with, in `corpus/<target>/`. All of it is made here or is in the repository;
//! keys and cursors are sealed with secrets that open nothing, and people in the reports are invented.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`

use std::{fs, io, io::Cursor, path::Path};

use jiff::{Timestamp, civil::date};
use permitd_fuzz::{
    checks::{HISTORIES, questions},
    dataset::{
        ColumnType, Definition, Point, Value, cursor,
        query::Position,
        sample::{SampleFormat, generate},
    },
    domain::key::{ApiKey, KeyId},
    subject::{EVERYTHING, cursor_key, definitions},
    workbook::parts_of,
};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

#[path = "../../tests/datasets/excel_97.rs"]
mod excel_97;
use excel_97::{excel_97, label, number, record, words};

fn main() -> io::Result<()> {
    filters()?;
    cursors()?;
    keys()?;
    texts()?;
    workbooks()?;
    definition_files()
}

fn write(target: &str, name: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// Queries and expressions of the documentation and of the tests.
const FILTERS: &[&str] = &[
    "estimated_cost__gte=1000000&sort=-estimated_cost&limit=1&select=application_number,estimated_cost",
    "statsu=issued",
    "status__in=issued,complete&file_date__between=2016-12-01,2016-12-31",
    "status__in=%5B%22a,b%22,%22c%22%5D",
    "form_number__in=[2,1]",
    "application_number__startswith=%232016",
    "status__contains=%C3%89T%C3%89&count=exact&explain=true",
    "status__isnull=false&format=csv&csv_safe=true",
    "limit=ten&limit=-1&sort=&select=&cursor=abc",
    "columns=status,block&limit=5",
    "columns=size,cost,ratio,day,moment&filter=size+%3E+1",
    "since=3&limit=7",
    "filter=status+%3D+issued+AND+form_number+%3D+1",
    "filter=between(estimated_cost,+1,+3000)+OR+startswith(description,+%22TO%22)&status__ne=complete",
    "filter=NOT+(status+%3D+issued+AND+(file_date+%3E+2016-11-01+OR+isnull(estimated_cost)))",
    "code=no.5&code__in=k1,K-2&title__ne=&size__lte=-3&ratio__gt=-0&ratio__lt=1e3",
    "moment__gte=2016-12-01T09:30:00Z&day__ne=2016-12-01&cost__lt=0.5",
    "status = \"issued\"",
    "(status = \"issued\" OR status = \"complete\") AND NOT block = \"2998\"",
    "  status   !=  'issued'  ",
    "file_date < 2017-01-01",
    "day >= 2016-12-01 AND moment <= 2016-12-01T00:00:00.5Z",
    "size <= 2 AND size > -3",
    "status : \"plan\"",
    "contains(title, plan)",
    "startswith(status, \"a b\")",
    "between(estimated_cost, 10000, 50000)",
    "in(status, \"a,b\", c)",
    "notin(title, a, 'b', \"c\")",
    "isnull(status)",
    "isnull(title, false)",
    "NOT isnull(status)",
    "NOT NOT title = a",
    "NOT (title = a OR day = 2016-12-01)",
    "title = a OR title = b OR in(title, c, a)",
    "((status = a))",
    "gte(size, 2)",
    "title = \"say \\\"yes\\\" or \\\\\"",
    "title = 'it is \"so\"'",
    "code = K-5 OR code = \"no. 7\" OR code < k9",
    "status=\"\"",
    "title = a AND (cost > 5 AND size = 1)",
    "title = a AND size = 1 OR ratio = -0.0",
    "title = a OR (size = 1",
    "title == a",
    "title <> a",
    "status IN (a, b)",
    "size BETWEEN 1 AND 2",
    "title LIKE a",
    "status IS NULL",
    "title = iss*",
    "title = \"open",
    "é = a OR size = two",
    "in(size, 1, x)",
    "-title = a",
    "((((((((title = a))))))))",
    "(((((((((title = a)))))))))",
    "title = a & size = 1",
    "format=csv&delimiter=%3B&numbers=text",
    "as_of=3&status=issued",
    "by=status&columns=status&as_of=2016-12-01T09:30:00%2B01:00&as_of__eq=1",
    "as_of=99999999999999999999&select=status",
    "as_of=9999-12-31",
    "place__near=37.75,-122.5,500m&sort=distance&limit=5&format=geojson",
    "near=37.75,-122.5,2km&place__ne=37.75,-122.5",
    "bbox=179,-20,-179,-15&place__isnull=false",
    "within=POLYGON+((-122.43+37.77,+-122.41+37.77,+-122.41+37.79,+-122.43+37.77))",
    "filter=near(place,+37.77,+-122.42,+%22500m%22)+OR+NOT+bbox(place,+-122.52,+37.7,+-122.35,+37.83)",
    "q=plan+iss*&by=geohash(place,4)&measure=count,median(cost)",
    "by=status,month(day)&measure=count,sum(cost)&having=count+%3E+1&sort=-count&limit=5",
];

fn filters() -> io::Result<()> {
    for (place, text) in FILTERS.iter().enumerate() {
        write("filter", &format!("{place:02}"), text)?;
    }
    Ok(())
}

fn cursors() -> io::Result<()> {
    let key = cursor_key();
    for definition in definitions() {
        let name = &definition.name;
        let position = |columns: &[usize]| {
            let values = columns.iter().map(|column| value(definition, *column)).collect();
            Position { version: 3, values }
        };
        for (place, query) in questions(definition).iter().enumerate().take(12) {
            let columns: Vec<usize> = query.order(definition).iter().map(|term| term.column).collect();
            let sealed = cursor::seal(&key, definition, query, &position(&columns)).expect("it is short");
            write("cursor", &format!("{name}-page-{place:02}"), sealed)?;
        }
        let change = position(&[definition.key, definition.record_id]);
        let sealed = cursor::seal_change(&key, definition, &change).expect("it is short");
        write("cursor", &format!("{name}-change"), &sealed)?;
        write("cursor", &format!("{name}-cut"), &sealed[..sealed.len() - 1])?;
        for (place, of) in HISTORIES.into_iter().enumerate() {
            let sealed = cursor::seal_state(&key, definition, of, &position(&[definition.record_id]));
            write("cursor", &format!("{name}-state-{place}"), sealed.expect("it is short"))?;
        }
    }
    // What the round trips are made of.
    let bytes: Vec<u8> = (0..=255).map(|byte: u8| byte.wrapping_mul(167)).collect();
    write("cursor", "bytes", bytes)?;
    // Found by fuzzing: the least number of 32 bits was taken for a coordinate.
    write("cursor", "point-of-least-number", b"\xff\xcc\xffALyjDoBn1_Xpg")
}

fn value(definition: &Definition, column: usize) -> Value {
    match definition.columns[column].kind {
        ColumnType::Text => Value::Text("#2016½".into()),
        ColumnType::Integer => Value::Integer(i64::MIN),
        ColumnType::Money => Value::Money(-5),
        ColumnType::Number => Value::Number(37.78),
        ColumnType::Date => Value::Date(date(2016, 12, 1)),
        ColumnType::Timestamp => Value::Timestamp(Timestamp::UNIX_EPOCH),
        ColumnType::Point => Value::Point(Point::parse("-37.75,179.999").expect("it is a point")),
    }
}

fn keys() -> io::Result<()> {
    for seed in 0..3_u8 {
        let key = ApiKey::new(KeyId::from_random([seed; 12]), &[seed.wrapping_mul(85); 24]);
        write("key", &format!("key-{seed}"), key.reveal())?;
        let mut altered = key.reveal().replace('_', "-");
        altered.truncate(60 + usize::from(seed));
        write("key", &format!("altered-{seed}"), altered)?;
    }
    let bytes: Vec<u8> = (0..38).map(|byte: u8| byte.wrapping_mul(7)).collect();
    write("key", "bytes", bytes)
}

const CODED: &str = "Code,Title,Size,Cost,Ratio,Point,Day,Moment,Owner\n\
    1,First,1,$1.50,0.5,POINT (-122.5 37.75),31/12/2016,2016-12-01T09:30:00Z,Ann Other\n\
    no. 2,\"Second, of\nthree\",\"1,234\",(5),1e3,\"(37.7, -122.4)\",1-Dec-16,31/12/2016 4:05 PM,\n\
    k3,,-,n/a,x,POINT EMPTY,20161231,,Bob Other\n\
    4,short row\n\n\
    5,a,1,2,3,,2016-02-30,12:00,b,,\n";

fn texts() -> io::Result<()> {
    let mut sample = Cursor::new(Vec::new());
    generate(4, 1, SampleFormat::Csv, &mut sample).expect("a sample");
    let sample = sample.into_inner();
    let latin =
        [b"APPLICATION #;STATUS;DESCRIPTION\r\n1;ISSUED;caf\xe9 \xbd\r\n".as_slice(), b"2;\"a \"\"b\"\"\";\x80\r\n"]
            .concat();
    let files: [(&str, &[u8]); 13] = [
        ("sample.csv", &sample),
        ("coded.csv", CODED.as_bytes()),
        ("coded.tsv", &CODED.replace("1,234", "1234").replace(',', "\t").into_bytes()),
        ("old-mac.csv", &CODED.replace('\n', "\r").into_bytes()),
        ("latin.csv", &latin),
        ("titles.csv", b"\xef\xbb\xbfReport of permits,,\n,,\nSTATUS,LOT,PERMIT #\nissued,001,5\nissued,,#6\nSTATUS,LOT,PERMIT #\n"),
        ("open-quote.csv", b"APPLICATION #,STATUS\n1,\"ISSUED\n2,ISSUED\n3,ISSUED"),
        ("typo.csv", b"APLICATION NUMBR,STATUS,LOT\n1,ISSUED,2\n"),
        ("lost-digits.csv", b"PERMIT NUMBER|STATUS\n2.01612E+11|issued\n|issued\n  |\n"),
        ("page.csv", b"<!DOCTYPE html><html><body>Not found</body></html>"),
        ("data.json", b"{\"error\":\"not found\"}"),
        ("empty.csv", b" \n\n"),
        // Found by fuzzing: its last row was said to begin a line too early.
        ("open-quote-at-end.csv", b"Code,Title\n1,a\n\n\"/2020\n"),
    ];
    for (name, bytes) in files {
        write("reader_csv", name, bytes)?;
    }
    let undescribed: [(&str, &[u8]); 6] = [
        ("sample.csv", &sample[..sample.len().min(1_500)]),
        (
            "personal.csv",
            b"Permit No,Opened,Fee,Floors,Lot,Lat,Owner Name,Reach,Notes,Limit,,Notes\n\
              A-1,1/31/2020,$5.00,1,001,37.5,Ann Other,a@example.org,x,1,,y\n\
              A-2,2/1/2020,7,2,002,38,Bob Other,b@example.org,,2,,z\n",
        ),
        ("days-first.csv", b"id,opened\n1,31/1/2020\n2,1/2/2020\n"),
        ("no-header.csv", b"1,2\n3,4\n"),
        ("coded.csv", CODED.as_bytes()),
        // Found by fuzzing: the header was proposed as it was cut.
        ("long-header.csv", &[b"id,".as_slice(), &[b'h'; 250], b",opened\n1,2,1/1/2020\n"].concat()),
    ];
    for (name, bytes) in undescribed {
        write("infer", name, bytes)?;
    }
    Ok(())
}

fn workbooks() -> io::Result<()> {
    let mut sample = Cursor::new(Vec::new());
    generate(3, 1, SampleFormat::Xlsx, &mut sample).expect("a sample");
    let sample = sample.into_inner();
    let typed = typed();
    write("reader_xlsx", "typed.xlsx", &typed)?;
    write("reader_xlsx", "sample.parts", without_ornament(&parts_of(&sample)))?;
    write("reader_xlsx", "typed.parts", without_ornament(&parts_of(&typed)))?;
    write("reader_xlsx", "cut.xlsx", &typed[..typed.len() / 2])?;
    write("reader_xlsx", "empty.zip", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")?;
    let inline = "--- [Content_Types].xml\n<Types/>\n--- _rels/.rels\n\
        <Relationships><Relationship Type=\"http://x/relationships/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>\n\
        --- xl/_rels/workbook.xml.rels\n\
        <Relationships><Relationship Id=\"r1\" Type=\"http://x/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>\n\
        --- xl/workbook.xml\n\
        <workbook><workbookPr date1904=\"1\"/><sheets><sheet name=\"a\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>\n\
        +++ xl/sharedStrings.xml\n<sst uniqueCount=\"1\"><si><t>Code</t></si><si><r><t>Ti</t></r><r><t>tle</t></r></si></sst>\n\
        +++ xl/worksheets/sheet1.xml\n\
        <worksheet><dimension ref=\"A1:C3\"/><sheetData><row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>1</v></c>\
        <c r=\"C1\" t=\"inlineStr\"><is><t>Day</t></is></c></row><row r=\"2\"><c r=\"A2\"><v>1</v></c><c r=\"B2\" t=\"b\"><v>1</v></c>\
        <c r=\"C2\" t=\"d\"><v>2016-12-01</v></c></row><row r=\"9\"><c r=\"A9\" t=\"str\"><f>1+1</f><v>k2</v></c>\
        <c r=\"C9\" t=\"e\"><v>#REF!</v></c></row></sheetData></worksheet>\n";
    write("reader_xlsx", "inline.parts", inline)?;
    // A table of strings that declares another number first, in a comment.
    let lie = "<!-- uniqueCount=\"1\" --><sst uniqueCount=\"9999999999\">";
    write("reader_xlsx", "lie.parts", inline.replace("<sst uniqueCount=\"1\">", lie))?;
    let mut old = workbook_97(2, 0);
    write("reader_xlsx", "old.xls", &old)?;
    // Found by fuzzing: the directory's sector follows on itself.
    old[516..520].copy_from_slice(&1_u32.to_le_bytes());
    write("reader_xlsx", "ring.xls", old)?;
    // Found by fuzzing: rows and columns of an .xls had no limit.
    write("reader_xlsx", "rows.xls", workbook_97(150, 0))?;
    write("reader_xlsx", "columns.xls", workbook_97(2, 80))
}

/// A small workbook with a cell of every type on its second sheet.
fn typed() -> Vec<u8> {
    let mut workbook = Workbook::new();
    let created = ExcelDateTime::from_ymd(2017, 1, 3).expect("a day");
    workbook.set_properties(&rust_xlsxwriter::DocProperties::new().set_creation_datetime(&created));
    workbook.add_worksheet().write_string(0, 0, "About this report").expect("a cell");
    let day = Format::new().set_num_format("d/m/yyyy");
    let sheet = workbook.add_worksheet();
    let headers = ["Code", "Title", "Size", "Cost", "Ratio", "Point", "Day", "Moment", "Owner"];
    for (column, header) in (0..).zip(headers) {
        sheet.write_string(3, column, header).expect("a cell");
    }
    sheet.write_number(4, 0, 201_612_013_997.0).expect("a cell");
    sheet.write_string(4, 1, " some <title> & more ").expect("a cell");
    sheet.write_number(4, 2, 7).expect("a cell");
    sheet.write_number(4, 3, 1_234.56).expect("a cell");
    sheet.write_boolean(4, 4, true).expect("a cell");
    sheet.write_string(4, 5, "(37.7, -122.4)").expect("a cell");
    sheet.write_number_with_format(4, 6, 42_705, &day).expect("a cell");
    sheet.write_number(4, 7, 42_705.5).expect("a cell");
    sheet.write_formula(5, 0, "=1/0").expect("a cell");
    workbook.save_to_buffer().expect("a workbook")
}

/// Without the parts that nothing reads.
fn without_ornament(parts: &[u8]) -> String {
    let text = String::from_utf8_lossy(parts);
    let mut kept = String::new();
    let mut keep = true;
    for line in text.split_inclusive('\n') {
        if line.starts_with("--- ") || line.starts_with("+++ ") {
            keep = !line.contains("theme") && !line.contains("docProps");
        }
        if keep {
            kept.push_str(line);
        }
    }
    kept
}

/// An .xls of one sheet, with a number at a place.
fn workbook_97(row: u16, column: u16) -> Vec<u8> {
    excel_97(&[
        record(0x0200, &[&words(&[1, 3]), &0_u16.to_le_bytes(), &3_u16.to_le_bytes(), &[0; 2]]),
        label(1, 0, "APPLICATION NO."),
        label(1, 1, "STATUS"),
        label(1, 2, "FILE_DATE"),
        number(row, column, 201_612_013_997.0),
        label(2, 1, "ISSUED"),
        // Numbers of 30 bits, several in one record.
        record(
            0x00bd,
            &[&2_u16.to_le_bytes(), &2_u16.to_le_bytes(), &[0; 2], &words(&[42_705 << 2 | 2]), &2_u16.to_le_bytes()],
        ),
    ])
}

fn definition_files() -> io::Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    write("definition", "everything.toml", EVERYTHING)?;
    for file in [
        "schemas/datasets/permits.toml",
        "schemas/datasets/sf_open_data.toml",
        "tests/datasets/missoula.toml",
        "tests/datasets/nyc.toml",
    ] {
        let name = file.rsplit('/').next().unwrap_or(file);
        write("definition", name, fs::read(repository.join(file))?)?;
    }
    let small = "name = \"some\"\nkey = { column = \"id\", prefix = \"#\", strip = [\"no\"], fold = \"lower\" }\nrecord_id = \"at\"\n\
        [[column]]\nname = \"id\"\nheaders = [\"Id\", \"NO.\"]\noccurrence = 2\n[[column]]\nname = \"at\"\nheaders = [\"At\"]\n\
        [[column]]\nname = \"both\"\njoin = [{ column = \"id\", before = \"-\", prefix = \"x\", case = \"upper\", omit = [\"0\"] }]\n";
    write("definition", "small.toml", small)
}
