//! Pages, as somebody with a browser without script meets them.

mod explore;
mod links;
mod person;
mod security;
mod sign_in;
mod admin_events;
mod admin_people;
mod admin_plans;
mod admin_tokens;
mod staff;
