//! What the edge and a route tell each other of one request, kept with it on its way through the server.

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
    /// The records that bear a key.
    Key,
    /// One of them.
    Record,
    /// How often values occur.
    Facets,
    /// Figures.
    Stats,
    /// What imports have changed.
    Changes,
    /// What the records of a key, or one of them, were.
    History,
    /// A page of records, for people.
    Page,
    /// The page that says what the data set is.
    About,
}

impl DataRoute {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::DataSet,
        Self::Key,
        Self::Record,
        Self::Facets,
        Self::Stats,
        Self::Changes,
        Self::History,
        Self::Page,
        Self::About,
    ];

    /// Those for programs.
    pub const OF_API: [Self; 7] =
        [Self::DataSet, Self::Key, Self::Record, Self::Facets, Self::Stats, Self::Changes, Self::History];

    /// As it is counted and logged.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::DataSet => "/{dataset}",
            Self::Key => "/{dataset}/{key}",
            Self::Record => "/{dataset}/{key}/{record_id}",
            Self::Facets => "/{dataset}/facets",
            Self::Stats => "/{dataset}/stats",
            Self::Changes => "/{dataset}/changes",
            Self::History => "/{dataset}/{key}/history",
            Self::Page => "/{dataset}/explore",
            Self::About => "/{dataset}/about",
        }
    }
}

/// One request on its way.
#[derive(Debug)]
pub(super) struct Passage {
    /// Its name.
    pub(super) id: RequestId,
    /// What precedes the path of a problem's page in its `type`: the address that is set as the server's. Where none is set it is
    /// nothing: an address of this machine is no name that lasts, and a path is understood from the request's own (RFC 9457,
    /// section 3.1.1).
    explained_below: Arc<str>,
    /// The route of the data sets that took it, if one did.
    pub(super) data_route: Cell<Option<DataRoute>>,
    /// The data set that its path begins with, from the route's guard to the route.
    pub(super) data_set: RefCell<Option<Arc<DataSet>>>,
}

impl Passage {
    /// Of a request that has just come in.
    pub(super) fn new(id: RequestId, explained_below: Arc<str>) -> Self {
        Self { id, explained_below, data_route: Cell::new(None), data_set: RefCell::new(None) }
    }

    /// Where the problems of a request are explained; nothing where the edge is not part of the application.
    pub(super) fn explains_below(request: &HttpRequest) -> Arc<str> {
        request.extensions().get::<Self>().map(|passage| Arc::clone(&passage.explained_below)).unwrap_or_default()
    }
}

impl RequestId {
    /// The id of the request that `request` is, if the edge gave it one.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        request.extensions().get::<Passage>().map(|passage| passage.id.clone())
    }
}
