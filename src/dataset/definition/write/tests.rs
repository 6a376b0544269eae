use std::{collections::BTreeSet, io::Cursor};

use proptest::{collection::vec, option, prelude::*, sample::select};
use toml::{Table, Value};

use super::{super::*, quoted};
use crate::dataset::{
    definition::{about::ABOUT, parse},
    infer,
    reader::ReadLimits,
};

/// A definition that uses every entry of the language.
const ALL: &str = r##"
name = "all"
title = "Everything"
record_id = "number"
load_date = "loaded"
date_order = "day_first"
delimiter = "tab"
quote = "'"
encoding = "cp1252"
sheet = "Sheet \"1\""
decimal = ","
thousands = "'"
time_zone = "Europe/Berlin"
skip_rows = 3
blanks = ["n/a", "\\", "'\""]
stop_at = ["Total", "Source:*"]
fill_down = ["street"]
[about]
description = "First line.\n\n  Second one, \"\"\"quoted\"\"\"\\ and it is so long that it has to be broken somewhere in its middle, between two words  of it."
licence = "CC0 1.0"
licence_url = "https://example.org/licence"
publisher = "City"
publisher_url = "https://example.org/"
contact = "data@example.org"
frequency = "yearly"
homepage = "https://example.org/home"
keywords = ["trees", "ž\"š"]
access = "Ask."
public = true
[key]
column = "tag"
prefix = "#"
strip = ["No."]
fold = "upper"
[[column]]
name = "tag"
headers = ["Tag"]
required = true
[[column]]
name = "number"
type = "integer"
headers = ["Number"]
[[column]]
name = "street"
description = "A street."
headers = ["Street", "STR."]
occurrence = 2
required = true
default = "none"
fold = "lower"
blanks = ["-"]
personal = true
searchable = true
[[column]]
name = "city"
headers = ["City"]
publish = false
[[column]]
name = "address"
join = [
  { column = "street", case = "title", omit = ["0", "*"] },
  { column = "city", before = ", ", prefix = "in " },
]
[[column]]
name = "opened"
type = "timestamp"
headers = ["Opened"]
date_order = "month_first"
[[column]]
name = "lat"
type = "number"
headers = ["Place"]
extract = "latitude"
[[column]]
name = "lon"
type = "number"
headers = ["Place"]
extract = "longitude"
publish = false
[[column]]
name = "spot"
type = "point"
latitude = "lat"
longitude = "lon"
[[column]]
name = "loaded"
type = "date"
import = true
[[index]]
partition = "street"
sort = "opened"
[guard]
removed_max = 0
rejected_max = 50
nulled_max = 100
"##;

/// Checks that the definition survives writing and reading. Returns the text.
fn written(definition: &Definition) -> String {
    let text = definition.to_toml();
    let again = Definition::from_toml(&text, "x").unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(&again, definition, "{text}");
    assert_eq!(again.fingerprint(), definition.fingerprint());
    assert_eq!(again.to_toml(), text);
    text
}

fn keys<'t>(tables: impl IntoIterator<Item = &'t Table>) -> BTreeSet<&'t str> {
    tables.into_iter().flat_map(Table::keys).map(String::as_str).collect()
}

fn tables<'t>(table: &'t Table, key: &str) -> Vec<&'t Table> {
    match table.get(key) {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_table).collect(),
        Some(Value::Table(table)) => vec![table],
        _ => Vec::new(),
    }
}

#[test]
fn every_entry_of_the_language_is_written() {
    let definition = Definition::from_toml(ALL, "all").unwrap();
    let text = written(&definition);
    let root: Table = text.parse().unwrap();
    let columns = tables(&root, "column");
    let parts: Vec<&Table> = columns.iter().flat_map(|column| tables(column, "join")).collect();
    for (known, found) in [
        (&parse::ROOT[..], keys([&root])),
        (&ABOUT[..], keys(tables(&root, "about"))),
        (&parse::KEY[..], keys(tables(&root, "key"))),
        (&parse::COLUMN[..], keys(columns)),
        (&parse::PART[..], keys(parts)),
        (&parse::INDEX[..], keys(tables(&root, "index"))),
        (&parse::GUARD[..], keys(tables(&root, "guard"))),
    ] {
        assert_eq!(found, known.iter().copied().collect::<BTreeSet<_>>());
    }
}

#[test]
fn long_texts_are_broken_between_words_and_lists_are_not() {
    let definition = Definition::from_toml(ALL, "all").unwrap();
    let text = definition.to_toml();
    assert!(text.contains("description = \"\"\"\nFirst line.\n\n  Second one, \"\\\"\\\"quoted"), "{text}");
    assert!(text.lines().all(|line| line.len() <= WIDTH_SEEN), "{text}");
    assert!(text.contains("headers = [\"Street\", \"STR.\"]"), "{text}");
    assert!(text.contains("sheet = 'Sheet \"1\"'"), "{text}");
    assert_eq!(quoted("a\u{202e}b\r\n\"'"), "\"a\\u202Eb\\r\\n\\\"'\"");
}

/// A broken line ends in a backslash.
const WIDTH_SEEN: usize = super::WIDTH + 1;

#[test]
fn what_is_left_out_is_the_default() {
    let text = written(&Definition::from_toml(include_str!("../../../../tests/datasets/things.toml"), "x").unwrap());
    let expected = "name = \"things\"\ntitle = \"Things\"\n\n[key]\ncolumn = \"tag\"\n\n[[column]]\nname = \"tag\"\nheaders = [\"Tag\"]\n";
    assert!(text.starts_with(expected), "{text}");
    assert!(!text.contains("publish") && !text.contains("required") && !text.contains("[about]"), "{text}");
}

#[test]
fn definitions_that_people_wrote_stay_the_same() {
    for (file, text) in [
        ("permits", include_str!("../../../../schemas/datasets/permits.toml")),
        ("sf_open_data", include_str!("../../../../schemas/datasets/sf_open_data.toml")),
        ("missoula", include_str!("../../../../tests/datasets/missoula.toml")),
        ("nyc", include_str!("../../../../tests/datasets/nyc.toml")),
        ("things", include_str!("../../../../tests/datasets/things.toml")),
    ] {
        written(&Definition::from_toml(text, file).unwrap());
    }
    let permits = Definition::builtin().unwrap().remove(0).to_toml();
    assert_eq!(permits.matches("are recognised and dropped").count(), 1, "{permits}");
}

#[test]
fn drafts_stay_the_same() {
    for (name, text) in [
        (
            "a.csv",
            "Permit No,Opened,Fee,Owner Name,Limit,,Notes,Notes\nA-1,1/31/2020,$5.00,Ann,1,,x,y\nA-2,2/1/2020,7,Bob,2,,z,\n",
        ),
        ("b.csv", "Betrag;Tag\n1,5;31.12.2020\n2,5;1.1.2021\n3,25;2.1.2021\n"),
        ("c.csv", "Kind\nx\nx\n"),
        ("d.tsv", "No.\tSaid \"so\"\t#\n1\ta'b\\c\t\n2\t\"q\t-\n"),
    ] {
        let draft = Cursor::new(text.as_bytes().to_vec());
        let draft = infer::propose(draft, name, "some", &Said::default(), &ReadLimits::default()).unwrap();
        written(&Definition::from_toml(&draft, name).unwrap());
    }
}

#[test]
fn the_column_whose_blanks_are_filled_is_called_so_that_it_is_found() {
    // The first column has the second's name as its header.
    let text = ALL.replace("headers = [\"Tag\"]", "headers = [\"Tag\", \"street\"]");
    let text = text.replace("fill_down = [\"street\"]", "fill_down = [\"str\"]");
    let definition = Definition::from_toml(&text, "x").unwrap();
    assert!(definition.source.fields[2].fill_down);
    assert!(written(&definition).contains("fill_down = [\"STR.\"]"));
}

/// Texts with all characters that could end or change a TOML text.
fn hostile() -> BoxedStrategy<String> {
    prop_oneof![
        "[\"'\\\\\n\r\t #=\\[\\]{},a]{0,12}",
        "\\PC{0,12}",
        "[\u{0}-\u{20}\u{7f}-\u{a0}\u{200b}\u{202e}\u{2028}\u{feff}😀é]{0,8}",
        "([a-z]{1,9}[ \"\\\\]{1,3}){20,40}",
        Just("\"\"\"".to_owned()),
        Just("'''".to_owned()),
        Just("a\\".to_owned()),
    ]
    .boxed()
}

fn texts(max: usize) -> BoxedStrategy<Option<Value>> {
    option::of(vec(hostile(), 1..max).prop_map(list)).boxed()
}

fn list(texts: Vec<String>) -> Value {
    Value::Array(texts.into_iter().map(Value::String).collect())
}

fn text(strategy: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Option<Value>> {
    option::of(strategy.prop_map(Value::String)).boxed()
}

fn one_of(words: &'static [&'static str]) -> BoxedStrategy<Option<Value>> {
    text(select(words).prop_map(str::to_owned))
}

fn flag() -> BoxedStrategy<Option<Value>> {
    option::of(any::<bool>().prop_map(Value::Boolean)).boxed()
}

fn number(range: std::ops::Range<i64>) -> BoxedStrategy<Option<Value>> {
    option::of(range.prop_map(Value::Integer)).boxed()
}

/// A table with some of these entries.
fn table(entries: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Table> {
    let (keys, values): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
    let filled = move |values: Vec<Option<Value>>| {
        let entries = keys.iter().zip(values).filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
        entries.collect::<Table>()
    };
    values.prop_map(filled).boxed()
}

fn extra(name: String, kind: &'static str) -> BoxedStrategy<Table> {
    let is_text = kind == "text";
    let defaults: &[&str] = match kind {
        "integer" => &["0", "-7"],
        "money" => &["1.50"],
        "number" => &["0.5"],
        "date" => &["2020-01-31"],
        "timestamp" => &["2020-01-31T01:02:03Z"],
        _ => &["", "\"", "\\", "x'\n\"\"\"", "\u{7f}"],
    };
    let nothing = || Just(None).boxed();
    table(vec![
        ("type", one_of_kind(kind)),
        ("description", text(hostile())),
        ("default", text(select(defaults).prop_map(str::to_owned))),
        ("fold", if is_text { one_of(&["none", "lower", "upper"]) } else { nothing() }),
        (
            "date_order",
            if matches!(kind, "date" | "timestamp") { one_of(&["month_first", "day_first"]) } else { nothing() },
        ),
        ("extract", if kind == "number" { one_of(&["latitude", "longitude"]) } else { nothing() }),
        ("occurrence", number(1..101)),
        ("required", flag()),
        ("blanks", texts(3)),
        ("publish", flag()),
        ("personal", flag()),
    ])
    .prop_flat_map(move |table| {
        let name = name.clone();
        vec(hostile(), 0..3).prop_map(move |more| {
            let mut table = table.clone();
            // Each column has a header of its own; a blank one is no header.
            let mut headers = vec![format!("header of {name}")];
            headers.extend(more.into_iter().map(|text| format!("{name} {text}")));
            table.insert("headers".to_owned(), list(headers));
            table.insert("name".to_owned(), Value::String(name.clone()));
            table
        })
    })
    .boxed()
}

fn one_of_kind(kind: &'static str) -> BoxedStrategy<Option<Value>> {
    Just((kind != "text").then(|| Value::String(kind.to_owned()))).boxed()
}

fn columns() -> BoxedStrategy<Vec<Table>> {
    let kinds = select(&["text", "integer", "money", "number", "date", "timestamp"][..]);
    vec(kinds, 0..7)
        .prop_flat_map(|kinds| {
            let columns = kinds.into_iter().enumerate();
            columns.map(|(place, kind)| extra(format!("column_{place}"), kind)).collect::<Vec<_>>()
        })
        .boxed()
}

fn root() -> BoxedStrategy<Table> {
    table(vec![
        ("title", text(hostile())),
        ("date_order", one_of(&["month_first", "day_first"])),
        ("blanks", texts(4)),
        ("delimiter", one_of(&["tab", ",", ";", "|", " ", "\u{1}", "\u{7f}", "\\", "#"])),
        ("quote", one_of(&["\"", "'", "`", "none"])),
        ("encoding", one_of(&["utf-8", "latin1", "cp932", "macintosh"])),
        ("sheet", text(hostile().prop_map(|text| format!("s{text}")))),
        ("decimal", one_of(&[".", ","])),
        ("thousands", one_of(&[" ", "'", "none"])),
        ("time_zone", one_of(&["UTC", "Europe/Berlin", "America/Los_Angeles"])),
        ("skip_rows", number(0..10_001)),
        ("stop_at", option::of(vec(hostile().prop_map(|text| format!("t{text}")), 1..3).prop_map(list)).boxed()),
    ])
    .boxed()
}

fn about() -> BoxedStrategy<Option<Value>> {
    const WORDS: &str = "[a-zé😀\"'\\\\]{1,9}( [a-zé\"'\\\\=#]{1,9}){0,20}";
    let urls = || one_of(&["https://example.org/a?b=c#d", "http://[::1]:80/'"]);
    let of_lines = || {
        let lines: BoxedStrategy<String> = vec(WORDS, 1..5).prop_map(|lines| lines.join("\n\n  ")).boxed();
        text(lines.prop_filter("in bounds", |text| text.chars().count() < 4_000 && !text.contains('\t')))
    };
    let about = table(vec![
        ("description", of_lines()),
        ("licence", text("[a-z\"'\\\\]{1,20}")),
        ("licence_url", urls()),
        ("publisher", text("[a-zé\"]{1,50}( [a-z]{1,50}){0,2}")),
        ("publisher_url", urls()),
        ("contact", one_of(&["a'b@example.org", "https://example.org"])),
        ("frequency", text("[a-z]{1,20}")),
        ("homepage", urls()),
        ("keywords", option::of(Just(list(vec!["a\"b".into(), "c'd".into(), "e\\".into()]))).boxed()),
        ("access", of_lines()),
        ("public", flag()),
    ]);
    option::of(about.prop_map(Value::Table)).boxed()
}

/// A definition with any entries of the language.
fn any_definition() -> impl Strategy<Value = (String, Definition)> {
    let fold = || one_of(&["none", "lower", "upper"]);
    let key = table(vec![
        ("prefix", text(hostile().prop_map(|text| format!("k{text}")))),
        ("strip", texts(3)),
        ("fold", fold()),
    ]);
    let percent = || number(0..101);
    let guard = table(vec![("removed_max", percent()), ("rejected_max", percent()), ("nulled_max", percent())]);
    let parts = vec(
        table(vec![
            ("before", text(hostile())),
            ("prefix", text(hostile())),
            ("case", one_of(&["keep", "lower", "upper", "title"])),
            ("omit", texts(3)),
        ]),
        0..4,
    );
    let switches = (any::<bool>(), any::<bool>(), any::<bool>(), any::<u8>());
    (root(), about(), key, option::of(guard), columns(), parts, switches).prop_map(
        |(mut root, about, mut key, guard, mut columns, parts, (is_counted, has_date, is_filled, at))| {
            let text = |text: &str| Value::String(text.to_owned());
            let made = |name: &str, kind: &str| {
                let entries = [("name", text(name)), ("type", text(kind)), ("import", Value::Boolean(true))];
                entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Table>()
            };
            let read = |name: &str| {
                let entries = [("name", text(name)), ("headers", list(vec![format!("the {name}")]))];
                entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Table>()
            };
            root.insert("name".to_owned(), text("any"));
            key.insert("column".to_owned(), text("tag"));
            root.insert("key".to_owned(), Value::Table(key));
            root.extend(about.map(|about| ("about".to_owned(), about)));
            root.extend(guard.map(|guard| ("guard".to_owned(), Value::Table(guard))));
            if is_filled {
                root.insert("fill_down".to_owned(), list(vec!["the row".to_owned()]));
            }
            let is_published = |table: &&Table| table.get("publish") != Some(&Value::Boolean(false));
            let published: Vec<String> =
                columns.iter().filter(is_published).map(|table| table["name"].as_str().unwrap().to_owned()).collect();
            let index = |partition: &str, sort: Option<&String>| {
                let mut index = Table::from_iter([("partition".to_owned(), text(partition))]);
                index.extend(sort.map(|sort| ("sort".to_owned(), text(sort))));
                Value::Table(index)
            };
            let indexes = published.iter().map(|name| index(name, published.first())).chain([index("tag", None)]);
            root.insert("index".to_owned(), Value::Array(indexes.collect()));
            let place = usize::from(at) % (columns.len() + 1);
            columns.insert(place, read("tag"));
            let (id, row) = if is_counted { ("record_id", made("record_id", "integer")) } else { ("row", read("row")) };
            if is_filled && is_counted {
                columns.push(read("row"));
            }
            columns.push(row);
            root.insert("record_id".to_owned(), text(id));
            if has_date {
                root.insert("load_date".to_owned(), text("loaded"));
                columns.insert(0, made("loaded", "date"));
            }
            if !parts.is_empty() {
                let joined = parts.into_iter().map(|mut part| {
                    part.insert("column".to_owned(), text("tag"));
                    Value::Table(part)
                });
                let mut column = Table::from_iter([("name".to_owned(), text("joined"))]);
                column.insert("join".to_owned(), Value::Array(joined.collect()));
                columns.push(column);
            }
            root.insert("column".to_owned(), Value::Array(columns.into_iter().map(Value::Table).collect()));
            let text = toml::to_string(&root).unwrap();
            let definition = Definition::from_toml(&text, "any").unwrap_or_else(|error| panic!("{error}\n{text}"));
            (text, definition)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_definition_that_is_written_is_the_same_again((_, definition) in any_definition()) {
        written(&definition);
    }

    #[test]
    fn any_text_is_read_as_it_was_written(text in hostile()) {
        for written in [quoted(&text), super::lines(&text)] {
            let table: Table = format!("a = {written}\n").parse().unwrap();
            prop_assert_eq!(table["a"].as_str().unwrap(), text.as_str(), "{}", written);
            // The text as a browser sends it.
            let sent = format!("a = {written}\n").replace('\n', "\r\n").replace("\r\n", "\n");
            let table: Table = sent.parse().unwrap();
            prop_assert_eq!(table["a"].as_str().unwrap(), text.as_str());
            prop_assert!(!written.contains('\r'), "a browser would change it");
        }
    }
}
