//! The data sets: reading by key and by query.
