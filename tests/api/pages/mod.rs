//! Pages, as somebody with a browser without script meets them.

mod links;
mod person;
mod security;
mod sign_in;
