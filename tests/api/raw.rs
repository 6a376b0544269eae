//! A connection that a test writes to byte by byte.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use rustix::net;

use crate::app::{PATIENCE, TestApp};

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// A connection.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
    /// The end was a reset.
    was_reset: bool,
}

/// An answer as it stands on the connection.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl RawAnswer {
    /// Whether the answer says that the connection ends.
    pub(crate) fn closes(&self) -> bool {
        self.head.to_ascii_lowercase().contains("\r\nconnection: close")
    }

    /// Checks that it is a problem of this kind, and gives its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, slug: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        let document: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(document["type"], format!("/problems/{slug}"));
        document["detail"].as_str().unwrap().to_owned()
    }
}

impl Raw {
    /// To the API.
    pub(crate) fn to_api(app: &TestApp) -> Self {
        Self::to(&app.url(""))
    }

    /// To the port for operators.
    pub(crate) fn to_ops(app: &TestApp) -> Self {
        Self::to(&app.ops_url(""))
    }

    /// To the API, of a client whose system takes some kilobytes on its behalf and no more.
    pub(crate) fn narrow(app: &TestApp) -> Self {
        let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None).unwrap();
        // Set before it is connected: afterwards a window is not made smaller.
        net::sockopt::set_socket_recv_buffer_size(&socket, 8 * 1024).unwrap();
        net::connect(&socket, &address(&app.url(""))).unwrap();
        Self::over(TcpStream::from(socket))
    }

    fn to(url: &str) -> Self {
        Self::over(TcpStream::connect(address(url)).unwrap())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new(), was_reset: false }
    }

    /// Sends bytes; `false` when the server has gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Whether something has arrived that was not read yet, or the end.
    pub(crate) fn hears(&mut self) -> bool {
        self.peek().is_some()
    }

    /// Whether the connection has ended, and all that came before was read.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.peek() == Some(0)
    }

    /// How much is there to be read; nothing is when it has ended.
    fn peek(&mut self) -> Option<usize> {
        self.stream.set_nonblocking(true).unwrap();
        let seen = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        match seen {
            Ok(seen) => Some(seen),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(0),
        }
    }

    /// Says that nothing further is sent.
    pub(crate) fn end(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Reads what comes; `false` at the end. A reset is an end.
    fn read_on(&mut self) -> bool {
        let mut piece = [0; 65_536];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(read) => {
                self.read.extend_from_slice(&piece[..read]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                self.was_reset = true;
                false
            }
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// The next answer; `None` when the connection ends before its first byte.
    pub(crate) fn answer(&mut self) -> Option<RawAnswer> {
        self.answer_to("GET")
    }

    /// The head of the next answer, which stays there to be read; `None` when the connection ends before its first byte.
    pub(crate) fn head(&mut self) -> Option<String> {
        let head_bytes = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_on() {
                assert!(self.read.is_empty(), "cut: {}", String::from_utf8_lossy(&self.read));
                return None;
            }
        };
        Some(String::from_utf8(self.read[..head_bytes].to_vec()).unwrap())
    }

    /// The next answer, to a request of this method.
    pub(crate) fn answer_to(&mut self, method: &str) -> Option<RawAnswer> {
        let head = self.head()?;
        let head_bytes = head.len();
        let lower = head.to_ascii_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = if method == "HEAD" { 0 } else { length.map_or(0, |digits| digits.parse().unwrap()) };
        while self.read.len() < head_bytes + length {
            assert!(self.read_on(), "an answer was cut off: {head}");
        }
        let body = String::from_utf8(self.read[head_bytes..head_bytes + length].to_vec()).unwrap();
        self.read.drain(..head_bytes + length);
        Some(RawAnswer { status: head[9..12].parse().unwrap(), head, body })
    }

    /// All that comes until the connection ends, as text.
    pub(crate) fn rest(mut self) -> String {
        while self.read_on() {}
        assert!(!self.was_reset, "{}", String::from_utf8_lossy(&self.read));
        String::from_utf8(self.read).unwrap()
    }

    /// Reads to the end of the connection: how many bytes came.
    pub(crate) fn drain(&mut self) -> usize {
        while self.read_on() {}
        self.read.len()
    }

    /// Reads so many bytes at most; `None` at the end.
    pub(crate) fn sip(&mut self, bytes_max: usize) -> Option<usize> {
        let mut piece = vec![0; bytes_max];
        let read = self.stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        self.read.extend_from_slice(&piece[..read]);
        Some(read)
    }

    /// What was read and is no answer yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.read
    }

    /// Waits for the end of the connection, which must be no reset: what was sent to the client before it could be lost.
    #[track_caller]
    pub(crate) fn ends_in_order(&mut self) {
        self.ends();
        assert!(!self.was_reset, "the connection was reset");
    }

    /// Waits for the end of the connection, before which nothing further must come.
    #[track_caller]
    pub(crate) fn ends(&mut self) {
        assert_eq!(self.drain(), 0, "{}", String::from_utf8_lossy(&self.read));
    }
}
