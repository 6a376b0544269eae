//! A small server of pages that a test writes, good or bad, to try the browser and its guard on.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// Longest head that it reads, bytes.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// What is answered at a path.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    fields: String,
    body: String,
}

/// The server. It serves as long as the test runs.
pub(crate) struct Served {
    /// Where it listens, without a slash at its end.
    pub(crate) url: String,
    answers: HashMap<&'static str, Answer>,
    received: Arc<Mutex<Vec<String>>>,
}

impl Served {
    /// One that listens and has no pages yet but an icon, which every browser asks for.
    pub(crate) fn new() -> Self {
        let answers = HashMap::from([("/favicon.ico", answer(200, "content-type: image/x-icon\r\n", ""))]);
        Self { url: String::new(), answers, received: Arc::default() }
    }

    /// A page: what stands in its body.
    pub(crate) fn page(self, path: &'static str, body: &str) -> Self {
        self.page_with(path, 200, "", body)
    }

    /// A page with this status and further fields of the head, each ended by CR LF.
    pub(crate) fn page_with(self, path: &'static str, status: u16, fields: &str, body: &str) -> Self {
        let body = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
             <title>A page</title><body>{body}"
        );
        self.file(path, status, &format!("content-type: text/html; charset=utf-8\r\n{fields}"), &body)
    }

    /// Anything else.
    pub(crate) fn file(mut self, path: &'static str, status: u16, fields: &str, body: &str) -> Self {
        self.answers.insert(path, answer(status, fields, body));
        self
    }

    /// Begins to serve.
    pub(crate) fn start(mut self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        self.url = format!("http://{}", listener.local_addr().unwrap());
        let (answers, received) = (Arc::new(self.answers.clone()), Arc::clone(&self.received));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (answers, received) = (Arc::clone(&answers), Arc::clone(&received));
                // A browser that is gone has nothing to complain about.
                std::thread::spawn(move || serve(&client, &answers, &received).ok());
            }
        });
        self
    }

    /// The address of a page.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Everything that was received until now, each request with its head and body.
    pub(crate) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

fn answer(status: u16, fields: &str, body: &str) -> Answer {
    Answer { status, fields: fields.to_owned(), body: body.to_owned() }
}

/// One request and its answer.
fn serve(
    client: &TcpStream,
    answers: &HashMap<&'static str, Answer>,
    received: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?).take(HEAD_BYTES_MAX);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.set_limit(length as u64);
    reader.read_exact(&mut body)?;
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let Answer { status, fields, body: text } = answers.get(path).cloned().unwrap_or_else(|| answer(404, "", "no"));
    received.lock().unwrap().push(format!("{head}\r\n{}", String::from_utf8_lossy(&body)));
    let length = text.len();
    let head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n");
    (&mut &*client).write_all(format!("{head}{text}").as_bytes())
}
