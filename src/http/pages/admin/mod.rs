//! The pages of the administration. Each needs the permission for what it shows, by a role or an administrator's token.

mod acts;
mod data;
mod data_set;
mod events;
mod health;
mod import;
mod importer;
mod imports;
mod invite;
mod keys;
mod mail;
mod overview;
mod people;
mod person;
mod plans;
mod sent_file;
mod tokens;
mod told;
mod undone;

use actix_web::web;

use self::told::say;
use super::visit::PageRefusal;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.configure(overview::configure)
        .configure(people::configure)
        // Before the page of a person, which would take `invite` for an id.
        .configure(invite::configure)
        .configure(person::configure)
        .configure(keys::configure)
        .configure(acts::configure)
        .configure(plans::configure)
        .configure(tokens::configure)
        .configure(events::configure)
        .configure(health::configure)
        .configure(imports::configure)
        .configure(sent_file::configure)
        // After the pages of files: this route would take their folder for an import.
        .configure(import::configure)
        .configure(data::configure)
        .configure(data_set::configure)
        .configure(mail::configure)
        .configure(undone::configure);
}
