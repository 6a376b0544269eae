//! reader/mod.
