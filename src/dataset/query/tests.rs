//! Tests the parameters as callers write them, rightly and wrongly.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jiff::civil::date;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::dataset::{ColumnType, Record, cursor, cursor::CursorKey, samples, text::nfc};

const KEY: [u8; 32] = [9; 32];

fn definition() -> Definition {
    let columns = [
        ("application_number", "text"),
        ("record_id", "integer"),
        ("status", "text"),
        ("status__old", "text"),
        ("estimated_cost", "money"),
        ("file_date", "date"),
        ("changed", "timestamp"),
    ];
    samples::definition("permits", &columns)
}

fn read(raw_query: &str) -> Result<Query, Vec<InvalidParam>> {
    parse(&definition(), raw_query, &QueryLimits::default(), &CursorKey::new(KEY))
}

fn tests(raw_query: &str) -> Vec<Test> {
    let filter = read(raw_query).unwrap().filter;
    filter.conjuncts().into_iter().map(|term| term.test.clone()).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// The report about the only wrong parameter.
fn refused(raw_query: &str) -> (String, String, Option<String>) {
    let mut problems = read(raw_query).unwrap_err();
    assert_eq!(problems.len(), 1, "{raw_query}: {problems:?}");
    let InvalidParam { name, reason, did_you_mean, .. } = problems.remove(0);
    (name, reason, did_you_mean)
}

#[test]
fn every_operator() {
    let cases = [
        ("status=issued", Test::Equal(text("issued"))),
        ("status__eq=issued", Test::Equal(text("issued"))),
        ("status__ne=", Test::NotEqual(text(""))),
        ("file_date__lt=2017-01-01", Test::Less(Value::Date(date(2017, 1, 1)))),
        ("record_id__lte=2", Test::LessOrEqual(Value::Integer(2))),
        ("estimated_cost__gt=0.5", Test::Greater(Value::Money(50))),
        ("estimated_cost__gte=10000", Test::GreaterOrEqual(Value::Money(1_000_000))),
        ("estimated_cost__between=10000,50000", Test::Between(Value::Money(1_000_000), Value::Money(5_000_000))),
        ("status__in=issued,complete,issued", Test::In(vec![text("complete"), text("issued")])),
        ("status__in=issued", Test::Equal(text("issued"))),
        ("status__in=%5B%22a,b%22,%22c%22%5D", Test::In(vec![text("a,b"), text("c")])),
        ("record_id__in=[2,1]", Test::In(vec![Value::Integer(1), Value::Integer(2)])),
        ("status__notin=a,b", Test::NotIn(vec![text("a"), text("b")])),
        ("status__contains=%C3%89T%C3%89", Test::Contains("été".into())),
        ("status__startswith=a+b", Test::StartsWith("a b".into())),
        ("status__isnull=false", Test::Null(false)),
        ("status__old=x", Test::Equal(text("x"))),
        ("status__old__ne=x", Test::NotEqual(text("x"))),
    ];
    for (raw_query, expected) in cases {
        assert_eq!(tests(raw_query), [expected], "{raw_query}");
    }
}

#[test]
fn a_key_is_found_in_its_canonical_form() {
    let mut builtin = Definition::builtin().unwrap();
    let definition = builtin.swap_remove(builtin.iter().position(|known| known.name == "permits").unwrap());
    let number = "#201612013997";
    for raw_query in [
        "application_number=201612013997",
        "application_number=%23201612013997",
        "application_number__startswith=2016",
        "application_number__in=201612013997,5",
        "application_number__between=%23201612013997,201612013998",
    ] {
        let query = parse(&definition, raw_query, &QueryLimits::default(), &CursorKey::new(KEY)).unwrap();
        let mut record = Record { values: vec![Value::Null; definition.columns.len()] };
        record.values[definition.key] = text(number);
        assert!(query.filter.matches(&record), "{raw_query}");
    }
}

#[test]
fn what_is_unknown_is_refused_with_what_was_meant() {
    let cases = [
        ("stauts=issued", "stauts", Some("status")),
        ("stauts__in=a,b", "stauts__in", Some("status__in")),
        ("status__like=x", "status__like", Some("status__contains")),
        ("status__betwen=x", "status__betwen", Some("status__between")),
        ("limt=5", "limt", Some("limit")),
        ("explian=true", "explian", Some("explain")),
        ("since=3", "since", None),
        ("columns=status", "columns", None),
        ("count=all", "count", Some("exact")),
        ("format=ndjsn", "format", Some("ndjson")),
        ("fliter=x", "fliter", Some("filter")),
        ("contractor_phone=5", "contractor_phone", None),
        ("select=status,file_dat", "select", Some("file_date")),
        ("sort=-estimatedcost", "sort", Some("estimated_cost")),
    ];
    for (raw_query, name, meant) in cases {
        let (refused_name, _, did_you_mean) = refused(raw_query);
        assert_eq!((refused_name.as_str(), did_you_mean.as_deref()), (name, meant), "{raw_query}");
    }
}

#[test]
fn what_is_wrong_is_refused_with_its_reason() {
    let cases = [
        ("status=a&status=b", "more than once"),
        ("status=a&%73tatus=b", "more than once"),
        ("sort=status&sort=-status", "more than once"),
        ("sort=status,-status", "twice"),
        ("select=status,status", "twice"),
        ("select=", "expected column names"),
        ("sort=", "expected column names"),
        ("explain=yes", "true or false"),
        ("explain=", "true or false"),
        ("limit=ten", "whole number"),
        ("limit=-1", "whole number"),
        ("limit=", "whole number"),
        ("estimated_cost__gte=lots", "expected an amount"),
        ("file_date=12/01/2016", "expected a date"),
        ("record_id=1.5", "expected a whole number"),
        ("estimated_cost__contains=1", "text columns only"),
        ("file_date__startswith=2016", "text columns only"),
        ("estimated_cost__between=1", "expected two values"),
        ("estimated_cost__between=1,2,3", "expected two values"),
        ("estimated_cost__between=2,1", "first bound is above"),
        ("status__isnull=yes", "true or false"),
        ("status__in=[1,", "not a JSON array"),
        ("status__in=[null]", "__isnull"),
        ("status__in=[{}]", "strings or numbers"),
        ("status__in=[]", "empty"),
        ("record_id__in=1,x", "\"x\""),
        ("status=%FF", "UTF-8"),
        ("cursor=abc", "not a cursor"),
        ("sort=status,status__old,record_id,estimated_cost,file_date,changed,a,b,c", "at most 8"),
    ];
    for (raw_query, reason) in cases {
        let (_, refused_reason, _) = refused(raw_query);
        assert!(refused_reason.contains(reason), "{raw_query}: {refused_reason}");
    }
}

#[test]
fn every_mistake_is_reported() {
    let problems = read("stauts=1&limit=x&record_id=y&status=ok&select=nothing").unwrap_err();
    let names: Vec<&str> = problems.iter().map(|problem| problem.name.as_str()).collect();
    assert_eq!(names, ["stauts", "limit", "record_id", "select"]);
}

#[test]
fn questions_have_limits() {
    let long_list = vec!["x"; 201].join(",");
    assert!(refused(&format!("status__in={long_list}")).1.contains("at most 200"));
    assert!(refused(&format!("status={}", "x".repeat(5000))).1.contains("at most 4096"));
    let many: Vec<String> = (0..10_000).map(|n| format!("a{n}=1")).collect();
    assert!(read(&many.join("&")).unwrap_err().len() < 60);
    // A list of names does not circumvent it.
    for parameter in ["select", "columns"] {
        let unknown = format!("{parameter}={}", vec!["x"; 2_000].join(","));
        assert!(read(&unknown).is_err_and(|problems| problems.len() < 60), "{parameter}");
        let facets = parse_facets(&definition(), &unknown, &QueryLimits::default());
        assert!(facets.is_err_and(|problems| problems.len() < 60), "{parameter}");
    }
    let limits = QueryLimits { terms_max: 1, ..QueryLimits::default() };
    let refused = parse(&definition(), "status=a&record_id=1", &limits, &CursorKey::new(KEY)).unwrap_err();
    assert!(refused[0].reason.contains("at most 1"));
}

#[test]
fn limits_are_brought_into_range() {
    for (raw_query, limit) in
        [("", 100), ("limit=7", 7), ("limit=1", 1), ("limit=5000", 1000), ("limit=99999999999999999999", 1000)]
    {
        assert_eq!(read(raw_query).unwrap().limit, limit, "{raw_query}");
    }
}

#[test]
fn the_key_ends_every_order() {
    let definition = definition();
    let order = |raw_query: &str| {
        let order = read(raw_query).unwrap().order(&definition);
        let names = order
            .iter()
            .map(|term| format!("{}{}", if term.descending { "-" } else { "" }, definition.columns[term.column].name));
        names.collect::<Vec<_>>().join(",")
    };
    assert_eq!(order(""), "application_number,record_id");
    assert_eq!(order("sort=file_date"), "file_date,application_number,record_id");
    assert_eq!(order("sort=status,-file_date"), "status,-file_date,-application_number,-record_id");
    assert_eq!(order("sort=-application_number,status"), "-application_number,status,record_id");
}

#[test]
fn one_question_has_one_normal_form() {
    let definition = definition();
    let form = |raw_query: &str| read(raw_query).unwrap().normal_form(&definition);
    assert_eq!(form("status=a&record_id=1&limit=100"), form("record_id__eq=1&status__in=a,a"));
    assert_eq!(form("status__in=a,b"), form("status__in=[\"b\",\"a\"]"));
    assert_eq!(form("sort=application_number,record_id"), form(""));
    assert_ne!(form("status__in=a,b"), form("status__in=[\"a,b\",\"a\"]"));
    assert_ne!(form("status=a"), form("status__ne=a"));
    assert_ne!(form("select=status,record_id"), form("select=record_id,status"));
    assert_ne!(form("sort=status"), form("sort=-status"));
    assert_ne!(form("status__contains=a"), form("status__startswith=a"));
    assert_eq!(form("explain=false"), form(""));
    assert_ne!(form("explain=true"), form(""));
}

fn position() -> Position {
    Position {
        version: 3,
        values: vec![
            Value::Money(-5),
            Value::Null,
            Value::Timestamp("2016-12-01T00:00:00.5Z".parse().unwrap()),
            text("#2016½"),
            Value::Integer(i64::MIN),
        ],
    }
}

const PAGED: &str = "status=issued&sort=estimated_cost,file_date,changed";

#[test]
fn a_cursor_continues_its_own_query() {
    let definition = definition();
    let sealed = cursor::seal(&CursorKey::new(KEY), &definition, &read(PAGED).unwrap(), &position()).unwrap();
    for same in [PAGED, "sort=estimated_cost,file_date,changed&limit=7&status__in=issued&select=status&explain=true"] {
        assert_eq!(read(&format!("{same}&cursor={sealed}")).unwrap().after, Some(position()), "{same}");
    }
    for other in ["", "status=issued", "status=complete&sort=estimated_cost,file_date,changed", "sort=-estimated_cost"]
    {
        let (name, reason, _) = refused(&format!("{other}&cursor={sealed}"));
        assert_eq!(name, "cursor");
        assert!(reason.contains("not a cursor of this query"), "{other}");
    }
    let mut renamed = definition.clone();
    renamed.name = "others".into();
    let foreign = parse(&renamed, &format!("{PAGED}&cursor={sealed}"), &QueryLimits::default(), &CursorKey::new(KEY));
    assert!(foreign.is_err());
    let other_server = CursorKey::new([8; 32]);
    assert!(parse(&definition, &format!("{PAGED}&cursor={sealed}"), &QueryLimits::default(), &other_server).is_err());
    assert!(!format!("{other_server:?}").contains('8'));
}

#[test]
fn a_cursor_of_another_column_type_is_outdated() {
    let mut definition = definition();
    let query = read(PAGED).unwrap();
    let sealed = cursor::seal(&CursorKey::new(KEY), &definition, &query, &position()).unwrap();
    definition.columns[4].kind = ColumnType::Integer;
    assert_eq!(cursor::open(&CursorKey::new(KEY), &definition, &query, &sealed), Err(cursor::CursorError::Outdated));
}

#[test]
fn a_cursor_is_short_whatever_a_page_is_sorted_by() {
    let (definition, query, key) = (definition(), read("sort=-status").unwrap(), CursorKey::new(KEY));
    let long = |bytes: usize| text(&"x½".repeat(bytes / 3));
    for (status, of_key) in [(3, 3), (90, 12), (200, 12), (7_000, 12), (7_000, 240), (3, 300), (7_000, 7_000)] {
        let mut position = Position { version: 3, values: vec![long(status), long(of_key), Value::Integer(7)] };
        let sealed = cursor::seal(&key, &definition, &query, &position).unwrap();
        assert!(sealed.len() <= cursor::PAGE_CURSOR_CHARS_MAX, "{} characters", sealed.len());
        match cursor::open(&key, &definition, &query, &sealed).unwrap() {
            PageStart::At(opened) => assert!(status + of_key < 128 && opened == position),
            PageStart::Behind(anchor) => {
                assert!(anchor.version == position.version && anchor.is_at(&position.values));
                position.values[0] = Value::Null;
                assert!(!anchor.is_at(&position.values), "it is of these values and no others");
            }
        }
    }
}

#[test]
fn a_cursor_of_changes_and_histories_is_as_short() {
    let (mut definition, key) = (definition(), CursorKey::new(KEY));
    definition.columns[1].kind = ColumnType::Text;
    let long = |bytes: usize| text(&"x½".repeat(bytes / 3));
    let lengths = [(3, 3), (120, 12), (3, 300), (300, 3), (240, 6_000), (6_000, 6_000)];
    for (of_key, of_id) in lengths {
        let change = Position { version: 3, values: vec![long(of_key), long(of_id)] };
        let state = Position { version: 3, values: vec![long(of_id)] };
        let of = ("K-1", None);
        let sealed = cursor::seal_change(&key, &definition, &change).unwrap();
        let sealed_state = cursor::seal_state(&key, &definition, of, &state).unwrap();
        let opened = cursor::open_change(&key, &definition, &sealed).unwrap();
        let opened_state = cursor::open_state(&key, &definition, of, &sealed_state).unwrap();
        assert!(sealed.len().max(sealed_state.len()) <= cursor::PAGE_CURSOR_CHARS_MAX);
        for (place, position, beginning) in [(opened, change, of_key), (opened_state, state, of_id)] {
            match place {
                PageStart::At(opened) => assert!(beginning < 256 && opened == position),
                PageStart::Behind(anchor) => {
                    assert!(anchor.version == 3 && anchor.is_at(&position.values));
                    assert!(!anchor.is_at(&[text("x"), text("x")]), "it is of these values and no others");
                    let Value::Text(first) = &position.values[0] else { panic!("no text") };
                    assert!(!anchor.beginning().is_empty() && first.starts_with(anchor.beginning()));
                }
            }
        }
    }
}

#[test]
fn a_cursor_shows_nothing_of_what_it_holds() {
    let (definition, key) = (definition(), CursorKey::new(KEY));
    let sealed = cursor::seal(&key, &definition, &read(PAGED).unwrap(), &position()).unwrap();
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&sealed).unwrap();
    for inside in ["#2016½".as_bytes(), "2016-12-01".as_bytes(), &i64::MIN.to_be_bytes(), &7_u64.to_be_bytes()] {
        assert!(!bytes.windows(inside.len()).any(|window| window == inside), "{inside:?}");
    }
    assert_eq!(
        cursor::seal(&key, &definition, &read(PAGED).unwrap(), &position()).unwrap(),
        sealed,
        "one place, one cursor"
    );
}

#[test]
fn a_cursor_is_of_one_instance_of_a_data_set() {
    let (definition, key) = (definition(), CursorKey::new(KEY));
    let of = |instance: u128| key.of(Uuid::from_u128(instance));
    let sealed = cursor::seal(&of(1), &definition, &read(PAGED).unwrap(), &position()).unwrap();
    let parsed =
        |key: &CursorKey| parse(&definition, &format!("{PAGED}&cursor={sealed}"), &QueryLimits::default(), key);
    assert_eq!(parsed(&of(1)).unwrap().after, Some(position()));
    let refused = parsed(&of(2)).unwrap_err();
    assert!(refused[0].is_gone && refused[0].reason.contains("begun anew"), "{refused:?}");
    let change = Position { version: 3, values: vec![text("k"), Value::Integer(1)] };
    let sealed = cursor::seal_change(&of(1), &definition, &change).unwrap();
    let since = |key: &CursorKey| parse_changes(&definition, &format!("since={sealed}"), &QueryLimits::default(), key);
    assert_eq!(since(&of(1)).unwrap().since, Since::Change(change));
    assert!(since(&of(2)).unwrap_err()[0].is_gone);
}

proptest! {
    #[test]
    fn an_altered_cursor_is_refused(at in any::<prop::sample::Index>(), flip in 1_u8..64) {
        let definition = definition();
        let query = read(PAGED).unwrap();
        let sealed = cursor::seal(&CursorKey::new(KEY), &definition, &query, &position()).unwrap();
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bytes = sealed.into_bytes();
        let at = at.index(bytes.len());
        let old = alphabet.iter().position(|letter| *letter == bytes[at]).unwrap();
        bytes[at] = alphabet[old ^ usize::from(flip)];
        let altered = String::from_utf8(bytes).unwrap();
        prop_assert!(cursor::open(&CursorKey::new(KEY), &definition, &query, &altered).is_err());
    }

    #[test]
    fn any_text_is_a_query_or_a_list_of_mistakes(raw_query in "\\PC{0,60}") {
        match read(&raw_query) {
            Ok(query) => prop_assert!(query.limit >= 1),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }

    #[test]
    fn any_value_reaches_its_filter(value in any::<String>()) {
        let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        prop_assert_eq!(tests(&format!("status={encoded}")), [Test::Equal(text(&nfc(&value)))]);
    }
}

fn expression(text: &str) -> Result<Filter, Vec<InvalidParam>> {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    read(&format!("filter={encoded}")).map(|query| query.filter)
}

#[test]
fn an_expression_says_what_plain_parameters_say() {
    let cases = [
        ("status = \"issued\"", "status=issued"),
        ("status=issued", "status=issued"),
        ("  status   !=  'issued'  ", "status__ne=issued"),
        ("file_date < 2017-01-01", "file_date__lt=2017-01-01"),
        ("changed >= 2016-12-01T00:00:00Z", "changed__gte=2016-12-01T00:00:00Z"),
        ("record_id <= 2 AND record_id > -3", "record_id__lte=2&record_id__gt=-3"),
        ("status : \"plan\"", "status__contains=plan"),
        ("contains(status, plan)", "status__contains=plan"),
        ("startswith(status, \"a b\")", "status__startswith=a+b"),
        ("between(estimated_cost, 10000, 50000)", "estimated_cost__between=10000,50000"),
        ("in(status, \"a,b\", c)", "status__in=%5B%22a,b%22,%22c%22%5D"),
        ("notin(status, a)", "status__ne=a"),
        ("isnull(status)", "status__isnull=true"),
        ("isnull(status, false)", "status__isnull=false"),
        ("NOT isnull(status)", "status__isnull=false"),
        ("NOT status = a", "status__ne=a"),
        ("NOT NOT status = a", "status=a"),
        ("NOT (status = a OR file_date = 2016-12-01)", "status__ne=a&file_date__ne=2016-12-01"),
        ("status = a OR status = b OR in(status, c, a)", "status__in=a,b,c"),
        ("((status = a))", "status=a"),
        ("gte(record_id, 2)", "record_id__gte=2"),
        ("status = \"say \\\"yes\\\" or \\\\\"", "status=say+%22yes%22+or+%5C"),
        ("status = 'it is \"so\"'", "status=it+is+%22so%22"),
        ("status=\"\"", "status="),
        (
            "status = issued AND (estimated_cost > 5 AND record_id = 1)",
            "status=issued&estimated_cost__gt=5&record_id=1",
        ),
    ];
    for (text, plain) in cases {
        let form = |filter: &Filter| {
            let mut form = String::new();
            filter.write_normal_form(&definition(), &mut form);
            form
        };
        let expected = read(plain).unwrap().filter;
        assert_eq!(
            form(&expression(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))),
            form(&expected),
            "{text}"
        );
    }
}

#[test]
fn an_expression_and_plain_parameters_all_hold() {
    let query = read("record_id=1&filter=status+%3D+a+OR+file_date+%3D+2016-12-01").unwrap();
    assert_eq!((query.filter.parts().len(), query.filter.terms()), (2, 3));
}

#[test]
fn a_mistake_in_an_expression_is_pointed_at() {
    let cases = [
        ("", 1, None),
        ("status", 7, None),
        ("status =", 9, None),
        ("status = issued AND", 20, None),
        ("status = building permit", 19, None),
        ("status = a and status = b", 12, Some("AND")),
        ("status = a AND status = b OR status = c", 27, None),
        ("status = a OR (status = b", 15, None),
        ("status = a)", 11, None),
        ("(status = a]", 1, None),
        ("stauts = a", 1, Some("status")),
        ("status = a OR stauts = b", 15, Some("status")),
        ("status == a", 8, Some("=")),
        ("status <> a", 8, Some("!=")),
        ("status IN (a, b)", 8, Some("in")),
        ("status NOT IN (a)", 8, Some("notin")),
        ("record_id BETWEEN 1 AND 2", 11, Some("between")),
        ("status LIKE a", 8, Some("contains")),
        ("status IS NULL", 8, Some("isnull")),
        ("status = NULL", 10, Some("isnull")),
        ("status = iss*", 10, Some("startswith")),
        ("status = \"open", 10, None),
        ("status = \"a\\n\"", 12, None),
        ("record_id = two", 13, None),
        ("é = a OR record_id = two", 1, None),
        ("contains(record_id, a)", 1, None),
        ("between(record_id, 2, 1)", 1, None),
        ("in(record_id, 1, x)", 18, None),
        ("in(record_id)", 1, None),
        ("like(status, a)", 1, Some("contains")),
        ("contains(status)", 1, None),
        ("contains(status, a", 1, None),
        ("-status = a", 1, Some("NOT")),
        ("\"status\" = a", 1, None),
        ("NOT", 4, None),
        ("AND status = a", 1, None),
        ("((((((((status = a))))))))", 0, None),
        ("(((((((((status = a)))))))))", 9, None),
        ("status = a & record_id = 1", 12, Some("AND")),
    ];
    for (text, position, meant) in cases {
        match expression(text) {
            Ok(_) => assert_eq!(position, 0, "{text}"),
            Err(problems) => {
                let first = &problems[0];
                assert_eq!(
                    (first.position, first.did_you_mean.as_deref()),
                    (Some(position), meant),
                    "{text}: {problems:?}"
                );
                assert!(first.reason.starts_with(&format!("at character {position}: ")), "{text}: {}", first.reason);
            }
        }
    }
    // All wrong names and values are reported at once.
    let both = expression("stauts = a OR record_id = x").unwrap_err();
    assert_eq!(both.iter().map(|problem| problem.position).collect::<Vec<_>>(), [Some(1), Some(27)]);
}

#[test]
fn an_expression_has_limits() {
    let many = |terms: usize| vec!["record_id != 1"; terms].join(" AND ");
    assert_eq!(expression(&many(32)).unwrap().terms(), 32);
    assert!(expression(&many(33)).unwrap_err()[0].reason.contains("at most 32"));
    let plain_too =
        format!("status=a&filter={}", form_urlencoded::byte_serialize(many(32).as_bytes()).collect::<String>());
    assert!(read(&plain_too).unwrap_err()[0].reason.contains("at most 32"));
    let list = |values: usize| format!("in(record_id{})", ", 1".repeat(values));
    assert!(expression(&list(200)).is_ok());
    assert!(expression(&list(201)).unwrap_err()[0].reason.contains("at most 200"));
    assert!(expression(&format!("{}status = a", "NOT ".repeat(8))).is_ok());
    assert!(expression(&format!("{}status = a", "NOT ".repeat(9))).unwrap_err()[0].reason.contains("at most 8"));
    assert!(read(&format!("status={}", "x".repeat(9000))).unwrap_err()[0].reason.contains("at most 8192"));
}

proptest! {
    #[test]
    fn no_text_makes_reading_an_expression_fail_otherwise_than_by_an_error(text in "[a-z_ =<>!:()\"'\\\\,ANDORT0-9é]{0,60}") {
        if let Err(problems) = expression(&text) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(problem.position.is_some_and(|position| position <= text.chars().count() + 1), "{:?}", problem);
            }
        }
    }
}
