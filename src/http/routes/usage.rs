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

use super::{
    answer::{self, Answer},
    params::{self, Params},
    users::{existing, user_id},
};
use crate::{
    domain::{
        id::UserId,
        usage::{DAYS_DEFAULT, DAYS_MAX, UsageDivision, UsageReport, day_number},
    },
    http::{
        Problem, method,
        session::{Admin, OfPeople},
        state::Service,
        store_problem::store_problem,
    },
};

/// The forms of the answer.
pub(in crate::http) const FORMATS: [&str; 2] = ["json", "csv"];

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

/// The parameters of a request for a person's usage.
pub(super) struct UsageQuery {
    days: u16,
    by: Option<UsageDivision>,
    is_csv: bool,
}

impl UsageQuery {
    /// Reads the parameters.
    ///
    /// # Errors
    /// 400 for a wrong parameter.
    pub(super) fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let params = Params::read(request.query_string(), &["days", "by", "format"])?;
        let days = params.number::<u16>("days")?.unwrap_or(DAYS_DEFAULT);
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(params::refuse("days", format!("must be from 1 to {DAYS_MAX}"), None));
        }
        let by = params.one_of("by", &UsageDivision::ALL.map(|division| (division.as_str(), division)))?;
        let format = params.one_of("format", &FORMATS.map(|word| (word, word)))?;
        Ok(Self { days, by, is_csv: format == Some("csv") })
    }

    /// The answer for a person.
    ///
    /// # Errors
    /// 503 when the ledger cannot be reached.
    pub(super) async fn answer(&self, service: &Service, user: UserId) -> Answer {
        let report = report(service, user, self.days, self.by).await?;
        if self.is_csv {
            return Ok(HttpResponse::Ok()
                .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
                .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")))
                .body(report.csv()));
        }
        Ok(answer::document(StatusCode::OK, &report.document()))
    }
}

/// What a person has used in the last days, today included.
///
/// # Errors
/// 503 when the ledger cannot be reached.
pub(in crate::http) async fn report(
    service: &Service,
    user: UserId,
    days: u16,
    by: Option<UsageDivision>,
) -> Result<UsageReport, Problem> {
    let ledger = &service.committer.stores.ledger;
    // This node's tally belongs to the report. If the ledger cannot take the tally, it cannot be asked either.
    service.book.settle(user).await.map_err(store_problem)?;
    let today = day_number(service.committer.clock.now());
    let from_day = today - i64::from(days) + 1;
    let counts = ledger.counts(user, from_day).await.map_err(store_problem)?;
    let mut used = BTreeMap::new();
    if by.is_none() {
        // A copy shows the figures of then: what it grants itself is not among them.
        let held = service.book.unspent(user).filter(|_| service.rehearsed.is_none());
        for of_day in ledger.usage(user, from_day).await.map_err(store_problem)? {
            let held = held.filter(|(day, _)| *day == of_day.day).map_or(0, |(_, left)| left);
            used.insert(of_day.day, of_day.used.saturating_sub(held));
        }
    }
    Ok(UsageReport::new(by, (from_day, today), &counts, &used))
}
