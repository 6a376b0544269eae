//! The data sets: `/{dataset}`, `/{dataset}/{key}`, `/{dataset}/{key}/{record id}`. This is the hot path.

use std::{borrow::Cow, cell::RefCell, rc::Rc, sync::Arc};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::BoxBody,
    dev::{AppService, HttpServiceFactory, ResourceDef, ServiceRequest, ServiceResponse, fn_service},
    guard::{self, GuardContext},
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use bytes::Bytes;

use super::RETRY_AFTER_S;
use crate::{
    actors::{
        Busy,
        gate::{Gate, GateError},
        grants::{Admission, Pass},
        query::{self as query_actor, Answer, Queries, QueryError},
    },
    dataset::{
        cursor,
        query::{self, InvalidParam},
    },
    domain::{
        admission::{Bucket, SECOND_NS, Standing},
        key::PresentedKey,
    },
    http::{DataRoute, Problem, ProblemCode, method, passage::Passage, state::Service},
    store::records::{DataSet, RecordStoreError},
};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METHODS: &str = "GET, HEAD, OPTIONS";
/// Characters of a path that an answer repeats.
const PATH_CHARS_SHOWN: usize = 120;
/// What the `RateLimit` field takes with numbers of usual sizes.
const LIMIT_BYTES: usize = 80;

/// The routes of the data sets. They come first and take only paths whose first segment is a data set that there is at the
/// time, so that a new data set is served without a restart. They are one service that takes its path apart by itself: the
/// router's patterns are regular expressions, which would be matched for every request.
pub struct DataSets {
    service: Service,
    gate: Gate,
    queries: Queries,
}

impl DataSets {
    /// The routes of one worker, with the actors of that worker.
    pub fn new(service: Service, gate: Gate, queries: Queries) -> Self {
        Self { service, gate, queries }
    }

    /// Whether the path is a data set's; keeps which one for the answer.
    fn takes(&self, context: &GuardContext<'_>) -> bool {
        let named = first_segment(context.head().uri.path()).and_then(|name| self.service.records.data_set(name));
        let Some(data_set) = named else { return false };
        if let Some(passage) = context.req_data().get::<Passage>() {
            passage.data_set.replace(Some(data_set));
        }
        true
    }
}

impl HttpServiceFactory for DataSets {
    fn register(self, config: &mut AppService) {
        let routes = Rc::new(self);
        let guarded = Rc::clone(&routes);
        let guard = guard::fn_guard(move |context| guarded.takes(context));
        let service = fn_service(move |request: ServiceRequest| {
            let routes = Rc::clone(&routes);
            async move {
                let request = request.into_parts().0;
                let response = routes.respond(&request).await;
                Ok::<_, Error>(ServiceResponse::new(request, response))
            }
        });
        config.register_service(ResourceDef::prefix(""), Some(vec![Box::new(guard)]), service, None);
    }
}

fn first_segment(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split('/').next().filter(|segment| !segment.is_empty())
}

/// What a path asks for, below a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted<'a> {
    Page,
    Key(&'a str),
    Record(&'a str, &'a str),
}

impl<'a> Wanted<'a> {
    /// Reads a path whose first segment is a data set.
    fn of(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/').skip(1);
        let wanted = match (segments.next(), segments.next()) {
            (None, _) => Self::Page,
            (Some(key), None) => Self::Key(key),
            (Some(key), Some(record_id)) => Self::Record(key, record_id),
        };
        let is_whole =
            segments.next().is_none() && !matches!(wanted, Self::Key("") | Self::Record("", _) | Self::Record(_, ""));
        is_whole.then_some(wanted)
    }

    fn route(self) -> DataRoute {
        match self {
            Self::Page => DataRoute::DataSet,
            Self::Key(_) => DataRoute::Key,
            Self::Record(..) => DataRoute::Record,
        }
    }
}

impl DataSets {
    /// One request for data: the gate first, then the answer, with the limits in its header either way.
    async fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let Some((data_set, wanted)) = self.destination(request) else {
            return Problem::new(ProblemCode::UnknownPath, "there is nothing at this path").respond(request);
        };
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return method::other(request, METHODS);
        }
        let admitted = match wanted {
            Wanted::Page => self.find(request, data_set).await,
            Wanted::Key(key) => self.read(request, data_set, key, None).await,
            Wanted::Record(key, record_id) => self.read(request, data_set, key, Some(record_id)).await,
        };
        let (pass, answer) = match admitted {
            Ok(admitted) => admitted,
            Err(problem) => return problem.respond(request),
        };
        let mut response = answer.unwrap_or_else(|problem| problem.respond(request));
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

    /// The data set that the guard has found, and what is wanted of it.
    fn destination<'r>(&self, request: &'r HttpRequest) -> Option<(Arc<DataSet>, Wanted<'r>)> {
        let wanted = Wanted::of(request.match_info().as_str())?;
        let extensions = request.extensions();
        let passage = extensions.get::<Passage>()?;
        passage.data_route.set(Some(wanted.route()));
        let data_set = passage.data_set.take()?;
        Some((data_set, wanted))
    }

    async fn admit(&self, key: &PresentedKey<'_>) -> Result<Pass, Problem> {
        match self.gate.admit(key.id(), key.hash()).await {
            Ok(Admission::Admitted(pass)) => Ok(pass),
            Ok(refused) => Err(not_admitted(refused)),
            Err(error) => Err(undecided(error)),
        }
    }

    /// The records of a key, or one of them; 404 when there are none.
    async fn read(
        &self,
        request: &HttpRequest,
        data_set: Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
    ) -> Result<Admitted, Problem> {
        let presented = presented_key(request)?;
        let wanted = match asked_for(request, data_set, key, record_id) {
            Ok(wanted) => wanted,
            // What is wrong with a request is told to those that may make it.
            Err(problem) => return Ok((self.admit(&presented).await?, Err(problem))),
        };
        match self.gate.get(presented.id(), presented.hash(), wanted).await {
            Ok(Answer::Read { pass, found: Ok(Some(found)) }) => Ok((pass, Ok(json(found.document)))),
            Ok(Answer::Read { pass, found: Ok(None) }) => Ok((pass, Err(no_record(request)))),
            Ok(Answer::Read { pass, found: Err(error) }) => Ok((pass, Err(query_problem(error)))),
            Ok(Answer::NotAdmitted(refused)) => Err(not_admitted(refused)),
            Err(error) => Err(undecided(error)),
        }
    }

    async fn find(&self, request: &HttpRequest, data_set: Arc<DataSet>) -> Result<Admitted, Problem> {
        let pass = self.admit(&presented_key(request)?).await?;
        Ok((pass, self.page(request, data_set).await))
    }

    async fn page(&self, request: &HttpRequest, data_set: Arc<DataSet>) -> Result<HttpResponse, Problem> {
        let (definition, raw) = (Arc::clone(&data_set.definition), request.query_string());
        let (limits, key) = (query::Limits::default(), &self.service.cursor_key);
        let query = query::parse(&definition, raw, &limits, key).map_err(|params| Problem::invalid_params(&params))?;
        let page = self.queries.find(data_set, query.clone()).await.map_err(query_problem)?;
        let seal = |position| cursor::seal(key, &definition, &query, &position);
        let next = page
            .next
            .map(seal)
            .transpose()
            .map_err(|error| Problem::new(ProblemCode::InvalidParameters, error.to_string()))?;
        let mut page_of = serde_json::json!({ "limit": query.limit, "next": next });
        if let serde_json::Value::Object(members) = &mut page_of {
            if let Some(count) = page.count {
                members.insert("count".to_owned(), count.into());
            }
            // Only where it is not as everybody expects.
            if !page.complete {
                members.insert("complete".to_owned(), false.into());
            }
            if let Some(explained) = page.explained {
                members.insert("explain".to_owned(), serde_json::to_value(explained).map_err(Problem::internal)?);
            }
        }
        let page_of = page_of.to_string();
        let document = page.document.finish(&[("page", &page_of)], &definition.name, page.version);
        let mut response = json(Bytes::from(document));
        if let Some(cursor) = next {
            let link = format!("<{}>; rel=\"next\"", next_target(request.path(), raw, &cursor));
            let link = HeaderValue::from_str(&link).map_err(Problem::internal)?;
            response.headers_mut().insert(header::LINK, link);
        }
        Ok(response)
    }
}

/// The pass of a request that was let pass, and its answer.
type Admitted = (Pass, Result<HttpResponse, Problem>);

fn presented_key(request: &HttpRequest) -> Result<PresentedKey<'_>, Problem> {
    let presented = request.headers().get(API_KEY).and_then(|key| PresentedKey::parse(key.as_bytes()));
    presented.ok_or_else(invalid_key)
}

fn asked_for(
    request: &HttpRequest,
    data_set: Arc<DataSet>,
    key: &str,
    record_id: Option<&str>,
) -> Result<query_actor::Wanted, Problem> {
    no_parameters(request)?;
    let key = data_set.definition.canonical_key(&decoded(key, "key")?);
    let record_id = record_id.map(|id| decoded(id, "record_id")).transpose()?.map(Cow::into_owned);
    Ok(query_actor::Wanted { data_set, key, record_id })
}

fn no_record(request: &HttpRequest) -> Problem {
    let path: String = request.path().chars().take(PATH_CHARS_SHOWN).collect();
    Problem::new(ProblemCode::NotFound, format!("there is no record at {path:?}"))
}

/// A segment of the path, decoded.
fn decoded<'a>(segment: &'a str, name: &str) -> Result<Cow<'a, str>, Problem> {
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
    decoded.map_err(|_| Problem::new(ProblemCode::InvalidParameters, format!("the {name} in the path is not UTF-8")))
}

/// A record has no parameters; one that is sent anyway is a mistake.
fn no_parameters(request: &HttpRequest) -> Result<(), Problem> {
    let query = request.query_string();
    if query.is_empty() {
        return Ok(());
    }
    let reason = "a record that is read by its key takes no parameters";
    let refuse = |(name, _): (Cow<'_, str>, _)| InvalidParam::new(&name, reason, None);
    let params: Vec<InvalidParam> = form_urlencoded::parse(query.as_bytes()).take(20).map(refuse).collect();
    if params.is_empty() { Ok(()) } else { Err(Problem::invalid_params(&params)) }
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

fn json(document: Bytes) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::OK, BoxBody::new(document));
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

fn not_admitted(admission: Admission) -> Problem {
    match admission {
        Admission::Limited { rate, quota, retry_after_ns, standing } => limited(rate, quota, retry_after_ns, &standing),
        Admission::Admitted(_) | Admission::Unknown => invalid_key(),
    }
}

fn undecided(error: GateError) -> Problem {
    match error {
        GateError::Busy(busy) => overloaded(busy),
        GateError::Ledger(error) => {
            tracing::warn!(%error, "the ledger cannot be reached; nobody passes");
            let detail = "limits cannot be checked at the moment; the request was not counted";
            Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S)
        }
    }
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
        RecordStoreError::VersionGone { .. } => Problem::new(ProblemCode::VersionGone, text),
        RecordStoreError::Busy
        | RecordStoreError::TimedOut { .. }
        | RecordStoreError::ImportRunning { .. }
        | RecordStoreError::DefinitionChanged { .. } => {
            Problem::new(ProblemCode::Overloaded, text).retry_after(RETRY_AFTER_S)
        }
        RecordStoreError::TooLarge { .. }
        | RecordStoreError::TooMuchToRead { .. }
        | RecordStoreError::NoSuchVersion { .. } => Problem::new(ProblemCode::InvalidParameters, text),
        RecordStoreError::Unavailable { .. } => {
            let detail = "the records cannot be read at the moment; the request was not counted";
            Problem::new(ProblemCode::Unavailable, detail).retry_after(RETRY_AFTER_S).because(text)
        }
        RecordStoreError::IdentityChanged { .. }
        | RecordStoreError::BadRow { .. }
        | RecordStoreError::TooLong { .. }
        | RecordStoreError::Corrupt { .. } => Problem::internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_to_three_segments_none_of_them_empty() {
        assert_eq!(Wanted::of("/permits"), Some(Wanted::Page));
        assert_eq!(Wanted::of("/permits/2016%2F1"), Some(Wanted::Key("2016%2F1")));
        assert_eq!(Wanted::of("/permits/1/2"), Some(Wanted::Record("1", "2")));
        for nowhere in ["", "permits", "/permits/", "/permits//2", "/permits/1/", "/permits/1/2/", "/permits/1/2/3"] {
            assert_eq!(Wanted::of(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn the_limit_fields_are_those_of_the_draft() {
        let bucket = Bucket { interval_ns: SECOND_NS / 5, burst: 10, quota: 1000 };
        let standing = Standing {
            bucket,
            burst_left: 9,
            burst_reset_ns: SECOND_NS / 5,
            quota_left: 999,
            quota_reset_ns: 3_600 * SECOND_NS,
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
