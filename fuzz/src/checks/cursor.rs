//! Cursors: nothing opens but what was sealed, and what was sealed opens where it belongs and nowhere else.

use arbitrary::{Result, Unstructured};
use jiff::{Timestamp, civil::Date};

use crate::{
    dataset::{
        ColumnType, Definition, Point, Value,
        cursor::{CursorError, PAGE_CURSOR_CHARS_MAX, open, open_change, open_state, seal, seal_change, seal_state},
        query::{PageStart, Position, Query, SortTerm},
    },
    subject::{cursor_key, definitions, everything, foreign_cursor_key},
};

/// Takes the bytes for a cursor, and for a place to seal.
pub fn check(bytes: &[u8]) {
    check_text(&String::from_utf8_lossy(bytes));
    // Bytes that run out give zeros, never an error.
    let _ = check_round_trip(&mut Unstructured::new(bytes));
}

/// The questions that the seeds were sealed for, among others.
pub fn questions(definition: &Definition) -> Vec<Query> {
    let everything = Query::everything(100);
    let sorts = (0..definition.columns.len())
        .map(|column| Query { sort: vec![SortTerm { column, descending: column % 2 == 0 }], ..everything.clone() });
    std::iter::once(everything.clone()).chain(sorts).collect()
}

/// Of whom the histories are.
pub const HISTORIES: [(&str, Option<&str>); 2] = [("K-1", None), ("K-1", Some("1"))];

fn check_text(text: &str) {
    let (key, foreign) = (cursor_key(), foreign_cursor_key());
    for definition in definitions() {
        let mut accepted = 0;
        let mut check = |opened: Option<PageStart>, sealed: &dyn Fn(&Position) -> String| {
            accepted += usize::from(opened.is_some());
            if let Some(PageStart::At(position)) = opened {
                assert_eq!(sealed(&position), text, "only what was sealed opens");
            }
        };
        for query in questions(definition) {
            check(open(&key, definition, &query, text).ok(), &|position| {
                seal(&key, definition, &query, position).expect("it was sealed")
            });
            assert!(open(&foreign, definition, &query, text).is_err());
        }
        check(open_change(&key, definition, text).ok(), &|position| {
            seal_change(&key, definition, position).expect("it was sealed")
        });
        for of in HISTORIES {
            check(open_state(&key, definition, of, text).ok(), &|position| {
                seal_state(&key, definition, of, position).expect("it was sealed")
            });
        }
        assert!(accepted <= 1, "a cursor has one scope");
    }
}

fn check_round_trip(input: &mut Unstructured<'_>) -> Result<()> {
    let definition = everything();
    let columns = definition.columns.len();
    let mut query = Query::everything(100);
    for _ in 0..input.int_in_range(0..=3)? {
        let column = input.choose_index(columns)?;
        if query.sort.iter().all(|term| term.column != column) {
            query.sort.push(SortTerm { column, descending: input.arbitrary()? });
        }
    }
    let order: Vec<usize> = query.order(definition).iter().map(|term| term.column).collect();
    let position = position(definition, &order, input)?;
    let (key, foreign) = (cursor_key(), foreign_cursor_key());
    // What has no key has no cursor, where it is too long to be kept.
    let Ok(sealed) = seal(&key, definition, &query, &position) else { return Ok(()) };
    check_sealed(&sealed, open(&key, definition, &query, &sealed), &position);
    assert!(open(&foreign, definition, &query, &sealed).is_err());
    let other = Query { sort: vec![SortTerm { column: 0, descending: true }], ..Query::everything(100) };
    assert!(other.scope(definition) == query.scope(definition) || open(&key, definition, &other, &sealed).is_err());
    assert!(open_change(&key, definition, &sealed).is_err());
    check_altered(&sealed, input, |text| open(&key, definition, &query, text).is_err())?;

    let change = self::position(definition, &[definition.key, definition.record_id], input)?;
    let Ok(sealed) = seal_change(&key, definition, &change) else { return Ok(()) };
    check_sealed(&sealed, open_change(&key, definition, &sealed), &change);
    assert!(open(&key, definition, &Query::everything(100), &sealed).is_err());
    check_altered(&sealed, input, |text| open_change(&key, definition, text).is_err())?;

    let state = self::position(definition, &[definition.record_id], input)?;
    let of: (&str, Option<&str>) = (input.arbitrary()?, input.arbitrary()?);
    let Ok(sealed) = seal_state(&key, definition, of, &state) else { return Ok(()) };
    check_sealed(&sealed, open_state(&key, definition, of, &sealed), &state);
    let longer = format!("{}x", of.0);
    assert!(open_state(&key, definition, (&longer, of.1), &sealed).is_err());
    check_altered(&sealed, input, |text| open_state(&key, definition, of, text).is_err())
}

/// A cursor is short, fits into a URL as it is, and opens as what was sealed.
fn check_sealed(sealed: &str, opened: std::result::Result<PageStart, CursorError>, position: &Position) {
    assert!(
        sealed.len() <= PAGE_CURSOR_CHARS_MAX
            && sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    match opened.expect("it was sealed") {
        PageStart::At(opened) => assert_eq!(opened, *position),
        PageStart::Behind(anchor) => assert!(anchor.version == position.version && anchor.is_at(&position.values)),
    }
}

/// One character changed, removed or added makes it another text, which nobody has sealed.
fn check_altered(sealed: &str, input: &mut Unstructured<'_>, refused: impl Fn(&str) -> bool) -> Result<()> {
    let at = input.choose_index(sealed.len())?;
    let with = char::from(input.int_in_range(0..=0x7f_u8)?);
    let (before, rest) = sealed.split_at(at);
    let after = &rest[1..];
    assert!(rest.starts_with(with) || refused(&format!("{before}{with}{after}")), "{with:?} at {at} of {sealed}");
    assert!(refused(&format!("{before}{after}")), "without the character at {at} of {sealed}");
    assert!(refused(&format!("{before}{with}{rest}")), "{with:?} before {at} of {sealed}");
    Ok(())
}

fn position(definition: &Definition, order: &[usize], input: &mut Unstructured<'_>) -> Result<Position> {
    let version = input.arbitrary()?;
    let values = order.iter().map(|column| value(definition.columns[*column].kind, input)).collect::<Result<_>>()?;
    Ok(Position { version, values })
}

fn value(kind: ColumnType, input: &mut Unstructured<'_>) -> Result<Value> {
    if input.ratio(1, 8)? {
        return Ok(Value::Null);
    }
    Ok(match kind {
        ColumnType::Text => Value::Text(input.arbitrary()?),
        ColumnType::Integer => Value::Integer(input.arbitrary()?),
        ColumnType::Money => Value::Money(input.arbitrary()?),
        // Values are finite.
        ColumnType::Number => {
            Value::Number(Some(input.arbitrary()?).filter(|number: &f64| number.is_finite()).unwrap_or(0.5))
        }
        ColumnType::Date => {
            let (year, month, day) =
                (input.int_in_range(-9_999..=9_999)?, input.int_in_range(1..=12)?, input.int_in_range(1..=31)?);
            Value::Date(Date::new(year, month, day).unwrap_or(Date::MIN))
        }
        ColumnType::Point => Point::unpacked(input.arbitrary()?).map_or(Value::Null, Value::Point),
        ColumnType::Timestamp => {
            let (second, nanosecond) = (input.arbitrary()?, input.int_in_range(0..=999_999_999)?);
            Value::Timestamp(Timestamp::new(second, nanosecond).unwrap_or(Timestamp::MAX))
        }
    })
}
