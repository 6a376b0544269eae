//! Pages, as somebody with a browser without script meets them.

mod explore;
mod links;
mod person;
mod security;
mod sign_in;
