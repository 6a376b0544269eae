//! What stands between a socket and the HTTP parser, on the public port and on the operation port: one request at a time,
//! each with a single meaning; a time for each thing that a client may be slow at; a bound on what one address may hold; and
//! an end in order.
//!
//! `actix-http` limits the time of the first head of a connection alone, answers what it cannot read without a document, and
//! mixes up requests that it has read ahead. All of it is mended at its input, so that its own parser and encoder, which are
//! fast and well tested, stay what reads requests and writes answers.

mod address;
mod alarm;
mod body;
mod connection;
mod farewell;
mod forwarded;
mod guesses;
mod head;
mod places;
mod request_line;
mod stream;
mod turned_away;

use std::{
    net::IpAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::HttpRequest;
use bytes::Bytes;
use tokio::sync::watch;

pub use address::Network;
pub(in crate::http) use connection::Answering;
pub use connection::Connection;
pub use head::Refusal;
pub(in crate::http) use places::Place;
pub use stream::Stream;

use self::{guesses::Guesses, places::Places};
use super::{Problem, ProblemCode};
use crate::{
    clock::SharedClock,
    config::{ProxyHeader, Settings},
    domain::{attempts::Attempts, network::AddressRange},
};

/// What a head may be longer than the longest path and query, bytes.
const FIELDS_BYTES_MAX: usize = 32 * 1024;
/// How long a stop waits at least for the next request of a connection that has none: who has just had an answer may have sent
/// the next request already, and it is answered.
const LAST_REQUEST_PATIENCE_MIN: Duration = Duration::from_millis(250);
/// The part of the whole time of a stop that it waits for that, where this is more.
const LAST_REQUEST_PART: u32 = 80;

const GUESSED: &str = "this address has sent too many wrong keys, tokens, passwords or links, or asked for too many mails: a right key passes, others are to wait";

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
    patience: Patience,
    head_bytes_max: usize,
    per_address_max: u32,
    /// What a connection is told whose address has as many as it may.
    crowded: Bytes,
    trusted_proxies: Vec<AddressRange>,
    proxy_header: ProxyHeader,
    /// Whether it was said that proxies contradict each other.
    has_warned: AtomicBool,
    /// Connections by the address that made them.
    connections: Places,
    /// Requests at work by the client whom a trusted proxy names.
    requests: Places,
    guesses: Guesses,
    /// Reports of leaks, by the address that they come from.
    reports: Attempts<Network>,
    clock: SharedClock,
    is_draining: AtomicBool,
    draining: watch::Sender<bool>,
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
            connections: Places::default(),
            requests: Places::default(),
            guesses: Guesses::new(settings, Arc::clone(&clock)),
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
    pub(super) fn place_for(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let max = if self.is_proxy(peer) { u32::MAX } else { self.per_address_max };
        self.connections.take(Network::of(peer), max, Arc::clone(self), |wire| &wire.connections)
    }

    /// A place for a request of a client behind a trusted proxy.
    fn place_for_request(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        self.requests.take(Network::of(client), self.per_address_max, Arc::clone(self), |wire| &wire.requests)
    }

    /// Whether what this address says of its clients is believed.
    fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|range| range.contains(address))
    }

    /// Says once that requests have come of which `Forwarded` and `X-Forwarded-For` name different clients.
    fn warn_of_contradiction(&self) {
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

/// The address of the client, where the connection or a trusted proxy says it.
pub(in crate::http) fn client_of(request: &HttpRequest) -> Option<IpAddr> {
    let connection = request.conn_data::<Rc<Connection>>()?;
    Some(connection.client(request.headers())).filter(|address| *address != forwarded::NOBODY)
}

/// The answer to a request with a wrong key or token: `refusal`, or, when its address has sent too many, a time to wait. It is put off
/// as long as the address, or all refusals together, have earned.
pub(in crate::http) async fn guessed(request: &HttpRequest, refusal: Problem) -> Problem {
    let Some(connection) = request.conn_data::<Rc<Connection>>().cloned() else { return refusal };
    let verdict = connection.wire().guesses.wrong(Network::of(connection.client(request.headers())));
    put_off(&connection, verdict.delay).await;
    match verdict.wait_s {
        None => refusal,
        Some(wait_s) => Problem::new(ProblemCode::TooManyFromAddress, GUESSED).retry_after(wait_s),
    }
}

/// Puts the answer to a request off that is refused for want of a key: it keeps the pace of all refusals, and is no guess.
pub(in crate::http) async fn refused(request: &HttpRequest) {
    let Some(connection) = request.conn_data::<Rc<Connection>>().cloned() else { return };
    let delay = connection.wire().guesses.refused();
    put_off(&connection, delay).await;
}

async fn put_off(connection: &Connection, delay: Option<Duration>) {
    if !guesses::put_off(connection.wire(), delay).await {
        connection.end_with_this_answer();
    }
}

/// Counts a report of a leak. `Some` when its address has sent too many: seconds to wait.
pub(in crate::http) fn reported(request: &HttpRequest) -> Option<u64> {
    let connection = request.conn_data::<Rc<Connection>>()?;
    let wire = connection.wire();
    let client = Network::of(connection.client(request.headers()));
    let slowed = wire.reports.wrong(&client, wire.clock.monotonic_us())?;
    Some(u64::try_from(slowed.wait_us).unwrap_or(0).div_ceil(1_000_000))
}
