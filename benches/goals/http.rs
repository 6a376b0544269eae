//! One request over HTTP/1.1, for setting up and for looking at an answer; the load comes from elsewhere.

use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

/// Asks for a path; nothing when nobody answers in HTTP.
pub(crate) fn get(address: SocketAddr, path: &str, key: Option<&str>) -> Option<Answer> {
    let key = key.map(|key| format!("{}\r\n", credential(key))).unwrap_or_default();
    send(address, &format!("GET {path}"), &key, "")
}

/// The header line that shows a key; or a token, of a session or of an administrator.
pub(crate) fn credential(secret: &str) -> String {
    let is_token = ["pms_", "pmt_admin_"].iter().any(|prefix| secret.starts_with(prefix));
    if is_token { format!("authorization: Bearer {secret}") } else { format!("x-api-key: {secret}") }
}

/// Sends a request with these header lines; nothing when nobody answers in HTTP.
pub(crate) fn send(address: SocketAddr, request_line: &str, header_lines: &str, body: &str) -> Option<Answer> {
    exchange(address, request_line, header_lines, &mut body.as_bytes(), u64::try_from(body.len()).ok()?)
}

/// Sends a file, as it is read.
pub(crate) fn send_file(address: SocketAddr, request_line: &str, header_lines: &str, file: &Path) -> Option<Answer> {
    let mut file = File::open(file).ok()?;
    let length = file.metadata().ok()?.len();
    exchange(address, request_line, header_lines, &mut file, length)
}

fn exchange(
    address: SocketAddr,
    request_line: &str,
    header_lines: &str,
    body: &mut impl Read,
    length: u64,
) -> Option<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!("{request_line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{header_lines}");
    write!(stream, "{head}content-length: {length}\r\n\r\n").ok()?;
    std::io::copy(body, &mut stream).ok()?;
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
