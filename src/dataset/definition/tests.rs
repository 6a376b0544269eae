use proptest::prelude::*;

use super::*;

const SMALL: &str = r#"
name = "small"
[key]
column = "number"
[[column]]
name = "number"
headers = ["NUMBER"]
[[column]]
name = "record_id"
type = "integer"
import = true
[[column]]
name = "cost"
type = "money"
headers = ["COST"]
default = "0"
"#;

fn permits() -> Definition {
    Definition::builtin().unwrap().remove(0)
}

/// The error of the small definition after a change.
fn refused(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from}");
    match Definition::from_toml(&SMALL.replacen(from, to, 1), "small.toml") {
        Ok(_) => panic!("{to} was taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_builtin_definitions_are_valid() {
    let names: Vec<String> = Definition::builtin().unwrap().into_iter().map(|definition| definition.name).collect();
    assert_eq!(names, ["permits", "sf_open_data"]);
}

#[test]
fn the_published_fields_begin_with_those_of_the_reference_system() {
    let definition = permits();
    let names: Vec<&str> = definition.columns.iter().map(|column| column.name.as_str()).take(13).collect();
    assert_eq!(
        names,
        [
            "application_number",
            "record_id",
            "status",
            "status_date",
            "file_date",
            "expiration_date",
            "estimated_cost",
            "revised_cost",
            "existing_use",
            "proposed_use",
            "description",
            "address",
            "load_date"
        ]
    );
    assert_eq!((definition.key, definition.record_id, definition.load_date), (0, 1, Some(12)));
    assert_eq!(definition.record_id_rule, RecordIdRule::Ordinal);
    assert!(definition.columns.iter().all(|column| !column.description.is_empty()));
}

#[test]
fn keys_have_one_form() {
    let definition = permits();
    for key in ["201612013997", "#201612013997", " # 201612013997 ", "##201612013997"] {
        assert_eq!(definition.canonical_key(key), "#201612013997");
    }
    assert_eq!(definition.canonical_key("#"), "");
    let open_data = Definition::builtin().unwrap().remove(1);
    assert_eq!(open_data.canonical_key("#201612013997"), "201612013997");
}

#[test]
fn folding_makes_no_second_form() {
    for (fold, prefix, strip, text, form) in [
        ("lower", "#", "no.", "NO.5", "#5"),
        ("lower", "#", "NO.", "no. 5a", "#5a"),
        ("upper", "K-", "k", "k5b", "K-5B"),
        ("lower", "K-", "x", "k-5B", "K-5b"),
        ("lower", "Σ", "ΑΣ", "ΑΣΒ", "Σβ"),
        ("none", "#", "no.", "NO.5", "#NO.5"),
        ("none", "e\u{301}-", "x", "e\u{301}-A\u{30a}", "é-Å"),
        ("none", "e", "x", "\u{301}a", "\u{301}a"),
        ("lower", "", "x", "Straße", "strasse"),
        ("upper", "", "x", "τέλος", "ΤΈΛΟΣ"),
    ] {
        let key = format!("[key]\nfold = '{fold}'\nprefix = '{prefix}'\nstrip = ['{strip}']");
        let definition = Definition::from_toml(&SMALL.replace("[key]", &key), "small.toml").unwrap();
        let once = definition.canonical_key(text);
        assert_eq!((once.as_str(), definition.canonical_key(&once).as_str()), (form, form), "{text}");
    }
}

#[test]
fn errors_name_the_file_the_key_and_what_is_valid() {
    for (from, to, parts) in [
        ("[key]", "[kay]", ["small.toml: kay", "did you mean `key`?"]),
        ("headers = [\"COST\"]", "header = [\"COST\"]", ["column[3].header", "did you mean `headers`?"]),
        (
            "\"money\"",
            "\"monye\"",
            ["column[3].type", "did you mean `money`? Valid are: text, integer, money, number, date, timestamp"],
        ),
        ("default = \"0\"", "default = \"free\"", ["column[3].default", "expected an amount"]),
        ("default = \"0\"", "default = 0", ["column[3].default", "expected a string in quotes, found integer 0"]),
        ("default = \"0\"", "occurrence = 0", ["column[3].occurrence", "from 1 to 100"]),
        ("default = \"0\"", "fold = \"lower\"", ["column[3].fold", "only text"]),
        ("default = \"0\"", "import = true", ["column[3].headers", "exactly one of these"]),
        ("column = \"number\"", "column = \"nummer\"", ["key.column", "did you mean `number`?"]),
        ("column = \"number\"", "column = \"cost\"", ["key.column", "the key column is text"]),
        ("column = \"number\"", "column = \"number\"\nprefix = \" #\"", ["key.prefix", "begins with a space"]),
        ("name = \"cost\"", "name = \"number\"", ["column[3].name", "declared twice"]),
        ("name = \"cost\"", "name = \"limit\"", ["column[3].name", "none of: filter, select, sort, limit"]),
        ("name = \"cost\"", "name = \"Cost__gte\"", ["column[3].name", "lower-case letters"]),
        ("name = \"small\"", "name = \"users\"", ["name", "reserved"]),
        (
            "headers = [\"COST\"]",
            "headers = [\"Number\"]",
            ["column \"cost\".headers", "column \"number\" already reads that header"],
        ),
        ("type = \"integer\"\nimport", "import", ["record_id", "type = \"integer\""]),
        ("default = \"0\"", "default = ", ["line 16", "is not TOML"]),
        (
            "[[column]]\nname = \"cost\"",
            "[[index]]\npartition = \"kost\"\n[[column]]\nname = \"cost\"",
            ["index[1].partition", "did you mean `cost`?"],
        ),
    ] {
        let error = refused(from, to);
        for part in parts {
            assert!(error.contains(part), "{to}: {error}");
        }
    }
    let join = refused("default = \"0\"", "[[column]]\nname = \"all\"\njoin = [{ column = \"coast\" }]");
    assert!(join.contains("column[4].join[1].column") && join.contains("did you mean `cost`?"), "{join}");
    let personal = refused("default = \"0\"", "publish = false\n[[index]]\npartition = \"cost\"");
    assert!(personal.contains("is not a published column"), "{personal}");
}

#[test]
fn a_definition_survives_storing() {
    for definition in Definition::builtin().unwrap() {
        let stored = serde_json::to_string(&definition).unwrap();
        let read: Definition = serde_json::from_str(&stored).unwrap();
        assert_eq!(read.fingerprint(), definition.fingerprint());
        assert_eq!(read, definition);
    }
}

#[test]
fn fingerprints_tell_definitions_apart_but_not_their_layout() {
    let small = Definition::from_toml(SMALL, "a.toml").unwrap();
    let commented = Definition::from_toml(&format!("# A comment\n{SMALL}"), "b.toml").unwrap();
    let other = Definition::from_toml(&SMALL.replace("\"0\"", "\"1\""), "c.toml").unwrap();
    assert_eq!(small.fingerprint(), commented.fingerprint());
    assert_ne!(small.fingerprint(), other.fingerprint());
    assert_eq!(small.fingerprint().len(), 64);
}

proptest! {
    #[test]
    fn a_canonical_key_stays_as_it_is(text in "\\PC*|[eNoOß\u{301}\u{307}ıİ #5ςẞ]{0,9}") {
        let own = |fold: &str| SMALL.replace("[key]", &format!("[key]\nfold = {fold:?}\nprefix = \"SSe\"\nstrip = [\"No\"]"));
        let own = ["none", "lower", "upper"].map(|fold| Definition::from_toml(&own(fold), "own.toml").unwrap());
        for definition in Definition::builtin().unwrap().into_iter().chain(own) {
            let once = definition.canonical_key(&text);
            prop_assert_eq!(definition.canonical_key(&once), once);
        }
    }

    #[test]
    fn no_text_breaks_the_parser(text in "[a-z\\[\\]=\"\n ]{0,80}") {
        prop_assert!(Definition::from_toml(&text, "any.toml").is_err());
    }
}

#[test]
fn the_example_of_the_manual_is_valid() {
    let manual = include_str!("../../../schemas/datasets/README.md");
    let example = manual.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    let definition = Definition::from_toml(example, "README.md").unwrap();
    assert_eq!(definition.canonical_key("12"), "T12");
    assert_eq!(definition.columns.len(), 4);
    assert!(definition.about.public && definition.about.keywords == ["trees", "streets"]);
}

#[test]
fn permits_say_what_they_are() {
    let definition = permits();
    let about = &definition.about;
    assert_eq!(about.publisher.as_deref(), Some("San Francisco Department of Building Inspection"));
    assert_eq!(about.licence_url.as_deref(), Some("https://opendatacommons.org/licenses/pddl/1-0/"));
    assert_eq!((about.frequency.as_deref(), about.public), (Some("monthly"), true));
    assert!(!about.description.as_deref().unwrap().contains("  "), "lines are joined by one space");
    assert!(definition.columns.iter().all(|column| !column.personal), "what tells of people is not published");
}

#[test]
fn a_column_is_personal_where_the_definition_says_so() {
    let personal = SMALL.replace("default = \"0\"", "personal = true");
    let personal = Definition::from_toml(&personal, "small.toml").unwrap();
    assert_eq!(personal.columns.iter().map(|column| column.personal).collect::<Vec<_>>(), [false, false, true]);
    let small = Definition::from_toml(SMALL, "small.toml").unwrap();
    assert!(!serde_json::to_string(&small).unwrap().contains("personal"), "stored definitions keep their fingerprints");
    assert!(refused("default = \"0\"", "personal = 1").contains("column[3].personal"));
    assert!(refused("default = \"0\"", "personel = true").contains("did you mean `personal`?"));
}
