//! The end of a connection whose client may still be sending.
//!
//! The system resets a connection that is closed with unread bytes, or that receives bytes after its close. The client then loses
//! what it had not read yet: the very answer that says why the connection ends. So the server ends its own side, discards what the
//! client still sends, and closes when the client does (RFC 9112, section 9.6). A time bounds this, not a number of bytes: a client
//! that uploads fast must see the answer as well.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::alarm::Alarm;

/// Bytes that are discarded at a time.
const PIECE_BYTES: usize = 8 * 1024;

/// How long the server waits for the client to close the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// While the client sends nothing.
    pub(super) silent: Duration,
    /// In all.
    pub(super) whole: Duration,
}

impl Leave {
    /// No wait: the client was sent nothing that it could lose.
    pub(super) const NONE: Self = Self { silent: Duration::ZERO, whole: Duration::ZERO };
    /// For a client that was sent something.
    pub(super) const USUAL: Self = Self { silent: Duration::from_secs(2), whole: Duration::from_secs(10) };
    /// While the port stops.
    pub(super) const SHORT: Self = Self { silent: Duration::from_secs(1), whole: Duration::from_secs(1) };
}

/// The progress of ending a connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Farewell {
    /// When the server ended its side, and when the client last sent something.
    said: Option<(Instant, Instant)>,
}

impl Farewell {
    /// Ends the server's side. Ready when the client has closed the connection, or its time is over.
    ///
    /// # Errors
    /// When the system cannot end the connection, because it has ended.
    pub(super) fn poll(
        &mut self,
        io: &mut TcpStream,
        context: &mut Context<'_>,
        alarm: &mut Alarm,
        leave: Leave,
    ) -> Poll<io::Result<()>> {
        let (began, mut heard) = match self.said {
            Some(said) => said,
            None => {
                ready!(Pin::new(&mut *io).poll_shutdown(context))?;
                let now = Instant::now();
                (now, now)
            }
        };
        let mut piece = [0; PIECE_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut *io).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    heard = Instant::now();
                    if heard.duration_since(began) >= leave.whole {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending => {
                    self.said = Some((began, heard));
                    let deadline = (began + leave.whole).min(heard + leave.silent);
                    return if alarm.is_over(context, deadline) { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
                // The client has closed the connection, or it broke.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
