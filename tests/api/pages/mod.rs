//! Pages, as somebody with a browser without script meets them.

mod explore;
