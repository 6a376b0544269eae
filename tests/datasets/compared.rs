//! What is made of a file, compared value by value with what an independent program reads in it: `tests/support/compare.py`.

use std::{
    io::Cursor,
    path::PathBuf,
    process::{Command, Output},
};

use permitd::dataset::{
    Definition,
    definition::Said,
    infer::propose,
    json::write_record,
    reader::{FileRow, ReadLimits},
};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

use crate::{
    repository,
    support::{Imported, import, shared_file},
    tools,
};

const TREES: &str = r#"
name = "trees"
date_order = "day_first"
blanks = ["n/a"]
[key]
column = "tree"
prefix = "T"
[[column]]
name = "tree"
headers = ["TREE NO."]
required = true
[[column]]
name = "record_id"
type = "integer"
import = true
[[column]]
name = "kind"
headers = ["KIND"]
fold = "lower"
default = "Unknown"
[[column]]
name = "gardener"
headers = ["GARDENER"]
publish = false
[[column]]
name = "girth"
type = "integer"
headers = ["SIZE"]
[[column]]
name = "height"
type = "number"
headers = ["SIZE"]
occurrence = 2
[[column]]
name = "worth"
type = "money"
headers = ["WORTH"]
[[column]]
name = "planted"
type = "date"
headers = ["PLANTED"]
[[column]]
name = "seen"
type = "timestamp"
headers = ["SEEN"]
[[column]]
name = "latitude"
type = "number"
headers = ["PLACE"]
extract = "latitude"
[[column]]
name = "longitude"
type = "number"
headers = ["PLACE"]
extract = "longitude"
"#;

/// A title, a header in other letters, a cell of two lines, a blank row, a row that is rejected, and each type in several forms.
const TREES_FILE: &str = "Trees of the town
Tree #,kind,gardener,size,size,worth,planted,seen,place
1,\"Elm,
weeping\",Eve,\"1,204\",12.5%,\"$1,234.565\",1/2/2016,2016-12-01T09:30:00.25+01:00,POINT (-122.41 37.72)

T2,GROẞER AHORN,Eve,n/a,1.5E-3,(12.00),2016-02-01,1-Feb-2016 2:30 PM,\"(37.72, -122.41)\"
T3,Oak,Eve,007,3,4,20160201,,
T4,,Eve,12.0,.5,5-,\"Feb 1, 2016 10:00\",2016-02-01 10:00 PST,
";

/// A file with a definition of it, and where the comparer finds both and the records.
struct Compared {
    folder: tempfile::TempDir,
    file: PathBuf,
    records: Vec<String>,
    rejected: Vec<String>,
}

impl Compared {
    /// Imports the file by the definition.
    fn new(bytes: &[u8], name: &str, toml: &str) -> Self {
        let definition = Definition::from_toml(toml, "compared.toml").unwrap();
        let Imported { rows, rejected, .. } = import(bytes, name, &definition).unwrap();
        let records = rows.iter().map(|(line, _, record)| {
            let mut text = Vec::new();
            write_record(&definition, record, &mut text);
            format!("{{\"line\":{line},\"record\":{}}}", String::from_utf8(text).unwrap())
        });
        let rejected = rejected.iter().map(|row| match row {
            FileRow::Rejected { line, .. } => line.to_string(),
            FileRow::Record { line, .. } => panic!("line {line} is a record"),
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        std::fs::write(folder.path().join("definition.toml"), toml).unwrap();
        Self { folder, file, records: records.collect(), rejected: rejected.collect() }
    }

    fn run(&self) -> Output {
        let [definition, records] = ["definition.toml", "records.ndjson"].map(|name| self.folder.path().join(name));
        std::fs::write(&records, self.records.join("\n")).unwrap();
        let mut command = Command::new(tools::folder().join("venv/bin/python"));
        command.arg(repository().join("tests/support/compare.py")).args([&self.file, &definition, &records]);
        command.arg(self.rejected.join(",")).output().unwrap()
    }

    /// Every row is accounted for, and every value says what its cell says.
    #[track_caller]
    fn is_the_same(&self) {
        let output = self.run();
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
        println!("{}, lines {:?} rejected: {said}", self.file.file_name().unwrap().display(), self.rejected);
        let rows = self.records.len() + self.rejected.len();
        assert!(self.rejected.len() < self.records.len(), "too few values are compared: {:?}", self.rejected);
        assert!(output.status.success(), "{said}");
        assert!(said.lines().any(|line| line.starts_with(&format!("{rows} rows, "))), "{rows} rows: {said}");
    }

    /// It says `difference` of records that are not what the file says.
    #[track_caller]
    fn differs(&self, difference: &str) {
        let output = self.run();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(difference), "{difference} in {said}");
    }
}

/// A real file by the definition that is proposed for it.
#[track_caller]
fn is_the_same_by_its_proposal(name: &str) {
    let Some(bytes) = shared_file(name) else { return };
    let toml = propose(Cursor::new(bytes.clone()), name, "proposed", &Said::default(), &ReadLimits::default()).unwrap();
    Compared::new(&bytes, name, &toml).is_the_same();
}

#[test]
fn the_december_report_by_its_proposal() {
    is_the_same_by_its_proposal("December2016Issued.xlsx");
}

#[test]
fn the_december_report_as_permits() {
    let Some(bytes) = shared_file("December2016Issued.xlsx") else { return };
    let permits = include_str!("../../schemas/datasets/permits.toml");
    Compared::new(&bytes, "December2016Issued.xlsx", permits).is_the_same();
}

#[test]
fn the_open_data_form_by_its_proposal() {
    is_the_same_by_its_proposal("sf_building_permits_post2013.csv");
}

#[test]
fn the_open_data_form_as_sf_open_data() {
    let Some(bytes) = shared_file("sf_building_permits_post2013.csv") else { return };
    let open_data = include_str!("../../schemas/datasets/sf_open_data.toml");
    Compared::new(&bytes, "sf_building_permits_post2013.csv", open_data).is_the_same();
}

#[test]
fn the_open_data_form_of_2018_by_its_proposal() {
    is_the_same_by_its_proposal("Building_Permits.csv");
}

#[test]
fn another_citys_workbook_by_its_proposal() {
    is_the_same_by_its_proposal("missoula_city_2014.xlsx");
}

#[test]
fn another_citys_text_file_by_its_proposal() {
    is_the_same_by_its_proposal("nyc_permits.csv");
}

#[test]
fn a_small_file_of_every_type() {
    let trees = Compared::new(TREES_FILE.as_bytes(), "trees.csv", TREES);
    assert_eq!((trees.records.len(), trees.rejected.as_slice()), (3, ["7".to_owned()].as_slice()));
    trees.is_the_same();
}

#[test]
fn a_small_workbook_of_number_formats() {
    let mut workbook = Workbook::new();
    workbook.add_worksheet().set_hidden(true);
    let sheet = workbook.add_worksheet();
    sheet.write_row(0, 0, ["TREE NO.", "KIND", "SIZE", "SIZE", "WORTH", "PLANTED", "SEEN"]).unwrap();
    let numbers = [
        (2_138.0, "00000"),
        (3.5, "0.00"),
        (0.125, "0%"),
        (-1_234.5, "\"$\"#,##0.00"),
        (1_234.5, "#,##0.00 [$€-407]"),
        (0.1 + 0.2, "General"),
        (1e15, "General"),
    ];
    let moment = ExcelDateTime::from_ymd(2016, 12, 1).unwrap().and_hms(9, 30, 1.5).unwrap();
    for (row, (number, form)) in (1..).zip(numbers) {
        let form = Format::new().set_num_format(form);
        sheet.write(row, 0, row).unwrap();
        sheet.write_with_format(row, 1, number, &form).unwrap();
        sheet.write(row, 2, row * 1_000).unwrap();
        sheet.write(row, 3, number).unwrap();
        sheet.write(row, 4, number).unwrap();
        sheet.write(row, 5, 42_705 + row).unwrap();
        sheet.write_with_format(row, 6, &moment, &Format::new().set_num_format("d/m/yyyy hh:mm")).unwrap();
    }
    workbook.worksheet_from_index(1).unwrap().set_active(true);
    let trees = Compared::new(&workbook.save_to_buffer().unwrap(), "trees.xlsx", TREES);
    assert_eq!((trees.records.len(), trees.rejected.len()), (numbers.len(), 0));
    trees.is_the_same();
}

#[test]
fn records_that_are_not_what_the_file_says() {
    let altered = |alter: &dyn Fn(&mut Compared)| {
        let mut trees = Compared::new(TREES_FILE.as_bytes(), "trees.csv", TREES);
        let before = (trees.records.clone(), trees.rejected.clone());
        alter(&mut trees);
        assert_ne!(before, (trees.records.clone(), trees.rejected.clone()));
        trees
    };
    let value = |was: &str, is: &str| altered(&|trees| trees.records[0] = trees.records[0].replace(was, is));
    for (was, is, column) in [
        ("elm,", "Elm,", "kind"),
        ("\"T1\"", "\"1\"", "tree"),
        ("1204", "1205", "girth"),
        ("1204", "null", "girth"),
        ("1204", "\"1204\"", "girth"),
        ("0.125", "0.1250000001", "height"),
        ("1234.57", "1234.56", "worth"),
        ("2016-02-01", "2016-01-02", "planted"),
        ("08:30:00.25", "08:30:00", "seen"),
        ("37.72", "37.721", "latitude"),
    ] {
        value(was, is).differs(&format!("line 3, column {column}: "));
    }
    value("\"girth\"", "\"width\"").differs("line 3: the columns are ");
    altered(&|trees| drop(trees.records.remove(1))).differs("line 6: neither a record nor rejected");
    altered(&|trees| trees.rejected.clear()).differs("line 7: neither a record nor rejected");
    altered(&|trees| trees.rejected.push("5".to_owned())).differs("line 5: the file has no row there");
    altered(&|trees| trees.rejected.push("6".to_owned())).differs("line 6: a record, and rejected");
    altered(&|trees| trees.records.reverse()).differs("not in the file's order");
}
