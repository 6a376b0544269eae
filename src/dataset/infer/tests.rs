use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::dataset::{
    ColumnType, Definition, RecordIdRule,
    definition::{DateOrder, Mark},
    reader::{FileRow, open},
};

fn propose_as(text: &str, name: &str) -> Result<String, ReadError> {
    let source = Cursor::new(text.as_bytes().to_vec());
    propose(source, name, "some", &Said::default(), &ReadLimits::default())
}

fn proposed(text: &str) -> (String, Definition) {
    let toml = propose_as(text, "some.csv").unwrap();
    let definition = Definition::from_toml(&toml, "some.toml").unwrap_or_else(|error| panic!("{error}\n{toml}"));
    (toml, definition)
}

fn kind(definition: &Definition, name: &str) -> ColumnType {
    definition.columns[definition.column_index(name).unwrap_or_else(|| panic!("no {name}"))].kind
}

/// `count` rows below a header.
fn rows(header: &str, count: usize, row: impl Fn(usize) -> String) -> String {
    let lines: Vec<String> = (1..=count).map(row).collect();
    format!("{header}\n{}\n", lines.join("\n"))
}

#[test]
fn types_key_and_personal_columns() {
    let (toml, definition) = proposed(
        "Permit No,Opened,Fee,Floors,Lot,Lat,Owner Name,Reach,Notes,Limit,,Notes\n\
         A-1,1/31/2020,$5.00,1,001,37.5,Ann Other,a@example.org,x,1,,y\n\
         A-2,2/1/2020,7,2,002,38,Bob Other,b@example.org,,2,,z\n",
    );
    assert_eq!(definition.columns[definition.key].name, "permit_no");
    assert_eq!(definition.record_id_rule, RecordIdRule::Ordinal);
    assert_eq!(definition.source.date_order, DateOrder::MonthFirst);
    assert_eq!(kind(&definition, "opened"), ColumnType::Date);
    assert_eq!(kind(&definition, "fee"), ColumnType::Money);
    assert_eq!(kind(&definition, "floors"), ColumnType::Integer);
    assert_eq!(kind(&definition, "lot"), ColumnType::Text, "001 is no number");
    assert_eq!(kind(&definition, "lat"), ColumnType::Number);
    assert_eq!(kind(&definition, "limit_column"), ColumnType::Integer, "limit is a parameter");
    assert!(definition.column_index("owner_name").is_none(), "its header looks personal");
    assert!(definition.column_index("reach").is_none(), "its values are e-mail addresses");
    assert!(definition.column_index("notes_2").is_some());
    assert!(toml.contains("looks personal"));
    assert_eq!(toml.matches("publish = false\npersonal = true\n").count(), 2, "published or not, no figure shows them");
    assert!(!toml.contains("Ann Other") && !toml.contains("example.org"));
}

#[test]
fn places_are_found_in_one_column_or_in_two() {
    for form in ["\"({lat}, {lon})\"", "POINT ({lon} {lat})", "SRID=4326;POINT({lon} {lat})"] {
        let text = rows("Id,Where,Kind", 30, |nth| {
            let place = form.replace("{lat}", &format!("37.{nth:03}")).replace("{lon}", &format!("-122.{nth:03}"));
            format!("A{nth},{place},x")
        });
        let (toml, definition) = proposed(&text);
        assert_eq!(kind(&definition, "where"), ColumnType::Point, "{toml}");
        let (toml, definition) = proposed(&format!("{text}B,somewhere,x\n"));
        assert_eq!(kind(&definition, "where"), ColumnType::Text);
        assert!(toml.contains("1 of 31 values does not fit the type point, the first on line 32"), "{toml}");
    }
    let geojson = r#""{""type"":""Point"",""coordinates"":[-122.4,37.7]}""#;
    let (_, definition) = proposed(&format!("Id,Where\n1,{geojson}\n2,\n3,{geojson}\n"));
    assert_eq!(kind(&definition, "where"), ColumnType::Point);
    // A pair without parentheses can be something else.
    let (_, definition) = proposed("Id;Where\n1;37,122\n2;38,123\n");
    assert_ne!(kind(&definition, "where"), ColumnType::Point);

    let pairs = |header: &str, row: &str| proposed(&format!("{header}\na1,{row}\na2,{row}\n")).1;
    let definition = pairs("Id,Lat,Long", "37.75,-122.5");
    assert_eq!(kind(&definition, "location"), ColumnType::Point);
    let definition = pairs("Id,Pickup Latitude,Pickup Longitude,Dropoff Latitude,Dropoff Longitude", "1.5,2.5,3.5,4.5");
    assert_eq!(kind(&definition, "pickup_location"), ColumnType::Point);
    assert_eq!(kind(&definition, "dropoff_location"), ColumnType::Point);
    assert_eq!(kind(&pairs("Id,Lat,Lon,Location", "37.75,-122.5,here"), "location_2"), ColumnType::Point);
    let commas = |row: &str| proposed(&format!("Id;Lat;Lon\na1;{row}\na2;{row}\n")).1;
    assert_eq!(kind(&commas("37,7749;-122,4194"), "location"), ColumnType::Point);
    assert!(commas("97,7749;-122,4194").column_index("location").is_none());
    // A point groups digits here: the latitude of the last row is 47,123.
    let (_, definition) = proposed("Id;Lat;Lon\na1;37,7749;-122,4194\na2;37,5;-122,4194\na3;47.123;-122,4194\n");
    assert!(definition.column_index("location").is_none());
    for (header, row) in [
        ("Id,Lat,Lon", "95.5,-122.5"),
        ("Id,Lat,Lon", "37.75,-190.5"),
        ("Id,Lat,Width", "37.75,-122.5"),
        ("Id,Lat,From Lon", "37.75,-122.5"),
        ("Id,Lat,Lon,Lng", "37.75,-122.5,-122.5"),
        ("Id,Lat,Lon", "37.75,"),
    ] {
        assert!(pairs(header, row).column_index("location").is_none(), "{header}: {row}");
    }
}

#[test]
fn a_type_never_changes_a_value() {
    for (values, expected) in [
        (&["0.760995978569", "18.16"][..], ColumnType::Number),
        (&["0.76", "18.16"], ColumnType::Number),
        (&["94110", "02138"], ColumnType::Text),
        (&["0", "00", "5"], ColumnType::Text),
        (&["12345678901234567890", "12345678901234567891"], ColumnType::Text),
        (&["89014103211118510", "89014103211118511"], ColumnType::Text),
        (&["94110-1234", "94110"], ColumnType::Text),
        (&["2.01612E+11", "2.01613E+11"], ColumnType::Text),
        (&["12.5%", "7%"], ColumnType::Text),
        (&["-0", "5"], ColumnType::Integer),
        (&["TRUE", "FALSE"], ColumnType::Text),
        (&["€12.50", "€7.00"], ColumnType::Money),
        (&["€12.505", "€7.00"], ColumnType::Text),
        (&["10142018", "10192018"], ColumnType::Integer),
        (&["Jan-2019", "Feb-2019"], ColumnType::Text),
        (&["2024/10/03 00:00:00+00", "2024/11/04 00:00:00+00"], ColumnType::Timestamp),
        (&["2024-10-03T00:00:00+02:00", "2024-11-04T00:00:00+02:00"], ColumnType::Timestamp),
        (&["12/16/2004 09:18:00 EST", "12/17/2004 10:11:00 EST"], ColumnType::Timestamp),
        (&["2024-10-03 10:00:00.125", "2024-10-03 10:00:00.875"], ColumnType::Timestamp),
        (&["12/16/2004 00:00", "12/17/2004 00:00"], ColumnType::Date),
        (&["2016-12-01 09:00Z", "2016-12-01 09:00"], ColumnType::Text),
        (&["01/02/2019", "01/03/2019"], ColumnType::Text),
        (&["1/13/55", "1/14/56"], ColumnType::Text),
        (&["24-01-15", "24-02-16"], ColumnType::Text),
        (&["24-01-15", "2024-02-16"], ColumnType::Text),
        (&["13.10.25", "25.12.13"], ColumnType::Text),
        (&["10.15.17", "10.14.16"], ColumnType::Text),
        (&["1/31/20", "2/28/20"], ColumnType::Text),
        (&["$1.50", "€2.00"], ColumnType::Text),
        (&["1E5", "2E7"], ColumnType::Text),
        (&["123.456.789", "123.456.780"], ColumnType::Text),
        (&["1234567890123456", "1234567890123457"], ColumnType::Text),
    ] {
        let lines: Vec<String> = (1..).zip(values).map(|(nth, value)| format!("{nth},{value}")).collect();
        let (toml, definition) = proposed(&format!("id,thing\n{}\n", lines.join("\n")));
        assert_eq!(kind(&definition, "thing"), expected, "{values:?}\n{toml}");
    }
    let (_, compact) = proposed("id,opening date\n1,20190131\n2,20190201\n");
    assert_eq!(kind(&compact, "opening_date"), ColumnType::Date);
    let (_, named) = proposed("id,opened\n1,1/31/20\n2,2/28/20\n");
    assert_eq!(kind(&named, "opened"), ColumnType::Date);
    let (_, center) = proposed("id,Cost Center\n1,100\n2,200\n");
    assert_eq!(kind(&center, "cost_center"), ColumnType::Integer);
    let (_, counts) = proposed("Precinct,Total Votes\nP1,12\nP2,13\n");
    assert_eq!(kind(&counts, "total_votes"), ColumnType::Integer);
    let (_, zips) = proposed("id,zip,cost\n1,94110,1.25\n2,94111,2\n");
    assert_eq!((kind(&zips, "zip"), kind(&zips, "cost")), (ColumnType::Text, ColumnType::Money));
}

#[test]
fn the_whole_file_is_read_and_what_does_not_fit_is_counted() {
    let odd = rows("id,stories", 3_000, |nth| if nth == 2_500 { format!("{nth},two") } else { format!("{nth},2") });
    let (toml, definition) = proposed(&odd);
    assert_eq!(kind(&definition, "stories"), ColumnType::Text);
    assert!(toml.contains("1 of 3000 values does not fit the type integer, the first on line 2501"), "{toml}");
    let (_, late) =
        proposed(&rows(
            "id,zip",
            3_000,
            |nth| if nth == 2_500 { format!("{nth},02138") } else { format!("{nth},90001") },
        ));
    assert_eq!(kind(&late, "zip"), ColumnType::Text);
    let (_, fraction) =
        proposed(&rows("id,n", 3_000, |nth| if nth == 2_500 { format!("{nth},2.5") } else { format!("{nth},2") }));
    assert_eq!(kind(&fraction, "n"), ColumnType::Number);
}

#[test]
fn orders_of_day_and_month() {
    let (_, definition) = proposed("id,opened\n1,31/1/2020\n2,1/2/2020\n");
    assert_eq!(definition.source.date_order, DateOrder::DayFirst);
    let (toml, unsure) = proposed("id,opened\n1,1/2/2020\n2,1/3/2020\n");
    assert_eq!(kind(&unsure, "opened"), ColumnType::Text);
    assert!(toml.contains("date_order"), "{toml}");
    let (_, by_another) = proposed("id,opened,closed\n1,1/2/2020,31/2/2020\n2,1/3/2020,30/3/2020\n");
    assert_eq!(kind(&by_another, "opened"), ColumnType::Text, "31 February is no day, so that nothing is shown");
    let (_, by_another) = proposed("id,opened,closed\n1,1/2/2020,28/2/2020\n2,1/3/2020,30/3/2020\n");
    assert_eq!((kind(&by_another, "opened"), by_another.source.date_order), (ColumnType::Date, DateOrder::DayFirst));
}

#[test]
fn decimal_marks() {
    let (_, commas) = proposed("id;a;b;c\n1;1,5;1,25;1.234,75\n2;2,5;2,25;2,75\n");
    assert_eq!((commas.source.dialect.decimal, kind(&commas, "c")), (Some(Mark::Comma), ColumnType::Number));
    let (toml, unsure) = proposed("id;weight kg\n1;1,234\n2;12,345\n3;2,500\n");
    assert_eq!((unsure.source.dialect.decimal, kind(&unsure, "weight_kg")), (None, ColumnType::Text));
    assert!(toml.contains("two ways"), "{toml}");
    let (_, shown) = proposed("id;weight kg;length\n1;1,234;0,5\n2;12,345;0,7\n");
    assert_eq!(kind(&shown, "weight_kg"), ColumnType::Number, "the other column shows what a comma is");
    let (_, english) = proposed("id,n\n1,\"1,204\"\n2,\"2,500\"\n");
    assert_eq!(kind(&english, "n"), ColumnType::Integer);
}

#[test]
fn keys_that_identify() {
    let key = |text: &str| {
        let (_, definition) = proposed(text);
        definition.columns[definition.key].name.clone()
    };
    let goals = rows("team,goals,shots", 40, |nth| format!("T{},{},{}", nth % 2, nth % 3, nth % 5));
    assert_eq!(key(&goals), "row");
    assert_eq!(key("category,description\nc,x\nc,y\n"), "description");
    assert_eq!(key(&format!("category,description\nc,{}\nc,y\n", "x".repeat(300))), "row", "the store refuses it");
    assert_eq!(key("permit number,cost\n2.01612E+11,5\n2.01613E+11,6\n"), "row", "they have lost digits");
    assert_eq!(key("a,permit number\n1,A1\n2,A2\n"), "permit_number");
    let shared = rows("permit number,lot", 100, |nth| format!("P{},{}", nth / 50 * 50 + nth % 45, nth % 7));
    assert_eq!(key(&shared), "permit_number", "several records may share a key that people know");
    // The proposal imports the file as it is.
    let (_, definition) = proposed(&goals);
    let source = open(Cursor::new(goals.into_bytes()), "some.csv", &definition, &ReadLimits::default()).unwrap();
    let keys: Vec<String> = source
        .map(|row| match row.unwrap() {
            FileRow::Record { key, .. } => key,
            rejected @ FileRow::Rejected { .. } => panic!("{rejected:?}"),
        })
        .collect();
    assert_eq!((keys.len(), keys[0].as_str(), keys[39].as_str()), (40, "1", "40"));
}

#[test]
fn every_column_is_accounted_for() {
    let (toml, _) = proposed(",name of station,temp\n0,A,1.5\n1,B,2.5\n");
    assert!(toml.contains("no header") && toml.contains(": A."), "{toml}");
    let header: Vec<String> = (0..1_200).map(|nth| format!("c{nth}")).collect();
    let values: Vec<String> = (0..1_200).map(|nth| nth.to_string()).collect();
    let (toml, definition) = proposed(&format!("id,{}\n1,{}\n", header.join(","), values.join(",")));
    assert!(definition.columns.len() > 900 && toml.contains("c1199"), "{}", definition.columns.len());
    let long = format!("id,\"{}\"\n1,a lot\n2,little\n", "How much do you agree ".repeat(40));
    let (_, definition) = proposed(&long);
    let opened = open(Cursor::new(long.into_bytes()), "some.csv", &definition, &ReadLimits::default()).unwrap();
    assert_eq!((opened.header().absent.len(), opened.header().unmatched.len()), (0, 0));
    for header in ["Country,Code,2019,2020", "Country,Code,1/31/2019,2/28/2019", "Permit ID,Name,2016,x"] {
        let (_, definition) = proposed(&format!("{header}\nAruba,ABW,1.5,1.6\nAngola,AGO,2.5,2.6\n"));
        assert!(definition.columns.len() >= 6 || header.starts_with("Permit"), "{header}");
    }
    let (_, cyrillic) = proposed("№;Дата регистрации;Код\n1;27.05.2004;75\n2;21.05.2004;76\n");
    assert!(cyrillic.column_index("data_registratsii").is_some());
}

#[test]
fn blanks_units_totals_and_footnotes() {
    let (_, definition) = proposed("id,temp,opened\n1,1.5,1/20/2020\n2,NA,NULL\n3,2.5,1/24/2020\n");
    let blanks = |name: &str| definition.source.fields.iter().find(|field| field.name == name).unwrap().blanks.clone();
    assert_eq!((blanks("temp"), blanks("opened")), (vec!["NA".to_owned()], vec!["NULL".to_owned()]));
    assert_eq!((kind(&definition, "temp"), kind(&definition, "opened")), (ColumnType::Number, ColumnType::Date));
    let (toml, units) = proposed("station,temp,depth\n,deg C,m\nS1,1.5,10\nS2,2.5,20\n");
    assert_eq!(kind(&units, "temp"), ColumnType::Number);
    assert!(toml.contains("line 2 looks like units"), "{toml}");
    let (toml, _) = proposed("county,permits\nAdams,1\nBoone,2\nTotal,3\n\"Source: county clerk, 2020\",\n");
    assert!(toml.contains("line 4 looks like a total") && toml.contains("line 5 looks like a footnote"), "{toml}");
    assert!(toml.contains("# stop_at = [\"Total\", \"Source*\"]"), "{toml}");
}

#[test]
fn a_file_without_a_header() {
    for text in ["1,2\n3,4\n", "a\n", "\"1/2/2016\",2\n\"1/3/2016\",3\n"] {
        assert!(matches!(propose_as(text, "x.csv"), Err(ReadError::NoHeader { .. })), "{text}");
    }
    let (_, one) = proposed("word\nx\ny\n");
    assert_eq!(one.columns.len(), 3);
}

#[test]
fn a_word_that_may_mean_itself_is_no_blank() {
    for text in [
        "id,result\n1,+\n2,-\n3,+\n",
        "Z,Symbol\n1,H\n11,Na\n2,He\n",
        "id,garage\n1,None\n2,Attached\n",
        "id,c\n1,.\n2,..\n",
    ] {
        let (toml, definition) = proposed(text);
        assert!(definition.source.fields.iter().all(|field| field.blanks.is_empty()), "{toml}");
    }
    let (_, sure) = proposed("id,garage\n1,N/A\n2,Attached\n");
    assert!(sure.source.fields.iter().any(|field| field.blanks == ["N/A"]));
}

#[test]
fn an_encoding_that_is_guessed_is_that_of_the_header_as_well() {
    let encode = |text: &str| encoding_rs::WINDOWS_1251.encode(text).0.into_owned();
    let rows: String = (1..40).map(|nth| format!("{nth},Москва и область,{nth}\n")).collect();
    let bytes = encode(&format!("Номер,Город,Число\n{rows}"));
    let said = Said::default();
    let toml = propose(Cursor::new(bytes.clone()), "some.csv", "some", &said, &ReadLimits::default()).unwrap();
    let definition = Definition::from_toml(&toml, "some.toml").unwrap();
    assert_eq!(definition.source.dialect.encoding.as_deref(), Some("windows-1251"), "{toml}");
    let opened = open(Cursor::new(bytes), "some.csv", &definition, &ReadLimits::default()).unwrap();
    assert!(opened.header().absent.is_empty() && definition.column_index("gorod").is_some(), "{toml}");
    // One damaged row does not change how the many others are read.
    let mut mixed = "ID,T\n".to_owned() + &(0..100).map(|nth| format!("{nth},Café {nth}\n")).collect::<String>();
    mixed.push_str("x,Caf");
    let mixed = [mixed.into_bytes(), vec![0xe9, b'\n']].concat();
    let toml = propose(Cursor::new(mixed.clone()), "some.csv", "some", &said, &ReadLimits::default()).unwrap();
    let definition = Definition::from_toml(&toml, "some.toml").unwrap();
    assert!(definition.source.dialect.encoding.is_none() && toml.contains("1 row is not UTF-8"), "{toml}");
    let rows = open(Cursor::new(mixed), "some.csv", &definition, &ReadLimits::default()).unwrap();
    let texts: Vec<String> = rows.map(|row| format!("{:?}", row.unwrap())).collect();
    assert!(texts[0].contains("Café 0") && texts[100].contains("\"Café\""), "{}", texts[100]);
}

#[test]
fn the_first_rows_are_not_stepped_over() {
    for (text, line) in [
        ("Park\nX\nY\nZ, W\nQ\nR\nS\n", 1),
        ("Park,City\nFoo,Boston\nBar,Paris\nBaz,Rome,IT,x,y\nBax,Rome,IT,x,y\n", 1),
        ("Park,,City,\nFoo,Boston,MA,x\nBar,Paris,FR,y\n", 1),
        ("Agency:,City\nDate:,2016\n\nID,TXT,N\n1,a,5\n2,b,6\n", 4),
        ("Monthly report\n\nID,TXT,N\n1,a,5\n2,b,6\n", 3),
    ] {
        let toml = propose_as(text, "some.csv").unwrap();
        assert!(toml.contains(&format!("header was found on line {line};")), "{text:?}\n{toml}");
        assert_eq!(toml.contains("above the header"), line > 1, "{toml}");
    }
}

#[test]
fn the_tops_of_many_large_sheets_are_bounded() {
    struct Wide(String);
    impl RowCells for Wide {
        fn width(&self) -> usize {
            1_000
        }
        fn cell(&self, _place: usize) -> crate::dataset::reader::Cell<'_> {
            crate::dataset::reader::Cell::Text(&self.0)
        }
        fn is_delimited(&self) -> bool {
            false
        }
    }
    let limits = ReadLimits::default();
    let mut tops = Tops { limits: &limits, skip_rows: 0, sheets: Vec::new(), tops: Vec::new(), bytes: 0 };
    let row = Wide("x".repeat(1_000));
    let mut rows = 0;
    'sheets: for sheet in 0..64 {
        tops.sheet(Some(&sheet.to_string()), false);
        for line in 1..=50 {
            rows += 1;
            if tops.row(line, &row).unwrap() == Flow::Stop {
                break 'sheets;
            }
        }
    }
    assert!(rows < 40, "{rows} rows of a megabyte were kept");
}

#[test]
fn what_is_said_is_written_down() {
    let mut said = Said::default();
    let dialect = &mut said.dialect;
    for (key, text) in [
        ("delimiter", "|"),
        ("quote", "none"),
        ("encoding", "cp1251"),
        ("decimal", ","),
        ("time_zone", "Europe/Berlin"),
    ] {
        dialect.say(key, text).unwrap();
    }
    dialect.say_skip_rows(1).unwrap();
    let source = Cursor::new(b"title\nid|n\n1|\"1,5\n2|2,5\n".to_vec());
    let toml = propose(source, "some.csv", "some", &said, &ReadLimits::default()).unwrap();
    let definition = Definition::from_toml(&toml, "some.toml").unwrap();
    assert_eq!(definition.source.dialect, said.dialect, "{toml}");
}

proptest! {
    #[test]
    fn what_is_proposed_is_a_definition(headers in proptest::collection::vec("[A-Za-z0-9#é%+ _.\"'\\\\-]{1,12}", 2..8), cell in "[a-z0-9]{0,5}") {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&headers).unwrap();
        writer.write_record(headers.iter().map(|_| &cell)).unwrap();
        let bytes = writer.into_inner().unwrap();
        if let Ok(toml) = propose(Cursor::new(bytes), "some.csv", "some", &Said::default(), &ReadLimits::default()) {
            let parsed = Definition::from_toml(&toml, "some.toml");
            prop_assert!(parsed.is_ok(), "{parsed:?}\n{toml}");
        }
    }
}
