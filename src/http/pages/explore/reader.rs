//! The reader of a data set's pages, and the pages that are shown instead of data.

use std::sync::Arc;

use actix_web::{HttpRequest, http::StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::{
    actors::grants::{Admission, Pass},
    domain::{
        admission::{DAY_NS, KeyStanding, SECOND_NS},
        credential::Credential,
        reach::OutOfReach,
    },
    http::{
        Problem, ProblemCode,
        pages::visit::{Anyone, PageRefusal, Shown, Visit},
        routes::data::data_sets::DataSets,
    },
    store::records::DataSet,
};

pub(super) const TEMPLATE: &str = "explore/page.html";

/// The path segment that these pages are below.
pub(super) const SECTION: &str = "explore";

/// A page that says why it shows no data. It tells nothing that the data set says of itself, not even the title.
pub(in crate::http::pages) fn instead(visit: &Visit<Anyone>, status: StatusCode, why: &str, name: &str) -> Shown {
    visit.page_as(status, TEMPLATE, &json!({ "instead": why, "dataset": { "title": name } }))
}

/// A person who reads a data set with a session.
pub(super) struct DataReader<'d> {
    pub(super) visit: Visit<Anyone>,
    pub(super) data: &'d DataSets,
    pub(super) data_set: Arc<DataSet>,
    pub(super) credential: Credential,
}

/// Why a page was not admitted.
pub(super) enum NotShown {
    /// Another answer is given instead.
    Answered(Shown),
    /// A limit is reached; the page says which.
    Limited(Box<Limited>),
}

/// A limit that is reached, as the page tells it.
pub(super) struct Limited {
    pub(super) says: Value,
    pub(super) retry_after_s: i64,
}

impl DataReader<'_> {
    pub(super) fn request(&self) -> &HttpRequest {
        &self.visit.request
    }

    /// The path of the table, without the server's prefix.
    pub(super) fn base(&self) -> String {
        format!("/{}/{SECTION}", self.data_set.definition.name)
    }

    /// The path of a record's page.
    pub(super) fn path_of(&self, key: &str, id: Option<&str>) -> String {
        let mut path = format!("{}/{}", self.base(), utf8_percent_encode(key, NON_ALPHANUMERIC));
        if let Some(id) = id {
            path.push('/');
            path.extend(utf8_percent_encode(id, NON_ALPHANUMERIC));
        }
        path
    }

    /// Admits a page that asks this many questions.
    pub(super) async fn admit(&self, cost: u64) -> Result<Pass, NotShown> {
        let admitted = self.data.admit_page(self.request(), self.credential, &self.data_set, cost).await;
        let admission = match admitted {
            Ok(Ok(pass)) => return Ok(pass),
            Ok(Err(admission)) => admission,
            Err(problem) => return Err(NotShown::Answered(Err(problem.into()))),
        };
        Err(match admission {
            Admission::Limited { quota, retry_after_ns, standing, .. } => {
                NotShown::Limited(Box::new(limited(quota, retry_after_ns, &standing, cost)))
            }
            Admission::OutOfReach(OutOfReach::SecondFactor) => NotShown::Answered(Err(PageRefusal::SecondFactor)),
            Admission::OutOfReach(_) => {
                let name = &self.data_set.definition.name;
                NotShown::Answered(instead(&self.visit, StatusCode::FORBIDDEN, "plan", name))
            }
            Admission::Ended | Admission::Unknown | Admission::Admitted(_) => {
                NotShown::Answered(Err(PageRefusal::SignIn))
            }
        })
    }

    /// Charges a page as this many requests, and returns what the page says of the charge.
    pub(super) fn charged(&self, pass: &mut Pass, kept: u64, status: StatusCode) -> Value {
        self.data.charge(self.request(), pass, &self.data_set, kept, status.as_u16());
        let KeyStanding { quota_left, bucket, .. } = pass.standing;
        json!({ "cost": kept, "left": quota_left, "quota": bucket.quota })
    }

    pub(super) fn described(&self) -> Value {
        let DataSet { definition, records, .. } = &*self.data_set;
        json!({ "name": definition.name, "title": definition.title, "records": records, "path": self.base() })
    }
}

/// What a page says of a reached limit.
pub(super) fn limited(is_quota: bool, retry_after_ns: i64, standing: &KeyStanding, cost: u64) -> Limited {
    let retry_after_s = retry_after_ns.max(1).saturating_add(SECOND_NS - 1) / SECOND_NS;
    let begins_s = standing.next_day.saturating_mul(DAY_NS / SECOND_NS);
    let again = jiff::Timestamp::from_second(begins_s).map(|again| again.to_string()).unwrap_or_default();
    let kind = match is_quota {
        true if standing.quota_left > 0 => "part",
        true => "quota",
        false => "rate",
    };
    let says = json!({
        "kind": kind, "again": again, "seconds": retry_after_s, "left": standing.quota_left,
        "quota": standing.bucket.quota, "cost": cost,
    });
    Limited { says, retry_after_s }
}

/// What a page says of a question without an answer; none where the problem has a page of its own.
///
/// A version that is gone ends the turning of pages where the page `is_turned`; else it was asked for.
pub(super) fn trouble(problem: &Problem, is_turned: bool) -> Option<Value> {
    let wrong = problem.wrong_params();
    if !wrong.is_empty() {
        let told: Vec<String> = wrong.iter().map(|param| format!("{}: {}", param.name, param.reason)).collect();
        return Some(json!({ "kind": "wrong", "detail": told.join("; ") }));
    }
    let kind = match problem.code() {
        ProblemCode::InvalidParameters => "broad",
        ProblemCode::Overloaded if problem.charge() == crate::http::Charge::Whole => "broad",
        ProblemCode::Overloaded | ProblemCode::OwnShare => "busy",
        ProblemCode::VersionGone if is_turned => "gone",
        ProblemCode::VersionGone => "past",
        _ => return None,
    };
    Some(json!({ "kind": kind, "detail": problem.detail() }))
}
