//! Pages, as somebody with a browser without script meets them.

mod about;
mod admin_data;
mod admin_events;
mod admin_imports;
mod admin_people;
mod admin_plans;
mod admin_tokens;
mod docs;
mod explore;
mod links;
mod person;
mod reference;
mod security;
mod sign_in;
pub(crate) mod staff;
