//! The past as JSON: changes and states, in paged lists. The same text for all record stores.

use jiff::Timestamp;

use super::{Past, RecordStoreError, rules};
use crate::dataset::{Document, Value, json, query::Position};

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum ChangeKind {
    Inserted,
    Updated,
    Removed,
}

impl ChangeKind {
    pub(in crate::store) const ALL: [Self; 3] = [Self::Inserted, Self::Updated, Self::Removed];

    pub(in crate::store) fn name(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Updated => "updated",
            Self::Removed => "removed",
        }
    }
}

/// A moment in its published form.
pub(in crate::store) fn moment(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// The moment of a version that follows one of the moment `before`: by the clock, or the smallest step after that moment if the
/// clock was set back. So a record's state never ends before it began.
pub(in crate::store) fn moment_after(now: Timestamp, before: Option<Timestamp>) -> Timestamp {
    let now_us = now.as_microsecond();
    match before.map(Timestamp::as_microsecond) {
        Some(before_us) if now_us < before_us => {
            Timestamp::from_microsecond(before_us.saturating_add(1)).unwrap_or(now)
        }
        _ => now,
    }
}

/// A change, without the record before and after it.
pub(in crate::store) struct RecordChange<'a> {
    pub(in crate::store) version: u64,
    pub(in crate::store) at: Option<&'a str>,
    pub(in crate::store) kind: ChangeKind,
    pub(in crate::store) key: &'a str,
    pub(in crate::store) id: &'a Value,
}

impl RecordChange<'_> {
    /// Appends the change. `write` appends the record before (`true`) and after the change.
    pub(in crate::store) fn write<E>(
        &self,
        out: &mut Vec<u8>,
        mut write: impl FnMut(bool, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        out.push(b'{');
        write_version(self.version, self.at, out);
        out.extend_from_slice(b",\"change\":\"");
        out.extend_from_slice(self.kind.name().as_bytes());
        out.extend_from_slice(b"\",\"key\":");
        json::write_string(self.key, out);
        out.extend_from_slice(b",\"record_id\":");
        json::write_value(self.id, out);
        out.extend_from_slice(b",\"before\":");
        match self.kind {
            ChangeKind::Inserted => out.extend_from_slice(b"null"),
            ChangeKind::Updated | ChangeKind::Removed => write(true, out)?,
        }
        out.extend_from_slice(b",\"after\":");
        match self.kind {
            ChangeKind::Removed => out.extend_from_slice(b"null"),
            ChangeKind::Inserted | ChangeKind::Updated => write(false, out)?,
        }
        out.push(b'}');
        Ok(())
    }
}

/// A past state of a record, without the record.
pub(in crate::store) struct PastState<'a> {
    pub(in crate::store) id: &'a Value,
    pub(in crate::store) from: (u64, Option<&'a str>),
    pub(in crate::store) until: Option<(u64, Option<&'a str>)>,
}

impl PastState<'_> {
    /// Appends the state. `write` appends the record.
    pub(in crate::store) fn write<E>(
        &self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        out.extend_from_slice(b"{\"record_id\":");
        json::write_value(self.id, out);
        for (before, version) in [(b",\"valid_from\":".as_slice(), Some(self.from)), (b",\"valid_until\":", self.until)]
        {
            out.extend_from_slice(before);
            match version {
                Some((version, at)) => {
                    out.push(b'{');
                    write_version(version, at, out);
                    out.push(b'}');
                }
                None => out.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(b",\"record\":");
        write(out)?;
        out.push(b'}');
        Ok(())
    }
}

fn write_version(version: u64, at: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"version\":");
    json::write_digits(version, out);
    out.extend_from_slice(b",\"at\":");
    match at {
        Some(at) => json::write_string(at, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// An unfinished page of a list of the past.
pub(in crate::store) struct Listing {
    document: Document,
    limit: u32,
    last: Option<Position>,
    more: bool,
}

impl Listing {
    pub(in crate::store) fn new(limit: u32) -> Self {
        Self { document: Document::list(), limit, last: None, more: false }
    }

    /// Tells whether there is no room for another entry. Call it only if an entry follows.
    pub(in crate::store) fn is_full(&mut self) -> bool {
        self.more = self.document.count() >= self.limit;
        self.more
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.document.count() == 0
    }

    /// Adds an entry at its place; `write` appends it.
    pub(in crate::store) fn add<E: From<RecordStoreError>>(
        &mut self,
        place: Position,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        write(self.document.next_record())?;
        rules::check_page(self.document.bytes())?;
        self.last = Some(place);
        Ok(())
    }

    /// The finished page, read at the present version.
    pub(in crate::store) fn finish(self, version: u64) -> Past {
        Past { version, document: self.document, next: self.last.filter(|_| self.more) }
    }
}
