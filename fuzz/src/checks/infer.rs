//! Proposals of definitions.

use std::io::Cursor;

use super::reader::{check_error, check_import};
use crate::{
    dataset::{Definition, definition::Said, infer, reader::ReadError},
    subject::file_limits,
};

/// Takes the bytes for a text file that nobody has described: what is proposed is a definition, and reads the file.
pub fn check(bytes: &[u8]) {
    let lines = super::reader::lines_of(bytes);
    match infer::propose(Cursor::new(bytes), "some.csv", "some", &Said::default(), &file_limits()) {
        Ok(toml) => {
            let definition =
                Definition::from_toml(&toml, "some.toml").unwrap_or_else(|error| panic!("{error}\n{toml}"));
            if let Err(error @ ReadError::NoHeader { .. }) = check_import(bytes, "some.csv", &definition) {
                panic!("{error}\n{toml}");
            }
        }
        Err(error) => check_error(&error, lines),
    }
}
