//! Data sets over HTTP.
