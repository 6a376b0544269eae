//! What stands between a socket and the HTTP parser, on the public port and on the operation port: one request at a time,
//! each with a single meaning; a time for each thing that a client may be slow at; a bound on what one address may hold; and
//! an end in order.
//!
//! `actix-http` limits the time of the first head of a connection alone, answers what it cannot read without a document, and
//! mixes up requests that it has read ahead. All of it is mended at its input, so that its own parser and encoder, which are
//! fast and well tested, stay what reads requests and writes answers.

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

/// The address of the client, where the connection or a trusted proxy says it.
pub(in crate::http) fn client_of(request: &HttpRequest) -> Option<IpAddr> {
    let connection = request.conn_data::<Rc<Connection>>()?;
    Some(connection.client(request.headers())).filter(|address| *address != forwarded::NOBODY)
}

/// The answer to a request with a wrong key or token: `refusal`, or, when its address has sent too many, a time to wait. It is put off
/// as long as the address, or all refusals together, have earned.
pub(in crate::http) async fn guessed(request: &HttpRequest, refusal: Problem) -> Problem {
    let Some(connection) = request.conn_data::<Rc<Connection>>().cloned() else { return refusal };
    let verdict = connection.wire().guesses.wrong(Network::of(connection.client(request.headers())));
    put_off(&connection, verdict.delay).await;
    match verdict.wait_s {
        None => refusal,
        Some(wait_s) => Problem::new(ProblemCode::TooManyFromAddress, GUESSED).retry_after(wait_s),
    }
}

/// Puts the answer to a request off that is refused for want of a key: it keeps the pace of all refusals, and is no guess.
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

/// Counts a report of a leak. `Some` when its address has sent too many: seconds to wait.
pub(in crate::http) fn reported(request: &HttpRequest) -> Option<u64> {
    let connection = request.conn_data::<Rc<Connection>>()?;
    let wire = connection.wire();
    let client = Network::of(connection.client(request.headers()));
    let slowed = wire.reports.wrong(&client, wire.clock.monotonic_us())?;
    Some(u64::try_from(slowed.wait_us).unwrap_or(0).div_ceil(1_000_000))
}
