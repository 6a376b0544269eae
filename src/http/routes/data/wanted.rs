//! The resource that a path below a data set names.

use crate::http::DataRoute;

/// The pages for people below a data set.
const OF_PAGES: [&str; 2] = ["about", "explore"];

pub(in crate::http) fn first_segment(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split('/').next().filter(|segment| !segment.is_empty())
}

/// The resource that a path names, below a data set. A key or record id spelt like a fixed segment is reached by a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// The records of a key, or one of them: the most frequent request.
    Read(&'a str, Option<&'a str>),
    /// A page of the matching records, or an export of all of them.
    Page,
    Other(Question<'a>),
}

/// A resource that is neither a read by key nor a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question<'a> {
    Facets,
    Groups,
    Stats,
    Changes,
    /// What shows that a version is what was signed.
    Proof,
    /// The past of the records of a key, or of one of them.
    History(&'a str, Option<&'a str>),
}

impl<'a> Wanted<'a> {
    /// Reads a path whose first segment is a data set.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/').skip(1);
        let parts = [segments.next(), segments.next(), segments.next(), segments.next()];
        if parts.contains(&Some("")) {
            return None;
        }
        Some(match parts {
            [None, ..] => Self::Page,
            // Pages for people have routes of their own.
            [Some(first), ..] if OF_PAGES.contains(&first) => return None,
            [Some("facets"), None, ..] => Self::Other(Question::Facets),
            [Some("groups"), None, ..] => Self::Other(Question::Groups),
            [Some("stats"), None, ..] => Self::Other(Question::Stats),
            [Some("changes"), None, ..] => Self::Other(Question::Changes),
            [Some("proof"), None, ..] => Self::Other(Question::Proof),
            [Some(key), None, ..] => Self::Read(key, None),
            [Some(key), Some("history"), None, _] => Self::Other(Question::History(key, None)),
            [Some(key), Some(record_id), None, _] => Self::Read(key, Some(record_id)),
            [Some(key), Some(id), Some("history"), None] => Self::Other(Question::History(key, Some(id))),
            _ => return None,
        })
    }

    pub(super) fn route(self) -> DataRoute {
        match self {
            Self::Read(_, None) => DataRoute::Key,
            Self::Read(_, Some(_)) => DataRoute::Record,
            Self::Page => DataRoute::DataSet,
            Self::Other(Question::Facets) => DataRoute::Facets,
            Self::Other(Question::Groups) => DataRoute::Groups,
            Self::Other(Question::Stats) => DataRoute::Stats,
            Self::Other(Question::Changes) => DataRoute::Changes,
            Self::Other(Question::Proof) => DataRoute::Proof,
            Self::Other(Question::History(..)) => DataRoute::History,
        }
    }
}
