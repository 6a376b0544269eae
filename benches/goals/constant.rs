//! What actix-web does when it does nothing: the same body for every request.

use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, http::header, web};

use crate::Outcome;

/// Serves until it is killed.
pub(crate) fn serve(address: SocketAddr, body_bytes: usize) -> Outcome<()> {
    let body = web::Bytes::from(vec![b'x'; body_bytes]);
    let answer = move || {
        let body = body.clone();
        async move { HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(body) }
    };
    let server = HttpServer::new(move || App::new().default_service(web::to(answer.clone())));
    actix_web::rt::System::new().block_on(server.workers(1).bind(address)?.run())?;
    Ok(())
}
