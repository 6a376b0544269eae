//! The settings: what each means, its unit, range and default stand in the [`DEFAULTS`](super::DEFAULTS).

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::layers::Layers;
use crate::{identity::settings::Oidc, mail::settings::Mail, queue::Policy};

/// All settings in force. Meanings, units, ranges and defaults are in the [`DEFAULTS`](super::DEFAULTS).
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
    pub ops: OpsSection,
    /// `[http]`
    pub http: HttpSection,
    /// `[log]`
    pub log: LogSection,
    /// `[admission]`
    pub admission: AdmissionSection,
    /// `[actors]`
    pub actors: ActorsSection,
    /// `[commands]`
    pub commands: CommandsSection,
    /// `[queue]`
    pub queue: QueueSection,
    /// `[relay]`
    pub relay: RelaySection,
    /// `[checkpoints]`
    pub checkpoints: CheckpointsSection,
    /// `[records]`
    pub records: RecordsSection,
    /// `[import]`
    pub import: ImportSection,
    /// `[users]`
    pub users: UsersSection,
    /// `[accounts]`
    pub accounts: super::accounts::AccountSettings,
    /// `[oidc]`
    pub oidc: Oidc,
    /// `[aws]`
    pub aws: AwsSection,
    /// `[mail]`
    pub mail: Mail,
    /// `[pages]`
    pub pages: super::pages::Pages,
    #[serde(skip, default = "Layers::empty")]
    pub(super) layers: Layers,
    #[serde(skip)]
    pub(super) file: Option<ConfigurationFile>,
}

/// A configuration file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was found in the data directory; otherwise the user named it.
    pub in_data_directory: bool,
}

/// `backend`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Files on one machine.
    Sqlite,
    /// DynamoDB and SQS, shared by many machines.
    Aws,
}

/// The settings for data in AWS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsSection {
    /// `aws.prefix`
    pub prefix: String,
    /// `aws.parallel_requests`
    pub parallel_requests: usize,
}

/// The port for operators.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpsSection {
    /// `ops.listen`
    pub listen: SocketAddr,
}

/// The public HTTP server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSection {
    /// `http.workers`; see [`HttpSection::workers`].
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
    /// Either header. If both are there, they must name the same client.
    Any,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// Log lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSection {
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
pub struct AdmissionSection {
    /// `admission.grant_ttl_ms`
    pub grant_ttl_ms: u64,
}

/// Actors and their mailboxes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorsSection {
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
pub struct CommandsSection {
    /// `commands.idempotency_days`
    pub idempotency_days: u32,
}

/// The event queue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSection {
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
pub struct RelaySection {
    /// `relay.sweep_interval_ms`
    pub sweep_interval_ms: u64,
}

/// Signed checkpoints of the log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointsSection {
    /// `checkpoints.every_h`
    pub every_h: u64,
    /// `checkpoints.mail_to`
    pub mail_to: Vec<String>,
}

/// Reading records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsSection {
    /// `records.cache_bytes_max`
    pub cache_bytes_max: u64,
    /// `records.columns_bytes_max`
    pub columns_bytes_max: u64,
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
    /// `records.workbook_bytes_max`
    pub workbook_bytes_max: u64,
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
pub struct ImportSection {
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
pub struct UsersSection {
    /// `users.default_plan`
    pub default_plan: String,
}

impl HttpSection {
    /// The part of a stop's time that requests in flight get: all but what the stop itself needs.
    pub fn requests_patience(&self) -> Duration {
        Duration::from_secs(self.shutdown_timeout_s.saturating_sub(1).max(1))
    }

    /// Worker threads: the setting, or one per core.
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            workers => workers,
        }
    }
}

impl QueueSection {
    /// The queue's limits for messages.
    pub fn policy(&self) -> Policy {
        let Self { visibility_s, receives_max, retention_days, .. } = *self;
        Policy { visibility_s, receives_max, retention_days }
    }
}

impl AdmissionSection {
    /// The longest life of a grant.
    pub fn grant_ttl(&self) -> Duration {
        Duration::from_millis(self.grant_ttl_ms)
    }
}

impl ActorsSection {
    /// How long a sender waits for an answer.
    pub fn send_timeout(&self) -> Duration {
        Duration::from_millis(self.send_timeout_ms)
    }
}
