//! A reverse proxy that serves a server below a path, as one that many services share does.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// The path that it takes off.
pub(crate) const PREFIX: &str = "/api/v1";
/// Longest head that it passes on, bytes.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// The proxy. It serves as long as the test runs.
pub(crate) struct BelowPrefix {
    /// Where it listens, with the prefix.
    pub(crate) url: String,
    strays: Arc<Mutex<Vec<String>>>,
}

impl BelowPrefix {
    /// One before a server at this address.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}{PREFIX}", listener.local_addr().unwrap());
        let strays = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&strays);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                // A browser that is gone has nothing to complain about.
                std::thread::spawn(move || pass_on(client, server, &seen).ok());
            }
        });
        Self { url, strays }
    }

    /// Paths that were asked for outside of the prefix.
    pub(crate) fn strays(&self) -> Vec<String> {
        self.strays.lock().unwrap().clone()
    }
}

/// One request and its answer.
fn pass_on(client: TcpStream, server: SocketAddr, strays: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?).take(HEAD_BYTES_MAX);
    let (mut head, mut length) = (Vec::new(), 0);
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
        if !line.to_ascii_lowercase().starts_with("connection:") {
            head.push(line);
        }
    }
    let target = head[0].split(' ').nth(1).unwrap().to_owned();
    let Some(path) = target.strip_prefix(PREFIX) else {
        strays.lock().unwrap().push(target);
        return (&client).write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    };
    let path = if path.is_empty() { "/" } else { path };
    head[0] = head[0].replacen(&target, path, 1);
    let mut body = vec![0; length];
    reader.set_limit(length as u64);
    reader.read_exact(&mut body)?;
    let mut server = TcpStream::connect(server)?;
    server.write_all(format!("{}connection: close\r\n\r\n", head.concat()).as_bytes())?;
    server.write_all(&body)?;
    std::io::copy(&mut server, &mut &client)?;
    client.shutdown(std::net::Shutdown::Write)
}
