//! Importing: comparison, all or nothing, rejects, definitions.

use super::{Home, number, support};

#[test]
fn the_real_month() {
    let Some(file) = support::shared_data("December2016Issued.xlsx") else { return };
    let home = Home::new();
    let file = file.to_str().unwrap();
    let first = home.json(&["import", file, "--dataset", "permits"]);
    let counts = ["inserted", "updated", "unchanged", "removed", "rejected", "dataset_version"];
    assert_eq!(counts.map(|name| number(&first, name)), [2_166, 0, 0, 0, 0, 1]);
    let again = home.json(&["import", file, "--dataset", "permits"]);
    assert_eq!(counts.map(|name| number(&again, name)), [0, 0, 2_166, 0, 0, 1]);
    assert_eq!((&first["changed"], &again["changed"]), (&true.into(), &false.into()));
    let told = home.run(&["import", file, "--dataset", "permits", "--replace"]).out;
    assert!(told.contains("2,166") && told.contains("1, as before"), "{told}");
}

#[test]
fn a_changed_file_updates_and_replaces() {
    let home = Home::new();
    let file = home.sample(40, "a.csv");
    assert_eq!(number(&home.json(&["import", "a.csv", "--dataset", "permits"]), "inserted"), 40);
    let text = std::fs::read_to_string(&file).unwrap();
    let records: Vec<csv::StringRecord> = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes())
        .records()
        .map(Result::unwrap)
        .collect();
    let description = records[0].iter().position(|header| header == "DESCRIPTION").unwrap();
    let mut writer = csv::Writer::from_path(&file).unwrap();
    // The last ten rows go, one of the others changes.
    for (place, record) in records[..31].iter().enumerate() {
        let cells = record.iter().enumerate().map(|(column, cell)| match (place, column) {
            (5, column) if column == description => "something else",
            _ => cell,
        });
        writer.write_record(cells).unwrap();
    }
    drop(writer);
    let updated = home.json(&["import", "a.csv", "--dataset", "permits"]);
    assert_eq!(["updated", "unchanged", "removed"].map(|name| number(&updated, name)), [1, 29, 0]);
    let replaced = home.json(&["import", "a.csv", "--dataset", "permits", "--replace", "--yes"]);
    assert_eq!(["updated", "unchanged", "removed"].map(|name| number(&replaced, name)), [0, 30, 10]);
    assert_eq!(number(&replaced, "dataset_version"), 3);
}

#[test]
fn a_bad_row_is_told_and_stops_nothing() {
    let home = Home::new();
    let file = home.sample(20, "a.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut records: Vec<Vec<String>> = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes())
        .records()
        .map(|record| record.unwrap().iter().map(ToOwned::to_owned).collect())
        .collect();
    let cost = records[0].iter().position(|header| header.contains("ESTIMATED")).unwrap();
    records[7][cost] = "a fortune".to_owned();
    let mut writer = csv::Writer::from_path(&file).unwrap();
    records.iter().for_each(|record| writer.write_record(record).unwrap());
    drop(writer);
    let refused = home.run(&["import", "a.csv", "--dataset", "permits", "--json"]);
    assert_eq!(refused.exit, 4, "more than 1 % of a file's rows are not rejected unasked");
    assert!(
        refused.err.contains("1 of 20 rows could not be a record") && refused.err.contains("--yes"),
        "{}",
        refused.err
    );
    let ran = home.run(&["import", "a.csv", "--dataset", "permits", "--json", "--yes"]);
    assert_eq!(ran.exit, 0);
    assert!(ran.err.contains("1 row could not be"), "{}", ran.err);
    let summary: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((number(&summary, "inserted"), number(&summary, "rejected")), (19, 1));
    let rejects = std::fs::read_to_string(home.path(summary["rejects_file"].as_str().unwrap())).unwrap();
    let lines: Vec<&str> = rejects.lines().collect();
    assert_eq!(lines[0], "line,column,value,reason");
    assert!(lines.len() == 2 && lines[1].contains(",estimated_cost,a fortune,"), "{rejects}");

    records[7][cost] = "=HYPERLINK(0)".to_owned();
    records[8][cost] = "@SUM(A1)".to_owned();
    let mut writer = csv::Writer::from_path(&file).unwrap();
    records.iter().for_each(|record| writer.write_record(record).unwrap());
    drop(writer);
    let summary = home.json(&["import", "a.csv", "--dataset", "permits", "--yes"]);
    let rejects = std::fs::read_to_string(home.path(summary["rejects_file"].as_str().unwrap())).unwrap();
    assert!(
        rejects.contains(",'=HYPERLINK(0),") && rejects.contains(",'@SUM(A1),"),
        "no spreadsheet runs it: {rejects}"
    );
}

#[test]
fn a_files_name_shows_what_it_is() {
    let home = Home::new();
    home.sample(5, "a.csv");
    for name in ["a\u{202e}xslx.csv", "a\nb.csv", "a\u{1b}[2J.csv"] {
        std::fs::copy(home.path("a.csv"), home.path(name)).unwrap();
        let err = home.refused(2, &["import", name, "--dataset", "permits"]);
        assert!(err.contains("name of the file") && !err.contains(['\u{202e}', '\u{1b}']), "{err:?}");
    }
}

#[test]
fn what_is_no_spreadsheet_changes_nothing() {
    let home = Home::new();
    let whole = home.sample(30, "whole.xlsx");
    assert_eq!(number(&home.json(&["import", "whole.xlsx", "--dataset", "permits"]), "inserted"), 30);
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(home.path("cut.xlsx"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(home.path("no-header.csv"), "a,b,c\n1,2,3\n").unwrap();
    std::fs::write(home.path("picture.xlsx"), b"\x89PNG\r\n\x1a\n\0\0\0\0").unwrap();
    std::fs::write(home.path("empty.csv"), "").unwrap();
    for name in ["cut.xlsx", "no-header.csv", "picture.xlsx", "empty.csv"] {
        let err = home.refused(6, &["import", name, "--dataset", "permits"]);
        assert!(err.contains(name), "{err}");
    }
    home.refused(3, &["import", "absent.csv", "--dataset", "permits"]);
    home.refused(6, &["import", ".", "--dataset", "permits"]);
    let after = home.json(&["import", "whole.xlsx", "--dataset", "permits"]);
    assert_eq!((number(&after, "unchanged"), number(&after, "dataset_version")), (30, 1));
    let failed = home.json(&["events", "list", "--type", "ImportFailed"]);
    assert!(failed["events"].as_array().unwrap().len() >= 4, "the log tells of the failed ones");
}

#[test]
fn limits_on_a_file_name_their_setting() {
    let home = Home::new();
    home.sample(30, "a.csv");
    home.sample(30, "a.xlsx");
    home.sample(2_000, "long.xlsx");
    for (setting, file, max) in [
        ("file_bytes_max", "a.csv", "1024"),
        ("rows_max", "a.csv", "20"),
        ("rows_max", "a.xlsx", "20"),
        ("inflate_bytes_max", "long.xlsx", "1048576"),
    ] {
        let variable = format!("PERMITD_IMPORT_{}", setting.to_uppercase());
        for command in [&["import", file, "--dataset", "permits"][..], &["import", "--define", file]] {
            let ran = home.command(command).env(&variable, max).output().unwrap();
            let err = String::from_utf8(ran.stderr).unwrap();
            assert_eq!(ran.status.code(), Some(6), "{setting} {file}: {err}");
            assert!(err.contains(file) && err.contains(&format!("import.{setting}")), "{setting} {file}: {err}");
        }
        assert!(setting != "file_bytes_max" || !home.data().exists());
    }
    assert_eq!(number(&home.json(&["import", "a.csv", "--dataset", "permits"]), "dataset_version"), 1);
}

#[test]
fn a_proposed_definition_imports_its_file() {
    let home = Home::new();
    std::fs::write(home.path("City trees.csv"), "Tree No,Planted,Height\nT1,1/31/2020,3\nT2,2/1/2021,4\n").unwrap();
    let proposed = home.run(&["import", "--define", "City trees.csv"]);
    assert_eq!(proposed.exit, 0, "{}", proposed.err);
    assert!(proposed.out.contains("name = \"city_trees\""), "{}", proposed.out);
    std::fs::write(home.path("trees.toml"), &proposed.out).unwrap();
    let summary = home.json(&["import", "City trees.csv", "--definition", "trees.toml"]);
    assert_eq!((summary["dataset"].as_str(), number(&summary, "inserted")), (Some("city_trees"), 2));
    home.refused(2, &["import", "City trees.csv", "--definition", "trees.toml", "--dataset", "permits"]);
    home.refused(3, &["import", "City trees.csv", "--dataset", "trees"]);
    std::fs::write(home.path("bad.toml"), "name = \"trees\"\ncolour = 1\n").unwrap();
    assert!(home.refused(2, &["import", "City trees.csv", "--definition", "bad.toml"]).contains("bad.toml"));
}

#[test]
fn what_is_said_of_one_file_is_not_kept() {
    let home = Home::new();
    std::fs::write(home.path("things.toml"), THINGS).unwrap();
    let german = "a title\nCODE;TXT;INT\nk1;'x;y';1.204\nk2;NA;2\n;;\nSumme;;3\n";
    std::fs::write(home.path("a.csv"), german).unwrap();
    let said = [
        &["import", "a.csv", "--definition", "things.toml", "--decimal", ",", "--quote", "'", "--delimiter", ";"][..],
        &["--skip-rows", "1", "--stop-at", "Summe", "--blanks", "NA", "--fill-down", "txt", "--encoding", "utf-8"],
        &["--time-zone", "Europe/Berlin", "--date-order", "day_first"],
    ]
    .concat();
    let summary = home.json(&said);
    assert_eq!((number(&summary, "inserted"), number(&summary, "rejected")), (2, 0), "{summary}");
    assert!(summary["notes"][0].as_str().unwrap().contains("stop_at"), "{summary}");
    let told = home.run(&said);
    assert!(told.err.contains("warning: the table ended before line 6"), "{}", told.err);
    // By the definition alone the next file is read as it says.
    std::fs::write(home.path("b.csv"), "CODE,TXT,INT\nk1,\"x;y\",1204\nk2,,2\n").unwrap();
    let next = home.json(&["import", "b.csv", "--dataset", "things"]);
    assert_eq!(number(&next, "unchanged"), 2, "{next}");
    for (flag, wrong, word) in [
        ("--delimiter", "ab", "separate"),
        ("--quote", "q", "enclose"),
        ("--encoding", "klingon", "windows-1252"),
        ("--sheet", " ", "sheet"),
        ("--decimal", "x", "decimal"),
        ("--thousands", "x", "digits"),
        ("--time-zone", "Mars", "America/Los_Angeles"),
        ("--date-order", "mdy", "month_first"),
        ("--skip-rows", "-1", "skip-rows"),
        ("--stop-at", "*", "stop-at"),
        ("--fill-down", "colour", "colour"),
    ] {
        let err = home.refused(2, &["import", "b.csv", "--dataset", "things", &format!("{flag}={wrong}")]);
        assert!(err.contains(word), "{flag}: {err}");
    }
    assert!(home.refused(2, &["import", "--define", "b.csv", "--decimal", ",", "--thousands", ","]).contains("both"));
}

#[test]
fn what_is_no_file_is_named_with_what_to_do() {
    let home = Home::new();
    for command in [&["import", "--dataset", "permits"][..], &["import", "--define"]] {
        let named = |file: &'static str| match command {
            [import, define] => vec![*import, *define, file],
            [import, rest @ ..] => [&[*import, file], rest].concat(),
            [] => Vec::new(),
        };
        let err = home.refused(2, &named("https://user:secret@data.example.org/x.csv?token=secret"));
        assert!(err.contains("curl -LO") && !err.contains("secret"), "{err}");
        assert!(home.refused(6, &named(".")).contains("is a folder"));
    }
    std::fs::write(home.path("trees.csv.gz"), b"\x1f\x8b\x08\0\0\0\0\0").unwrap();
    assert!(home.refused(6, &["import", "--define", "trees.csv.gz"]).contains("gunzip"));
}

#[test]
fn a_draft_has_a_name_that_a_data_set_may_have() {
    let home = Home::new();
    for (file, name) in [("events.csv", "events_data"), ("größe 2024.csv", "groesse_2024"), ("2016.csv", "data_2016")]
    {
        std::fs::write(home.path(file), "id,kind\n1,x\n2,y\n").unwrap();
        let draft = home.run(&["import", "--define", file]).out;
        std::fs::write(home.path("draft.toml"), &draft).unwrap();
        let summary = home.json(&["import", file, "--definition", "draft.toml"]);
        assert_eq!(summary["dataset"], name, "{draft}");
    }
    let language = home.run(&["datasets", "language"]);
    assert!(language.exit == 0 && language.out.contains("`fill_down`"), "{}", language.err);
}

/// A data set of one's own: texts, a number, and a text that is made of two columns of the file.
const THINGS: &str = r#"
name = "things"
title = "Things"
record_id = "record_id"
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
name = "kind"
headers = ["KIND"]
default = "plain"
[[column]]
name = "int"
type = "integer"
headers = ["INT"]
[[column]]
name = "street"
headers = ["STREET"]
publish = false
[[column]]
name = "house"
headers = ["HOUSE"]
publish = false
[[column]]
name = "address"
join = [{ column = "house" }, { column = "street", before = " " }]
"#;

/// Imports a text into the things.
struct Things(Home);

impl Things {
    fn new() -> Self {
        let home = Home::new();
        std::fs::write(home.path("things.toml"), THINGS).unwrap();
        Self(home)
    }

    fn arguments<'a>(&self, rows: &str, more: &[&'a str]) -> Vec<&'a str> {
        std::fs::write(self.0.path("a.csv"), rows).unwrap();
        [&["import", "a.csv", "--definition", "things.toml"], more].concat()
    }

    fn import(&self, rows: &str, more: &[&str]) -> serde_json::Value {
        self.0.json(&self.arguments(rows, more))
    }

    /// What people read of it.
    fn told(&self, rows: &str, more: &[&str]) -> String {
        let ran = self.0.run(&self.arguments(rows, more));
        assert_eq!(ran.exit, 0, "{}", ran.err);
        ran.out
    }

    /// Checks that the data set holds these rows, all of them, and nothing else.
    fn holds(&self, rows: &str) {
        let again = self.import(rows, &["--replace", "--yes", "--dry-run"]);
        let records = rows.lines().count() as u64 - 1;
        let counts = ["inserted", "updated", "unchanged", "removed", "rejected"];
        assert_eq!(counts.map(|name| number(&again, name)), [0, 0, records, 0, 0], "{again}");
    }

    /// All that is left behind: what the log says, and the version.
    fn state(&self) -> (serde_json::Value, u64) {
        let version = number(&self.import("CODE,INT\n", &["--dry-run"]), "dataset_version");
        (self.0.json(&["events", "list", "--limit", "1000"]), version)
    }
}

fn counts(summary: &serde_json::Value) -> [u64; 5] {
    ["inserted", "updated", "unchanged", "removed", "rejected"].map(|name| number(summary, name))
}

const WHOLE: &str = "CODE,TXT,KIND,INT,HOUSE,STREET\nk1,a,fine,5,1,Oak\nk2,b,,6,2,Elm\nk3,,,7,,\n";

#[test]
fn a_file_with_fewer_columns_empties_nothing() {
    let things = Things::new();
    let first = things.import(WHOLE, &[]);
    assert_eq!((counts(&first), &first["kept_columns"]), ([3, 0, 0, 0, 0], &serde_json::json!({})));
    things.holds(WHOLE);
    let fewer = "CODE,INT,STREET\nk1,5,Ash\nk2,9,Elm\nk4,1,Fir\n";
    let would = things.import(fewer, &["--dry-run"]);
    let kept = serde_json::json!({ "address": 2, "kind": 1, "txt": 2 });
    assert_eq!((counts(&would), number(&would, "dataset_version")), ([1, 1, 1, 0, 0], 1));
    assert_eq!((&would["kept_columns"], &would["dry_run"], &would["changed"]), (&kept, &true.into(), &true.into()));
    let told = things.told(fewer, &["--dry-run"]);
    assert!(told.contains("would be kept as they are: address (2 values), kind (1 value), txt (2 values)"), "{told}");
    let done = things.import(fewer, &[]);
    assert_eq!((counts(&done), number(&done, "dataset_version")), ([1, 1, 1, 0, 0], 2));
    assert_eq!((&done["kept_columns"], &done["dry_run"]), (&kept, &false.into()));
    assert_eq!(done["absent_columns"], serde_json::json!(["txt", "kind", "address"]));
    things.holds("CODE,TXT,KIND,INT,HOUSE,STREET\nk1,a,fine,5,1,Oak\nk2,b,,9,2,Elm\nk3,,,7,,\nk4,,,1,,Fir\n");
    let told = things.told(fewer, &[]);
    assert!(
        told.contains("not in the file, kept as they were: address (2 values), kind (1 value), txt (2 values); --yes"),
        "{told}"
    );
    assert_eq!(number(&things.import(fewer, &[]), "dataset_version"), 2, "an unchanged row stays unchanged");
}

#[test]
fn who_says_yes_gets_the_blanks_of_the_file() {
    let things = Things::new();
    things.import(WHOLE, &[]);
    let fewer = "CODE,INT\nk1,5\nk2,6\n";
    let emptied = serde_json::json!({ "address": 2, "kind": 1, "txt": 2 });
    let told = things.told(fewer, &["--yes", "--dry-run"]);
    assert!(
        told.contains("not in the file, would be emptied: address (2 values), kind (1 value), txt (2 values)"),
        "{told}"
    );
    things.holds(WHOLE);
    let done = things.import(fewer, &["--yes"]);
    assert_eq!((counts(&done), &done["emptied_columns"]), ([0, 2, 0, 0, 0], &emptied));
    assert_eq!(done["kept_columns"], serde_json::json!({}));
    things.holds("CODE,TXT,KIND,INT,HOUSE,STREET\nk1,,,5,,\nk2,,,6,,\nk3,,,7,,\n");
}

#[test]
fn a_renamed_header_is_named_and_empties_nothing() {
    let things = Things::new();
    things.import(WHOLE, &[]);
    let renamed = "CODE,TEXT,KIND,INT,HOUSE,STREET\nk1,x,fine,5,1,Oak\nk2,y,,6,2,Elm\nk3,z,,7,,\n";
    let done = things.import(renamed, &["--replace"]);
    assert_eq!(counts(&done), [0, 0, 3, 0, 0]);
    assert_eq!(done["similar_headers"], serde_json::json!({ "TEXT": "txt" }));
    let told = things.told(renamed, &[]);
    assert!(told.contains("\"TEXT\" looks like txt") && told.contains("kept as they were: txt (2 values)"), "{told}");
    things.holds(WHOLE);
}

#[test]
fn a_number_is_kept_to_its_sign() {
    let things = Things::new();
    let number = "[[column]]\nname = \"num\"\ntype = \"number\"\nheaders = [\"NUM\"]\n";
    let other = "[[column]]\nname = \"size\"\nheaders = [\"SIZE\"]\n";
    std::fs::write(things.0.path("things.toml"), format!("{THINGS}{number}")).unwrap();
    let whole = "CODE,INT,NUM\nk1,1,-0\nk2,2,0\nk3,3,-0.5\n";
    things.import(whole, &[]);
    let fewer = "CODE,INT\nk1,1\nk2,2\nk3,3\n";
    assert_eq!(counts(&things.import(fewer, &[])), [0, 0, 3, 0, 0]);
    things.holds(whole);
    // Nor does it change with other columns.
    std::fs::write(things.0.path("things.toml"), format!("{THINGS}{other}{number}")).unwrap();
    assert_eq!(counts(&things.import(fewer, &[])), [0, 0, 3, 0, 0]);
    things.holds(whole);
}

#[test]
fn what_keeps_its_values_keeps_its_place_among_others() {
    let things = Things::new();
    let whole = "CODE,TXT,INT\nk1,a,1\nk1,b,2\nk1,c,3\nk2,d,4\n";
    things.import(whole, &[]);
    // The first of the three is rejected, and still counts; the last comes twice as a key of its own.
    let done = things.import("CODE,INT\nk1,one\nk1,2\nk1,33\nk3,5\n", &["--replace", "--yes", "--dry-run"]);
    assert_eq!(counts(&done), [1, 2, 0, 1, 1], "emptied");
    let done =
        things.import("CODE,INT\nk1,one\nk1,2\nk1,33\nk2,4\nk3,5\n", &["--replace", "--yes", "--absent", "keep"]);
    assert_eq!((counts(&done), &done["kept_columns"]["txt"]), ([1, 1, 2, 0, 1], &3.into()));
    things.holds("CODE,TXT,INT\nk1,a,1\nk1,b,2\nk1,c,33\nk2,d,4\nk3,,5\n");
}

#[test]
fn a_column_that_would_be_emptied_is_not_unasked() {
    let things = Things::new();
    things.import("CODE,TXT,INT\nk1,a,1\nk2,b,2\nk3,c,3\n", &[]);
    let file = "CODE,TXT,INT\nk1,,1\nk2,b,2\nk3,c,3\n";
    let told = things.told(file, &["--dry-run"]);
    assert!(told.contains("txt would lose 1 of its 3 values"), "{told}");
    std::fs::write(things.0.path("a.csv"), file).unwrap();
    let refused = things.0.run(&things.arguments(file, &[]));
    assert_eq!(refused.exit, 4);
    assert!(refused.err.contains("txt would lose 1 of its 3 values, which is more than 5 %"), "{}", refused.err);
    // The definition may say another number.
    let text = std::fs::read_to_string(things.0.path("things.toml")).unwrap();
    std::fs::write(things.0.path("things.toml"), format!("{text}\n[guard]\nnulled_max = 101\n")).unwrap();
    assert_eq!(things.0.run(&things.arguments(file, &[])).exit, 2, "no percent");
    std::fs::write(things.0.path("things.toml"), format!("{text}\n[guard]\nnulled_max = 50\n")).unwrap();
    assert_eq!(counts(&things.import(file, &[])), [0, 1, 2, 0, 0]);
}

#[test]
fn a_column_that_is_new_takes_its_default() {
    let things = Things::new();
    things.import(WHOLE, &[]);
    let column = "[[column]]\nname = \"size\"\nheaders = [\"SIZE\"]\ndefault = \"large\"\n";
    std::fs::write(things.0.path("things.toml"), format!("{THINGS}{column}")).unwrap();
    let done = things.import("CODE,INT\nk1,5\nk2,6\nk3,7\n", &[]);
    assert_eq!((counts(&done), &done["kept_columns"]["size"]), ([0, 3, 0, 0, 0], &serde_json::Value::Null));
    things.holds("CODE,TXT,KIND,INT,HOUSE,STREET,SIZE\nk1,a,fine,5,1,Oak,large\nk2,b,,6,2,Elm,large\nk3,,,7,,,large\n");
}

/// So many rows.
fn rows(count: u64) -> String {
    (0..count).fold("CODE,TXT,INT\n".to_owned(), |rows, number| format!("{rows}k{number:03},a,{number}\n"))
}

#[test]
fn a_file_that_would_remove_much_is_refused() {
    let things = Things::new();
    things.import(&rows(100), &[]);
    let replace = |count: u64, more: &[&'static str]| things.arguments(&rows(count), &[&["--replace"], more].concat());
    let err = things.0.refused(4, &replace(94, &[]));
    for said in
        ["6 of 100 records", "more than 5 %", "unchanged 94, removed 6, rejected 0", "--yes", "without --replace"]
    {
        assert!(err.contains(said), "{said}: {err}");
    }
    let failed = things.0.json(&["events", "list", "--type", "ImportFailed"]);
    assert_eq!(failed["events"].as_array().unwrap().len(), 2, "once in words, once as a document: {failed}");
    assert!(failed.to_string().contains("6 of 100 records would be removed"), "{failed}");
    things.holds(&rows(100));
    let told = things.0.run(&replace(94, &["--dry-run"]));
    assert_eq!(told.exit, 0, "{}", told.err);
    assert!(told.out.contains("without --yes this would be refused: 6 of 100 records"), "{}", told.out);
    // Five in a hundred may go.
    assert_eq!(counts(&things.0.json(&replace(95, &[]))), [0, 0, 95, 5, 0]);
    things.0.refused(4, &replace(90, &[]));
    assert_eq!(counts(&things.0.json(&replace(90, &["--yes"]))), [0, 0, 90, 5, 0]);
    assert_eq!(counts(&things.import(&rows(10), &[])), [0, 0, 10, 0, 0], "without --replace nothing goes");
}

#[test]
fn a_file_without_a_valid_row_replaces_nothing() {
    let things = Things::new();
    things.import(WHOLE, &[]);
    for empty in ["CODE,TXT,INT\n", "CODE,TXT,INT\nk1,a,much\nk2,b,more\n", "CODE,TXT,INT\n,a,1\n"] {
        let arguments = things.arguments(empty, &["--replace"]);
        let err = things.0.refused(4, &arguments);
        assert!(err.contains("no row of the file could be a record") && err.contains("--yes"), "{err}");
        assert_eq!(
            err.contains(" could not be records;") || err.contains(" row could not be a record;"),
            empty.lines().count() > 1,
            "{err}"
        );
        things.holds(WHOLE);
    }
    let gone = things.import("CODE,TXT,INT\n", &["--replace", "--yes"]);
    assert_eq!((counts(&gone), number(&gone, "dataset_version")), ([0, 0, 0, 3, 0], 2));
}

#[test]
fn a_dry_run_says_everything_and_changes_nothing() {
    let things = Things::new();
    let bad = format!("{WHOLE}k4,a,b,many,,\n");
    let new = things.import(&bad, &["--dry-run"]);
    assert_eq!((counts(&new), number(&new, "dataset_version"), &new["changed"]), ([3, 0, 0, 0, 1], 0, &true.into()));
    let rejects = std::fs::read_to_string(things.0.path(new["rejects_file"].as_str().unwrap())).unwrap();
    assert!(rejects.contains("int,many"), "{rejects}");
    let events = things.0.json(&["events", "list"]).to_string();
    assert!(events.contains("PlanDefined") && !events.contains("Import"), "the log does not hear of it: {events}");
    assert_eq!(counts(&things.import(WHOLE, &[])), [3, 0, 0, 0, 0], "there was nothing before");
    let before = things.state();
    assert_eq!(before.1, 1);
    let changed = WHOLE.replace("k1,a", "k1,z").replace("k3", "k9");
    for (more, counted) in
        [(&[][..], [1, 1, 1, 0, 0]), (&["--replace"], [1, 1, 1, 1, 0]), (&["--replace", "--yes"], [1, 1, 1, 1, 0])]
    {
        let would = things.import(&changed, &[more, &["--dry-run"]].concat());
        assert_eq!((counts(&would), &would["dry_run"]), (counted, &true.into()), "{more:?}");
        let is_refused = more == ["--replace"];
        assert_eq!(would["refused_unless_confirmed"].is_string(), is_refused, "{would}");
        let told = things.told(&changed, &[more, &["--dry-run"]].concat());
        assert!(told.contains("nothing was changed") && told.contains("would be inserted"), "{told}");
        assert_eq!(told.contains("without --yes this would be refused"), is_refused, "{told}");
        assert_eq!(things.state(), before);
    }
    // So are other columns, and another identity of records.
    let other = THINGS.replace("name = \"int\"", "name = \"number\"");
    std::fs::write(things.0.path("things.toml"), &other).unwrap();
    assert_eq!(counts(&things.import(WHOLE, &["--dry-run"])), [0, 3, 0, 0, 0]);
    let other = THINGS
        .replace("column = \"code\"", "column = \"txt\"")
        .replace("headers = [\"TXT\"]", "headers = [\"TXT\"]\nrequired = true");
    std::fs::write(things.0.path("things.toml"), other).unwrap();
    let arguments = things.arguments(WHOLE, &["--replace", "--dry-run"]);
    let would = things.0.json(&arguments);
    assert_eq!(counts(&would), [2, 0, 0, 3, 1]);
    std::fs::write(things.0.path("things.toml"), THINGS).unwrap();
    assert_eq!(things.state(), before);
    things.holds(WHOLE);
}

#[test]
fn a_dry_run_that_dies_leaves_nothing() {
    let things = Things::new();
    for is_there in [false, true] {
        if is_there {
            things.import(WHOLE, &[]);
        }
        let before = things.state();
        let arguments = things.arguments(&rows(50), &["--replace", "--yes", "--dry-run"]);
        let killed = things.0.command(&arguments).env("FAILPOINTS", "import-before-commit=return").output().unwrap();
        assert!(!killed.status.success(), "{killed:?}");
        assert_eq!(things.state(), before, "{is_there}");
    }
    things.holds(WHOLE);
    assert_eq!(counts(&things.import(&rows(50), &[])), [50, 0, 0, 0, 0]);
}

/// A table of one's own, and the definition that `--define` proposes for it.
fn trees(home: &Home) {
    std::fs::write(home.path("trees.csv"), "Tree No,Height\nT1,3\nT2,4\n").unwrap();
    let proposed = home.run(&["import", "--define", "trees.csv"]);
    assert_eq!(proposed.exit, 0, "{}", proposed.err);
    std::fs::write(home.path("trees.toml"), &proposed.out).unwrap();
}

#[test]
fn a_definition_that_was_given_once_is_found_again_by_its_name() {
    let home = Home::new();
    trees(&home);
    let first = home.json(&["import", "trees.csv", "--definition", "trees.toml"]);
    assert_eq!((first["path"].as_str(), first["definition"]["from"].as_str()), (Some("/trees"), Some("trees.toml")));
    let told = home.run(&["import", "trees.csv", "--definition", "trees.toml"]).out;
    assert!(told.contains("GET /trees") && told.contains("permitd serve"), "{told}");
    std::fs::remove_file(home.path("trees.toml")).unwrap();
    let again = home.json(&["import", "trees.csv", "--dataset", "trees"]);
    assert_eq!(
        (number(&again, "unchanged"), again["definition"]["from"].as_str()),
        (2, Some("stored with the records"))
    );
    let said = home.refused(2, &["import", "trees.csv"]);
    assert!(said.contains("permits, sf_open_data, trees"), "{said}");
    assert!(home.refused(3, &["import", "trees.csv", "--dataset", "tree"]).contains("trees"));
}

#[test]
fn of_two_definitions_the_one_that_is_used_is_told() {
    let home = Home::new();
    trees(&home);
    home.json(&["import", "trees.csv", "--definition", "trees.toml"]);
    std::fs::create_dir(home.path("definitions")).unwrap();
    let own = home.path("definitions").join("own.toml");
    std::fs::rename(home.path("trees.toml"), &own).unwrap();
    let same = home.run(&["import", "trees.csv", "--dataset", "trees", "--datasets", "definitions"]);
    assert!(same.exit == 0 && !same.err.contains("note:") && same.out.contains("definitions/own.toml"), "{}", same.err);
    let text = std::fs::read_to_string(&own).unwrap();
    std::fs::write(&own, text.replacen("title = ", "title = \"All \" # ", 1)).unwrap();
    let other = home.run(&["import", "trees.csv", "--dataset", "trees", "--datasets", "definitions"]);
    assert_eq!(other.exit, 0, "{}", other.err);
    assert!(other.err.contains("they differ") && other.err.contains("Used is: definitions/own.toml"), "{}", other.err);
    let listed = home.json(&["datasets", "list", "--datasets", "definitions"]);
    assert_eq!(listed["datasets"][0]["definition"]["from"], "definitions/own.toml");
    // A built-in one goes behind what the records were stored with, and by its name before it.
    std::fs::write(&own, text.replacen("name = \"trees\"", "name = \"permits\"", 1)).unwrap();
    home.json(&["import", "trees.csv", "--definition", "definitions/own.toml"]);
    let stored = home.run(&["import", "trees.csv", "--dataset", "permits"]);
    assert!(stored.exit == 0 && stored.err.contains("--definition permits takes the built-in one"), "{}", stored.err);
    assert!(home.refused(4, &["import", "trees.csv", "--definition", "permits"]).contains("permits"));
}

#[test]
fn data_sets_are_listed_and_shown() {
    let home = Home::new();
    home.refused(3, &["datasets", "list"]);
    home.sample(20, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    trees(&home);
    home.json(&["import", "trees.csv", "--definition", "trees.toml"]);
    let listed = home.json(&["datasets", "list"]);
    let sets: Vec<_> = listed["datasets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|set| {
            (
                set["name"].as_str().unwrap(),
                number(set, "version"),
                number(set, "records"),
                set["definition"]["from"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(sets, [("permits", 1, 20, "built in"), ("trees", 1, 2, "stored with the records")]);
    assert_eq!(listed["datasets"][1]["last_import"]["file_name"], "trees.csv");
    let shown = home.json(&["datasets", "show", "trees"]);
    assert_eq!((&shown["key"], number(&shown, "held_from")), (&"tree_no".into(), 1));
    assert!(shown["columns"].as_array().unwrap().iter().any(|column| column["name"] == "height"));
    let told = home.run(&["datasets", "show", "permits"]).out;
    assert!(told.contains("GET /permits") && told.contains("estimated_cost\tmoney"), "{told}");
    assert!(home.refused(3, &["datasets", "show", "permit"]).contains("did you mean permits?"));
}

#[test]
fn a_definition_is_printed_changed_and_imported_by() {
    let home = Home::new();
    trees(&home);
    home.json(&["import", "trees.csv", "--definition", "trees.toml"]);
    let text = home.run(&["datasets", "show", "trees", "--definition"]).out;
    assert_eq!(home.json(&["datasets", "show", "trees", "--definition"])["definition"], text.as_str());
    let fingerprint = || home.json(&["datasets", "show", "trees"])["definition"]["fingerprint"].clone();
    let before = fingerprint();
    std::fs::write(home.path("same.toml"), &text).unwrap();
    home.json(&["import", "trees.csv", "--definition", "same.toml"]);
    assert_eq!(fingerprint(), before, "what is printed is the definition");
    let title = text.lines().find(|line| line.starts_with("title = ")).unwrap();
    std::fs::write(home.path("other.toml"), text.replace(title, "title = 'The \"trees\"'")).unwrap();
    home.json(&["import", "trees.csv", "--definition", "other.toml"]);
    assert_eq!(home.json(&["datasets", "show", "trees"])["title"], "The \"trees\"");
    assert!(home.run(&["datasets", "show", "trees", "--definition"]).out.contains("title = 'The \"trees\"'\n"));
    home.refused(3, &["datasets", "show", "tree", "--definition"]);
}

#[test]
fn a_folder_that_was_given_by_mistake_is_told() {
    let home = Home::new();
    trees(&home);
    std::fs::create_dir(home.path("definitions")).unwrap();
    std::fs::rename(home.path("trees.toml"), home.path("definitions/trees.toml")).unwrap();
    assert!(home.refused(2, &["serve", "--datasets", "nowhere"]).contains("there is no such folder"));
    assert!(home.refused(2, &["serve", "--datasets", "definitions/trees.toml"]).contains("--definition"));
    let said = home.refused(2, &["serve", "--data", "definitions"]);
    assert!(said.contains("definitions/trees.toml") && said.contains("--datasets"), "{said}");
    assert_eq!(std::fs::read_dir(home.path("definitions")).unwrap().count(), 1, "it is no data directory now");
    home.json(&["import", "trees.csv", "--dataset", "trees", "--datasets", "definitions"]);
    assert!(home.refused(2, &["serve", "--datasets", "data"]).contains("this is a data directory"));
    std::fs::copy(home.path("definitions/trees.toml"), home.path("definitions/b.toml")).unwrap();
    assert!(home.refused(2, &["datasets", "list", "--datasets", "definitions"]).contains("define the same data set"));
}
