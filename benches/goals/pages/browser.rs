//! What of a browser it takes to ask for pages: one connection that is kept, and cookies.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::Outcome;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What browsers accept, in the order that they say it.
const CODINGS: &str = "gzip, deflate, br, zstd";

/// One browser, at one server.
pub(crate) struct Browser {
    stream: TcpStream,
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Its status.
    pub(crate) status: u16,
    /// Its head, in lower case but for the values.
    head: Vec<(String, String)>,
    /// Its body, as it was sent.
    body: Vec<u8>,
    /// Head and body together, bytes.
    pub(crate) bytes: usize,
    /// From the request's last byte until the answer's first.
    pub(crate) first_byte: Duration,
}

impl Shown {
    /// A field of the head.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body's text, of an answer that is not compressed.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Browser {
    /// A browser that has been nowhere.
    pub(crate) fn open(address: SocketAddr) -> Outcome<Self> {
        Ok(Self { stream: connected(address)?, address, cookies: BTreeMap::new() })
    }

    /// The same with a cookie.
    pub(crate) fn with(address: SocketAddr, name: &str, value: &str) -> Outcome<Self> {
        let mut browser = Self::open(address)?;
        browser.cookies.insert(name.to_owned(), value.to_owned());
        Ok(browser)
    }

    /// Asks for a page as browsers do: compressed.
    pub(crate) fn look(&mut self, path: &str) -> Outcome<Shown> {
        self.ask("GET", path, &format!("accept-encoding: {CODINGS}\r\n"), b"")
    }

    /// Asks for a page's text.
    pub(crate) fn read(&mut self, path: &str) -> Outcome<Shown> {
        self.ask("GET", path, "", b"")
    }

    /// Fills in a form of a page and sends it to where it leads.
    pub(crate) fn fill_in(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Outcome<Shown> {
        let shown = self.read(page)?.text();
        let mut form = form_urlencoded::Serializer::new(String::new());
        for name in ["csrf", "once"] {
            form.append_pair(name, hidden(&shown, name).ok_or_else(|| format!("{page} has no form"))?);
        }
        form.extend_pairs(fields);
        self.send(action, "application/x-www-form-urlencoded", form.finish().as_bytes())
    }

    /// Sends a form.
    pub(crate) fn send(&mut self, path: &str, kind: &str, body: &[u8]) -> Outcome<Shown> {
        let origin = format!("http://{}", self.address);
        self.ask("POST", path, &format!("origin: {origin}\r\ncontent-type: {kind}\r\n"), body)
    }

    fn ask(&mut self, method: &str, path: &str, lines: &str, body: &[u8]) -> Outcome<Shown> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = if cookies.is_empty() { String::new() } else { format!("cookie: {}\r\n", cookies.join("; ")) };
        let length = if method == "GET" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\
             accept-language: en\r\n{cookies}{length}{lines}\r\n",
            self.address
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).ok();
        let mut answer = self.answer();
        if answer.is_err() && method == "GET" {
            // The server has let go of a connection that was idle, or used often enough.
            self.stream = connected(self.address)?;
            self.stream.write_all(&request)?;
            answer = self.answer();
        }
        let shown = answer.map_err(|error| format!("{method} {path}: {error}"))?;
        let set = shown.head.iter().filter(|(name, _)| name == "set-cookie");
        for (name, value) in set.filter_map(|(_, cookie)| cookie.split(';').next()?.split_once('=')) {
            match value {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        Ok(shown)
    }

    fn answer(&mut self) -> Outcome<Shown> {
        let started = Instant::now();
        let (mut bytes, mut part) = (Vec::new(), vec![0; 1 << 16]);
        let mut more = |bytes: &mut Vec<u8>| -> Outcome<()> {
            let count = self.stream.read(&mut part)?;
            if count == 0 {
                return Err("the server has closed the connection".into());
            }
            bytes.extend_from_slice(part.get(..count).unwrap_or_default());
            Ok(())
        };
        more(&mut bytes)?;
        let first_byte = started.elapsed();
        let head_end = loop {
            match bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => more(&mut bytes)?,
            }
        };
        let text = String::from_utf8_lossy(bytes.get(..head_end).unwrap_or_default()).into_owned();
        let mut lines = text.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or("no status")?;
        let head: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length = head.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse::<usize>());
        match length.transpose()? {
            Some(length) => {
                while bytes.len() < head_end + length {
                    more(&mut bytes)?;
                }
            }
            // Nothing of what is measured ends so before its end: a last chunk is empty.
            None if head.iter().any(|(name, _)| name == "transfer-encoding") => {
                while !bytes.ends_with(b"0\r\n\r\n") {
                    more(&mut bytes)?;
                }
            }
            None => {}
        }
        let whole = bytes.len();
        Ok(Shown { status, head, body: bytes.split_off(head_end), bytes: whole, first_byte })
    }
}

fn connected(address: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The value of a hidden field of a form.
pub(crate) fn hidden<'p>(page: &'p str, name: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next()
}
