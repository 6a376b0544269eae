//! The log: `/events`, `/users/{id}/events`. Personal data stays sealed.

mod documents;

use actix_web::{HttpRequest, web};
use jiff::Timestamp;

pub(super) use self::documents::documents;
use super::{
    answer::{self, Answer},
    follow,
    params::{self, Params},
    users::user_id,
};
use crate::{
    actors::log::{EventReading, ReadingOrder, Sieve},
    dataset::suggest,
    domain::{id::StreamId, persisted},
    http::{
        Problem, ProblemCode, method,
        session::{Admin, OfEvents, OfPeople},
        state::Service,
        store_problem::store_problem,
    },
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/events", all)).service(method::readable("/users/{id}/events", of_user));
}

const ORDERS: [(&str, ReadingOrder); 2] =
    [("oldest", ReadingOrder::OldestFirst), ("newest", ReadingOrder::NewestFirst)];
const FORMATS: [(&str, bool); 2] = [("json", false), ("ndjson", true)];
const FLAGS: [(&str, bool); 2] = [("true", true), ("false", false)];
const PARAMETERS: [&str; 10] =
    ["order", "after", "limit", "type", "since", "until", "person", "correlation", "format", "follow"];

/// `limit` bounds the commits of a page, so that the events of one command stay together.
async fn all(_: Admin<OfEvents>, request: HttpRequest, service: web::Data<Service>) -> Answer {
    let params = Params::read(request.query_string(), &PARAMETERS)?;
    let direction = params.one_of("order", &ORDERS)?.unwrap_or(ReadingOrder::OldestFirst);
    let (sieve, after) = (sieve(&params)?, params.number::<u64>("after")?);
    let follows = params.one_of("follow", &FLAGS)?.unwrap_or(false);
    let is_ndjson = params.one_of("format", &FORMATS)?.unwrap_or_else(|| follows || follow::is_accepted(&request));
    if follows && (!is_ndjson || matches!(direction, ReadingOrder::NewestFirst)) {
        let reason = "what goes on is told line by line, the oldest first: leave format=json and order=newest out";
        return Err(params::refuse("follow", reason.to_owned(), None));
    }
    let log = EventReading { log: service.committer.stores.log.clone(), sieve, direction };
    if is_ndjson {
        let limit = params.text("limit").map(|_| params.limit()).transpose()?;
        return follow::lines(request, &service, log, follow::Extent { after, limit, follows });
    }
    let limit = params.limit()?;
    let page = log.page(after, limit).await.map_err(store_problem)?;
    let events = documents(&page.commits, |name| log.sieve.wants_type(name))?;
    Ok(answer::page(&request, &events, limit, page.next.map(|next| next.to_string())))
}

/// The filter of the log that the parameters ask for.
pub(in crate::http) fn sieve(params: &Params<'_>) -> Result<Sieve, Problem> {
    let type_name = params.text("type").map(ToOwned::to_owned);
    if let Some(name) = &type_name
        && !persisted::is_type(name)
    {
        let known = persisted::types();
        let nearest = suggest::nearest(name, known.iter().copied());
        return Err(params::refuse("type", "there is no such type of event".to_owned(), nearest));
    }
    let moment = |name: &str| {
        let reason = || "expected a moment such as 2026-03-01T12:00:00Z".to_owned();
        let read = |text: &str| text.parse::<Timestamp>().map_err(|_| params::refuse(name, reason(), None));
        params.text(name).map(read).transpose()
    };
    let person = params.text("person").map(user_id).transpose();
    let person = person.map_err(|_| params::refuse("person", "expected a person's id (a UUID)".to_owned(), None))?;
    let correlation = params.text("correlation").map(ToOwned::to_owned);
    let (since, until) = (moment("since")?, moment("until")?);
    Ok(Sieve { type_name, since, until, stream: person.map(StreamId::User), correlation })
}

async fn of_user(
    _: Admin<OfPeople>,
    request: HttpRequest,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    let params = Params::read(request.query_string(), &["after", "limit"])?;
    let (limit, after) = (params.limit()?, params.number::<u64>("after")?.unwrap_or(0));
    let user = user_id(&id)?;
    let commits = service.committer.stores.log.load(&StreamId::User(user), after, limit + 1).await;
    let mut commits = commits.map_err(store_problem)?;
    if commits.is_empty() && after == 0 {
        return Err(Problem::new(ProblemCode::NotFound, format!("there is no user {user}")));
    }
    let more = commits.len() > limit;
    commits.truncate(limit);
    let last = commits.last().filter(|_| more).map(|commit| commit.version.to_string());
    Ok(answer::page(&request, &documents(&commits, |_| true)?, limit, last))
}
