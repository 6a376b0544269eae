//! The layer between a socket and the HTTP parser, on the public port and on the operation port. It passes one request at a time, each
//! with a single meaning; limits the time of each thing that a client may be slow at; bounds what one address may hold; and ends
//! connections in order.
//!
//! `actix-http` limits only the time of a connection's first head, answers unreadable requests without a problem document, and mixes up
//! requests that it has read ahead. This layer prevents all three at the input of `actix-http`, whose fast and well tested parser and
//! encoder still read requests and write answers.

mod address;
mod alarm;
mod body;
mod connection;
mod farewell;
mod forwarded;
mod guesses;
mod head;
mod places;
mod port;
mod refusal;
mod request_line;
mod stream;
mod turned_away;

use std::{net::IpAddr, rc::Rc, time::Duration};

use actix_web::HttpRequest;

pub use self::port::{Patience, Wire};
use super::{Problem, ProblemCode};
pub use address::Network;
pub(in crate::http) use connection::Answering;
pub use connection::Connection;
pub(in crate::http) use places::Place;
pub use refusal::Refusal;
pub use stream::Stream;

const GUESSED: &str = "this address has sent too many wrong keys, tokens, passwords or links, or asked for too many mails: a right key passes, others are to wait";

/// The client's address, if the connection or a trusted proxy tells it.
pub(in crate::http) fn client_of(request: &HttpRequest) -> Option<IpAddr> {
    let connection = request.conn_data::<Rc<Connection>>()?;
    Some(connection.client(request.headers())).filter(|address| *address != forwarded::NOBODY)
}

/// The answer to a request with a wrong key or token: `refusal`, or, when its address has sent too many, a time to wait. The answer is
/// delayed for the address's wait or the pace of all refusals, whichever is longer.
pub(in crate::http) async fn guessed(request: &HttpRequest, refusal: Problem) -> Problem {
    let Some(connection) = request.conn_data::<Rc<Connection>>().cloned() else { return refusal };
    let verdict = connection.wire().guesses.wrong(Network::of(connection.client(request.headers())));
    put_off(&connection, verdict.delay).await;
    match verdict.wait_s {
        None => refusal,
        Some(wait_s) => Problem::new(ProblemCode::TooManyFromAddress, GUESSED).retry_after(wait_s),
    }
}

/// Delays the answer to a request without a key to the pace of all refusals. Such a request is no guess.
pub(in crate::http) async fn refused(request: &HttpRequest) {
    let Some(connection) = request.conn_data::<Rc<Connection>>().cloned() else { return };
    let delay = connection.wire().guesses.refused();
    put_off(&connection, delay).await;
}

async fn put_off(connection: &Connection, delay: Option<Duration>) {
    let wire = connection.wire();
    if !guesses::put_off(&wire.guesses, wire.draining.subscribe(), delay).await {
        connection.end_with_this_answer();
    }
}

/// Counts a leak report. `Some` with the seconds to wait when its address has sent too many.
pub(in crate::http) fn reported(request: &HttpRequest) -> Option<u64> {
    let connection = request.conn_data::<Rc<Connection>>()?;
    let wire = connection.wire();
    let client = Network::of(connection.client(request.headers()));
    let slowed = wire.reports.wrong(&client, wire.clock.monotonic_us())?;
    Some(u64::try_from(slowed.wait_us).unwrap_or(0).div_ceil(1_000_000))
}
