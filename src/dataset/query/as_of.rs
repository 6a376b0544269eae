//! The version of the data set that a question is about: a number, or a time.

use jiff::{Timestamp, tz::TimeZone};

use super::parameters::PLUS_HINT;
use crate::dataset::{ColumnType, Value, value::parse_iso_date};

/// The point in the past of a data set that a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointInTime {
    /// This version.
    Version(u64),
    /// The version that was the present one at this moment: the last whose own moment is not after it.
    Moment(Timestamp),
}

const EXPECTED: &str = "expected a version such as 12, a moment such as 2026-11-01T12:00:00Z, or a day such as 2026-11-01, \
                        which means its beginning in UTC";

impl PointInTime {
    /// Reads a version number, a moment (RFC 3339), or a day, which means its beginning in UTC.
    ///
    /// # Errors
    /// A message that completes "the parameter …".
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Digits that overflow mean a version that there is not yet.
            return Ok(Self::Version(text.parse().unwrap_or(u64::MAX)));
        }
        if let Some(day) = parse_iso_date(text.as_bytes()) {
            // The last day of all has no beginning that can be told: it lies in the future.
            let begins = day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |begins| begins.timestamp());
            return Ok(Self::Moment(begins));
        }
        let moment = |text: &str| match Value::parse(ColumnType::Timestamp, text) {
            Ok(Value::Timestamp(moment)) => Some(moment),
            _ => None,
        };
        moment(text).map(Self::Moment).ok_or_else(|| {
            let is_plus = text.contains(' ') && moment(&text.replace(' ', "+")).is_some();
            if is_plus { format!("{EXPECTED}; {PLUS_HINT}") } else { EXPECTED.to_owned() }
        })
    }

    /// The version, if it is named.
    pub fn version(self) -> Option<u64> {
        match self {
            Self::Version(version) => Some(version),
            Self::Moment(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{
        Definition,
        cursor::{self, CursorKey},
        query::{
            Filter, InvalidParam, Position, Query, QueryLimits, parse, parse_changes, parse_facets, parse_groups,
            parse_history, parse_read, parse_stats,
        },
    };

    fn moment(text: &str) -> PointInTime {
        PointInTime::Moment(text.parse().unwrap())
    }

    #[test]
    fn a_version_or_a_time_is_read() {
        let cases = [
            ("12", PointInTime::Version(12)),
            ("0", PointInTime::Version(0)),
            ("007", PointInTime::Version(7)),
            ("18446744073709551615", PointInTime::Version(u64::MAX)),
            ("99999999999999999999999999", PointInTime::Version(u64::MAX)),
            // A day without its dashes is a number.
            ("20261101", PointInTime::Version(20_261_101)),
            ("2026-11-01", moment("2026-11-01T00:00:00Z")),
            ("2026-11-01T12:00:00Z", moment("2026-11-01T12:00:00Z")),
            ("2026-11-01T12:00:00.000001+02:00", moment("2026-11-01T10:00:00.000001Z")),
            ("2016-12-31T23:59:60Z", moment("2016-12-31T23:59:59Z")),
            ("9999-12-30", moment("9999-12-30T00:00:00Z")),
            ("9999-12-31", PointInTime::Moment(Timestamp::MAX)),
            ("0001-01-01", moment("0001-01-01T00:00:00Z")),
        ];
        for (text, expected) in cases {
            assert_eq!(PointInTime::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        let absurd = [
            "",
            "-1",
            "+1",
            "1.5",
            "1e3",
            " 1",
            "١",
            "now",
            "yesterday",
            "null",
            "2026-13-01",
            "2026-02-30",
            "2026-11-01T12:00:00",
            "2026-11-01T25:00:00Z",
            "10000-01-01",
            "10000-01-01T00:00:00Z",
            "2026-11-01 12:00",
        ];
        for text in absurd {
            let reason = PointInTime::parse(text).expect_err(text);
            assert!(reason.starts_with("expected a version such as"), "{text}: {reason}");
        }
        let spaced = PointInTime::parse("2026-11-01T12:00:00 02:00").unwrap_err();
        assert!(spaced.contains("%2B"), "{spaced}");
    }

    fn definition() -> Definition {
        Definition::from_toml(
            "name = \"trees\"\ntitle = \"Trees\"\nrecord_id = \"id\"\n[key]\ncolumn = \"tag\"\n\
             [[column]]\nname = \"tag\"\ntype = \"text\"\nheaders = [\"Tag\"]\nrequired = true\n\
             [[column]]\nname = \"id\"\ntype = \"integer\"\nimport = true\n\
             [[column]]\nname = \"as_of\"\ntype = \"date\"\nheaders = [\"As of\"]\n",
            "trees.toml",
        )
        .unwrap()
    }

    fn read(raw_query: &str) -> Result<Query, Vec<InvalidParam>> {
        parse(&definition(), raw_query, &QueryLimits::default(), &CursorKey::new([7; 32]))
    }

    #[test]
    fn every_question_about_records_takes_it_and_no_question_about_the_past() {
        let (definition, limits, key) = (definition(), QueryLimits::default(), CursorKey::new([7; 32]));
        let three = Some(PointInTime::Version(3));
        assert_eq!(read("as_of=3&format=csv").unwrap().as_of, three);
        assert_eq!(read("as_of=3").unwrap().version(), Some(3));
        assert_eq!(read("as_of=2026-11-01").unwrap().version(), None, "the store knows which that is");
        assert_eq!(parse_facets(&definition, "columns=tag&as_of=3", &limits).unwrap().as_of, three);
        assert_eq!(parse_stats(&definition, "columns=id&as_of=3", &limits).unwrap().as_of, three);
        assert_eq!(parse_groups(&definition, "by=tag&as_of=3", &limits).unwrap().as_of, three);
        assert_eq!(parse_read(&definition, "as_of=3", &limits).unwrap().as_of, three);
        let changes = parse_changes(&definition, "since=1&as_of=3", &limits, &key).unwrap_err();
        let history = parse_history(&definition, "as_of=3", &limits, &key, ("t", None)).unwrap_err();
        for wrong in [changes, history] {
            assert_eq!((wrong.len(), wrong[0].name.as_str()), (1, "as_of"));
            assert!(wrong[0].reason.contains("tells of all versions"), "{}", wrong[0].reason);
        }
        assert_eq!(read("as_of=3&as_of=4").unwrap_err()[0].name, "as_of");
        let meant = read("asof=3").unwrap_err();
        assert_eq!(meant[0].did_you_mean.as_deref(), Some("as_of"));
    }

    #[test]
    fn a_column_of_that_name_is_reached_by_its_operators() {
        let query = read("as_of__eq=2026-01-01&as_of__gte=2025-01-01&as_of=3&sort=as_of&select=as_of").unwrap();
        assert_eq!((query.filter.terms(), query.as_of), (2, Some(PointInTime::Version(3))));
        assert_eq!(read("filter=as_of+%3D+2026-01-01").unwrap().filter.terms(), 1);
    }

    #[test]
    fn a_cursor_goes_with_its_own_version() {
        let (definition, key) = (definition(), CursorKey::new([7; 32]));
        let everything = Query::everything(100);
        let position = Position { version: 3, values: vec![Value::Text("t".into()), Value::Integer(1)] };
        let sealed = cursor::seal(&key, &definition, &everything, &position).unwrap();
        assert_eq!(read(&format!("cursor={sealed}")).unwrap().version(), Some(3));
        assert_eq!(read(&format!("as_of=3&cursor={sealed}")).unwrap().version(), Some(3));
        let other = read(&format!("as_of=4&cursor={sealed}")).unwrap_err();
        assert_eq!((other.len(), other[0].name.as_str()), (1, "cursor"));
        assert!(other[0].reason.contains("version 3") && other[0].reason.contains("version 4"), "{}", other[0].reason);
    }

    #[test]
    fn a_question_has_one_form_for_all_versions() {
        let (definition, as_of) = (definition(), read("tag=t&as_of=3").unwrap());
        let plain = read("tag=t").unwrap();
        assert_eq!(as_of.normal_form(&definition), plain.normal_form(&definition));
        assert_eq!(as_of.scope(&definition), plain.scope(&definition));
        assert_eq!(as_of.filter, plain.filter);
        assert_ne!(as_of.filter, Filter::All(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            if let Err(reason) = PointInTime::parse(&text) {
                prop_assert!(reason.starts_with("expected"));
            }
        }

        #[test]
        fn what_a_moment_is_written_as_is_read(second in -62_000_000_000_i64..250_000_000_000, nanosecond in 0..1_000_000_000) {
            let at = Timestamp::new(second, nanosecond).unwrap();
            prop_assert_eq!(PointInTime::parse(&at.to_string()), Ok(PointInTime::Moment(at)));
        }
    }
}
