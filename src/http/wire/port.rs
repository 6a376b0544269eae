//! A port, and the state that all its connections share.

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

/// Bytes that a head may have beyond the longest path and query.
pub(super) const FIELDS_BYTES_MAX: usize = 32 * 1024;

/// The least time that a stop waits for the next request of an idle connection: a client that has just had an answer may have sent its
/// next request already, and that request is answered.
pub(super) const LAST_REQUEST_PATIENCE_MIN: Duration = Duration::from_millis(250);

/// The whole time of a stop divided by this is the wait, if it is longer than [`LAST_REQUEST_PATIENCE_MIN`].
pub(super) const LAST_REQUEST_PART: u32 = 80;

/// How long a client may take for each thing.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a head, from its first byte to its last (for a connection's first head: from the beginning of the connection).
    pub head: Duration,
    /// Between two pieces of a body, and for the rest of an unwanted body.
    pub body: Duration,
    /// To take a part of an answer.
    pub write: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
    /// Between an answer and the next request while the port stops.
    pub last_request: Duration,
}

/// The connections of one port.
#[derive(Debug)]
pub struct Wire {
    pub(super) patience: Patience,
    pub(super) head_bytes_max: usize,
    per_address_max: u32,
    /// The answer to a connection whose address has its maximum of connections.
    pub(super) crowded: Bytes,
    trusted_proxies: Vec<AddressRange>,
    pub(super) proxy_header: ProxyHeader,
    /// Whether contradicting proxy fields were already logged.
    has_warned: AtomicBool,
    /// Connections by the address that made them.
    connections: Arc<Places>,
    /// Requests that are being answered, by the client that a trusted proxy names.
    requests: Arc<Places>,
    pub(super) guesses: Arc<Guesses>,
    /// Leak reports, by the sender's address.
    pub(super) reports: Attempts<Network>,
    pub(super) clock: SharedClock,
    is_draining: AtomicBool,
    pub(super) draining: watch::Sender<bool>,
}

impl Wire {
    /// A port with the limits of the settings.
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

    /// Allows any number of connections of one address: for the operators' own port.
    #[must_use]
    pub fn without_places(self) -> Self {
        Self { per_address_max: u32::MAX, ..self }
    }

    /// Takes a place for a connection from this address, unless the address has its maximum.
    pub(in crate::http) fn place_for(&self, peer: IpAddr) -> Option<Place> {
        let max = if self.is_proxy(peer) { u32::MAX } else { self.per_address_max };
        self.connections.take(Network::of(peer), max)
    }

    /// Takes a place for a request of a client behind a trusted proxy.
    pub(super) fn place_for_request(&self, client: IpAddr) -> Option<Place> {
        self.requests.take(Network::of(client), self.per_address_max)
    }

    /// Whether the address is a trusted proxy's.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|range| range.contains(address))
    }

    /// Warns once that `Forwarded` and `X-Forwarded-For` of a request name different clients.
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

    /// How long a stop waits for the next request of an idle connection.
    pub fn last_request_patience(&self) -> Duration {
        self.patience.last_request
    }

    /// Ends the connections in order: answers the requests that have arrived, marks the last answer of each connection as the last, and
    /// closes idle connections. Returns how many connections are left, when all are closed or after `patience`.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.is_draining.store(true, Ordering::SeqCst);
        self.draining.send_replace(true);
        // The returned number says whether connections are left.
        tokio::time::timeout(patience, self.connections.emptied()).await.ok();
        self.connections.taken()
    }
}
