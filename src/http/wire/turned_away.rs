//! Answers a connection whose address has its maximum of connections, as far as that costs little.

use std::{cell::Cell, future::poll_fn, time::Duration};

use actix_web::rt::{self, net::TcpStream, time::timeout};
use bytes::Bytes;

use super::{
    alarm::Alarm,
    farewell::{Farewell, Leave},
};
use crate::http::{Problem, ProblemCode};

/// Most connections that are answered at the same time, on each worker. Further ones are closed without an answer.
const TOLD_MAX: usize = 32;
/// How long a client may take to read the answer.
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY_AFTER_S: u64 = 1;
const DETAIL: &str = "this address has as many connections as it may have at the same time: close one, or use it again";

/// The answer of a server that explains problems below this address. It has no request id, since there is no request yet.
pub(super) fn answer(explained_below: &str) -> Bytes {
    let code = ProblemCode::TooManyFromAddress;
    let document = Problem::new(code, DETAIL).document(None, explained_below);
    let head = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         retry-after: {RETRY_AFTER_S}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        code.status(),
        document.len()
    );
    Bytes::from([head.into_bytes(), document].concat())
}

thread_local! {
    static TOLD: Cell<usize> = const { Cell::new(0) };
}

/// Answers a connection that its address has too many, in the background.
pub(super) fn turn_away(mut io: TcpStream, answer: Bytes) {
    if TOLD.get() >= TOLD_MAX {
        return;
    }
    TOLD.set(TOLD.get() + 1);
    rt::spawn(async move {
        // A client that does not read loses nothing.
        if let Ok(Ok(())) = timeout(PATIENCE, tell(&mut io, &answer)).await {
            let (mut farewell, mut alarm) = (Farewell::default(), Alarm::default());
            poll_fn(|context| farewell.poll(&mut io, context, &mut alarm, Leave::SHORT)).await.ok();
        }
        TOLD.set(TOLD.get().saturating_sub(1));
    });
}

async fn tell(io: &mut TcpStream, mut rest: &[u8]) -> std::io::Result<()> {
    while !rest.is_empty() {
        io.writable().await?;
        match io.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says_and_leads_to_its_page() {
        for (base, leads) in [
            ("", "/problems/too-many-from-address"),
            ("https://x.example/v1", "https://x.example/v1/problems/too-many-from-address"),
        ] {
            let answer = answer(base);
            let (head, body) = str::from_utf8(&answer).unwrap().split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{head}");
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
            let document: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!((document["type"].as_str(), document["status"].as_u64()), (Some(leads), Some(429)));
        }
    }
}
