//! A server that answers what a test tells it to: for answers that AWS gives and no emulator does.

#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot be set up fails")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// How long a client may take to send a request.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Method and target, such as `POST /v2/email/outbound-emails`.
    pub(crate) line: String,
    /// The operation that the header `x-amz-target` names, such as `GetQueueUrl`; empty without one.
    pub(crate) operation: String,
    /// The body, which is JSON.
    pub(crate) body: serde_json::Value,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    pub(crate) fn ok(body: &str) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_owned() }
    }

    /// An error as SES v2 writes it.
    pub(crate) fn ses_error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        Self { status, headers: vec![("x-amzn-errortype", code.to_owned())], body }
    }

    /// An error as SQS writes it, with its name of old beside the one of now.
    pub(crate) fn sqs_error(code: &str, old_code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": message }).to_string();
        Self { status: 400, headers: vec![("x-amzn-query-error", format!("{old_code};Sender"))], body }
    }
}

/// A running server; it ends with the value.
pub(crate) struct Canned {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Canned {
    /// A server that asks `answer` for each request, one after the other.
    pub(crate) fn start(mut answer: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the port's number");
        let (requests, ends) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (kept, is_over) = (Arc::clone(&requests), Arc::clone(&ends));
        let serve = move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away before it has asked is none of the server's business.
                let Some(request) = read(&connection) else { continue };
                kept.lock().unwrap().push(request.clone());
                write(connection, &answer(&request));
            }
        };
        Self { address, requests, ends, thread: Some(std::thread::spawn(serve)) }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Wakes the server, which may have ended by a panic that the test reports by itself.
        TcpStream::connect(self.address).ok();
        self.thread.take().map(JoinHandle::join);
    }
}

fn read(connection: &TcpStream) -> Option<Request> {
    connection.set_read_timeout(Some(READ_TIMEOUT)).ok()?;
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.rsplit_once(' ')?.0.to_owned();
    let (mut length, mut operation) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-amz-target" => operation = value.rsplit_once('.').map_or("", |(_, last)| last).to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = if body.is_empty() { serde_json::Value::Null } else { serde_json::from_slice(&body).ok()? };
    Some(Request { line, operation, body })
}

fn write(mut connection: TcpStream, answer: &Answer) {
    let mut head = format!("HTTP/1.1 {} Canned\r\nconnection: close\r\n", answer.status);
    head += &format!("content-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n", answer.body.len());
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    // The client may have lost its patience.
    connection.write_all(format!("{head}\r\n{}", answer.body).as_bytes()).ok();
}
