//! The facts of the real files.

use std::{collections::BTreeMap, io::Cursor};

use permitd::dataset::{
    Definition, Value,
    definition::Said,
    infer::propose,
    reader::{FileRow, ReadLimits},
};
use serde_json::json;

use crate::support::{builtin, import, shared_file};

#[test]
fn the_december_report() {
    let Some(bytes) = shared_file("December2016Issued.xlsx") else { return };
    let imported = import(&bytes, "December2016Issued.xlsx", &builtin("permits")).unwrap();
    assert_eq!(imported.rejected, []);
    assert_eq!(imported.rows.len(), 2_166);
    assert_eq!(imported.header.line, 1);
    assert_eq!(imported.header.sheet.as_deref(), Some("permits"));
    assert_eq!(imported.header.unmatched, Vec::<String>::new(), "every column is published or named as not published");
    assert_eq!(imported.header.absent, Vec::<String>::new());

    let mut by_number: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, key, _) in &imported.rows {
        *by_number.entry(key).or_default() += 1;
    }
    assert_eq!(by_number.len(), 2_015);
    let repeated: Vec<usize> = by_number.values().copied().filter(|rows| *rows > 1).collect();
    assert_eq!((repeated.len(), repeated.iter().sum::<usize>()), (124, 275));

    assert_eq!(
        imported.of_key("#201612013997"),
        [json!({
            "application_number": "#201612013997", "record_id": null, "status": "issued", "status_date": "2016-12-21",
            "file_date": "2016-12-01", "expiration_date": "2017-06-21", "estimated_cost": 9399.0, "revised_cost": 9399.0,
            "existing_use": "1 family dwelling", "proposed_use": "1 family dwelling",
            "description": "Replacing aluminum windows with paintable wood windows with acrylic clad. U-FACTOR: 0.32  SHGC: 0.25; SAME SIZE  SAME LOCATION.",
            "address": "235 Bella Vista Wy", "load_date": null, "form_number": 8, "status_code": 9, "existing_units": 1,
            "proposed_units": 1, "plansets": 0, "fifteen_day_hold": null, "existing_stories": 2, "proposed_stories": 2,
            "assessor_stories": 1, "soft_story_retrofit": null, "pages": 0, "block": "2998", "lot": "32",
            "street_number": 235, "street_number_suffix": null, "street_name": "BELLA VISTA", "street_suffix": "WY",
            "unit": null, "unit_suffix": null
        })]
    );
    let line = imported.rows.iter().find(|(_, key, _)| key == "#201612013997").unwrap().0;
    assert_eq!(line, 1_558);
}

#[test]
fn the_traps_of_the_december_report() {
    let Some(bytes) = shared_file("December2016Issued.xlsx") else { return };
    let imported = import(&bytes, "December2016Issued.xlsx", &builtin("permits")).unwrap();
    let costs = imported.column("estimated_cost");
    assert_eq!(costs.iter().filter(|cost| cost.is_null()).count(), 1);
    assert_eq!(costs.iter().filter_map(serde_json::Value::as_f64).filter(|cost| cost.fract() != 0.0).count(), 8);

    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let addresses: Vec<String> = imported.column("address").iter().map(text).collect();
    assert!(addresses.iter().all(|address| !address.is_empty() && !address.contains('*')));
    assert!(addresses.iter().any(|address| address.contains('½')), "½ follows its number");
    assert!(addresses.iter().any(|address| address.contains(" 3rd St")), "03RD");
    assert!(addresses.iter().all(|address| !address.contains("03rd")));
    assert!(addresses.iter().all(|address| !address.ends_with("#0")), "unit 0 is no unit");
    assert!(addresses.iter().any(|address| address.contains(" #")));
    assert!(imported.column("street_suffix").iter().any(serde_json::Value::is_null), "* says that there is none");
    assert!(imported.column("description").iter().any(|description| text(description).contains('#')));
    assert!(!imported.published().is_ascii());
    assert!(imported.column("street_number").iter().all(serde_json::Value::is_number));
}

#[test]
fn nothing_personal_of_the_december_report_is_published() {
    let Some(bytes) = shared_file("December2016Issued.xlsx") else { return };
    let imported = import(&bytes, "December2016Issued.xlsx", &builtin("permits")).unwrap();
    let names: Vec<&str> = imported.definition.columns.iter().map(|column| column.name.as_str()).collect();
    for word in ["contractor", "contact", "phone", "company", "first_name", "last_name", "city", "state", "zip"] {
        assert!(names.iter().all(|name| !name.contains(word)), "{word}");
    }
    let house_numbers: Vec<i64> =
        imported.column("street_number").iter().filter_map(serde_json::Value::as_i64).collect();
    assert!(!house_numbers.contains(&30_800), "that is a contractor's");
}

#[test]
fn the_open_data_form() {
    let Some(bytes) = shared_file("sf_building_permits_post2013.csv") else { return };
    let imported = import(&bytes, "sf_building_permits_post2013.csv", &builtin("sf_open_data")).unwrap();
    assert_eq!(imported.rejected, []);
    assert_eq!(imported.rows.len(), 2_125);
    assert_eq!(imported.header.unmatched, Vec::<String>::new());
    assert_eq!(imported.header.absent, Vec::<String>::new());

    let definition = &imported.definition;
    let mut ids: Vec<&Value> = imported.rows.iter().map(|(.., record)| &record.values[definition.record_id]).collect();
    ids.sort_by(|left, right| left.total_cmp(right));
    ids.dedup();
    assert_eq!(ids.len(), 2_125, "Record ID is unique");

    let first = imported.json(&imported.rows[0].2);
    assert_eq!(first["permit_number"], "202008182040");
    assert_eq!(first["record_id"], "1596460430476");
    assert_eq!(first["file_date"], "2020-08-18");
    assert_eq!(first["address"], "1561 9th Av");
    let value = |name| &imported.rows[0].2.values[definition.column_index(name).unwrap()];
    assert_eq!(value("longitude"), &Value::Number(-122.466_301_434_820_2));
    assert_eq!(value("latitude"), &Value::Number(37.759_193_650_628_05));
    assert_eq!(first["lot"], "011");
    assert_eq!(imported.column("latitude").iter().filter(|latitude| latitude.is_null()).count(), 1);
    assert!(imported.column("description").iter().any(|text| text.as_str().is_some_and(|text| text.contains('\n'))));
    assert!(imported.column("estimated_cost").contains(&json!(471_333.33)));
    assert_eq!(definition.canonical_key("#202008182040"), "202008182040");
}

#[test]
fn the_open_data_form_of_2018() {
    let Some(bytes) = shared_file("Building_Permits.csv") else { return };
    let imported = import(&bytes, "Building_Permits.csv", &builtin("sf_open_data")).unwrap();
    assert_eq!(imported.rejected, []);
    assert_eq!(imported.rows.len(), 10);
    let first = imported.json(&imported.rows[0].2);
    assert!((first["latitude"].as_f64().unwrap() - 37.785_719).abs() < 1e-6);
    assert!((first["longitude"].as_f64().unwrap() + 122.408_523).abs() < 1e-6);
    assert_eq!(first["address"], "140 Ellis St");
}

#[test]
fn another_citys_workbook_with_titles_above_the_header() {
    let Some(bytes) = shared_file("missoula_city_2014.xlsx") else { return };
    let definition = Definition::from_toml(include_str!("missoula.toml"), "missoula.toml").unwrap();
    let imported = import(&bytes, "missoula_city_2014.xlsx", &definition).unwrap();
    assert_eq!(imported.rejected, []);
    assert_eq!(imported.header.line, 5);
    assert_eq!(imported.rows.len(), 310);
    let first = imported.json(&imported.rows[0].2);
    assert_eq!(first["permit_number"], "2013-MSS-COM-00196");
    assert_eq!(first["geocode"], "04220029116010000", "digits, not a number");
    assert_eq!(first["issued_date"], "2014-03-26");
    assert_eq!(first["dwellings"], 63);
    assert_eq!(first["construction_type"], "commercial construction");
}

#[test]
fn another_citys_text_file_with_two_forms_of_dates() {
    let Some(bytes) = shared_file("nyc_permits.csv") else { return };
    let definition = Definition::from_toml(include_str!("nyc.toml"), "nyc.toml").unwrap();
    let imported = import(&bytes, "nyc_permits.csv", &definition).unwrap();
    assert_eq!(imported.header.unmatched, Vec::<String>::new());
    assert_eq!(imported.rows.len() + imported.rejected.len(), 7_431);
    let [FileRow::Rejected { key, problems, .. }, FileRow::Rejected { problems: zeros, .. }] =
        imported.rejected.as_slice()
    else {
        panic!("one row has shifted cells, one a number with zeros before it: {:?}", imported.rejected)
    };
    assert!(key.is_some());
    assert_eq!((zeros[0].column.as_str(), zeros[0].value.as_str()), ("community_board", "012"));
    let columns: Vec<&str> = problems.iter().map(|problem| problem.column.as_str()).collect();
    assert_eq!(columns, ["community_board", "proposed_stories"]);
    assert_eq!(problems[1].value, "UTILITY / MISCELLANEOUS");
    assert_eq!(problems[1].reason, "expected a whole number such as 12");

    let first = imported.json(&imported.rows[0].2);
    assert_eq!(first["issued_date"], "2018-02-14");
    assert_eq!(first["expiration_date"], "2019-01-23");
    assert_eq!(first["address"], "32 West 12th Road");
    assert!(!imported.published().contains("D HANDY"));
}

#[test]
fn proposals_for_the_real_files() {
    for (name, key, unpublished) in [
        (
            "December2016Issued.xlsx",
            "application_number",
            vec!["first_name", "contractorphone", "contact_phone", "company_name"],
        ),
        ("sf_building_permits_post2013.csv", "permit_number", vec![]),
        ("missoula_city_2014.xlsx", "permit_number", vec![]),
        ("nyc_permits.csv", "job_number", vec!["applicant_business_name"]),
    ] {
        let Some(bytes) = shared_file(name) else { return };
        let toml =
            propose(Cursor::new(bytes.clone()), name, "proposed", &Said::default(), &ReadLimits::default()).unwrap();
        let definition =
            Definition::from_toml(&toml, "proposed.toml").unwrap_or_else(|error| panic!("{error}\n{toml}"));
        assert_eq!(definition.columns[definition.key].name, key, "{name}");
        for column in unpublished {
            assert!(toml.contains(&format!("name = \"{column}\"\n")), "{name} {column}");
            assert!(definition.column_index(column).is_none(), "{name} {column}");
        }
        let imported = import(&bytes, name, &definition).unwrap();
        assert!(imported.rejected.len() * 100 < imported.rows.len(), "{name}: {:?}", imported.rejected.first());
        assert_eq!(imported.header.unmatched, Vec::<String>::new(), "{name}");
    }
}
