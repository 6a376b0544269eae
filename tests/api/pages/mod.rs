//! Pages, as somebody with a browser without script meets them.

mod admin_events;
mod admin_people;
mod admin_plans;
mod admin_tokens;
mod staff;
