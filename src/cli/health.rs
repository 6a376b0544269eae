//! `permitd health`: asks a running server whether it is ready, as health checks of containers do.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};

use super::{CommandAnswer, Common, Failure, number::whole};

/// How long an answer may take unless told otherwise, milliseconds.
const TIMEOUT_MS: u64 = 2_000;
/// The most of an answer that is read, bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Ask the server of these settings whether it wants requests
///
/// Asks /health/ready of the address in the setting `ops.listen`. It needs neither curl nor a shell: the image's health check is
/// this command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd health
  permitd health --live                             only whether it answers at all
  permitd health --ops-listen 127.0.0.1:9091        a server that was started with that address

Exit codes:
  0  it wants requests
  5  it does not, or does not answer")]
pub(super) struct Health {
    /// Ask /health/live instead: whether the process answers
    #[arg(long)]
    live: bool,
    /// The address of health and metrics [variable: PERMITD_OPS_LISTEN] [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS:PORT")]
    ops_listen: Option<String>,
    /// How long the answer may take, milliseconds
    #[arg(long, value_name = "MS", default_value_t = TIMEOUT_MS, value_parser = whole(1..=600_000_u64))]
    timeout_ms: u64,
}

impl Health {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[("ops.listen", self.ops_listen.clone())])?;
        let listens = settings.ops.listen;
        if listens.port() == 0 {
            return Err(Failure::usage(
                "ops.listen has port 0, which is a free one that the server chose: give the one that it printed with \
                 --ops-listen, or set PERMITD_OPS_LISTEN to one that stays",
            ));
        }
        let address = reachable(listens);
        let (path, well) = if self.live { ("/health/live", "live") } else { ("/health/ready", "ready") };
        let answered = ask(address, path, Duration::from_millis(self.timeout_ms)).map_err(|error| {
            Failure::unavailable(format!("no server answers on {address} (the setting ops.listen): {error}"))
        })?;
        let (status, said) = read(&answered).ok_or_else(|| {
            Failure::unavailable(format!("what answers on {address} (the setting ops.listen) is no permitd"))
        })?;
        if status != 200 {
            let why = said.get("detail").and_then(Value::as_str).unwrap_or("it does not say why");
            return Err(Failure::unavailable(format!("the server on {address} is not {well}, {status}: {why}")));
        }
        let document = json!({ "address": address, "path": path, "status": status, "answer": &said });
        let quarantined = said.get("quarantined").and_then(Value::as_array).map_or(0, Vec::len);
        let text = match quarantined {
            0 => well.to_owned(),
            1 => format!("{well}; a stream is in quarantine: permitd events quarantine --list"),
            _ => format!("{well}; {quarantined} streams are in quarantine: permitd events quarantine --list"),
        };
        Ok(CommandAnswer::new(document, text))
    }
}

/// Where a server that listens on an address can be asked from this machine: one that listens on all is asked on the machine's own.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}

/// One request and its answer, within a time for all of it.
fn ask(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + timeout;
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} ms", timeout.as_millis()));
    let left =
        || Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()).ok_or_else(late);
    let mut connection = TcpStream::connect_timeout(&address, left()?)?;
    connection.set_write_timeout(Some(left()?))?;
    write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answered = Vec::new();
    let mut part = [0; 4096];
    while u64::try_from(answered.len()).unwrap_or(u64::MAX) < ANSWER_BYTES_MAX {
        connection.set_read_timeout(Some(left()?))?;
        match connection.read(&mut part) {
            Ok(0) => break,
            Ok(bytes) => answered.extend(part.iter().take(bytes)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The error of a read timeout differs between systems.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(late());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answered)
}

/// The status of an answer, and the document in its body, if it is one.
fn read(answered: &[u8]) -> Option<(u16, Value)> {
    let text = String::from_utf8_lossy(answered);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split(' ');
    let status = words.next().filter(|version| version.starts_with("HTTP/1.")).and(words.next())?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_all_is_asked_on_the_machine_itself() {
        for (listens, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9091", "[::1]:9091"),
            ("127.0.0.1:9092", "127.0.0.1:9092"),
            ("10.1.2.3:9093", "10.1.2.3:9093"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn an_answer_is_one_of_http_or_none() {
        let body = b"HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{\"detail\":\"stopping\"}";
        assert_eq!(read(body), Some((503, json!({ "detail": "stopping" }))));
        assert_eq!(read(b"HTTP/1.0 200 OK\r\n\r\n"), Some((200, Value::Null)));
        for other in [&b""[..], b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 ok\r\n\r\n"] {
            assert_eq!(read(other), None);
        }
    }
}
