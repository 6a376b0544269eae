//! What the two ends of a connection tell each other: the stream that feeds the parser, and the edge that answers.

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
    /// A request has passed whose answer is not written yet.
    is_busy: Cell<bool>,
    /// More than that request has arrived.
    has_more: Cell<bool>,
    /// The answer at hand is the last.
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

    /// The port that it belongs to.
    pub(super) fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// Whose request this is: the address of the connection, or, where that is a trusted proxy's, what the proxies say. Where they say
    /// different things it is nobody's.
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

    /// A request passes to the parser.
    pub(super) fn begin(&self) {
        self.is_busy.set(true);
    }

    /// Whether a request is at work.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.get()
    }

    pub(super) fn set_more(&self, more: bool) {
        self.has_more.set(more);
    }

    pub(super) fn is_last(&self) -> bool {
        self.is_last.get()
    }

    /// What stands in for a request was let pass: it is to be answered with this.
    pub(super) fn refuse(&self, refusal: Refusal) {
        *self.refusal.borrow_mut() = Some(refusal);
    }

    /// Why the request at hand, or the rest of its body, is refused.
    pub(in crate::http) fn refusal(&self) -> Option<Refusal> {
        self.refusal.borrow().clone()
    }

    /// Whether there is a refusal: cheaper than to look at it.
    pub(in crate::http) fn is_refused(&self) -> bool {
        self.refusal.borrow().is_some()
    }

    /// Makes the answer at hand the last.
    pub(super) fn end_with_this_answer(&self) {
        self.is_last.set(true);
    }

    /// Whether the answer at hand ends the connection, be it because the server stops. If so, nothing further is read.
    pub(in crate::http) fn ends_with_this_answer(&self) -> bool {
        let ends = self.is_last.get() || self.wire.is_draining() && !self.has_more.get();
        if ends {
            self.is_last.set(true);
        }
        ends
    }

    /// A place for a request, where the connection is a proxy's. The error says that its client has as many as it may.
    pub(in crate::http) fn place(&self, headers: &HeaderMap) -> Result<Option<Place>, ()> {
        if !self.is_proxy {
            return Ok(None);
        }
        self.wire.place_for_request(self.client(headers)).map(Some).ok_or(())
    }
}

/// A request at work, until its answer is written or given up.
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
