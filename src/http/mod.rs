//! The HTTP interface: the edge before and after every route, the routes, and the problem documents that answer failed requests.

mod about;
mod address;
pub mod body;
pub mod checkup;
mod coding;
mod conditions;
mod cookie;
pub mod cors;
mod credentials;
pub mod edge;
mod masking;
pub mod meter;
pub mod method;
pub mod openapi;
pub mod pages;
mod passage;
pub mod problem;
pub mod ready;
pub mod request_id;
pub mod routes;
mod sent;
mod served;
pub mod session;
pub mod signed_in;
pub mod state;
mod store_problem;
pub mod token_uses;
mod wants;
pub mod wire;

use actix_web::web;

pub use body::{BodyLimits, JsonBody};
pub use edge::Edge;
pub use passage::DataRoute;
pub use problem::{Charge, InvalidParam, Problem, ProblemCode};
pub use request_id::RequestId;

use crate::{actors::invite::RosterOutcome, config::HttpSection};

/// Configures what all applications of this server share: limits of bodies, and problems for unreadable parameters and unknown paths.
pub fn configure(settings: &HttpSection) -> impl Fn(&mut web::ServiceConfig) + Clone + 'static {
    let limits = BodyLimits::from(settings);
    move |app| {
        app.app_data(limits)
            .app_data(web::PathConfig::default().error_handler(|e, _| {
                Problem::new(ProblemCode::InvalidParameters, format!("the path cannot be read: {e}")).into()
            }))
            .app_data(web::QueryConfig::default().error_handler(|e, _| {
                Problem::new(ProblemCode::InvalidParameters, format!("the query cannot be read: {e}")).into()
            }))
            .default_service(web::to(address::nowhere));
    }
}

/// The outcome of inviting a list of people, as a document.
pub fn shown_roster(outcome: RosterOutcome, dry_run: bool) -> serde_json::Value {
    serde_json::json!(routes::invitations::ShownRoster::of(outcome, dry_run))
}
