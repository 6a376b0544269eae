//! Settings: defaults < configuration file < environment < flags. The commented default file is the manual.
//!
//! The layers are merged by hand over TOML tables, because an error has to name the variable, file or flag that holds the
//! wrong value, and `permitd config` has to show where each value came from; both are lost once a merging crate is done.

pub mod accounts;
mod check;
mod error;
mod layers;
mod oidc;
pub mod pages;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use self::layers::Layers;
pub use self::{
    error::ConfigError,
    layers::{CONFIG_VARIABLE, Origin, TEST_VARIABLE_PREFIX, VARIABLE_PREFIX, variable},
};
use crate::{
    domain::misfit,
    identity::settings::Oidc,
    mail::settings::{Mail, MailTransport},
    private,
    queue::Policy,
};

/// The commented default configuration file.
pub const DEFAULTS: &str = include_str!("config.default.toml");
/// The configuration file that is read from the data directory when no other is named.
pub const FILE_NAME: &str = "permitd.toml";

/// Settings whose values are never shown.
const SECRET_PATHS: &[&str] = &["mail.smtp.password", "oidc.client_secret"];

/// All settings in force. What each means, its unit, range and default stand in the [`DEFAULTS`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `data`
    pub data: PathBuf,
    /// `backend`
    pub backend: Backend,
    /// `secret_file`; empty for the backend's own place.
    pub secret_file: PathBuf,
    /// `listen`
    pub listen: SocketAddr,
    /// `public_url`; see [`Settings::public_url`] for the URL in force.
    pub public_url: String,
    /// `datasets`; see [`Settings::datasets`].
    pub datasets: PathBuf,
    /// `[ops]`
    pub ops: Ops,
    /// `[http]`
    pub http: Http,
    /// `[log]`
    pub log: Log,
    /// `[admission]`
    pub admission: Admission,
    /// `[actors]`
    pub actors: Actors,
    /// `[commands]`
    pub commands: Commands,
    /// `[queue]`
    pub queue: Queue,
    /// `[relay]`
    pub relay: Relay,
    /// `[records]`
    pub records: Records,
    /// `[import]`
    pub import: Import,
    /// `[users]`
    pub users: Users,
    /// `[accounts]`
    pub accounts: accounts::AccountSettings,
    /// `[oidc]`
    pub oidc: Oidc,
    /// `[aws]`
    pub aws: Aws,
    /// `[mail]`
    pub mail: Mail,
    /// `[pages]`
    pub pages: pages::Pages,
    #[serde(skip, default = "Layers::empty")]
    layers: Layers,
    #[serde(skip)]
    file: Option<ConfigurationFile>,
}

/// A configuration file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was found in the data directory; otherwise somebody named it.
    pub in_data_directory: bool,
}

/// `backend`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Files of one machine.
    Sqlite,
    /// DynamoDB and SQS, shared by many machines.
    Aws,
}

/// What is kept in AWS, and how it is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// `aws.prefix`
    pub prefix: String,
    /// `aws.parallel_requests`
    pub parallel_requests: usize,
}

/// The port for operators.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ops {
    /// `ops.listen`
    pub listen: SocketAddr,
}

/// The public HTTP server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// `http.workers`; see [`Http::workers`].
    pub workers: usize,
    /// `http.ready_bytes_max`
    pub ready_bytes_max: u64,
    /// `http.url_bytes_max`
    pub url_bytes_max: usize,
    /// `http.body_bytes_max`
    pub body_bytes_max: usize,
    /// `http.head_timeout_ms`
    pub head_timeout_ms: u64,
    /// `http.body_timeout_ms`
    pub body_timeout_ms: u64,
    /// `http.body_idle_timeout_ms`
    pub body_idle_timeout_ms: u64,
    /// `http.write_timeout_ms`
    pub write_timeout_ms: u64,
    /// `http.keep_alive_s`
    pub keep_alive_s: u64,
    /// `http.connections_max`, per worker.
    pub connections_max: usize,
    /// `http.connections_per_address_max`
    pub connections_per_address_max: u32,
    /// `http.trusted_proxies`: addresses and ranges.
    pub trusted_proxies: Vec<String>,
    /// `http.proxy_header`
    pub proxy_header: ProxyHeader,
    /// `http.wrong_keys_max`
    pub wrong_keys_max: u32,
    /// `http.wrong_keys_window_s`
    pub wrong_keys_window_s: u64,
    /// `http.wrong_keys_wait_max_s`
    pub wrong_keys_wait_max_s: u64,
    /// `http.leak_reports_max`
    pub leak_reports_max: u32,
    /// `http.refusals_per_s`
    pub refusals_per_s: u32,
    /// `http.refusal_delay_max_ms`
    pub refusal_delay_max_ms: u64,
    /// `http.refusals_delayed_max`
    pub refusals_delayed_max: usize,
    /// `http.shutdown_timeout_s`
    pub shutdown_timeout_s: u64,
    /// `http.cors_allowed_origins`
    pub cors_allowed_origins: Vec<String>,
}

/// `http.proxy_header`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// Whichever there is. Where both are there, they must name the same client.
    Any,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// Log lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `log.format`
    pub format: LogFormat,
    /// `log.filter`
    pub filter: String,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Coloured lines for a person.
    Human,
    /// One JSON object a line.
    Json,
    /// `Human` on a terminal, else `Json`.
    Auto,
}

/// Admission of requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// `admission.grant_ttl_ms`
    pub grant_ttl_ms: u64,
}

/// Actors and their mailboxes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actors {
    /// `actors.mailbox_capacity`
    pub mailbox_capacity: usize,
    /// `actors.send_timeout_ms`
    pub send_timeout_ms: u64,
    /// `actors.mailers`
    pub mailers: usize,
}

/// Commands of clients.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// `commands.idempotency_days`
    pub idempotency_days: u32,
}

/// The event queue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// `queue.visibility_s`
    pub visibility_s: u32,
    /// `queue.receives_max`
    pub receives_max: u32,
    /// `queue.poll_interval_ms`
    pub poll_interval_ms: u64,
    /// `queue.wait_s`
    pub wait_s: u64,
    /// `queue.retention_days`
    pub retention_days: u32,
}

/// The sweep for unpublished commits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// `relay.sweep_interval_ms`
    pub sweep_interval_ms: u64,
}

/// Reading records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// `records.cache_bytes_max`
    pub cache_bytes_max: u64,
    /// `records.find_threads`
    pub find_threads: usize,
    /// `records.scans_per_person_max`
    pub scans_per_person_max: usize,
    /// `records.find_timeout_ms`
    pub find_timeout_ms: u64,
    /// `records.export_cost`
    pub export_cost: u64,
    /// `records.exports_max`
    pub exports_max: usize,
    /// `records.exports_per_person_max`
    pub exports_per_person_max: usize,
    /// `records.export_timeout_ms`
    pub export_timeout_ms: u64,
    /// `records.export_stall_ms`
    pub export_stall_ms: u64,
    /// `records.history_days`
    pub history_days: u32,
    /// `records.history_changes_max`
    pub history_changes_max: u64,
    /// `records.refresh_interval_ms`
    pub refresh_interval_ms: u64,
    /// `records.ready_while_copying`
    pub ready_while_copying: bool,
}

/// Limits of imported files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// `import.file_bytes_max`
    pub file_bytes_max: u64,
    /// `import.rows_max`
    pub rows_max: u64,
    /// `import.inflate_bytes_max`
    pub inflate_bytes_max: u64,
    /// `import.removed_max`
    pub removed_max: u32,
    /// `import.rejected_max`
    pub rejected_max: u32,
    /// `import.nulled_max`
    pub nulled_max: u32,
    /// `import.held_days`
    pub held_days: u32,
    /// `import.rejects_days`
    pub rejects_days: u32,
    /// `import.uploads_max`
    pub uploads_max: usize,
    /// `import.uploads_per_caller_max`
    pub uploads_per_caller_max: usize,
    /// `import.chunk_timeout_ms`
    pub chunk_timeout_ms: u64,
    /// `import.free_bytes_min`
    pub free_bytes_min: u64,
}

/// Invited users.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// `users.default_plan`
    pub default_plan: String,
}

/// Where settings are taken from beside the defaults.
#[derive(Debug)]
pub struct LoadFrom<'a, E> {
    /// The file named by `--config`; without it, `PERMITD_CONFIG`, then `permitd.toml` in the data directory if it exists.
    pub config_file: Option<PathBuf>,
    /// The environment, as `std::env::vars` gives it.
    pub env: E,
    /// What flags set: dotted path and value as text.
    pub overrides: &'a [(&'a str, String)],
}

/// One setting as `permitd config` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described {
    /// The dotted path.
    pub path: String,
    /// The value in TOML; `"***"` for a secret that is set.
    pub value: String,
    /// Where the value came from.
    pub origin: String,
    /// The environment variable that sets it.
    pub variable: String,
}

impl Settings {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// The first wrong setting, with its name, its place, its value unless secret, and what would be right.
    pub fn load<E: Iterator<Item = (String, String)>>(from: LoadFrom<'_, E>) -> Result<Self, ConfigError> {
        let variables: Vec<(String, String)> = from.env.filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)).collect();
        let add_outer_layers = |layers: &mut Layers| {
            layers.add_variables(variables.iter().map(|(name, text)| (name.as_str(), text.as_str())))?;
            from.overrides.iter().try_for_each(|(path, text)| layers.set_text(path, text, Origin::Flag))
        };
        let config_variable = variables.iter().find(|(name, text)| name == CONFIG_VARIABLE && !text.is_empty());
        let named_file = from.config_file.or_else(|| config_variable.map(|(_, text)| PathBuf::from(text)));

        let mut layers = Layers::defaults()?;
        let mut read = named_file.clone().map(|path| ConfigurationFile { path, in_data_directory: false });
        if let Some(file) = &named_file {
            layers.add_file(file)?;
        }
        add_outer_layers(&mut layers)?;
        if named_file.is_none() {
            let data = PathBuf::from(layers.get("data").and_then(|entry| entry.value.as_str()).unwrap_or_default());
            private::is_open(&data)?;
            let implied_file = data.join(FILE_NAME);
            if implied_file.is_file() {
                layers = Layers::defaults()?;
                layers.add_file(&implied_file)?;
                let data_is_from_file = layers.get("data").is_some_and(|entry| entry.origin != Origin::Default);
                if data_is_from_file {
                    let reason = "the file was found in the data directory; name that by --data or PERMITD_DATA";
                    return Err(layers.conflict("data", reason));
                }
                add_outer_layers(&mut layers)?;
                read = Some(ConfigurationFile { path: implied_file, in_data_directory: true });
            }
        }
        Ok(Self { file: read, ..Self::from_layers(layers)? })
    }

    fn from_layers(layers: Layers) -> Result<Self, ConfigError> {
        check::ranges(&layers)?;
        check::addresses(&layers)?;
        let table = toml::Value::Table(layers.to_table());
        let mut settings: Self = serde_path_to_error::deserialize(table).map_err(|e| {
            let path = e.path().to_string();
            layers.invalid(&path, misfit::told(e.into_inner().message()))
        })?;
        settings.layers = layers;
        settings.check_values()?;
        settings.check_combinations()?;
        Ok(settings)
    }

    /// Every setting in force with its origin, sorted by path.
    pub fn describe(&self) -> Vec<Described> {
        let describe = |(path, entry): (&String, &layers::Entry)| Described {
            path: path.clone(),
            value: layers::shown(path, &entry.value),
            origin: entry.origin.to_string(),
            variable: variable(path),
        };
        self.layers.entries().map(describe).collect()
    }

    /// The base of links, without a slash at its end. `bound` is the address the server really listens on; an address
    /// that stands for all interfaces becomes `localhost`.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.clone();
        }
        if bound.ip().is_unspecified() {
            format!("http://localhost:{}", bound.port())
        } else {
            format!("http://{bound}")
        }
    }

    /// Where the file transport writes mail.
    pub fn outbox(&self) -> PathBuf {
        if self.mail.outbox.as_os_str().is_empty() { self.data.join("outbox") } else { self.mail.outbox.clone() }
    }

    /// Where mail goes.
    pub fn mail_transport(&self) -> MailTransport {
        match (self.mail.transport, self.backend) {
            (MailTransport::Auto, Backend::Aws) => MailTransport::Ses,
            (MailTransport::Auto, Backend::Sqlite) => MailTransport::File,
            (named, _) => named,
        }
    }

    /// The configuration file that was read, if there was one.
    pub fn configuration(&self) -> Option<&ConfigurationFile> {
        self.file.as_ref()
    }

    /// Whether a secret stands in the configuration file.
    pub fn has_secret_in_file(&self) -> bool {
        let is_in_file = |path: &&str| {
            let entry = self.layers.get(path);
            entry.is_some_and(|entry| matches!(entry.origin, Origin::File(_)) && entry.value.as_str() != Some(""))
        };
        SECRET_PATHS.iter().any(is_in_file)
    }

    /// The directory of further data set definitions, if there is one.
    pub fn datasets(&self) -> Option<&Path> {
        (!self.datasets.as_os_str().is_empty()).then_some(self.datasets.as_path())
    }
}

impl Http {
    /// Worker threads: the setting, or one per core.
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            workers => workers,
        }
    }
}

impl Queue {
    /// How the queue treats messages.
    pub fn policy(&self) -> Policy {
        let Self { visibility_s, receives_max, retention_days, .. } = *self;
        Policy { visibility_s, receives_max, retention_days }
    }
}

impl Admission {
    /// The longest life of a grant.
    pub fn grant_ttl(&self) -> Duration {
        Duration::from_millis(self.grant_ttl_ms)
    }
}

impl Actors {
    /// How long a sender waits for an answer.
    pub fn send_timeout(&self) -> Duration {
        Duration::from_millis(self.send_timeout_ms)
    }
}

#[cfg(test)]
mod tests;
