//! `/metrics` in the OpenMetrics text format, which Prometheus reads.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use crate::{
    actors::{
        commit::CommitCounts, grants::GrantCounts, import::ImporterCounts, leaks::LeakCounts, mailer::MailerCounts,
        notices::NoticeCounts, relay::RelayCounts,
    },
    aws::{Access, Calls},
    http::{
        meter::{BOUNDS_US, MeterReading},
        state::Service,
    },
    queue::{Depth, QueueError},
    store::{ReplayStatus, ReplayView, records::CopyProgress},
};

/// The media type of [`Snapshot::text`].
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const SECOND_US: f64 = 1_000_000.0;

/// All metrics, as they were at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    requests: Vec<MeterReading>,
    grants: GrantCounts,
    commits: CommitCounts,
    mailers: MailerCounts,
    notices: NoticeCounts,
    leaks: LeakCounts,
    relay: RelayCounts,
    importer: ImporterCounts,
    queue: Depth,
    /// Streams in quarantine.
    quarantined: usize,
    /// The rebuild that is running or was interrupted, and whether it is running.
    replay: Option<(ReplayStatus, bool)>,
    /// Name, records, version.
    data_sets: Vec<(String, u64, u64)>,
    copies: Vec<CopyProgress>,
    /// Data sets whose records are not those of the log.
    not_served: Vec<String>,
    aws: Calls,
    ready: bool,
    /// The moment that is shown, Unix time in seconds, where a copy is.
    shown_as_of_s: Option<i64>,
    resident_bytes: Option<u64>,
}

impl Snapshot {
    /// Reads everything.
    ///
    /// # Errors
    /// When the queue does not answer.
    pub(super) async fn take(service: &Service) -> Result<Self, QueueError> {
        let queue = service.committer.queue.depth().await?;
        let quarantines = &service.committer.stores.quarantines;
        let quarantined =
            quarantines.recent(service.committer.clock.monotonic_us()).await.map_err(QueueError::Store)?;
        let replay = service.committer.stores.replay.replay_status().await.map_err(QueueError::Store)?;
        let now = service.committer.clock.now();
        let data_sets = service.lineages.not_lost();
        Ok(Self {
            requests: service.meter.read(),
            grants: service.book.counts(),
            commits: service.committer.counts(),
            mailers: service.mailers.counts(),
            notices: service.notices.counts(),
            leaks: service.leaks.counts(),
            relay: service.relay.counts(),
            importer: service.imports.counts(),
            queue,
            quarantined: quarantined.iter().len(),
            replay: replay.map(|status| (status.clone(), status.is_running(now))),
            data_sets: data_sets.iter().map(|set| (set.definition.name.clone(), set.records, set.version)).collect(),
            copies: service.records.copies(),
            not_served: service.lineages.losses().iter().map(|loss| loss.data_set().to_owned()).collect(),
            aws: service.aws.as_ref().map(Access::calls).unwrap_or_default(),
            ready: service.readiness.get(),
            shown_as_of_s: service.rehearsed.as_ref().map(|shown| shown.as_of.as_second()),
            resident_bytes: resident_bytes(),
        })
    }

    /// The text.
    ///
    /// # Errors
    /// Never in practice: writing to a String does not fail.
    pub(super) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }

    /// Counters of the actors and of their shared state: name, help, value.
    fn counters(&self) -> [(&'static str, &'static str, u64); 38] {
        let Self { grants, commits, mailers, notices, leaks, relay, importer, .. } = self;
        [
            ("permitd_admission_admitted", "Requests that the gate let pass", grants.admitted),
            ("permitd_admission_limited", "Requests that a plan's limit refused", grants.limited),
            ("permitd_admission_out_of_reach", "Requests that their key may not be used for", grants.out_of_reach),
            ("permitd_admission_unknown_keys", "Requests refused for a key that does not work", grants.unknown),
            ("permitd_admission_grants", "Grants taken from the ledger", grants.taken),
            ("permitd_admission_ledger_failures", "Times that the ledger did not answer", grants.failed),
            ("permitd_commits_appended", "Commits appended to the event log", commits.appended),
            ("permitd_commits_conflicts", "Appends that lost a race and were decided anew", commits.conflicts),
            ("permitd_commits_repeated", "Commands that an earlier try had carried out", commits.repeated),
            ("permitd_messages_published", "Messages published right after their commit", commits.published),
            ("permitd_messages_publish_failures", "Publications left to the relay", commits.publish_failures),
            ("permitd_mailer_received", "Messages that the mailers received", mailers.received),
            ("permitd_mailer_done", "Messages that the mailers have done", mailers.done),
            ("permitd_mailer_failures", "Times that a message failed", mailers.failed),
            ("permitd_mailer_put_off", "Times that a mail was not taken for now and put off", mailers.put_off),
            ("permitd_mailer_keys_issued", "Keys issued for invitations", mailers.keys_issued),
            ("permitd_mailer_mails_sent", "Mails handed over", mailers.mails_sent),
            ("permitd_mailer_mails_rejected", "Mails refused for good", mailers.mails_rejected),
            ("permitd_mailer_mails_back", "Mails that came back, or were not wanted", mailers.mails_back),
            (
                "permitd_mailer_leaks_told",
                "Mails handed over that tell of a leaked key, session or link",
                mailers.leaks_told,
            ),
            ("permitd_mailer_revocations", "Deleted people whose keys were revoked", mailers.revocations),
            ("permitd_mailer_heartbeats", "Times that a message at work was kept from others", mailers.heartbeats),
            ("permitd_notices_sweeps", "Looks for keys that expire", notices.sweeps),
            ("permitd_notices_expiring", "Keys of which it was noticed that they expire", notices.expiring),
            ("permitd_notices_quotas", "Shares of quotas of which it was noticed that they are spent", notices.quotas),
            ("permitd_notices_failures", "Times that something to be told could not be written down", notices.failed),
            ("permitd_leaks_reports", "Reports with something in them that has the form of a key", leaks.reports),
            ("permitd_leaks_revoked", "Keys revoked because they were reported as leaked", leaks.revoked),
            (
                "permitd_leaks_passed_over",
                "What was reported, is nobody's by its form, and was not looked up",
                leaks.passed_over,
            ),
            ("permitd_relay_sweeps", "Sweeps for commits left unpublished", relay.sweeps),
            ("permitd_relay_published", "Commits that the relay published", relay.published),
            ("permitd_relay_failures", "Sweeps that ended early", relay.failed),
            ("permitd_relay_expired", "Messages and dead letters removed for their age", relay.expired),
            ("permitd_imports_started", "Imports begun", importer.started),
            ("permitd_imports_completed", "Imports that are visible", importer.completed),
            ("permitd_imports_failed", "Imports that had no effect", importer.failed),
            ("permitd_imports_rows", "Rows read by completed imports", importer.rows),
            ("permitd_imports_rejected_rows", "Rows that could not become records", importer.rejected),
        ]
    }

    fn encode_aws(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if self.aws.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "permitd_aws_requests",
            "Requests sent to AWS, retries included, by service and operation",
            None,
            MetricType::Counter,
        )?;
        for ((service, operation), count) in &self.aws {
            let labels = [("service", service.as_str()), ("operation", operation.as_str())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(count, None)?;
        }
        Ok(())
    }

    fn encode_requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "permitd_http_requests",
            "Requests answered, by route and class of status",
            None,
            MetricType::Counter,
        )?;
        for reading in &self.requests {
            let labels = [("route", reading.route.as_str()), ("status", reading.class)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&reading.count(), None)?;
        }
        let mut family = encoder.encode_descriptor(
            "permitd_http_request_duration_seconds",
            "Time from a request's head to its answer's, by route and class of status",
            None,
            MetricType::Histogram,
        )?;
        for reading in &self.requests {
            let labels = [("route", reading.route.as_str()), ("status", reading.class)];
            let bounds = BOUNDS_US.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(reading.buckets.iter().copied()).collect();
            let sum = seconds(i64::try_from(reading.sum_us).unwrap_or(i64::MAX));
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, reading.count(), &buckets, None)?;
        }
        Ok(())
    }

    fn encode_data_sets(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family =
            encoder.encode_descriptor("permitd_records", "Records by data set", None, MetricType::Gauge)?;
        for (name, records, _) in &self.data_sets {
            family.encode_family(&[("dataset", name.as_str())])?.encode_gauge(records)?;
        }
        let help = "The version of each data set; it rises with every import that changes something";
        let mut family = encoder.encode_descriptor("permitd_dataset_version", help, None, MetricType::Gauge)?;
        for (name, _, version) in &self.data_sets {
            family.encode_family(&[("dataset", name.as_str())])?.encode_gauge(version)?;
        }
        let help =
            "1 for each data set that is answered with 503, since its records are gone or are not those of the log";
        let mut family = encoder.encode_descriptor("permitd_dataset_not_served", help, None, MetricType::Gauge)?;
        for name in &self.not_served {
            family.encode_family(&[("dataset", name.as_str())])?.encode_gauge(&1_u64)?;
        }
        self.encode_copies(encoder)
    }

    /// The progress of this node's copies of records that are kept elsewhere.
    fn encode_copies(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Shown = (&'static str, &'static str, fn(&CopyProgress) -> f64);
        // An `f64` holds whole numbers below 2^53 exactly.
        let shown: [Shown; 5] = [
            ("permitd_copy_ready", "1 while questions are answered from this node's copy of the records", |copy| {
                f64::from(u8::from(copy.is_ready))
            }),
            ("permitd_copy_share", "The part of the records that is copied to this node, from 0 to 1", |copy| {
                copy.share
            }),
            (
                "permitd_copy_behind_versions",
                "Versions that were committed and are not shown by this node yet",
                |copy| copy.versions_behind as f64,
            ),
            (
                "permitd_copy_behind_seconds",
                "For how long this node has known of a version that it does not show",
                |copy| copy.seconds_behind,
            ),
            ("permitd_copy_bytes", "What this node's copy of the records takes on its disk", |copy| copy.bytes as f64),
        ];
        if self.copies.is_empty() {
            return Ok(());
        }
        for (name, help, value) in shown {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for copy in &self.copies {
                family.encode_family(&[("dataset", copy.name.as_str())])?.encode_gauge(&value(copy))?;
            }
        }
        Ok(())
    }

    /// How far a rebuild beside this server is; nothing where there is none.
    fn encode_replay(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some((status, is_running)) = &self.replay else { return Ok(()) };
        let view = status.view.map_or("all", ReplayView::name);
        let shown = [
            (
                "permitd_replay_running",
                "1 while a rebuild runs; 0 once it was interrupted, until it is gone on with",
                u64::from(*is_running),
            ),
            ("permitd_replay_commits", "Commits that the rebuild has gone through", status.progress.commits),
            ("permitd_replay_commits_total", "Commits that there were when it began", status.commits_total),
            ("permitd_replay_events", "Events that the rebuild has gone through", status.progress.events),
        ];
        for (name, help, value) in shown {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode_family(&[("view", view)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn encode_gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Messages in the queue: visible ones can be received, the others are at work or delayed";
        let mut family = encoder.encode_descriptor("permitd_queue_messages", help, None, MetricType::Gauge)?;
        for (state, messages) in [("visible", self.queue.visible), ("in_flight", self.queue.in_flight)] {
            family.encode_family(&[("state", state)])?.encode_gauge(&messages)?;
        }
        gauge(encoder, "permitd_dead_letters", "Messages that were given up", self.queue.dead)?;
        let quarantined = u64::try_from(self.quarantined).unwrap_or(u64::MAX);
        gauge(
            encoder,
            "permitd_quarantined_streams",
            "Streams that are set aside, since they cannot be read",
            quarantined,
        )?;
        gauge(encoder, "permitd_ready", "1 while the node wants requests", u64::from(self.ready))?;
        if let Some(as_of_s) = self.shown_as_of_s {
            let help = "The moment that is shown, Unix time: only of a server that shows a read-only copy";
            let mut family = encoder.encode_descriptor("permitd_shown_as_of_seconds", help, None, MetricType::Gauge)?;
            family.encode_gauge(&as_of_s)?;
        }
        if let Some(bytes) = self.resident_bytes {
            gauge(encoder, "process_resident_memory_bytes", "Resident memory", bytes)?;
        }
        let help = "The version that runs";
        let mut family = encoder.encode_descriptor("permitd_build_info", help, None, MetricType::Gauge)?;
        family.encode_family(&[("version", env!("CARGO_PKG_VERSION"))])?.encode_gauge(&1_u64)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_requests(&mut encoder)?;
        for (name, help, value) in self.counters() {
            let mut counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            counter.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        self.encode_aws(&mut encoder)?;
        self.encode_data_sets(&mut encoder)?;
        self.encode_replay(&mut encoder)?;
        self.encode_gauges(&mut encoder)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

#[expect(clippy::cast_precision_loss, reason = "a sum of microseconds below 2^53 lasts 285 years")]
fn seconds(us: i64) -> f64 {
    us as f64 / SECOND_US
}

/// The process's resident memory, where the system tells (Linux).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
