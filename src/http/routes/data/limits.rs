//! Limits: the refusals of requests, and the limit fields of every answer.

use std::cell::RefCell;

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName, HeaderValue},
};
use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    actors::{Busy, gate::GateError, grants::Admission},
    dataset::query,
    domain::{
        admission::{Bucket, DAY_NS, KeyStanding, SECOND_NS},
        key::PresentedKey,
        reach::OutOfReach,
    },
    http::{
        Charge, Problem, ProblemCode,
        credentials::{self, NoCredential},
        store_problem::RETRY_AFTER_S,
    },
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Bytes of the `RateLimit` field with numbers of usual sizes.
const LIMIT_BYTES: usize = 80;

/// Headers in which other products take a key.
const OTHER_HEADERS: [&str; 6] =
    ["api-key", "apikey", "x-api-token", "x-app-token", "x-auth-token", "ocp-apim-subscription-key"];

/// The answer to a missing, mistyped, unknown or revoked key: the same for all.
pub(super) fn invalid_key() -> Problem {
    let detail = "send the key from your invitation in the header x-api-key, as Authorization: Bearer, or as the user name of \
                  Authorization: Basic";
    Problem::new(ProblemCode::InvalidKey, detail)
}

/// The refusal of a request that shows no key. If it has a key where keys are not read, the refusal says so, without checking that key.
pub(super) fn not_shown(request: &HttpRequest, why: NoCredential) -> Problem {
    match why {
        NoCredential::Wrong(_) => invalid_key(),
        NoCredential::Missing | NoCredential::Unread => no_key(request),
        NoCredential::Two => credentials::two(),
    }
}

fn no_key(request: &HttpRequest) -> Problem {
    let headers = request.headers();
    let is_in_address = || {
        let mut given = form_urlencoded::parse(request.query_string().as_bytes());
        given.any(|(name, value)| query::is_key(&name) || PresentedKey::parse(value.as_bytes()).is_some())
    };
    let problem = invalid_key();
    if is_in_address() {
        return problem.detailed(query::KEY_IN_ADDRESS);
    }
    if headers.get(header::AUTHORIZATION).is_some_and(|value| !value.is_empty()) {
        return problem.detailed(
            "the scheme of Authorization is not read for data: send the key from your invitation as Bearer, as the user name of Basic, \
             or in the header x-api-key",
        );
    }
    match OTHER_HEADERS.iter().find(|name| headers.contains_key(**name)) {
        Some(other) => problem.detailed(format!(
            "the header {other} is not read: send the key from your invitation in the header x-api-key, or as Authorization: Bearer"
        )),
        None => problem,
    }
}

pub(super) fn not_admitted(admission: Admission) -> Problem {
    match admission {
        Admission::Limited { rate, quota, retry_after_ns, standing } => limited(rate, quota, retry_after_ns, &standing),
        Admission::OutOfReach(why) => out_of_reach(why),
        Admission::Ended => invalid_key().no_guess(),
        Admission::Admitted(_) | Admission::Unknown => invalid_key(),
    }
}

/// The refusal of a key that is out of reach: names what the key lacks, but never the addresses that it may be used from.
pub(in crate::http) fn out_of_reach(why: OutOfReach) -> Problem {
    let (detail, needed) = match why {
        OutOfReach::Address => {
            let detail =
                "this key works, but not from this address: whoever gave you the key can let it work from here";
            return Problem::new(ProblemCode::KeyNotAllowedHere, detail);
        }
        OutOfReach::Action(action) => {
            let action = action.as_str();
            (format!("this key lacks the scope {action}: use one that has it, or ask for it"), action)
        }
        OutOfReach::Dataset => (
            "this key is not for this data set: use one that is, or ask for the data set to be added".to_owned(),
            "dataset",
        ),
        OutOfReach::SecondFactor => {
            let detail = "administrators need a second factor here: POST /me/second-factor begins one";
            return Problem::new(ProblemCode::SecondFactorRequired, detail);
        }
        OutOfReach::Plan => ("your plan does not have this data set: ask for a plan that does".to_owned(), "plan"),
    };
    Problem::new(ProblemCode::Scope, detail).member("needed", needed.into())
}

pub(super) fn undecided(error: GateError) -> Problem {
    match error {
        GateError::Busy(busy) => overloaded(busy),
        GateError::Ledger(error) => {
            tracing::warn!(%error, "the ledger cannot be reached; nobody passes");
            let detail = "limits cannot be checked at the moment; the request was not counted";
            Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S)
        }
    }
}

pub(super) fn limited(rate: bool, quota: bool, retry_after_ns: i64, standing: &KeyStanding) -> Problem {
    let violated: Vec<&str> =
        [(rate, "burst"), (quota, "daily")].into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    let detail = match (rate, quota) {
        (_, true) => {
            let quota = standing.bucket.quota;
            format!("the quota of {quota} requests a day is used up; it {}", begins_anew(standing))
        }
        (_, false) => "requests come faster than the plan allows".to_owned(),
    };
    let mut problem = Problem::new(ProblemCode::QuotaExceeded, detail)
        .member("violated-policies", violated.into())
        .retry_after(seconds(retry_after_ns).max(1));
    limits(standing, |name, value| problem = problem.clone().header(name, value));
    problem
}

/// When the quota begins anew: with the day after the one that requests are counted to.
fn begins_anew(standing: &KeyStanding) -> String {
    let begins_s = standing.next_day.saturating_mul(DAY_NS / SECOND_NS);
    match Timestamp::from_second(begins_s) {
        Ok(begins) => format!("begins anew at {begins}"),
        Err(_) => "begins anew with the next UTC day".to_owned(),
    }
}

/// The refusal of an export that costs more than the limits have left.
pub(super) fn export_not_admitted(admission: Admission, cost: u64) -> Problem {
    let Admission::Limited { quota, standing, .. } = admission else { return not_admitted(admission) };
    let cost = standing.bucket.capped(cost);
    let mut detail = format!("an export counts as {cost} requests, and not so many are left at the moment");
    if quota {
        detail = format!("{detail}; the quota {}", begins_anew(&standing));
    }
    not_admitted(admission).detailed(detail)
}

/// The `RateLimit` fields (draft-ietf-httpapi-ratelimit-headers-10): windows and times in whole seconds, rounded up.
pub(super) fn limits(standing: &KeyStanding, mut put: impl FnMut(HeaderName, HeaderValue)) {
    let (mut text, mut digits) = (String::with_capacity(LIMIT_BYTES), itoa::Buffer::new());
    let parts = [
        ("\"burst\";r=", standing.burst_left),
        (";t=", seconds(standing.burst_reset_ns)),
        (", \"daily\";r=", standing.quota_left),
        (";t=", seconds(standing.quota_reset_ns)),
    ];
    for (before, number) in parts {
        text.push_str(before);
        text.push_str(digits.format(number));
    }
    let limit = HeaderValue::from_maybe_shared(Bytes::from(text)).ok();
    for (name, value) in [(RATE_LIMIT_POLICY, policy(&standing.bucket)), (RATE_LIMIT, limit)] {
        if let Some(value) = value {
            put(name, value);
        }
    }
}

thread_local! {
    /// The last policy that was sent: most requests are made under the same plan as the one before.
    static TOLD: RefCell<Option<(Bucket, HeaderValue)>> = const { RefCell::new(None) };
}

fn policy(bucket: &Bucket) -> Option<HeaderValue> {
    let told = TOLD.with_borrow(|told| told.as_ref().filter(|(of, _)| of == bucket).map(|(_, value)| value.clone()));
    told.or_else(|| {
        let window_s = seconds(bucket.interval_ns.saturating_mul(bucket.burst)).max(1);
        let policy = format!("\"burst\";q={};w={window_s}, \"daily\";q={};w=86400", bucket.burst, bucket.quota);
        let value = HeaderValue::try_from(policy).ok()?;
        TOLD.set(Some((*bucket, value.clone())));
        Some(value)
    })
}

fn seconds(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0).div_ceil(SECOND_NS.unsigned_abs())
}

pub(super) fn overloaded(busy: Busy) -> Problem {
    let problem = Problem::new(ProblemCode::Overloaded, busy.to_string()).retry_after(RETRY_AFTER_S);
    match busy {
        Busy::Full | Busy::Stopped => problem.charged(Charge::Nothing),
        Busy::TimedOut => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_fields_are_those_of_the_draft() {
        let bucket = Bucket { interval_ns: SECOND_NS / 5, burst: 10, quota: 1000 };
        let standing = KeyStanding {
            bucket,
            burst_left: 9,
            burst_reset_ns: SECOND_NS / 5,
            quota_left: 999,
            quota_reset_ns: 3_600 * SECOND_NS,
            next_day: 1,
        };
        let mut fields = Vec::new();
        limits(&standing, |name, value| fields.push((name.to_string(), value.to_str().unwrap().to_owned())));
        let expected = [
            ("ratelimit-policy", "\"burst\";q=10;w=2, \"daily\";q=1000;w=86400"),
            ("ratelimit", "\"burst\";r=9;t=1, \"daily\";r=999;t=3600"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
