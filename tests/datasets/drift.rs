//! The same report as other months write it.

use permitd::dataset::{
    Definition, Record, Value,
    reader::{FileRow, Note},
};
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use serde_json::json;

use crate::{
    excel_97::{excel_97, label, number},
    support::{builtin, import, with_part},
};

fn workbook(fill: impl FnOnce(&mut Worksheet)) -> Vec<u8> {
    let mut workbook = Workbook::new();
    fill(workbook.add_worksheet());
    workbook.save_to_buffer().unwrap()
}

fn texts(sheet: &mut Worksheet, line: u32, cells: &[&str]) {
    for (column, text) in (0..).zip(cells) {
        sheet.write_string(line - 1, column, *text).unwrap();
    }
}

fn value<'a>(definition: &Definition, record: &'a Record, column: &str) -> &'a Value {
    &record.values[definition.column_index(column).unwrap()]
}

#[test]
fn headers_in_every_known_spelling() {
    let permits = builtin("permits");
    for [number, form, date, cost] in [
        ["APPLICATION #", "FORM_NUMBER", "STATUS_DATE", "ESTIMATED COST"],
        ["APPLICATION NO.", "FORM_  NUMBER", "STATUS_ DATE", "ESTIMATED_COST"],
        ["APPLICATION_NUMBER", "Form No", "Status Date", "Est. Cost"],
        [" application number ", "FORM #", "STATUS\nDATE", "Estimated  Cost:"],
    ] {
        let text = format!(
            "\"{number}\",\"{form}\",\"{date}\",STATUS,\"{cost}\"\n201612013997,8,12/21/2016,ISSUED,\"$9,399.00\"\n"
        );
        let imported = import(text.as_bytes(), "drift.csv", &permits).unwrap();
        assert_eq!(imported.header.unmatched, Vec::<String>::new(), "{number}");
        let (line, key, record) = &imported.rows[0];
        let expected_line = if date.contains('\n') { 3 } else { 2 };
        assert_eq!((*line, key.as_str()), (expected_line, "#201612013997"), "{number}");
        let shown = imported.json(record);
        assert_eq!(shown["application_number"], "#201612013997");
        assert_eq!(shown["form_number"], 8);
        assert_eq!(shown["status_date"], "2016-12-21");
        assert_eq!(shown["status"], "issued");
        assert_eq!(value(&permits, record, "estimated_cost"), &Value::Money(939_900));
    }
}

#[test]
fn titles_above_blank_rows_and_unnamed_columns_beside() {
    let bytes = workbook(|sheet| {
        sheet.merge_range(2, 0, 2, 5, "Permits issued", &Format::new()).unwrap();
        texts(sheet, 4, &["Run by", "the clerk"]);
        texts(sheet, 7, &["APPLICATION #", "STATUS", "STREET_NUMBER", "AVS_STREET_NAME", "STREET_NUMBER", "", ""]);
        texts(sheet, 8, &["#201612013997", "ISSUED", "235", "BELLA VISTA", "30800", "stray", ""]);
        texts(sheet, 10, &["201612013998", "ISSUED", "1", "03RD", "", "", ""]);
    });
    let imported = import(&bytes, "titles.xlsx", &builtin("permits")).unwrap();
    assert_eq!(imported.header.line, 7);
    let lines: Vec<u64> = imported.rows.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [8, 10]);
    let addresses = imported.column("address");
    assert_eq!(addresses, ["235 Bella Vista", "1 3rd"]);
    assert!(!imported.published().contains("30800"));
}

#[test]
fn numbers_dates_and_texts_mixed_in_one_column() {
    let permits = builtin("permits");
    let day = Format::new().set_num_format("yyyy-mm-dd");
    let bytes = workbook(|sheet| {
        texts(sheet, 1, &["APPLICATION_NUMBER", "STATUS", "FILE_DATE", "ESTIMATED COST", "BLOCK", "UNIT"]);
        // As a number with a format, as text, as a bare number, blank.
        sheet.write_number(1, 0, 201_612_013_997.0).unwrap();
        sheet.write_datetime_with_format(1, 2, ExcelDateTime::from_ymd(2016, 12, 1).unwrap(), &day).unwrap();
        sheet.write_number(1, 3, 12_500.5).unwrap();
        sheet.write_number(1, 4, 326.0).unwrap();
        texts(sheet, 3, &["201612013998", "issued", "12/1/2016", "$12,500.50", "0326A", "0"]);
        sheet.write_string(3, 0, "#201612013999").unwrap();
        sheet.write_number(3, 2, 42_705.0).unwrap();
        for line in [1, 3] {
            sheet.write_string(line, 1, " ISSUED ").unwrap();
        }
    });
    let imported = import(&bytes, "mixed.xlsx", &permits).unwrap();
    assert_eq!(imported.rejected, []);
    let keys: Vec<&str> = imported.rows.iter().map(|(_, key, _)| key.as_str()).collect();
    assert_eq!(keys, ["#201612013997", "#201612013998", "#201612013999"]);
    assert_eq!(imported.column("file_date"), ["2016-12-01"; 3]);
    assert_eq!(imported.column("status"), ["issued"; 3]);
    assert_eq!(imported.column("block"), [serde_json::json!("326"), "0326A".into(), serde_json::Value::Null]);
    let costs: Vec<&Value> =
        imported.rows.iter().map(|(.., record)| value(&permits, record, "estimated_cost")).collect();
    assert_eq!(costs, [&Value::Money(1_250_050), &Value::Money(1_250_050), &Value::Null]);
}

#[test]
fn a_bad_row_is_told_by_line_column_value_and_reason() {
    let bytes = workbook(|sheet| {
        texts(sheet, 1, &["APPLICATION #", "STATUS", "FILE_DATE", "ESTIMATED COST", "LOT", "FIRST_NAME"]);
        texts(sheet, 2, &["#1", "ISSUED", "31/31/2016", "much", "", "Invented Person"]);
        texts(sheet, 3, &["", "ISSUED", "12/1/2016", "1", "", "Invented Person"]);
        texts(sheet, 4, &["#3", "ISSUED", "12/1/2016", "1", "", "Invented Person"]);
        sheet.write_formula(3, 4, Formula::new("=#REF!").set_result("#REF!")).unwrap();
        texts(sheet, 5, &["2.01612E+11", "ISSUED"]);
        texts(sheet, 6, &["APPLICATION #", "STATUS", "FILE_DATE"]);
        texts(sheet, 7, &["#7", "ISSUED"]);
    });
    let imported = import(&bytes, "bad.xlsx", &builtin("permits")).unwrap();
    assert_eq!(imported.rows.len(), 1);
    let told: Vec<String> = imported
        .rejected
        .iter()
        .flat_map(|row| {
            let FileRow::Rejected { line, key, problems } = row else { panic!("only rejected rows are here") };
            problems.iter().map(move |problem| {
                format!(
                    "{line} {} {}={:?}: {}",
                    key.as_deref().unwrap_or("-"),
                    problem.column,
                    problem.value,
                    problem.reason
                )
            })
        })
        .collect();
    assert_eq!(
        told,
        [
            r##"2 #1 file_date="31/31/2016": there is no such day, read with the month before the day"##,
            r##"2 #1 estimated_cost="much": expected an amount such as 4000 or 4000.50"##,
            r##"3 - application_number="": is blank, and every row needs a value here"##,
            r##"4 #3 lot="#REF!": the cell holds #REF!"##,
            r##"5 - application_number="2.01612E+11": numbers in scientific notation have lost digits: format the column as text or number and save it again"##,
            r##"6 - application_number="APPLICATION #": the header, repeated among the rows"##,
            r##"6 - file_date="FILE_DATE": expected a date such as 2016-12-01 or 12/31/2016"##,
        ]
    );
    assert!(!told.join(" ").contains("Invented"));
}

#[test]
fn every_delimiter_and_encoding() {
    for delimiter in [",", ";", "\t", "|"] {
        for (begin, end) in [("", "\n"), ("\u{feff}", "\r\n")] {
            let lines = [
                ["APPLICATION #", "STATUS", "DESCRIPTION"],
                ["1", "ISSUED", "\"two\nlines, caf\u{e9}\""],
                ["2", "FILED", "\"\""],
            ];
            let text = format!("{begin}{}{end}", lines.map(|cells| cells.join(delimiter)).join(end));
            let imported = import(text.as_bytes(), "any.csv", &builtin("permits")).unwrap();
            assert_eq!(imported.rejected, [], "{delimiter:?}");
            let lines: Vec<u64> = imported.rows.iter().map(|(line, ..)| *line).collect();
            assert_eq!(lines, [2, 4], "a record counts from the line it begins on");
            assert_eq!(imported.column("description")[0], "two\nlines, café");
        }
    }
    let old_mac = b"APPLICATION #,STATUS\r1,ISSUED\r2,ISSUED\r";
    let lines: Vec<u64> =
        import(old_mac, "mac.csv", &builtin("permits")).unwrap().rows.iter().map(|row| row.0).collect();
    assert_eq!(lines, [2, 3]);
    let windows = b"APPLICATION #,STATUS,DESCRIPTION\r\n1,ISSUED,caf\xe9 \x96 5\x80\r\n2,ISSUED,plain\r\n";
    let imported = import(windows, "old.csv", &builtin("permits")).unwrap();
    assert_eq!(imported.column("description"), ["café – 5€", "plain"]);
}

#[test]
fn a_row_may_leave_out_cells_at_its_end_and_has_none_beyond_the_header() {
    let text = "APPLICATION #,STATUS,LOT\n1,ISSUED\n2,ISSUED,3,4\n3,ISSUED,5,,\n\n4,ISSUED,6\n";
    let imported = import(text.as_bytes(), "short.csv", &builtin("permits")).unwrap();
    let lines: Vec<u64> = imported.rows.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, [2, 4, 6]);
    assert_eq!(imported.column("lot"), [json!(null), json!("5"), json!("6")]);
    assert!(matches!(imported.notes[..], [Note::ShortRows { line: 2, rows: 1 }]), "{:?}", imported.notes);
    let [FileRow::Rejected { line: 3, problems, .. }] = imported.rejected.as_slice() else {
        panic!("{:?}", imported.rejected)
    };
    assert!(problems[0].reason.contains("4 cells where the header has 3"));
}

#[test]
fn the_second_sheet_may_be_the_one() {
    let mut workbook = Workbook::new();
    texts(workbook.add_worksheet(), 1, &["Notes on this report"]);
    let sheet = workbook.add_worksheet().set_name("data").unwrap();
    texts(sheet, 1, &["APPLICATION #", "STATUS"]);
    texts(sheet, 2, &["#1", "ISSUED"]);
    let imported = import(&workbook.save_to_buffer().unwrap(), "two.xlsx", &builtin("permits")).unwrap();
    assert_eq!(imported.header.sheet.as_deref(), Some("data"));
    assert_eq!(imported.rows.len(), 1);
}

#[test]
fn columns_that_nobody_knows_are_reported_and_not_published() {
    let text = "APPLICATION #,STATUS,HOME PHONE OF OWNER\n1,ISSUED,555 0100\n";
    let imported = import(text.as_bytes(), "new.csv", &builtin("permits")).unwrap();
    assert_eq!(imported.header.unmatched, ["HOME PHONE OF OWNER"]);
    assert!(imported.header.absent.contains(&"lot".to_owned()));
    assert!(!imported.published().contains("555"));
}

#[test]
fn dates_counted_from_1904() {
    let day = Format::new().set_num_format("yyyy-mm-dd");
    let bytes = workbook(|sheet| {
        texts(sheet, 1, &["APPLICATION #", "STATUS", "FILE_DATE", "STATUS_DATE"]);
        texts(sheet, 2, &["#1", "ISSUED"]);
        sheet.write_number_with_format(1, 2, 41_243.0, &day).unwrap();
        sheet.write_number(1, 3, 41_243.0).unwrap();
    });
    let old_mac = with_part(&bytes, "xl/workbook.xml", |out| {
        out.write_all(
            br#"<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
                xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><workbookPr date1904="1"/>
                <sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
        )
        .unwrap();
    });
    for (bytes, expected) in [(bytes, "2012-11-30"), (old_mac, "2016-12-01")] {
        let imported = import(&bytes, "epoch.xlsx", &builtin("permits")).unwrap();
        assert_eq!(imported.rejected, []);
        assert_eq!(imported.column("file_date"), [expected]);
        assert_eq!(imported.column("status_date"), [expected], "also where the number has lost its format");
    }
}

#[test]
fn a_workbook_of_excel_97() {
    let bytes = excel_97(&[
        label(1, 0, "APPLICATION NO."),
        label(1, 1, "STATUS"),
        label(1, 2, "FILE_DATE"),
        number(2, 0, 201_612_013_997.0),
        label(2, 1, "ISSUED"),
        number(2, 2, 42_705.0),
    ]);
    let imported = import(&bytes, "old.xls", &builtin("permits")).unwrap();
    assert_eq!(imported.rejected, []);
    assert_eq!((imported.header.line, imported.header.sheet.as_deref()), (2, Some("data")));
    let (line, key, record) = &imported.rows[0];
    assert_eq!((*line, key.as_str()), (3, "#201612013997"));
    assert_eq!(imported.json(record)["file_date"], "2016-12-01");
}
