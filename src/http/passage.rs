//! State of one request that the edge and its route share, kept in the request.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use actix_web::{HttpMessage, HttpRequest};

use super::request_id::RequestId;
use crate::store::records::DataSet;

/// A route of the data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataRoute {
    /// A page of a query.
    DataSet,
    /// The records with one key.
    Key,
    /// One record of a key.
    Record,
    /// How often values occur.
    Facets,
    /// Groups.
    Groups,
    /// Figures.
    Stats,
    /// The changes that imports made.
    Changes,
    /// What shows that a version is what was signed.
    Proof,
    /// The earlier states of a key's records, or of one record.
    History,
    /// A page of records, for people.
    Page,
    /// The page that describes the data set.
    About,
}

impl DataRoute {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::DataSet,
        Self::Key,
        Self::Record,
        Self::Facets,
        Self::Groups,
        Self::Stats,
        Self::Changes,
        Self::Proof,
        Self::History,
        Self::Page,
        Self::About,
    ];

    /// The routes for programs.
    pub const OF_API: [Self; 9] = [
        Self::DataSet,
        Self::Key,
        Self::Record,
        Self::Facets,
        Self::Groups,
        Self::Stats,
        Self::Changes,
        Self::Proof,
        Self::History,
    ];

    /// The pattern under which the route is counted and logged.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::DataSet => "/{dataset}",
            Self::Key => "/{dataset}/{key}",
            Self::Record => "/{dataset}/{key}/{record_id}",
            Self::Facets => "/{dataset}/facets",
            Self::Groups => "/{dataset}/groups",
            Self::Stats => "/{dataset}/stats",
            Self::Changes => "/{dataset}/changes",
            Self::Proof => "/{dataset}/proof",
            Self::History => "/{dataset}/{key}/history",
            Self::Page => "/{dataset}/explore",
            Self::About => "/{dataset}/about",
        }
    }
}

/// The shared state of one request.
#[derive(Debug)]
pub(super) struct Passage {
    /// The request id.
    pub(super) id: RequestId,
    /// The prefix of a problem's `type`, before the path of the problem's page: the configured address of the server. Empty if none is
    /// configured: a local address is no lasting name, and clients resolve a path against the request's address (RFC 9457,
    /// section 3.1.1).
    explained_below: Arc<str>,
    /// The data set route that took the request, if one did.
    pub(super) data_route: Cell<Option<DataRoute>>,
    /// The data set at the beginning of the path, handed from the route's guard to the route.
    pub(super) data_set: RefCell<Option<Arc<DataSet>>>,
}

impl Passage {
    /// The state of a request that has just come in.
    pub(super) fn new(id: RequestId, explained_below: Arc<str>) -> Self {
        Self { id, explained_below, data_route: Cell::new(None), data_set: RefCell::new(None) }
    }

    /// The address below which a request's problems are explained; empty if the application has no edge.
    pub(super) fn explains_below(request: &HttpRequest) -> Arc<str> {
        request.extensions().get::<Self>().map(|passage| Arc::clone(&passage.explained_below)).unwrap_or_default()
    }
}

impl RequestId {
    /// The id that the edge gave to `request`, if it did.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Passage>().map(|passage| passage.id.clone())
    }
}
