//! The state of a connection that its stream, which feeds the parser, and the edge, which answers, share.

use std::{
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use actix_web::http::header::HeaderMap;

use super::{forwarded, places::Place, port::Wire, refusal::Refusal};

/// A connection, as its requests know it.
#[derive(Debug)]
pub struct Connection {
    wire: Arc<Wire>,
    peer: IpAddr,
    is_proxy: bool,
    /// A request has passed, and its answer is not written yet.
    is_busy: Cell<bool>,
    /// Bytes after that request have arrived.
    has_more: Cell<bool>,
    /// The current answer is the connection's last.
    is_last: Cell<bool>,
    refusal: RefCell<Option<Refusal>>,
}

impl Connection {
    pub(super) fn new(wire: Arc<Wire>, peer: IpAddr) -> Self {
        let is_proxy = wire.is_proxy(peer);
        Self {
            wire,
            peer,
            is_proxy,
            is_busy: Cell::new(false),
            has_more: Cell::new(false),
            is_last: Cell::new(false),
            refusal: RefCell::new(None),
        }
    }

    /// The connection's port.
    pub(super) fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// The client's address: the peer's, or, if the peer is a trusted proxy, the address that the proxies name. `forwarded::NOBODY` when
    /// their fields contradict each other.
    pub(super) fn client(&self, headers: &HeaderMap) -> IpAddr {
        if !self.is_proxy {
            return self.peer;
        }
        let client =
            forwarded::client(self.peer, headers, self.wire.proxy_header, |address| self.wire.is_proxy(address));
        client.unwrap_or_else(|| {
            self.wire.warn_of_contradiction();
            forwarded::NOBODY
        })
    }

    /// Notes that a request passes to the parser.
    pub(super) fn begin(&self) {
        self.is_busy.set(true);
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.get()
    }

    pub(super) fn set_more(&self, more: bool) {
        self.has_more.set(more);
    }

    pub(super) fn is_last(&self) -> bool {
        self.is_last.get()
    }

    /// Sets the refusal that answers the current request, or its stand-in.
    pub(super) fn refuse(&self, refusal: Refusal) {
        *self.refusal.borrow_mut() = Some(refusal);
    }

    /// Why the current request, or the rest of its body, is refused.
    pub(in crate::http) fn refusal(&self) -> Option<Refusal> {
        self.refusal.borrow().clone()
    }

    /// Whether there is a refusal: cheaper than [`Self::refusal`].
    pub(in crate::http) fn is_refused(&self) -> bool {
        self.refusal.borrow().is_some()
    }

    /// Makes the current answer the connection's last.
    pub(super) fn end_with_this_answer(&self) {
        self.is_last.set(true);
    }

    /// Whether the current answer ends the connection, also because the server stops. If so, nothing further is read.
    pub(in crate::http) fn ends_with_this_answer(&self) -> bool {
        let ends = self.is_last.get() || self.wire.is_draining() && !self.has_more.get();
        if ends {
            self.is_last.set(true);
        }
        ends
    }

    /// Takes a place for a request if the connection is a trusted proxy's. Fails when the request's client has its maximum of places.
    pub(in crate::http) fn place(&self, headers: &HeaderMap) -> Result<Option<Place>, ()> {
        if !self.is_proxy {
            return Ok(None);
        }
        self.wire.place_for_request(self.client(headers)).map(Some).ok_or(())
    }
}

/// A request that is being answered, until its answer is written or given up.
#[derive(Debug)]
pub(in crate::http) struct Answering {
    connection: Rc<Connection>,
    _place: Option<Place>,
}

impl Answering {
    pub(in crate::http) fn new(connection: Rc<Connection>, place: Option<Place>) -> Self {
        Self { connection, _place: place }
    }

    pub(in crate::http) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.connection.is_busy.set(false);
    }
}
