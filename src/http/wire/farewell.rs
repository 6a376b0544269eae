//! The end of a connection whose client may still be sending.
//!
//! When a socket is closed before all that has arrived was read, or when something arrives behind its end, the system resets the
//! connection. The client then loses what it had not read yet: the very answer that says why the connection ends. So the server
//! says that nothing further comes from it, throws away what still comes from the client, and closes when the client does
//! (RFC 9112, section 9.6). A time bounds it, not a number of bytes: who uploads fast is to see the answer as well.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::alarm::Alarm;

/// Bytes that are thrown away at once.
const PIECE_BYTES: usize = 8 * 1024;

/// How long a client is given to go by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// While nothing comes from it.
    pub(super) silent: Duration,
    /// In all.
    pub(super) whole: Duration,
}

impl Leave {
    /// None: nothing was said that it could lose.
    pub(super) const NONE: Self = Self { silent: Duration::ZERO, whole: Duration::ZERO };
    /// What every client is given that was told something.
    pub(super) const USUAL: Self = Self { silent: Duration::from_secs(2), whole: Duration::from_secs(10) };
    /// While the port stops.
    pub(super) const SHORT: Self = Self { silent: Duration::from_secs(1), whole: Duration::from_secs(1) };
}

/// How far the end of a connection is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Farewell {
    /// Since when it is said that nothing further comes, and when something came last.
    said: Option<(Instant, Instant)>,
}

impl Farewell {
    /// Says that nothing further comes. Ready when the client has gone, or has had its time to.
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
                // It has gone, one way or the other.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}
