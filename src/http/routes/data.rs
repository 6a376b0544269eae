//! The data sets: `/{dataset}`, `/{dataset}/{key}`, `/{dataset}/{key}/{record id}`. This is the hot path.

use std::{borrow::Cow, cell::RefCell, io::Write as _, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse, guard,
    http::header::{self, HeaderName, HeaderValue},
    web,
};

use super::RETRY_AFTER_S;
use crate::{
    actors::{
        Busy,
        gate::{Gate, GateError},
        grants::{Admission, Pass},
        query::{Queries, QueryError},
    },
    dataset::{
        cursor,
        query::{self, InvalidParam},
    },
    domain::{
        admission::{Bucket, SECOND_NS, Standing},
        key::PresentedKey,
    },
    http::{Problem, ProblemCode, method, state::Service},
    store::records::{DataSet, Found, RecordStore, RecordStoreError},
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Adds the routes of the data sets. They come first and take only paths whose first segment is a data set that there is at
/// the time, so that a new data set is served without a restart.
pub fn configure(records: Arc<dyn RecordStore>) -> impl Fn(&mut web::ServiceConfig) {
    move |app| {
        let resource = |path: &str| {
            let records = Arc::clone(&records);
            method::resource(path, "GET, HEAD, OPTIONS").guard(guard::fn_guard(move |context| {
                first_segment(context.head().uri.path()).is_some_and(|name| records.data_set(name).is_some())
            }))
        };
        app.service(resource("/{dataset}/{key}").route(method::read().to(by_key)))
            .service(resource("/{dataset}").route(method::read().to(find)))
            .service(resource("/{dataset}/{key}/{record_id}").route(method::read().to(one)));
    }
}

fn first_segment(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split('/').next().filter(|segment| !segment.is_empty())
}

async fn by_key(request: HttpRequest) -> HttpResponse {
    answer(&request, async |visit| {
        let key = visit.segment("key")?;
        let found = visit.read(key, None).await?;
        Ok(json(body(&visit.data_set, &found, true)))
    })
    .await
}

async fn one(request: HttpRequest) -> HttpResponse {
    answer(&request, async |visit| {
        let (key, record_id) = (visit.segment("key")?, visit.segment("record_id")?);
        let found = visit.read(key, Some(record_id.into_owned())).await?;
        Ok(json(body(&visit.data_set, &found, false)))
    })
    .await
}

async fn find(request: HttpRequest) -> HttpResponse {
    answer(&request, async |visit| visit.find().await).await
}

/// One request for data: the gate first, then the answer, with the limits in its header either way.
async fn answer(
    request: &HttpRequest,
    work: impl AsyncFnOnce(&Visit<'_>) -> Result<HttpResponse, Problem>,
) -> HttpResponse {
    let visit = match Visit::begin(request) {
        Ok(visit) => visit,
        Err(problem) => return problem.respond(request),
    };
    let pass = match visit.admit().await {
        Ok(pass) => pass,
        Err(problem) => return problem.respond(request),
    };
    let mut response = work(&visit).await.unwrap_or_else(|problem| problem.respond(request));
    let mut standing = pass.standing;
    if response.status().is_server_error() {
        pass.refund();
        standing.quota_left = (standing.quota_left + 1).min(standing.bucket.quota);
    }
    limits(&standing, |name, value| {
        response.headers_mut().insert(name, value);
    });
    response
}

struct Visit<'a> {
    request: &'a HttpRequest,
    service: &'a Service,
    data_set: Arc<DataSet>,
}

impl<'a> Visit<'a> {
    fn begin(request: &'a HttpRequest) -> Result<Self, Problem> {
        let missing = || Problem::internal("the service is not configured");
        let service = request.app_data::<web::Data<Service>>().ok_or_else(missing)?.get_ref();
        let name = request.match_info().get("dataset").unwrap_or_default();
        let unknown = || Problem::new(ProblemCode::UnknownPath, "there is nothing at this path");
        let data_set = service.records.data_set(name).ok_or_else(unknown)?;
        Ok(Self { request, service, data_set })
    }

    fn actor<T: 'static>(&self) -> Result<&'a T, Problem> {
        self.request.app_data::<T>().ok_or_else(|| Problem::internal("an actor is not configured"))
    }

    async fn admit(&self) -> Result<Pass, Problem> {
        let presented = self.request.headers().get(API_KEY).and_then(|key| PresentedKey::parse(key.as_bytes()));
        let presented = presented.ok_or_else(invalid_key)?;
        match self.actor::<Gate>()?.admit(presented.id(), presented.hash()).await {
            Ok(Admission::Admitted(pass)) => Ok(pass),
            Ok(Admission::Unknown) => Err(invalid_key()),
            Ok(Admission::Limited { rate, quota, retry_after_ns, standing }) => {
                Err(limited(rate, quota, retry_after_ns, &standing))
            }
            Err(GateError::Busy(busy)) => Err(overloaded(busy)),
            Err(GateError::Ledger(error)) => {
                tracing::warn!(%error, "the ledger cannot be reached; nobody passes");
                let detail = "limits cannot be checked at the moment; the request was not counted";
                Err(Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S))
            }
        }
    }

    /// A segment of the path, decoded.
    fn segment(&self, name: &str) -> Result<Cow<'a, str>, Problem> {
        let segment = self.request.match_info().query(name);
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
        decoded
            .map_err(|_| Problem::new(ProblemCode::InvalidParameters, format!("the {name} in the path is not UTF-8")))
    }

    /// The records of a key, or one of them; 404 when there are none.
    async fn read(&self, key: Cow<'_, str>, record_id: Option<String>) -> Result<Found, Problem> {
        self.no_parameters()?;
        let canonical = self.data_set.definition.canonical_key(&key);
        let found = self.actor::<Queries>()?.get(Arc::clone(&self.data_set), canonical, record_id).await;
        found.map_err(query_problem)?.ok_or_else(|| {
            let (name, key) = (&self.data_set.definition.name, key.chars().take(80).collect::<String>());
            Problem::new(ProblemCode::NotFound, format!("{name} has no such record: {key:?}"))
        })
    }

    /// A record has no parameters; one that is sent anyway is a mistake.
    fn no_parameters(&self) -> Result<(), Problem> {
        let query = self.request.query_string();
        if query.is_empty() {
            return Ok(());
        }
        let reason = "a record that is read by its key takes no parameters";
        let refuse = |(name, _): (Cow<'_, str>, _)| InvalidParam {
            name: name.chars().take(80).collect(),
            reason: reason.to_owned(),
            did_you_mean: None,
        };
        let params: Vec<InvalidParam> = form_urlencoded::parse(query.as_bytes()).take(20).map(refuse).collect();
        if params.is_empty() { Ok(()) } else { Err(Problem::invalid_params(&params)) }
    }

    async fn find(&self) -> Result<HttpResponse, Problem> {
        let definition = &self.data_set.definition;
        let raw = self.request.query_string();
        let (limits, key) = (query::Limits::default(), &self.service.cursor_key);
        let query = query::parse(definition, raw, &limits, key).map_err(|params| Problem::invalid_params(&params))?;
        let page = self.actor::<Queries>()?.find(Arc::clone(&self.data_set), query.clone()).await;
        let page = page.map_err(query_problem)?;
        let seal = |position| cursor::seal(key, definition, &query, &position);
        let next = page
            .next
            .map(seal)
            .transpose()
            .map_err(|error| Problem::new(ProblemCode::InvalidParameters, error.to_string()))?;
        let page_of = serde_json::json!({ "limit": query.limit, "next": next });
        let body = document(&self.data_set, ["[", "]"], &page.found, &format!("\"page\":{page_of},"));
        let mut response = json(body);
        if let Some(cursor) = next {
            let link = format!("<{}>; rel=\"next\"", next_target(self.request.path(), raw, &cursor));
            let link = HeaderValue::from_str(&link).map_err(Problem::internal)?;
            response.headers_mut().insert(header::LINK, link);
        }
        Ok(response)
    }
}

/// The same query with another cursor, as a reference relative to the server (RFC 8288, section 3.1).
fn next_target(path: &str, raw_query: &str, cursor: &str) -> String {
    let kept = raw_query.split('&').filter(|parameter| !parameter.is_empty() && !parameter.starts_with("cursor="));
    let mut target = format!("{path}?");
    for parameter in kept {
        target.push_str(parameter);
        target.push('&');
    }
    target.push_str("cursor=");
    target.push_str(cursor);
    target
}

/// The answer's body: a list of all records, or the only one itself.
fn body(data_set: &DataSet, found: &Found, list: bool) -> Vec<u8> {
    let around = if list { ["[", "]"] } else { ["", ""] };
    document(data_set, around, found, "")
}

/// The records as they are stored, between what stands around them and the members that follow, each with its comma.
fn document(data_set: &DataSet, [open, close]: [&str; 2], found: &Found, members: &str) -> Vec<u8> {
    // A data set's name is made of letters that need no escaping.
    let (records, name) = (found.records.as_ref(), data_set.definition.name.as_bytes());
    let (open, close, members) = (open.as_bytes(), close.as_bytes(), members.as_bytes());
    let mut bytes = Vec::with_capacity(records.len() + members.len() + 128);
    for part in [b"{\"data\":", open, records, close, b",", members, b"\"dataset\":{\"name\":\"", name] {
        bytes.extend_from_slice(part);
    }
    // Writing to a Vec cannot fail.
    write!(bytes, "\",\"version\":{}}}}}", found.version).ok();
    bytes
}

fn json(body: Vec<u8>) -> HttpResponse {
    let mut response = HttpResponse::Ok().body(body);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// Missing, mistyped, unknown, revoked: the same answer.
fn invalid_key() -> Problem {
    Problem::new(ProblemCode::InvalidKey, "send the key from your invitation in the header x-api-key").header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("ApiKey realm=\"permitd\", in=\"header\", name=\"x-api-key\""),
    )
}

fn limited(rate: bool, quota: bool, retry_after_ns: i64, standing: &Standing) -> Problem {
    let violated: Vec<&str> =
        [(rate, "burst"), (quota, "daily")].into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    let detail = match (rate, quota) {
        (_, true) => {
            format!("the quota of {} requests a day is used up; it begins anew at midnight UTC", standing.bucket.quota)
        }
        (_, false) => "requests come faster than the plan allows".to_owned(),
    };
    let mut problem = Problem::new(ProblemCode::QuotaExceeded, detail)
        .member("violated-policies", violated.into())
        .retry_after(seconds(retry_after_ns).max(1));
    limits(standing, |name, value| problem = problem.clone().header(name, value));
    problem
}

/// The `RateLimit` fields (draft-ietf-httpapi-ratelimit-headers-10): windows and times in whole seconds, rounded up.
fn limits(standing: &Standing, mut put: impl FnMut(HeaderName, HeaderValue)) {
    let limit = format!(
        "\"burst\";r={};t={}, \"daily\";r={};t={}",
        standing.burst_left,
        seconds(standing.burst_reset_ns),
        standing.quota_left,
        seconds(standing.quota_reset_ns),
    );
    for (name, value) in
        [(RATE_LIMIT_POLICY, policy(&standing.bucket)), (RATE_LIMIT, HeaderValue::try_from(limit).ok())]
    {
        if let Some(value) = value {
            put(name, value);
        }
    }
}

thread_local! {
    /// The policy that was told last: most requests are made under the same plan as the one before.
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

fn overloaded(busy: Busy) -> Problem {
    Problem::new(ProblemCode::Overloaded, busy.to_string()).retry_after(RETRY_AFTER_S)
}

fn query_problem(error: QueryError) -> Problem {
    match error {
        QueryError::Busy(busy) => overloaded(busy),
        QueryError::Records(error) => records_problem(error),
    }
}

fn records_problem(error: RecordStoreError) -> Problem {
    let text = error.to_string();
    match error {
        RecordStoreError::UnknownDataSet { .. } | RecordStoreError::BadName { .. } => {
            Problem::new(ProblemCode::NotFound, text)
        }
        RecordStoreError::Busy
        | RecordStoreError::TimedOut { .. }
        | RecordStoreError::ImportRunning { .. }
        | RecordStoreError::DefinitionChanged { .. } => {
            Problem::new(ProblemCode::Overloaded, text).retry_after(RETRY_AFTER_S)
        }
        RecordStoreError::TooLarge { .. } => Problem::new(ProblemCode::InvalidParameters, text),
        RecordStoreError::IdentityChanged { .. }
        | RecordStoreError::BadRow { .. }
        | RecordStoreError::Unavailable { .. }
        | RecordStoreError::Corrupt { .. } => Problem::internal(text),
    }
}
