//! The routes, one file for each resource.

pub(in crate::http) mod admin_tokens;
pub(in crate::http) mod answer;
mod as_of;
mod checkpoints;
pub(in crate::http) mod command;
pub mod data;
pub(in crate::http) mod datasets;
pub(in crate::http) mod dead_letters;
pub(in crate::http) mod events;
pub(in crate::http) mod follow;
pub(in crate::http) mod imports;
pub(in crate::http) mod invitations;
pub(in crate::http) mod keys;
pub(in crate::http) mod leaks;
pub(in crate::http) mod links;
pub(in crate::http) mod mail;
pub(in crate::http) mod me;
mod metrics;
mod operation;
pub(in crate::http) mod own;
pub(in crate::http) mod params;
pub(in crate::http) mod passwords;
pub(in crate::http) mod plans;
pub(in crate::http) mod provider;
pub(in crate::http) mod refusal;
pub(in crate::http) mod sessions;
pub(in crate::http) mod usage;
pub(in crate::http) mod users;

use actix_web::web;

pub use super::store_problem::{RETRY_AFTER_S, store_problem};

/// The administrator's resources, and the leak reports that anybody may send.
pub fn administration(app: &mut web::ServiceConfig) {
    app.configure(users::configure)
        .configure(usage::configure)
        .configure(invitations::configure)
        .configure(keys::configure)
        .configure(plans::configure)
        .configure(leaks::configure)
        .configure(events::configure)
        .configure(imports::configure)
        .configure(datasets::configure)
        .configure(checkpoints::configure)
        .configure(dead_letters::configure)
        .configure(mail::configure)
        .configure(admin_tokens::configure);
}

/// Signing in, and people's own accounts.
pub fn accounts(app: &mut web::ServiceConfig) {
    app.configure(sessions::configure)
        .configure(passwords::configure)
        .configure(links::configure)
        .configure(provider::configure)
        .configure(me::configure);
}

/// Health and metrics, on a port of their own.
pub fn operation(app: &mut web::ServiceConfig) {
    app.configure(operation::configure);
}
