//! A socket as the HTTP parser reads and writes it: one request at a time, and with a time for each thing.
//!
//! What it costs where all goes well: a look at the head's bytes, where they lie, and one reading of the clock a request. A
//! connection has one timer, which is set anew only when it fires too early.

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

/// What the parser gets in place of a request that is refused: the edge answers it with the refusal.
const STAND_IN: &[u8] = b"GET /-/refused HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";
/// Bytes that are read at once where they cannot be read to where they belong.
const PIECE_BYTES: usize = 4096;
/// What a client must have taken of an answer each time that its patience ends, bytes.
const TAKEN_BYTES_MIN: usize = 16 * 1024;

/// A connection's socket.
pub struct Stream {
    io: TcpStream,
    connection: Rc<Connection>,
    scanner: Scanner,
    /// What has arrived and not passed.
    held: BytesMut,
    /// How much of it may pass.
    cleared: usize,
    /// The client sends nothing further.
    has_ended: bool,
    /// A body went wrong: the parser is told that nothing further comes.
    is_cut: bool,
    has_asked: bool,
    /// Since when a head is waited for of which some has arrived.
    head_since: Option<Instant>,
    /// Since when the next request is waited for, or the rest of a body that nobody wants.
    idle_since: Option<Instant>,
    /// Since when the client takes too little, and what it has taken since.
    stalled: Option<(Instant, usize)>,
    /// The client owed nothing and is told nothing: it loses nothing by the end.
    is_parting_in_silence: bool,
    farewell: Farewell,
    alarm: Alarm,
    draining: Draining,
    _place: Place,
}

/// The stop of the port, as a connection learns of it.
struct Draining {
    /// Kept for the waker in it.
    begins: Pin<Box<dyn Future<Output = ()>>>,
    is_awaited: bool,
    is_known: bool,
}

impl Draining {
    fn of(wire: &Wire) -> Self {
        let mut draining = wire.draining.subscribe();
        let begins = Box::pin(async move {
            // An end of the sender is an end of the port, which ends its connections by itself.
            draining.wait_for(|draining| *draining).await.ok();
        });
        Self { begins, is_awaited: false, is_known: false }
    }
}

/// What came of a reading.
enum Read {
    /// Something that may pass.
    Passed,
    /// Something that may not, or not yet.
    Held,
    /// The client sends nothing further.
    End,
}

impl Stream {
    /// The stream of a connection that was just accepted, and whose it is.
    ///
    /// # Errors
    /// When its address has as many connections as it may, or it is gone already.
    pub fn accept(io: TcpStream, wire: &Arc<Wire>) -> io::Result<(Self, Option<SocketAddr>)> {
        let peer = io.peer_addr()?;
        // The end of an answer does not wait until the client has acknowledged what came before it (RFC 896): that takes 40 ms.
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

    /// What the edge is to know of it.
    pub fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// Lets what is cleared pass, as far as there is room.
    fn deliver(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let bytes = self.cleared.min(buffer.remaining());
        let Some(passing) = self.held.get(..bytes).filter(|passing| !passing.is_empty()) else { return false };
        buffer.put_slice(passing);
        self.held.advance(bytes);
        self.cleared -= bytes;
        if self.held.is_empty() {
            // An idle connection holds no memory for what it sent once.
            self.held = BytesMut::new();
        }
        self.connection.set_more(!self.held.is_empty());
        true
    }

    /// Whether what has arrived may be looked at: it belongs to a body, or the last answer is written.
    fn may_examine(&self) -> bool {
        self.scanner.is_in_body() || !self.connection.is_busy()
    }

    /// Looks at what has arrived: how much of it may pass, at once.
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

    /// Nothing that has arrived or arrives has a meaning any more: the refusal is the last answer.
    fn stand_in(&mut self, refusal: Refusal) {
        self.scanner.end();
        self.held.clear();
        self.held.extend_from_slice(STAND_IN);
        self.cleared = STAND_IN.len();
        self.connection.refuse(refusal);
        self.connection.begin();
        (self.head_since, self.idle_since) = (None, None);
    }

    /// Looks at what is held.
    fn examine_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        let passed = self.examine(&held);
        // A refusal has put there what stands in.
        if self.held.is_empty() {
            if self.is_cut {
                held.truncate(passed);
            }
            self.held = held;
            self.cleared = passed;
        }
        self.connection.set_more(self.held.len() > self.cleared);
    }

    /// Reads to where the parser wants it, and takes back what may not pass.
    fn read_through(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<Read>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let arrived = buffer.filled().get(before..).unwrap_or_default();
        if arrived.is_empty() {
            return Poll::Ready(Ok(Read::End));
        }
        let passed = if self.may_examine() { self.examine(arrived) } else { 0 };
        // What is behind a refusal has no meaning.
        if passed < arrived.len() && !self.is_cut && self.cleared == 0 {
            self.held.extend_from_slice(arrived.get(passed..).unwrap_or_default());
        }
        self.connection.set_more(self.held.len() > self.cleared);
        buffer.set_filled(before + passed);
        Poll::Ready(Ok(if passed > 0 { Read::Passed } else { Read::Held }))
    }

    /// Reads behind what is held.
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

    /// When what is waited for must be there; `None` while the client owes nothing.
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

    /// Whether the stop of the port is news.
    fn learns_of_stop(&mut self, context: &mut Context<'_>) -> bool {
        // Once is enough: a connection is one task for as long as it lasts, and its waker stays the same.
        if !self.draining.is_awaited {
            self.draining.is_awaited = true;
            // The wire itself is asked below.
            let _asked = self.draining.begins.as_mut().poll(context);
        }
        let is_news = self.connection.wire().is_draining() && !self.draining.is_known;
        self.draining.is_known |= is_news;
        is_news
    }

    /// Nothing has arrived: waits, or gives up.
    fn wait(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.learns_of_stop(context) && self.idle_since.is_some() {
            // Who has just been answered has this long for another request, which may be on its way.
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
            // The rest of a body that did not come: the parser is not to wait for it either.
            self.is_cut = self.scanner.is_in_body();
            self.is_parting_in_silence = !self.is_cut;
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing further is read, because of what was read or because the port stops.
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
        // Who does not take an answer is not read from; room to write wakes the task.
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
            // What is held back is looked at when the answer is written.
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
                // Nothing was read meanwhile, so that nothing that has arrived would wake the task.
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
            // What the system still holds of the answer is dropped as well.
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
        // The answer is written: the next request, or its own time, begins.
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

    /// Says that nothing further comes, and waits for the client to go, so that it gets to see what it was told last.
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

    /// An answer larger than one segment would otherwise take 40 ms more, on every connection but its first request.
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
