//! A port, and what all its connections share.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    address::Network,
    guesses::{self, Guesses},
    places::{Place, Places},
    turned_away,
};
use crate::{
    clock::SharedClock,
    config::{ProxyHeader, Settings},
    domain::{attempts::Attempts, network::AddressRange},
};

/// What a head may be longer than the longest path and query, bytes.
pub(super) const FIELDS_BYTES_MAX: usize = 32 * 1024;

/// How long a stop waits at least for the next request of a connection that has none: who has just had an answer may have sent
/// the next request already, and it is answered.
pub(super) const LAST_REQUEST_PATIENCE_MIN: Duration = Duration::from_millis(250);

/// The part of the whole time of a stop that it waits for that, where this is more.
pub(super) const LAST_REQUEST_PART: u32 = 80;

/// How long a client may take for each thing.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a head, from its first byte (for the first of a connection: from its beginning) to its last.
    pub head: Duration,
    /// Between two pieces of a body; and for the rest of a body that nobody wants any more.
    pub body: Duration,
    /// To take something of an answer.
    pub write: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
    /// The same while the port stops.
    pub last_request: Duration,
}

/// The connections of one port.
#[derive(Debug)]
pub struct Wire {
    pub(super) patience: Patience,
    pub(super) head_bytes_max: usize,
    per_address_max: u32,
    /// What a connection is told whose address has as many as it may.
    pub(super) crowded: Bytes,
    trusted_proxies: Vec<AddressRange>,
    pub(super) proxy_header: ProxyHeader,
    /// Whether it was said that proxies contradict each other.
    has_warned: AtomicBool,
    /// Connections by the address that made them.
    connections: Arc<Places>,
    /// Requests at work by the client whom a trusted proxy names.
    requests: Arc<Places>,
    pub(super) guesses: Arc<Guesses>,
    /// Reports of leaks, by the address that they come from.
    pub(super) reports: Attempts<Network>,
    pub(super) clock: SharedClock,
    is_draining: AtomicBool,
    pub(super) draining: watch::Sender<bool>,
}

impl Wire {
    /// As the settings want it.
    pub fn new(settings: &Settings, clock: SharedClock) -> Self {
        let crowded = turned_away::answer(&settings.public_url);
        let settings = &settings.http;
        let patience = Patience {
            head: Duration::from_millis(settings.head_timeout_ms),
            body: Duration::from_millis(settings.body_idle_timeout_ms),
            write: Duration::from_millis(settings.write_timeout_ms),
            idle: Duration::from_secs(settings.keep_alive_s),
            last_request: LAST_REQUEST_PATIENCE_MIN
                .max(Duration::from_secs(settings.shutdown_timeout_s) / LAST_REQUEST_PART),
        };
        Self {
            patience,
            crowded,
            head_bytes_max: settings.url_bytes_max + FIELDS_BYTES_MAX,
            per_address_max: settings.connections_per_address_max,
            // The settings were checked when they were read.
            trusted_proxies: settings.trusted_proxies.iter().filter_map(|text| AddressRange::parse(text)).collect(),
            proxy_header: settings.proxy_header,
            has_warned: AtomicBool::new(false),
            connections: Arc::default(),
            requests: Arc::default(),
            guesses: Arc::new(Guesses::new(settings, Arc::clone(&clock))),
            reports: Attempts::new(guesses::slowing(settings, settings.leak_reports_max), guesses::ADDRESSES_MAX),
            clock,
            is_draining: AtomicBool::new(false),
            draining: watch::Sender::new(false),
        }
    }

    /// The same with room for any number of connections of one address: for the port that operators keep to themselves.
    #[must_use]
    pub fn without_places(self) -> Self {
        Self { per_address_max: u32::MAX, ..self }
    }

    /// A place for a connection from this address, unless the address has as many as it may.
    pub(in crate::http) fn place_for(&self, peer: IpAddr) -> Option<Place> {
        let max = if self.is_proxy(peer) { u32::MAX } else { self.per_address_max };
        self.connections.take(Network::of(peer), max)
    }

    /// A place for a request of a client behind a trusted proxy.
    pub(super) fn place_for_request(&self, client: IpAddr) -> Option<Place> {
        self.requests.take(Network::of(client), self.per_address_max)
    }

    /// Whether what this address says of its clients is believed.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|range| range.contains(address))
    }

    /// Says once that requests have come of which `Forwarded` and `X-Forwarded-For` name different clients.
    pub(super) fn warn_of_contradiction(&self) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "Forwarded and X-Forwarded-For of a request behind a trusted proxy name different clients: set http.proxy_header to \
                 the one that the proxies write; until then such requests count as one address"
            );
        }
    }

    /// Whether the connections are being ended.
    pub(in crate::http) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// How long the port's end waits for the next request of a connection that has none.
    pub fn last_request_patience(&self) -> Duration {
        self.patience.last_request
    }

    /// Ends the connections in order: what has arrived is answered, the last answer of each connection says that it is the
    /// last, and those without a request are closed. Returns when all are closed, or after `patience`; how many are left.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.is_draining.store(true, Ordering::SeqCst);
        self.draining.send_replace(true);
        // That some are left is what the number says.
        tokio::time::timeout(patience, self.connections.emptied()).await.ok();
        self.connections.taken()
    }
}
