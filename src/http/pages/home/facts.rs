//! A person's plan, their keys, and what is left of the day.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    domain::{bounds::names_dataset, plan::KeyRules},
    http::{
        Problem,
        pages::visit::{SignedInPerson, Visit, at},
        routes::{keys, usage},
        served::served,
        store_problem::store_problem,
    },
};

/// Seconds of a day.
pub(super) const DAY_S: i64 = 86_400;

/// How long before its end a key counts as ending soon.
pub(super) const SOON: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The rules for keys in the person's plan.
pub(super) async fn rules(visit: &Visit<SignedInPerson>) -> Result<KeyRules, Problem> {
    let plan = visit.service.committer.stores.views.plan(&visit.who.0.user.plan).await;
    Ok(plan.map_err(store_problem)?.map(|plan| plan.rules).unwrap_or_default())
}

/// The data sets that the person may read.
pub(super) fn data_sets(visit: &Visit<SignedInPerson>, rules: &KeyRules) -> Vec<Value> {
    let sets = served(&visit.service).into_iter();
    let may = |name: &str| names_dataset(rules.datasets.as_deref(), name);
    let shown = sets.filter(|set| may(&set.definition.name)).map(|set| {
        let definition = &set.definition;
        json!({ "name": definition.name, "title": definition.title, "records": set.records })
    });
    shown.collect()
}

/// Today's use of the quota, and when the quota is full again.
pub(super) async fn today(visit: &Visit<SignedInPerson>, me: &Value) -> Result<Value, Problem> {
    let user = visit.who.0.user.id;
    let report = usage::report(&visit.service, user, 1, None).await?.document();
    let quota = at(me, "/limits/quota_per_day").as_u64().unwrap_or(0);
    let today = at(&report, "/data").as_array().and_then(|rows| rows.last());
    let used = today.and_then(|row| row["used"].as_u64()).unwrap_or(0).min(quota);
    let now = visit.service.committer.clock.now();
    Ok(json!({
        "used": used, "quota": quota, "left": quota - used, "percent": percent(used, quota),
        "requests": today.map_or(json!(0), |row| row["requests"].clone()),
        "refused": today.map_or(json!(0), |row| row["refused"].clone()),
        "full_again": next_day(now),
    }))
}

/// A share in percent: 0 only where nothing is used, 100 only where all is.
pub(super) fn percent(used: u64, quota: u64) -> u64 {
    match used.saturating_mul(100).checked_div(quota) {
        Some(0) if used > 0 => 1,
        Some(percent) => percent.min(100),
        None => 100,
    }
}

/// The start of the next UTC day.
pub(super) fn next_day(now: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second((now.as_second().div_euclid(DAY_S) + 1) * DAY_S).ok()
}

/// The person's keys with their states, newest first.
pub(super) async fn keys(visit: &Visit<SignedInPerson>) -> Result<Vec<Value>, Problem> {
    let answer = visit.asked(keys::list_of(&visit.service, visit.who.0.user.id)).await?;
    let now = visit.service.committer.clock.now();
    let rows = at(&answer, "/data").as_array().cloned().unwrap_or_default();
    let mut keys: Vec<Value> = rows.into_iter().map(|row| with_state(row, now)).collect();
    keys.reverse();
    Ok(keys)
}

pub(super) fn is_live(key: &Value) -> bool {
    matches!(key["state"].as_str(), Some("works" | "soon" | "grace"))
}

/// A key with its state.
pub(super) fn with_state(mut key: Value, now: Timestamp) -> Value {
    let moment = |name: &str| key.get(name)?.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let is_over = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let (expires_at, valid_until) = (moment("expires_at"), moment("valid_until"));
    let state = match () {
        () if at(&key, "/revocation_reason") == "leaked" => "leaked",
        () if !at(&key, "/revoked_at").is_null() => "revoked",
        () if is_over(expires_at) => "expired",
        () if is_over(valid_until) => "replaced",
        () if valid_until.is_some() => "grace",
        () if expires_at.is_some_and(|at| at.duration_since(now) < SOON) => "soon",
        () => "works",
    };
    // The last day on which the key works.
    let last_day = expires_at.and_then(|at| at.checked_sub(SignedDuration::from_secs(1)).ok());
    let last_day = last_day.map(|at| at.to_zoned(TimeZone::UTC).date().to_string());
    if let Some(fields) = key.as_object_mut() {
        fields.insert("state".to_owned(), json!(state));
        fields.insert("last_day".to_owned(), json!(last_day));
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_as_its_moments_say() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let state = |key: Value| with_state(key, now)["state"].as_str().unwrap().to_owned();
        let empty = json!({ "revoked_at": null, "revocation_reason": null, "expires_at": null, "valid_until": null });
        let with = |name: &str, value: &str| {
            let mut key = empty.clone();
            key[name] = json!(value);
            state(key)
        };
        assert_eq!(state(empty.clone()), "works");
        assert_eq!(with("expires_at", "2026-03-01T12:00:00Z"), "expired");
        assert_eq!(with("expires_at", "2026-03-20T00:00:00Z"), "soon");
        assert_eq!(with("expires_at", "2026-09-20T00:00:00Z"), "works");
        assert_eq!(with("valid_until", "2026-03-01T12:00:01Z"), "grace");
        assert_eq!(with("valid_until", "2026-03-01T11:00:00Z"), "replaced");
        assert_eq!(with("revoked_at", "2026-03-01T11:00:00Z"), "revoked");
        assert_eq!(with("revocation_reason", "leaked"), "leaked");
        let day = |at: &str| with_state(json!({ "expires_at": at }), now)["last_day"].clone();
        assert_eq!(
            (day("2027-01-01T00:00:00Z"), day("2027-01-01T00:00:01Z")),
            (json!("2026-12-31"), json!("2027-01-01"))
        );
    }

    #[test]
    fn the_bar_is_full_only_when_it_is() {
        assert_eq!((percent(0, 10), percent(1, 1000), percent(999, 1000), percent(1000, 1000)), (0, 1, 99, 100));
        assert_eq!(percent(0, 0), 100);
        let next = |at: &str| next_day(at.parse().unwrap()).unwrap().to_string();
        assert_eq!(next("2026-03-01T12:00:00Z"), "2026-03-02T00:00:00Z");
        assert_eq!(next("2026-03-01T00:00:00Z"), "2026-03-02T00:00:00Z");
    }
}
