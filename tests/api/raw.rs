//! A connection that a test writes to byte by byte.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::app::{PATIENCE, TestApp};

/// A connection.
pub(crate) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
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

    fn to(url: &str) -> Self {
        let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes; `false` when the server has gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
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
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// The next answer; `None` when the connection ends before its first byte.
    pub(crate) fn answer(&mut self) -> Option<RawAnswer> {
        self.answer_to("GET")
    }

    /// The next answer, to a request of this method.
    pub(crate) fn answer_to(&mut self, method: &str) -> Option<RawAnswer> {
        let head_bytes = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read_on() {
                assert!(self.read.is_empty(), "cut: {}", String::from_utf8_lossy(&self.read));
                return None;
            }
        };
        let head = String::from_utf8(self.read[..head_bytes].to_vec()).unwrap();
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

    /// Reads to the end of the connection: how many bytes came.
    pub(crate) fn drain(&mut self) -> usize {
        while self.read_on() {}
        self.read.len()
    }

    /// Waits for the end of the connection, before which nothing further must come.
    #[track_caller]
    pub(crate) fn ends(&mut self) {
        assert_eq!(self.drain(), 0, "{}", String::from_utf8_lossy(&self.read));
    }
}
