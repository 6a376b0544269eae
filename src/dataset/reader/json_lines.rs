//! Reads rows of NDJSON, as our own exports write it: one object a line, whose members are the cells.

use std::io::{BufRead, BufReader, Read};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Cell, Flow, ReadError, ReadLimits, RowCells, RowSink, limits::to_u64};

const BUFFER_BYTES: usize = 64 * 1024;

/// Reads the objects of a file, one a line. The member names of the first object are the header.
pub(super) fn read(source: impl Read, limits: &ReadLimits, sink: &mut impl RowSink) -> Result<(), ReadError> {
    let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
    let mut text = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let (mut line, mut rows) = (0_u64, 0_u64);
    sink.sheet(None, false);
    loop {
        text.clear();
        line += 1;
        let max = limits.record_bytes_max;
        let read = source.by_ref().take(max + 2).read_until(b'\n', &mut text)?;
        if read == 0 {
            sink.sheet_end();
            return Ok(());
        }
        if to_u64(text.trim_ascii_end().len()) > max {
            return Err(ReadError::RecordTooLong { line, max });
        }
        let bare = text.trim_ascii().strip_prefix(b"\xef\xbb\xbf").unwrap_or(text.trim_ascii());
        if bare.is_empty() {
            continue;
        }
        // The parser's message may quote data that nobody has published.
        let object: Object<'_> = serde_json::from_slice(bare).map_err(|error| ReadError::Malformed {
            detail: format!("line {line} is no JSON object: the mistake is at byte {}", error.column()),
        })?;
        if rows == 0 {
            names = object.0.iter().map(|(name, _)| name.clone()).collect();
            limits.check_columns(names.len())?;
            rows = 1;
            if sink.row(line, &Names(&names))? != Flow::Continue {
                return Ok(());
            }
        }
        rows += 1;
        limits.check_rows(rows)?;
        limits.check_columns(object.0.len())?;
        if sink.row(line, &JsonRow::of(object, &names))? != Flow::Continue {
            return Ok(());
        }
    }
}

/// The members of an object in their order, each once.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The header: the member names.
struct Names<'a>(&'a [String]);

impl RowCells for Names<'_> {
    fn width(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        self.0.get(place).map_or(Cell::Blank, |name| Cell::Text(name))
    }

    fn is_delimited(&self) -> bool {
        false
    }
}

struct JsonRow {
    cells: Vec<JsonValue>,
    flaw: Option<String>,
}

/// A geometry of a point is shorter.
const OBJECT_BYTES_MAX: usize = 1_024;

enum JsonValue {
    Blank,
    Text(String),
    Unusable(&'static str),
}

impl JsonRow {
    fn of(object: Object<'_>, names: &[String]) -> Self {
        let mut row = Self { cells: names.iter().map(|_| JsonValue::Blank).collect(), flaw: None };
        let mut taken = vec![false; names.len()];
        for (nth, (name, value)) in object.0.into_iter().enumerate() {
            // Nearly every object has the members of the first one, in the same order.
            let place =
                if names.get(nth) == Some(&name) { Some(nth) } else { names.iter().position(|known| *known == name) };
            let slot = place.and_then(|place| Some((row.cells.get_mut(place)?, taken.get_mut(place)?)));
            match slot {
                Some((slot, taken)) if !*taken => (*slot, *taken) = (JsonValue::of(value), true),
                Some(_) => row.flaw = Some("a member stands twice in the object".to_owned()),
                None => row.flaw = Some("the object has a member that the first one has not".to_owned()),
            }
        }
        row
    }
}

impl JsonValue {
    /// A value from its JSON text: numbers keep all their digits.
    fn of(value: &RawValue) -> Self {
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'n') => Self::Blank,
            Some(b'"') => serde_json::from_str(text).map_or(Self::Unusable("a text with half a letter"), Self::Text),
            Some(b'[') => Self::Unusable("a list, which is no value of a table"),
            // A column of points reads what is a geometry.
            Some(b'{') if text.len() <= OBJECT_BYTES_MAX => Self::Text(text.to_owned()),
            Some(b'{') => Self::Unusable("a long object, which is no value of a table"),
            _ => Self::Text(text.to_owned()),
        }
    }
}

impl RowCells for JsonRow {
    fn width(&self) -> usize {
        self.cells.len()
    }

    fn cell(&self, place: usize) -> Cell<'_> {
        match self.cells.get(place) {
            None | Some(JsonValue::Blank) => Cell::Blank,
            Some(JsonValue::Text(text)) if text.is_empty() => Cell::Blank,
            Some(JsonValue::Text(text)) => Cell::Text(text),
            Some(JsonValue::Unusable(reason)) => Cell::Error(reason),
        }
    }

    fn is_delimited(&self) -> bool {
        false
    }

    fn flaw(&self) -> Option<&str> {
        self.flaw.as_deref()
    }
}
