//! What a person has used: `/users/{id}/usage`. By day, and within it by key, data set or status.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{
    answer::{self, Answer},
    params::{self, Params},
    store_problem,
    users::{existing, user_id},
};
use crate::{
    domain::{admission::UsageCount, id::UserId},
    http::{
        Problem, method,
        session::{Admin, OfPeople},
        state::Service,
    },
};

/// Days that are shown when the request does not say, and the most that are.
pub(in crate::http) const DAYS_DEFAULT: u16 = 30;
pub(in crate::http) const DAYS_MAX: u16 = 366;
/// What days can be divided by.
pub(in crate::http) const DIVISIONS: [&str; 3] = ["key", "dataset", "status"];
/// The forms of the answer.
pub(in crate::http) const FORMATS: [&str; 2] = ["json", "csv"];
const DAY_S: i64 = 86_400;
/// Answers from this status on, but for 404 and the like, are refusals or failures: nothing was answered.
const REFUSALS: [u16; 3] = [401, 403, 429];

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/users/{id}/usage", of_person));
}

async fn of_person(
    _: Admin<OfPeople>,
    request: HttpRequest,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let asked = UsageQuery::read(&request)?;
    let user = existing(&service, user_id(&id)?).await?;
    asked.answer(&service, user.id).await
}

/// What is asked of a person's usage.
pub(super) struct UsageQuery {
    days: u16,
    by: Option<&'static str>,
    is_csv: bool,
}

#[derive(Default)]
struct Sums {
    requests: i64,
    refused: i64,
    counted: i64,
}

impl UsageQuery {
    /// Reads the parameters.
    ///
    /// # Errors
    /// 400 for what is none.
    pub(super) fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let params = Params::read(request.query_string(), &["days", "by", "format"])?;
        let days = params.number::<u16>("days")?.unwrap_or(DAYS_DEFAULT);
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(params::refuse("days", format!("must be from 1 to {DAYS_MAX}"), None));
        }
        let by = params.one_of("by", &DIVISIONS.map(|word| (word, word)))?;
        let format = params.one_of("format", &FORMATS.map(|word| (word, word)))?;
        Ok(Self { days, by, is_csv: format == Some("csv") })
    }

    /// The answer for a person.
    ///
    /// # Errors
    /// 503 when the ledger cannot be reached.
    pub(super) async fn answer(&self, service: &Service, user: UserId) -> Answer {
        let ledger = &service.committer.stores.ledger;
        // What this node has counted and not told yet belongs to it. If it cannot be told, the ledger cannot be asked either.
        service.book.settle(user).await.map_err(store_problem)?;
        let today = service.committer.clock.now().as_second().div_euclid(DAY_S);
        let from_day = today - i64::from(self.days) + 1;
        let counts = ledger.counts(user, from_day).await.map_err(store_problem)?;
        let mut sums: BTreeMap<(i64, String), Sums> = BTreeMap::new();
        for line in &counts {
            let sum = sums.entry((line.day, self.part(line))).or_default();
            let requests = if REFUSALS.contains(&line.status) { &mut sum.refused } else { &mut sum.requests };
            *requests += line.requests;
            sum.counted += line.counted;
        }
        let mut used = BTreeMap::new();
        if self.by.is_none() {
            let held = service.book.unspent(user);
            for of_day in ledger.usage(user, from_day).await.map_err(store_problem)? {
                sums.entry((of_day.day, String::new())).or_default();
                let held = held.filter(|(day, _)| *day == of_day.day).map_or(0, |(_, left)| left);
                used.insert(of_day.day, of_day.used.saturating_sub(held));
            }
        }
        let rows = sums.iter().filter_map(|((number, part), sum)| {
            let mut row = Map::new();
            row.insert("day".to_owned(), json!(day(*number)?));
            if let Some(by) = self.by {
                row.insert(by.to_owned(), self.shown(part));
            } else {
                row.insert("used".to_owned(), json!(used.get(number).copied().unwrap_or(0)));
            }
            row.extend(
                [("requests", sum.requests), ("refused", sum.refused)].map(|(name, sum)| (name.to_owned(), json!(sum))),
            );
            if self.by.is_some() {
                row.insert("counted".to_owned(), json!(sum.counted));
            }
            Some(row)
        });
        let rows: Vec<Map<String, Value>> = rows.collect();
        if self.is_csv {
            return Ok(self.csv(&rows));
        }
        Ok(answer::document(StatusCode::OK, &json!({ "data": rows, "from": day(from_day), "to": day(today) })))
    }

    fn part(&self, line: &UsageCount) -> String {
        match self.by {
            Some("key") => line.key.map(|key| key.to_string()).unwrap_or_default(),
            Some("dataset") => line.dataset.to_string(),
            Some(_) if line.status != 0 => line.status.to_string(),
            Some(_) | None => String::new(),
        }
    }

    /// A part in JSON: null where it is not known.
    fn shown(&self, part: &str) -> Value {
        match part.parse::<u16>() {
            Ok(status) if self.by == Some("status") => json!(status),
            _ if part.is_empty() => Value::Null,
            _ => json!(part),
        }
    }

    /// No value of it has a comma or a quotation mark: they are dates, names, ids and numbers.
    fn csv(&self, rows: &[Map<String, Value>]) -> HttpResponse {
        let columns = match self.by {
            Some(by) => vec!["day", by, "requests", "refused", "counted"],
            None => vec!["day", "used", "requests", "refused"],
        };
        let mut text = columns.join(",") + "\r\n";
        for row in rows {
            let cells = columns.iter().map(|column| match row.get(*column) {
                Some(Value::String(cell)) => cell.clone(),
                Some(Value::Null) | None => String::new(),
                Some(cell) => cell.to_string(),
            });
            text.push_str(&cells.collect::<Vec<_>>().join(","));
            text.push_str("\r\n");
        }
        HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")))
            .body(text)
    }
}

/// The date of a UTC day that is counted from 1970-01-01.
fn day(number: i64) -> Option<String> {
    let moment = Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_secs(number.checked_mul(DAY_S)?)).ok()?;
    Some(moment.to_zoned(TimeZone::UTC).date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_the_epoch() {
        assert_eq!(day(0).as_deref(), Some("1970-01-01"));
        assert_eq!(day(20_453).as_deref(), Some("2025-12-31"));
        assert_eq!(day(i64::MAX), None);
    }
}
