//! Pages, as somebody with a browser without script meets them.

mod admin_data;
mod admin_imports;
