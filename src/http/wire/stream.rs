//! A socket as the HTTP parser reads and writes it: one request at a time, with a time limit for each step.
//!
//! A good request costs one scan of the head's bytes, in place, and one reading of the clock. A connection has one timer, reset for a
//! later deadline only when it fires too early.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use actix_web::rt::net::TcpStream;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Connection, Place, Refusal, Wire,
    alarm::Alarm,
    farewell::{Farewell, Leave},
    head::{HeadStep, Scanner},
    turned_away::turn_away,
};
use crate::http::ProblemCode;

/// The stand-in that the parser gets in place of a refused request. The edge answers it with the refusal.
const STAND_IN: &[u8] = b"GET /-/refused HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";
/// Bytes that are read at a time when they cannot be read straight into the parser's buffer.
const PIECE_BYTES: usize = 4096;
/// Bytes of an answer that a client must have taken each time that the write patience ends.
const TAKEN_BYTES_MIN: usize = 16 * 1024;

/// A connection's socket.
pub struct Stream {
    io: TcpStream,
    connection: Rc<Connection>,
    scanner: Scanner,
    /// The bytes that have arrived and not passed.
    held: BytesMut,
    /// How many of the held bytes may pass.
    cleared: usize,
    /// The client sends nothing further.
    has_ended: bool,
    /// A body is malformed or incomplete: the parser is told that nothing further comes.
    is_cut: bool,
    has_asked: bool,
    /// Since when the stream waits for the rest of a head.
    head_since: Option<Instant>,
    /// Since when the stream waits for the next request, or for the rest of an unwanted body.
    idle_since: Option<Instant>,
    /// Since when the client takes too little of an answer, and how many bytes it has taken since.
    stalled: Option<(Instant, usize)>,
    /// The client owes nothing and is sent nothing, so it loses nothing when the connection ends.
    is_parting_in_silence: bool,
    farewell: Farewell,
    alarm: Alarm,
    draining: Draining,
    _place: Place,
}

/// How a connection learns that the port stops.
struct Draining {
    /// Kept because it holds the task's waker.
    begins: Pin<Box<dyn Future<Output = ()>>>,
    is_awaited: bool,
    is_known: bool,
}

impl Draining {
    fn of(wire: &Wire) -> Self {
        let mut draining = wire.draining.subscribe();
        let begins = Box::pin(async move {
            // A dropped sender means that the port has ended, which ends its connections by itself.
            draining.wait_for(|draining| *draining).await.ok();
        });
        Self { begins, is_awaited: false, is_known: false }
    }
}

/// The result of a read.
enum Read {
    /// Bytes that may pass.
    Passed,
    /// Bytes that may not pass, or not yet.
    Held,
    /// The client sends nothing further.
    End,
}

impl Stream {
    /// The stream of a newly accepted connection, and the peer's address.
    ///
    /// # Errors
    /// When the peer's address has its maximum of connections, or the peer has gone already.
    pub fn accept(io: TcpStream, wire: &Arc<Wire>) -> io::Result<(Self, Option<SocketAddr>)> {
        let peer = io.peer_addr()?;
        // The end of an answer must not wait for the client's acknowledgement of the part before it (RFC 896): that takes 40 ms.
        io.set_nodelay(true)?;
        let Some(place) = wire.place_for(peer.ip()) else {
            turn_away(io, wire.crowded.clone());
            return Err(io::Error::other("the address has as many connections as it may"));
        };
        let stream = Self {
            io,
            connection: Rc::new(Connection::new(Arc::clone(wire), peer.ip())),
            scanner: Scanner::new(wire.head_bytes_max),
            held: BytesMut::new(),
            cleared: 0,
            has_ended: false,
            is_cut: false,
            has_asked: false,
            head_since: None,
            idle_since: Some(Instant::now()),
            stalled: None,
            is_parting_in_silence: false,
            farewell: Farewell::default(),
            alarm: Alarm::default(),
            draining: Draining::of(wire),
            _place: place,
        };
        Ok((stream, Some(peer)))
    }

    /// The connection's state, for the edge.
    pub fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// Passes the cleared bytes, as far as the buffer has room.
    fn deliver(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let bytes = self.cleared.min(buffer.remaining());
        let Some(passing) = self.held.get(..bytes).filter(|passing| !passing.is_empty()) else { return false };
        buffer.put_slice(passing);
        self.held.advance(bytes);
        self.cleared -= bytes;
        if self.held.is_empty() {
            // An idle connection holds no memory for earlier requests.
            self.held = BytesMut::new();
        }
        self.connection.set_more(!self.held.is_empty());
        true
    }

    /// Whether the bytes that have arrived may be scanned: they belong to a body, or the last answer is written.
    fn may_examine(&self) -> bool {
        self.scanner.is_in_body() || !self.connection.is_busy()
    }

    /// Scans the bytes that have arrived. Returns how many may pass now.
    fn examine(&mut self, bytes: &[u8]) -> usize {
        let was_in_body = self.scanner.is_in_body();
        match self.scanner.scan(bytes) {
            HeadStep::Pass(passed) if was_in_body => {
                if !self.scanner.is_in_body() {
                    self.idle_since = None;
                }
                passed
            }
            HeadStep::Pass(passed) => {
                self.connection.begin();
                self.has_asked = true;
                (self.head_since, self.idle_since) = (None, None);
                passed
            }
            HeadStep::More => {
                let began = if self.has_asked { None } else { self.idle_since };
                self.head_since.get_or_insert_with(|| began.unwrap_or_else(Instant::now));
                0
            }
            HeadStep::Refuse(refusal) => {
                self.stand_in(refusal);
                0
            }
            HeadStep::Broken(passed, refusal) => {
                self.connection.refuse(refusal);
                self.is_cut = true;
                passed
            }
        }
    }

    /// Discards the bytes that have arrived, reads no further ones, and makes the refusal the last answer.
    fn stand_in(&mut self, refusal: Refusal) {
        self.scanner.end();
        self.held.clear();
        self.held.extend_from_slice(STAND_IN);
        self.cleared = STAND_IN.len();
        self.connection.refuse(refusal);
        self.connection.begin();
        (self.head_since, self.idle_since) = (None, None);
    }

    /// Scans the held bytes.
    fn examine_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        let passed = self.examine(&held);
        // Not empty when a refusal has put its stand-in there.
        if self.held.is_empty() {
            if self.is_cut {
                held.truncate(passed);
            }
            self.held = held;
            self.cleared = passed;
        }
        self.connection.set_more(self.held.len() > self.cleared);
    }

    /// Reads into the parser's buffer, and takes back the bytes that may not pass.
    fn read_through(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<Read>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let arrived = buffer.filled().get(before..).unwrap_or_default();
        if arrived.is_empty() {
            return Poll::Ready(Ok(Read::End));
        }
        let passed = if self.may_examine() { self.examine(arrived) } else { 0 };
        // Bytes after a refusal are dropped.
        if passed < arrived.len() && !self.is_cut && self.cleared == 0 {
            self.held.extend_from_slice(arrived.get(passed..).unwrap_or_default());
        }
        self.connection.set_more(self.held.len() > self.cleared);
        buffer.set_filled(before + passed);
        Poll::Ready(Ok(if passed > 0 { Read::Passed } else { Read::Held }))
    }

    /// Reads further bytes, and appends them to the held ones.
    fn read_behind(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Read>> {
        let mut piece = [0; PIECE_BYTES];
        let mut buffer = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(Read::End));
        }
        self.held.extend_from_slice(buffer.filled());
        self.examine_held();
        Poll::Ready(Ok(Read::Held))
    }

    /// The deadline of the current wait; `None` while the client owes nothing.
    fn deadline(&self) -> Option<Instant> {
        let (wire, patience) = (self.connection.wire(), self.connection.wire().patience);
        if let Some(since) = self.head_since {
            return Some(since + patience.head);
        }
        let since = self.idle_since.filter(|_| !self.connection.is_busy())?;
        let last_request = patience.last_request;
        let patience = match () {
            () if self.scanner.is_in_body() => patience.body,
            () if self.has_asked => patience.idle,
            () => patience.head,
        };
        Some(since + if wire.is_draining() { patience.min(last_request) } else { patience })
    }

    /// Whether the connection learns only now that the port stops.
    fn learns_of_stop(&mut self, context: &mut Context<'_>) -> bool {
        // One poll is enough: a connection is one task for as long as it lasts, and its waker stays the same.
        if !self.draining.is_awaited {
            self.draining.is_awaited = true;
            // The poll only registers the waker: the wire itself is asked below.
            let _asked = self.draining.begins.as_mut().poll(context);
        }
        let is_news = self.connection.wire().is_draining() && !self.draining.is_known;
        self.draining.is_known |= is_news;
        is_news
    }

    /// Nothing has arrived: waits, or gives up.
    fn wait(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.learns_of_stop(context) && self.idle_since.is_some() {
            // The client's next request may be on its way: its time begins anew.
            self.idle_since = Some(Instant::now());
        }
        let Some(deadline) = self.deadline() else { return Poll::Pending };
        if !self.alarm.is_over(context, deadline) {
            return Poll::Pending;
        }
        if self.head_since.is_some() {
            let patience_ms = self.connection.wire().patience.head.as_millis();
            let detail = format!("the request's head did not arrive within {patience_ms} ms");
            self.stand_in(Refusal::new(ProblemCode::RequestTimeout, detail));
            self.deliver(buffer);
        } else {
            self.scanner.end();
            // The rest of a body did not come: the parser must not wait for it either.
            self.is_cut = self.scanner.is_in_body();
            self.is_parting_in_silence = !self.is_cut;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether nothing further is read, because of the bytes read so far or because the port stops.
    fn is_over(&self) -> bool {
        self.connection.is_last() || (self.scanner.is_ended() && !self.scanner.is_in_body())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.deliver(buffer) || this.is_cut {
            return Poll::Ready(Ok(()));
        }
        // A client that does not take its answer is not read from; room to write wakes the task.
        if this.stalled.is_some() {
            return Poll::Pending;
        }
        if this.is_over() {
            return if this.connection.is_busy() { Poll::Pending } else { Poll::Ready(Ok(())) };
        }
        loop {
            let is_held_back = !this.held.is_empty() && !this.may_examine();
            if !this.held.is_empty() && !is_held_back && this.head_since.is_none() {
                this.examine_held();
                if this.deliver(buffer) || this.is_cut {
                    return Poll::Ready(Ok(()));
                }
            }
            // Bytes that are held back are scanned when the answer is written.
            if is_held_back {
                return Poll::Pending;
            }
            if this.has_ended {
                return Poll::Ready(Ok(()));
            }
            let read =
                if this.held.is_empty() { this.read_through(context, buffer) } else { this.read_behind(context) };
            match read {
                Poll::Pending => return this.wait(context, buffer),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(Read::Passed)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(Read::End)) => this.has_ended = true,
                Poll::Ready(Ok(Read::Held)) => {
                    if this.deliver(buffer) || this.is_cut {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Poll::Ready(written) = Pin::new(&mut this.io).poll_write(context, bytes) {
            let count = *written.as_ref().unwrap_or(&0);
            if let Some((since, taken)) = this.stalled {
                this.stalled = (count < bytes.len()).then_some((since, taken + count));
                // Nothing was read meanwhile, so bytes that have arrived would not wake the task.
                context.waker().wake_by_ref();
            }
            return Poll::Ready(written);
        }
        let patience = this.connection.wire().patience.write;
        let (since, taken) = *this.stalled.get_or_insert_with(|| (Instant::now(), 0));
        if !this.alarm.is_over(context, since + patience) {
            return Poll::Pending;
        }
        if taken < TAKEN_BYTES_MIN {
            // The system also drops the part of the answer that it still holds.
            this.io.set_zero_linger()?;
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let now = Instant::now();
        this.stalled = Some((now, 0));
        if this.alarm.is_over(context, now + patience) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(context))?;
        if this.connection.is_busy() {
            return Poll::Ready(Ok(()));
        }
        // The answer is written: the next request begins, or the wait for it.
        if this.head_since.is_none() && !this.held.is_empty() {
            context.waker().wake_by_ref();
        } else if this.idle_since.is_none() && this.head_since.is_none() {
            this.idle_since = Some(Instant::now());
        }
        if let Some(deadline) = this.deadline()
            && this.alarm.is_over(context, deadline)
        {
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the server's side, and waits for the client to close, so that the client sees the last answer.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let leave = match () {
            () if this.is_parting_in_silence => Leave::NONE,
            () if this.connection.wire().is_draining() => Leave::SHORT,
            () => Leave::USUAL,
        };
        this.farewell.poll(&mut this.io, context, &mut this.alarm, leave)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::rt::net::TcpListener;

    use super::*;
    use crate::{
        clock::SystemClock,
        config::{LoadFrom, Settings},
    };

    /// An answer larger than one segment would otherwise take 40 ms more, on each request of a connection but its first.
    #[actix_web::test]
    async fn an_answers_end_does_not_wait_for_acknowledgements() {
        let settings = Settings::load(LoadFrom { config_file: None, env: std::iter::empty(), overrides: &[] }).unwrap();
        let wire = Arc::new(Wire::new(&settings, SystemClock::shared()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (io, _) = listener.accept().await.unwrap();
        let (stream, _) = Stream::accept(io, &wire).unwrap();
        assert!(stream.io.nodelay().unwrap());
    }
}
