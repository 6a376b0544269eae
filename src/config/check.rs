//! Checks what the types cannot express: ranges, and settings that must go together.

use std::net::{IpAddr, SocketAddr};

use tracing_subscriber::filter::LevelFilter;

use super::{Backend, ConfigError, LogFormat, Settings, layers::Layers};
use crate::{
    domain::{network::AddressRange, text::hidden},
    mail::{
        Sender,
        settings::{MailTransport, SmtpTls},
    },
};

const BRAND_CHARS_MAX: usize = 100;
const CONTACT_CHARS_MAX: usize = 200;
/// SQS keeps no message longer.
const SQS_RETENTION_DAYS_MAX: u32 = 14;
const AWS_PREFIX_CHARS_MAX: usize = 64;
const SQS_NAME_CHARS_MAX: usize = 80;

/// The range of every whole number, both ends included.
pub(super) const RANGES: &[(&str, i64, i64)] = &[
    ("http.workers", 0, 256),
    ("http.ready_bytes_max", 0, 68_719_476_736),
    ("http.url_bytes_max", 256, 65_536),
    ("http.body_bytes_max", 1024, 67_108_864),
    ("http.head_timeout_ms", 100, 600_000),
    ("http.body_timeout_ms", 100, 600_000),
    ("http.body_idle_timeout_ms", 100, 600_000),
    ("http.write_timeout_ms", 100, 600_000),
    ("http.keep_alive_s", 1, 3600),
    ("http.connections_max", 1, 1_000_000),
    ("http.connections_per_address_max", 1, 1_000_000),
    ("http.wrong_keys_max", 1, 1_000_000),
    ("http.wrong_keys_window_s", 1, 86_400),
    ("http.wrong_keys_wait_max_s", 1, 86_400),
    ("http.leak_reports_max", 1, 1_000_000),
    ("http.refusals_per_s", 1, 1_000_000),
    ("http.refusal_delay_max_ms", 0, 60_000),
    ("http.refusals_delayed_max", 0, 1_000_000),
    ("http.shutdown_timeout_s", 1, 600),
    ("admission.grant_ttl_ms", 100, 10_000),
    ("actors.mailbox_capacity", 1, 1_000_000),
    ("actors.send_timeout_ms", 10, 600_000),
    ("actors.mailers", 1, 64),
    ("commands.idempotency_days", 1, 3650),
    ("queue.visibility_s", 1, 43_200),
    ("queue.receives_max", 1, 1000),
    ("queue.poll_interval_ms", 10, 60_000),
    ("queue.wait_s", 0, 20),
    ("queue.retention_days", 1, 365),
    ("relay.sweep_interval_ms", 10, 600_000),
    ("checkpoints.every_h", 0, 8_760),
    ("records.cache_bytes_max", 0, 68_719_476_736),
    ("records.columns_bytes_max", 0, 1_099_511_627_776),
    ("records.find_threads", 1, 256),
    ("records.scans_per_person_max", 0, 8_192),
    ("records.find_timeout_ms", 10, 600_000),
    ("records.export_cost", 1, 10_000),
    ("records.exports_max", 1, 256),
    ("records.exports_per_person_max", 0, 256),
    ("records.export_timeout_ms", 1_000, 86_400_000),
    ("records.export_stall_ms", 100, 600_000),
    ("records.workbook_bytes_max", 65_536, 3_221_225_472),
    ("records.history_days", 1, 36_500),
    ("records.history_changes_max", 0, 1_000_000_000),
    ("records.refresh_interval_ms", 10, 600_000),
    ("import.file_bytes_max", 1024, 1_099_511_627_776),
    ("import.rows_max", 1, 1_000_000_000),
    ("import.inflate_bytes_max", 1_048_576, 1_099_511_627_776),
    ("accounts.password_chars_min", 8, 64),
    ("accounts.argon2_memory_kib", 8, 1_048_576),
    ("accounts.argon2_iterations", 1, 100),
    ("accounts.argon2_parallelism", 1, 16),
    ("accounts.hash_threads", 1, 64),
    ("accounts.hash_queue_max", 1, 100_000),
    ("accounts.sessions_max", 1, 1000),
    ("accounts.sessions_per_hour_max", 1, 10_000),
    ("accounts.session_h", 1, 8760),
    ("accounts.session_idle_min", 1, 525_600),
    ("accounts.invitation_link_h", 1, 8760),
    ("accounts.claim_link_h", 1, 8760),
    ("accounts.reset_link_min", 1, 1440),
    ("accounts.wrong_passwords_max", 1, 1000),
    ("accounts.wrong_passwords_wait_s", 1, 3600),
    ("import.removed_max", 0, 100),
    ("import.rejected_max", 0, 100),
    ("import.nulled_max", 0, 100),
    ("import.held_days", 1, 365),
    ("import.rejects_days", 1, 3650),
    ("import.uploads_max", 1, 64),
    ("import.uploads_per_caller_max", 1, 64),
    ("import.chunk_timeout_ms", 100, 3_600_000),
    ("import.free_bytes_min", 0, 1_099_511_627_776),
    ("oidc.timeout_s", 1, 60),
    ("aws.parallel_requests", 1, 256),
    ("mail.outbox_days", 1, 3650),
    ("mail.retry_for_h", 1, 336),
    ("mail.invitations_per_person_per_hour", 1, 10_000),
    ("mail.invitations_per_hour_max", 1, 1_000_000),
    ("mail.notices_interval_s", 1, 86_400),
    ("mail.smtp.port", 1, 65_535),
    ("mail.smtp.timeout_s", 1, 300),
];

/// Checks that every whole number is in its range; runs before the typed read, whose message would name a Rust type.
pub(super) fn ranges(layers: &Layers) -> Result<(), ConfigError> {
    for (path, min, max) in RANGES {
        let value = layers.get(path).and_then(|entry| entry.value.as_integer());
        if !value.is_some_and(|value| (*min..=*max).contains(&value)) {
            return Err(layers.invalid(path, format!("it must be from {min} to {max}")));
        }
    }
    Ok(())
}

/// Checks that the values to listen on are addresses; before the typed read, as [`ranges`].
pub(super) fn addresses(layers: &Layers) -> Result<(), ConfigError> {
    for (path, example) in [("listen", "127.0.0.1:8080"), ("ops.listen", "127.0.0.1:9090")] {
        let value = layers.get(path).and_then(|entry| entry.value.as_str()).unwrap_or_default();
        if value.parse::<SocketAddr>().is_err() {
            let expected = format!(
                "an address and a port are expected, such as {example}, 0.0.0.0:80 for every network, or [::1]:8080; a name is none"
            );
            return Err(layers.invalid(path, expected));
        }
    }
    Ok(())
}

impl Settings {
    pub(super) fn check_values(&self) -> Result<(), ConfigError> {
        for path in ["data", "users.default_plan"] {
            let is_empty = self.layers.get(path).and_then(|entry| entry.value.as_str()).is_none_or(str::is_empty);
            if is_empty {
                return Err(self.layers.invalid(path, "it must not be empty".to_owned()));
            }
        }
        if !self.public_url.is_empty() && !is_base_url(&self.public_url) {
            let expected = "an http or https URL without query and fragment, and no slash at its end, is expected";
            return Err(self.layers.invalid("public_url", expected.to_owned()));
        }
        let is_level = |text: &str| !text.is_empty() && text.parse::<LevelFilter>().is_ok();
        // The log filter would take a misspelt level for a module's name, and show everything of that module and nothing else.
        let mistaken = self.log.filter.split(',').map(str::trim).find(|part| !part.contains('=') && !is_level(part));
        // A filter with spans may have commas between a span's fields.
        let mistaken = mistaken.filter(|_| !self.log.filter.contains('['));
        let wrong = match tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            Err(_) => Some("it is no filter".to_owned()),
            Ok(_) => mistaken.map(|part| format!("{part:?} is no level: error, warn, info, debug, trace or off")),
        };
        if let Some(e) = wrong {
            let expected = format!("{e}; a level such as \"info\", or \"info,permitd::access=off\", is expected");
            return Err(self.layers.invalid("log.filter", expected));
        }
        if let Err(e) = Sender::parse(&self.mail.from, "") {
            return Err(self.layers.invalid("mail.from", e.to_string()));
        }
        if let Err(e) = Sender::parse(&self.mail.from, &self.mail.reply_to) {
            return Err(self.layers.invalid("mail.reply_to", e.to_string()));
        }
        let prefix = &self.aws.prefix;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if prefix.is_empty() || prefix.len() > AWS_PREFIX_CHARS_MAX || !prefix.chars().all(plain) {
            let expected = format!("1 to {AWS_PREFIX_CHARS_MAX} letters, digits and hyphens are expected");
            return Err(self.layers.invalid("aws.prefix", expected));
        }
        let brand = &self.mail.brand;
        if brand.trim().is_empty()
            || brand.chars().count() > BRAND_CHARS_MAX
            || brand.chars().any(|c| hidden(c).is_some())
        {
            return Err(self
                .layers
                .invalid("mail.brand", format!("one line of 1 to {BRAND_CHARS_MAX} characters is expected")));
        }
        let contact = &self.mail.contact;
        if contact.chars().count() > CONTACT_CHARS_MAX || contact.chars().any(|c| hidden(c).is_some()) {
            let expected = format!("one line of at most {CONTACT_CHARS_MAX} characters is expected");
            return Err(self.layers.invalid("mail.contact", expected));
        }
        let is_wrong = |text: &&String| AddressRange::parse(text).is_none();
        if let Some(wrong) = self.http.trusted_proxies.iter().find(is_wrong) {
            let expected = format!("`{wrong}` is not an address or a range such as 10.0.0.0/8");
            return Err(self.layers.invalid("http.trusted_proxies", expected));
        }
        self.check_pages()?;
        self.check_origins()
    }

    fn check_origins(&self) -> Result<(), ConfigError> {
        let path = "http.cors_allowed_origins";
        let origins = &self.http.cors_allowed_origins;
        if origins.iter().any(|origin| origin == "*") && origins.len() > 1 {
            return Err(self.layers.invalid(path, "\"*\" stands alone".to_owned()));
        }
        let wrong = origins.iter().find(|o| *o != "*" && !(is_base_url(o) && o.matches('/').count() == 2));
        match wrong {
            Some(origin) => {
                let expected = format!("`{origin}` is not an origin such as https://maps.example.org");
                Err(self.layers.invalid(path, expected))
            }
            None => Ok(()),
        }
    }

    fn check_feedback(&self) -> Result<(), ConfigError> {
        let (path, queue) = ("mail.ses.feedback_queue", &self.mail.ses.feedback_queue);
        if queue.is_empty() {
            return Ok(());
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if queue.len() > SQS_NAME_CHARS_MAX || !queue.chars().all(plain) {
            let expected = format!("1 to {SQS_NAME_CHARS_MAX} letters, digits, hyphens and underscores are expected");
            return Err(self.layers.invalid(path, expected));
        }
        if self.backend != Backend::Aws {
            return Err(self.layers.conflict(path, "it is a queue in SQS, which backend = \"aws\" has"));
        }
        if self.mail.ses.configuration_set.is_empty() {
            return Err(self
                .layers
                .conflict(path, "SES publishes to it by mail.ses.configuration_set, which names none"));
        }
        Ok(())
    }

    pub(super) fn check_combinations(&self) -> Result<(), ConfigError> {
        if self.listen == self.ops.listen && self.listen.port() != 0 {
            return Err(self.layers.conflict("ops.listen", "`listen` is the same address; give it a port of its own"));
        }
        if self.backend == Backend::Aws && self.queue.retention_days > SQS_RETENTION_DAYS_MAX {
            return Err(self.layers.conflict("queue.retention_days", "SQS keeps messages for at most 14 days"));
        }
        self.check_feedback()?;
        self.check_oidc()?;
        if self.mail.transport != MailTransport::Smtp {
            return Ok(());
        }
        let smtp = &self.mail.smtp;
        if smtp.host.is_empty() {
            return Err(self.layers.conflict("mail.smtp.host", "mail.transport = \"smtp\" needs the server's name"));
        }
        if smtp.username.is_empty() && !smtp.password.is_empty() {
            return Err(self
                .layers
                .conflict("mail.smtp.password", "mail.smtp.username is empty; give both or neither"));
        }
        if !smtp.username.is_empty() && smtp.password.is_empty() {
            return Err(self
                .layers
                .conflict("mail.smtp.username", "mail.smtp.password is empty; give both or neither"));
        }
        if !smtp.username.is_empty() && smtp.tls == SmtpTls::None && !is_loopback(&smtp.host) {
            let reason =
                "mail.smtp.username is set, and the password would cross the network readable; use starttls or tls";
            return Err(self.layers.conflict("mail.smtp.tls", reason));
        }
        Ok(())
    }
}

impl LogFormat {
    /// Whether lines are JSON, given whether they go to a terminal.
    pub fn is_json(self, to_terminal: bool) -> bool {
        match self {
            Self::Human => false,
            Self::Json => true,
            Self::Auto => !to_terminal,
        }
    }
}

fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let uri: Result<actix_web::http::Uri, _> = text.parse();
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !text.ends_with('/')
        && !text.contains(['?', '#', ' ', '"', '<', '>', '@'])
        && uri.is_ok()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Settings {
    pub(super) fn check_pages(&self) -> Result<(), ConfigError> {
        if self.pages.brand_color().is_none() {
            let expected = "a color such as \"#0b57d0\" is expected: # and six hexadecimal digits";
            return Err(self.layers.invalid("pages.brand_color", expected.to_owned()));
        }
        let ending = self.pages.logo().map(|path| path.extension().and_then(|ending| ending.to_str()));
        match ending {
            None | Some(Some("svg" | "png")) => Ok(()),
            Some(_) => {
                Err(self.layers.invalid("pages.logo", "a file with the ending .svg or .png is expected".to_owned()))
            }
        }
    }
}
