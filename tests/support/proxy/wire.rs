//! As much of HTTP/1.1 as the clients and the emulators speak: whole messages, kept connections.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// Largest body, bytes: more than any call of AWS may have.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Most headers of a message.
const HEADERS_MAX: usize = 100;
/// How long a connection to an emulator may idle: emulators close theirs after some seconds, and a request that is sent at that
/// moment might be sent twice.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// Longest line, bytes.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A request or an answer.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The first line, such as `POST / HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub(super) first: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A word of the first line.
    pub(super) fn word(&self, place: usize) -> &str {
        self.first.split(' ').nth(place).unwrap_or_default()
    }

    /// Reads the next message; `None` when the other side has closed the connection. The body of an answer without a length
    /// goes on until the other side closes.
    pub(super) fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let first = line(stream)?;
        if first.is_empty() {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let line = line(stream)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| wrong("a header without a colon"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
            if headers.len() > HEADERS_MAX {
                return Err(wrong("too many headers"));
            }
        }
        let mut message = Self { first: first.trim_end().to_owned(), headers, body: Vec::new() };
        message.read_body(stream)?;
        Ok(Some(message))
    }

    fn read_body(&mut self, stream: &mut BufReader<TcpStream>) -> io::Result<()> {
        if self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = line(stream)?;
                let digits = size.trim_end().split(';').next().unwrap_or_default();
                let bytes = usize::from_str_radix(digits, 16).map_err(|_| wrong("a chunk without a size"))?;
                self.read_exactly(stream, bytes)?;
                // The line's end behind a chunk; behind the last one there may be more headers.
                while !line(stream)?.trim_end().is_empty() {}
                if bytes == 0 {
                    return Ok(());
                }
            }
        }
        if let Some(length) = self.header("content-length") {
            let bytes = length.parse().map_err(|_| wrong("a length that is no number"))?;
            return self.read_exactly(stream, bytes);
        }
        let is_answer = self.first.starts_with("HTTP/");
        if is_answer && !["204", "304"].contains(&self.word(1)) {
            stream.take(BODY_BYTES_MAX as u64).read_to_end(&mut self.body)?;
        }
        Ok(())
    }

    fn read_exactly(&mut self, stream: &mut BufReader<TcpStream>, bytes: usize) -> io::Result<()> {
        let start = self.body.len();
        if bytes > BODY_BYTES_MAX - start {
            return Err(wrong("the body is too large"));
        }
        self.body.resize(start + bytes, 0);
        stream.read_exact(&mut self.body[start..])
    }

    /// Writes it, with the length of the body that it has now.
    pub(super) fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut bytes = format!("{}\r\n", self.first).into_bytes();
        for (name, value) in &self.headers {
            // The checksum is of another body when this one was changed.
            let ours = ["content-length", "transfer-encoding", "connection", "keep-alive", "x-amz-crc32"];
            if !ours.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
                bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        bytes.extend_from_slice(&self.body);
        stream.write_all(&bytes)
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.take(LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(line)
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A connection to the emulator, made anew when it was closed while it idled.
#[derive(Debug)]
pub(super) struct Upstream {
    address: String,
    kept: Option<(BufReader<TcpStream>, Instant)>,
}

impl Upstream {
    pub(super) fn to(address: &str) -> Self {
        Self { address: address.to_owned(), kept: None }
    }

    pub(super) fn ask(&mut self, request: &Message) -> io::Result<Message> {
        if let Some((mut kept, since)) = self.kept.take()
            && since.elapsed() < IDLE_MAX
            && request.write(kept.get_mut()).is_ok()
            && let Ok(Some(answer)) = Message::read(&mut kept)
        {
            self.keep(kept, &answer);
            return Ok(answer);
        }
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        request.write(stream.get_mut())?;
        let answer = Message::read(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.keep(stream, &answer);
        Ok(answer)
    }

    fn keep(&mut self, stream: BufReader<TcpStream>, answer: &Message) {
        let has_length = answer.header("content-length").is_some() || answer.header("transfer-encoding").is_some();
        let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.kept = (has_length && !closes).then(|| (stream, Instant::now()));
    }
}
