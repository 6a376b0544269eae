//! SQLite's errors, with advice.

use std::{borrow::Cow, path::Path};

use rusqlite::types::ValueRef;

use crate::store::StoreError;

pub(super) fn unseen(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the database is closed".to_owned())
}

/// The error with the path of its file.
pub(super) fn named(path: &Path, error: &rusqlite::Error) -> StoreError {
    let text = format!("{}: {}", path.display(), words(error));
    match Trouble::of(error) {
        Trouble::Damage => StoreError::Corrupt(text),
        Trouble::NoRoom => StoreError::Full(text),
        Trouble::Other => StoreError::Unavailable(text),
    }
}

/// The text of SQLite's error, with advice that it lacks.
pub(super) fn words(error: &rusqlite::Error) -> String {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, ReadOnly, SystemIoFailure};
    let what_to_do = match error.sqlite_error_code() {
        Some(ReadOnly) => {
            "; the file or its file system is read-only, and even to read it takes files beside it: mount it to be written, or \
             give the file back its owner and mode"
        }
        Some(SystemIoFailure) => {
            "; a file beside permitd.db may be gone, or its disk fail: stop the server that runs, and put back all that was beside it"
        }
        Some(DatabaseCorrupt | NotADatabase) => "; restore permitd.db from your backup, with all that was beside it",
        Some(CannotOpen) => {
            "; where the file is there, its directory is read-only: even to read it takes files beside it. Mount it to be \
             written, or correct its owner and mode"
        }
        _ => "",
    };
    format!("{error}{what_to_do}")
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
        if matches!(
            error,
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
        ) {
            return Self::Corrupt(format!("a stored value is not one that permitd writes: {error}"));
        }
        match Trouble::of(&error) {
            Trouble::Damage => Self::Corrupt(words(&error)),
            Trouble::NoRoom => Self::Full(error.to_string()),
            Trouble::Other => Self::Unavailable(words(&error)),
        }
    }
}

/// The kind of an SQLite error: each needs other action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Trouble {
    /// The file's contents are not SQLite's: a person must look.
    Damage,
    /// The disk is full, or the file may not grow.
    NoRoom,
    /// Anything else: trying again may help.
    Other,
}

pub(super) fn has_no_room_for_index(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

impl Trouble {
    pub(in crate::store) fn of(error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damage,
            Some(DiskFull) => Self::NoRoom,
            // The index of the write-ahead log cannot grow.
            _ if has_no_room_for_index(error) => Self::NoRoom,
            _ => Self::Other,
        }
    }
}

/// The error for a stored text of the wrong form.
pub(super) fn corrupt(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("a stored {what} cannot be read: {error}"))
}

/// The text of a commit's events. One that is no text is made one that no decoder takes, so that it concerns its own stream only.
pub(super) fn events(value: ValueRef<'_>) -> Cow<'_, str> {
    match value.as_bytes().map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        Ok((Ok(text), _)) => text.into(),
        Ok((Err(_), bytes)) => format!("not UTF-8: {}", String::from_utf8_lossy(bytes)).into(),
        Err(error) => format!("no text: {error}").into(),
    }
}
