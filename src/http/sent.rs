//! Sends bodies in pieces.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::wire::Answering;

/// Most bytes of a body that a connection copies at once. The body itself is shared; a copy stays until the client takes it.
const PIECE_BYTES: usize = 16 * 1024;

/// A body in pieces. It holds its connection until the last piece is written.
#[derive(Debug)]
pub struct Sent<B> {
    body: B,
    rest: Bytes,
    answering: Option<Answering>,
}

impl<B> Sent<B> {
    pub(super) fn new(body: B, answering: Option<Answering>) -> Self {
        Self { body, rest: Bytes::new(), answering }
    }
}

impl<B: MessageBody + Unpin> MessageBody for Sent<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_next(context)) {
                Some(Ok(chunk)) if chunk.len() > PIECE_BYTES => this.rest = chunk,
                other => return Poll::Ready(other),
            }
        }
        Poll::Ready(Some(Ok(this.rest.split_to(PIECE_BYTES.min(this.rest.len())))))
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, rest, answering } = self;
        // A body that was sent in part is not whole any more.
        if !rest.is_empty() {
            return Err(Self { body, rest, answering });
        }
        body.try_into_bytes().map_err(|body| Self { body, rest, answering })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[actix_web::test]
    async fn a_large_body_goes_out_in_pieces_and_whole() {
        let whole = Bytes::from((0..100_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        let mut sent = Sent::new(whole.clone(), None);
        assert_eq!(sent.size(), BodySize::Sized(400_000));
        let mut pieces = Vec::new();
        while let Some(piece) = poll_fn(|context| Pin::new(&mut sent).poll_next(context)).await {
            pieces.push(piece.unwrap());
        }
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
        assert_eq!(pieces.concat(), whole);
        assert_eq!(Sent::new(whole.clone(), None).try_into_bytes().unwrap(), whole);
    }
}
