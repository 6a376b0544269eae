//! Log lines on standard error: structured, as JSON or for a person.
//!
//! Every line logged within a request shows the field `request_id` of the span `request`. An error in the log needs a person's action; a
//! problem that passes by itself is a warning.
//!
//! Guarantee: whatever `log.filter` says, the AWS and HTTP clients do not log what they send and receive, which holds keys, addresses and
//! the server secret.

mod json;
mod lines;

use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use self::json::JsonLines;
pub use self::lines::{ACCESS_TARGET, flush};
use crate::config::LogSection;

/// Clients that log what they send and receive below level `info`, by the prefixes of their modules.
const TALKATIVE: [&str; 5] = ["aws_", "hyper", "h2", "rustls", "lettre"];

/// Why log lines cannot be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter cannot be used: {0}; a level such as \"info\", or \"info,permitd::access=off\", is expected")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another part of the process has set up logging already.
    #[error("log lines are already set up in this process: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up logging, including of panics, for the rest of the process.
///
/// # Errors
/// When the filter cannot be read, or logging was set up before.
pub fn init(settings: &LogSection) -> Result<(), TelemetryError> {
    let to_terminal = io::stderr().is_terminal();
    subscriber(settings, to_terminal, lines::StandardError)?.try_init()?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let said = panic.payload_as_str().unwrap_or("without a message");
        tracing::error!(location, said, "panic");
    }));
    Ok(())
}

fn subscriber<W>(
    settings: &LogSection,
    to_terminal: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.filter)?.and(filter_fn(is_discreet));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(to_terminal);
    let registry = tracing_subscriber::registry();
    Ok(if settings.format.is_json(to_terminal) {
        let lines = lines.with_ansi(false).fmt_fields(JsonLines).event_format(JsonLines);
        Box::new(registry.with(lines.with_filter(filter)))
    } else {
        Box::new(registry.with(lines.compact().with_filter(filter)))
    })
}

/// Whether a line cannot be one in which a client shows what it sends or receives.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let is_client = TALKATIVE.iter().any(|start| metadata.target().starts_with(start));
    !is_client || *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::LogFormat;

    #[derive(Clone, Default)]
    pub(super) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        /// The text written so far.
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let lines = Captured::default();
        let writer = lines.clone();
        let settings = LogSection { format, filter: filter.to_owned() };
        let subscriber = subscriber(&settings, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("request", request_id = "r-1").entered();
            tracing::info!(rows = 3, "imported");
            tracing::debug!("too much");
        });
        lines.text()
    }

    #[test]
    fn a_json_line_has_the_fields_and_the_request() {
        let text = logged(LogFormat::Auto, "info");
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((line["level"].as_str(), line["rows"].as_u64()), (Some("INFO"), Some(3)));
        assert_eq!(line["message"], "imported");
        assert_eq!(line["span"]["request_id"], "r-1");
    }

    #[test]
    fn a_line_for_a_person_has_them_too() {
        let text = logged(LogFormat::Human, "info");
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("imported") && text.contains("rows=3") && text.contains("r-1"), "{text}");
    }

    #[test]
    fn clients_do_not_tell_what_they_send() {
        let lines = Captured::default();
        let writer = lines.clone();
        let settings =
            LogSection { format: LogFormat::Json, filter: "trace,aws_smithy_runtime::client=trace".to_owned() };
        let subscriber = subscriber(&settings, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "aws_smithy_runtime::client::http::body", "a body");
            tracing::debug!(target: "hyper_util::client", "a body");
            tracing::warn!(target: "aws_config", "no region");
            tracing::trace!("ours");
        });
        let text = lines.text();
        assert!(!text.contains("a body") && text.contains("no region") && text.contains("ours"), "{text}");
    }

    #[test]
    fn a_wrong_filter_is_refused() {
        let settings = LogSection { format: LogFormat::Json, filter: "a=b=c".to_owned() };
        assert!(subscriber(&settings, false, io::sink).is_err());
    }
}
