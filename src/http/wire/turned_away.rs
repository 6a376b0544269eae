//! What a connection gets whose address has as many as it may: an answer, as far as that costs little.

use std::{cell::Cell, time::Duration};

use actix_web::rt::{self, net::TcpStream, time::timeout};
use tokio::io::{AsyncWrite, ReadBuf};

/// Connections that are told at the same time, on each worker. Further ones are closed without a word.
const TOLD_MAX: usize = 32;
/// How long one may take to read the answer and to go.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes that are read from it.
const BYTES_MAX: usize = 64 * 1024;
const ANSWER: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\n\
content-type: application/problem+json\r\n\
cache-control: no-store\r\n\
retry-after: 1\r\n\
connection: close\r\n\
content-length: 199\r\n\r\n\
{\"type\":\"/problems/too-many-from-address\",\"title\":\"Too much from one address\",\"status\":429,\
\"detail\":\"this address has as many connections as it may have at the same time: close one, or use it again\"}";

thread_local! {
    static TOLD: Cell<usize> = const { Cell::new(0) };
}

/// Tells a connection that its address has too many.
pub(super) fn turn_away(io: TcpStream) {
    if TOLD.get() >= TOLD_MAX {
        return;
    }
    TOLD.set(TOLD.get() + 1);
    rt::spawn(async move {
        // A client that does not listen has lost nothing.
        timeout(PATIENCE, tell(io)).await.ok();
        TOLD.set(TOLD.get().saturating_sub(1));
    });
}

async fn tell(mut io: TcpStream) -> std::io::Result<()> {
    let mut rest = ANSWER;
    while !rest.is_empty() {
        io.writable().await?;
        match io.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    std::future::poll_fn(|context| std::pin::Pin::new(&mut io).poll_shutdown(context)).await?;
    let (mut piece, mut bytes) = ([0; 4096], 0);
    while bytes < BYTES_MAX {
        let mut buffer = ReadBuf::new(&mut piece);
        std::future::poll_fn(|context| {
            tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut io), context, &mut buffer)
        })
        .await?;
        match buffer.filled().len() {
            0 => break,
            read => bytes += read,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ANSWER;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        let document: serde_json::Value = serde_json::from_str(body).unwrap();
        let code = crate::http::ProblemCode::TooManyFromAddress;
        assert_eq!((document["type"].as_str(), document["title"].as_str()), (Some(code.path()), Some(code.title())));
    }
}
