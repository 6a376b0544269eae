//! Log lines as JSON, one object a line, as `tracing_subscriber::fmt::format::Json` writes them.
//!
//! That formatter writes each quote, name and value separately, through an encoding check and two layers of writers: this took as long as
//! all other work for a small answer. Here a line is composed and then written once.

use std::{
    cell::Cell,
    fmt::{self, Debug, Write},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::dataset::json::{write_escaped, write_string};

/// The field that holds the message.
const MESSAGE: &str = "message";
/// The initial capacity of a line, bytes; longer lines grow.
const LINE_BYTES: usize = 512;
/// The largest buffer kept for the next line: a longer one is freed.
const KEPT_BYTES_MAX: usize = 16 * 1024;

thread_local! {
    /// The buffer of the last line. It is taken out while in use, since formatting a value may itself log a line.
    static LAST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes each event as one object: `timestamp`, `level`, its fields, among them one `message`, `target`, and `span` with the fields and
/// `name` of its span.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonLines;

impl<S> FormatEvent<S, Self> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(&self, context: &FmtContext<'_, S, Self>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        made(writer, |line| {
            line.extend_from_slice(b"{\"timestamp\":\"");
            SystemTime.format_time(&mut Writer::new(&mut Escaped(line)))?;
            line.extend_from_slice(b"\",\"level\":\"");
            line.extend_from_slice(event.metadata().level().as_str().as_bytes());
            line.push(b'"');
            let mut members = JsonMembers { line, is_first: false, has_message: false };
            event.record(&mut members);
            let has_message = members.has_message;
            if !has_message {
                // Libraries' lines may lack a message: the place in the code stands for it.
                line.extend_from_slice(b",\"message\":");
                write_string(event.metadata().name(), line);
            }
            line.extend_from_slice(b",\"target\":");
            write_string(event.metadata().target(), line);
            if let Some(span) = context.parent_span() {
                line.extend_from_slice(b",\"span\":{");
                if let Some(fields) = span.extensions().get::<FormattedFields<Self>>()
                    && !fields.is_empty()
                {
                    line.extend_from_slice(fields.as_bytes());
                    line.push(b',');
                }
                line.extend_from_slice(b"\"name\":");
                write_string(span.name(), line);
                line.push(b'}');
            }
            line.extend_from_slice(b"}\n");
            Ok(())
        })
    }
}

/// Formats a span's fields without the braces.
impl<'w> FormatFields<'w> for JsonLines {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        made(writer, |line| {
            fields.record(&mut JsonMembers { line, is_first: true, has_message: false });
            Ok(())
        })
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &tracing::span::Record<'_>) -> fmt::Result {
        if !current.fields.is_empty() {
            current.fields.push(',');
        }
        self.format_fields(current.as_writer(), fields)
    }
}

/// Writes at once what `make` appends.
fn made(mut writer: Writer<'_>, make: impl FnOnce(&mut Vec<u8>) -> fmt::Result) -> fmt::Result {
    let mut line = LAST.take();
    line.clear();
    line.reserve(LINE_BYTES);
    let written = make(&mut line).and_then(|()| writer.write_str(str::from_utf8(&line).map_err(|_| fmt::Error)?));
    if line.capacity() <= KEPT_BYTES_MAX {
        LAST.set(line);
    }
    written
}

/// Appends fields as members of an object.
struct JsonMembers<'a> {
    line: &'a mut Vec<u8>,
    is_first: bool,
    has_message: bool,
}

impl JsonMembers<'_> {
    /// Appends a field's name and the separators before its value.
    fn name(&mut self, field: &Field) {
        if !std::mem::take(&mut self.is_first) {
            self.line.push(b',');
        }
        let name = match field.name() {
            // Each name occurs once in an object: readers disagree about duplicates.
            MESSAGE if std::mem::replace(&mut self.has_message, true) => "message_too",
            name => name,
        };
        // Rust writes keywords used as names with `r#`, such as `r#type`.
        write_string(name.strip_prefix("r#").unwrap_or(name), self.line);
        self.line.push(b':');
    }

    fn number(&mut self, field: &Field, number: impl itoa::Integer) {
        self.name(field);
        self.line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

impl Visit for JsonMembers<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.name(field);
        // A value that is not a number becomes null.
        self.line.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        self.line.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        write_string(value, self.line);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        self.line.push(b'"');
        // A value whose formatting fails is cut off there: the rest of the line is worth more.
        let _is_whole = write!(Escaped(self.line), "{value:?}").is_ok();
        self.line.push(b'"');
    }
}

/// Appends text as it stands inside a JSON string.
struct Escaped<'a>(&'a mut Vec<u8>);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_escaped(text, self.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::tests::Captured;

    /// Logs lines while it is being formatted.
    struct Talkative;

    impl Debug for Talkative {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!(inner = true, "inside");
            f.write_str("talkative \"inside\"")
        }
    }

    struct Broken;

    impl Debug for Broken {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }

    fn say(text: &str) {
        let (pairs, path) = ([(1, "a"), (2, "b")], std::path::Path::new(text));
        tracing::info!(signed = -7, unsigned = u64::MAX, least = i64::MIN, share = 0.5, text, "a message of {text}");
        tracing::warn!(yes = true, no = false, nan = f64::NAN, huge = 1e300, %text, ?pairs, ?path, r#type = 3);
        tracing::error!(target: "an::other", error = %std::io::Error::other(text.to_owned()));
        let outer = tracing::info_span!("outer", text, r#type = 1, later = tracing::field::Empty);
        let _entered = outer.enter();
        tracing::info!("in a span");
        outer.record("later", "now");
        tracing::info!(parent: None, "in none");
        tracing::info_span!("inner").in_scope(|| tracing::info!(wide = 1_u128 << 100, "in two"));
    }

    fn lines(of: impl FnOnce(), layer: impl FnOnce(Captured) -> tracing::Dispatch) -> Vec<String> {
        let lines = Captured::default();
        tracing::dispatcher::with_default(&layer(lines.clone()), of);
        lines.text().lines().map(str::to_owned).collect()
    }

    fn ours(lines: Captured) -> tracing::Dispatch {
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || lines.clone());
        tracing_subscriber::registry().with(layer.fmt_fields(JsonLines).event_format(JsonLines)).into()
    }

    fn the_librarys(lines: Captured) -> tracing::Dispatch {
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || lines.clone());
        tracing_subscriber::registry().with(layer.json().flatten_event(true).with_span_list(false)).into()
    }

    #[test]
    fn a_line_says_what_the_librarys_says() {
        for text in ["", "plain", "a \"quote\" \\ and\nlines\r\t\u{1b}[31m \u{7f} \u{9b} \u{2028}", "Ünïcödé 漢字 🏠"]
        {
            let (own, librarys) = (lines(|| say(text), ours), lines(|| say(text), the_librarys));
            assert_eq!(own.len(), librarys.len());
            for (own, librarys) in own.iter().zip(&librarys) {
                let read = |line: &str| {
                    let mut line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                    let at = line.as_object_mut().unwrap().remove("timestamp").unwrap();
                    assert_eq!(at.as_str().unwrap().len(), "2026-11-27T23:36:40.202205Z".len());
                    line
                };
                let (own, mut librarys) = (read(own), read(librarys));
                // The library omits a missing message.
                if librarys.get("message").is_none() {
                    librarys["message"] = own["message"].clone();
                    assert!(own["message"].as_str().unwrap().starts_with("event "), "{own}");
                }
                // The library gives a line outside any span the span around it.
                if librarys["message"] == "in none" {
                    librarys.as_object_mut().unwrap().remove("span");
                }
                if let Some(kind) = librarys.as_object_mut().unwrap().remove("r#type") {
                    librarys["type"] = kind;
                }
                if let Some(span) = librarys.get_mut("span").and_then(Value::as_object_mut)
                    && let Some(kind) = span.remove("r#type")
                {
                    span.insert("type".to_owned(), kind);
                }
                assert_eq!(own, librarys);
            }
        }
    }

    #[test]
    fn a_line_has_one_message() {
        let all = lines(
            || {
                tracing::info!("message" = "field", "text");
                tracing::info!(rows = 3);
                tracing::info!("text");
            },
            ours,
        );
        for line in all {
            assert_eq!(line.matches("\"message\":").count(), 1, "{line}");
        }
    }

    #[test]
    fn a_value_that_writes_a_line_or_cannot_be_written_spoils_none() {
        let all = lines(|| tracing::info!(a = ?Talkative, b = ?Broken, c = 1, "outside"), ours);
        let read: Vec<Value> = all.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let outside = read.iter().find(|line| line["message"] == "outside").unwrap();
        assert_eq!(
            (&outside["a"], &outside["b"], &outside["c"]),
            (&"talkative \"inside\"".into(), &"half".into(), &1.into())
        );
    }
}
