//! One request over HTTP/1.1, for setting up and for looking at an answer; the load comes from elsewhere.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

/// Asks for a path; nothing when nobody answers in HTTP.
pub(crate) fn get(address: SocketAddr, path: &str, key: Option<&str>) -> Option<Answer> {
    let key = key.map(|key| format!("x-api-key: {key}\r\n")).unwrap_or_default();
    send(address, &format!("GET {path}"), &key, "")
}

/// Sends a request with these header lines; nothing when nobody answers in HTTP.
pub(crate) fn send(address: SocketAddr, request_line: &str, header_lines: &str, body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    let head = format!("{request_line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{header_lines}");
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let status = str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()?;
    let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let body = bytes.split_off(head_end + 4);
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let body = if head.contains("transfer-encoding: chunked") { joined(&body)? } else { body };
    Some(Answer { status, body })
}

/// A body that came in chunks (RFC 9112, section 7.1).
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = chunks.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(str::from_utf8(chunks.get(..line_end)?).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        let start = line_end + 2;
        body.extend_from_slice(chunks.get(start..start + length)?);
        chunks = chunks.get(start + length + 2..)?;
    }
}
