//! Why a request is refused before any route sees it.

use std::borrow::Cow;

use crate::http::{Problem, ProblemCode};

/// Why a request is refused before any route sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(super) code: ProblemCode,
    pub(super) detail: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ProblemCode::InvalidRequest, detail)
    }

    /// The problem that the client is answered with.
    pub fn problem(&self) -> Problem {
        Problem::new(self.code, self.detail.clone())
    }
}
