//! The data sets: `/{dataset}` and the paths below it. This is the hot path.

mod as_of;
pub(in crate::http) mod asked;
mod caching;
mod citing;
pub(in crate::http) mod data_sets;
mod directory;
mod export;
mod failure;
mod groups;
pub(in crate::http) mod limits;
mod past;
mod proof;
mod query;
mod summary;
pub(in crate::http) mod wanted;

use std::{borrow::Cow, rc::Rc, sync::Arc};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::BoxBody,
    dev::{AppService, HttpServiceFactory, ResourceDef, ServiceRequest, ServiceResponse, fn_service},
    guard::{self, GuardContext},
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
};
use bytes::Bytes;

pub use self::data_sets::DataSets;
use self::{
    caching::Tag,
    data_sets::{Admitted, Made, QuestionForm},
    failure::query_problem,
    limits::{limits, not_admitted, not_shown, undecided},
    wanted::{Question, Wanted},
};
pub(in crate::http) use self::{data_sets::NUMBERS_AS_TEXTS, wanted::first_segment};
use crate::{
    actors::{
        gate::{Asking, Gate},
        grants::{Admission, Pass},
        query::{self as query_actor, Queries, RecordsAnswer},
    },
    dataset::{
        json,
        query::{self as query_of, AS_OF, ReadForm},
    },
    domain::{
        bounds::DataAction,
        credential::{Credential, CredentialKind},
    },
    http::{
        Charge, Problem, ProblemCode, address,
        coding::{self, Coding},
        credentials::{self, NoCredential},
        method,
        passage::Passage,
        ready::Ready,
        routes::checkpoints,
        served,
        state::Service,
        wants::wants_html,
        wire,
    },
    store::records::DataSet,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JSON_OF_TEXTS: HeaderValue = HeaderValue::from_static(NUMBERS_AS_TEXTS);
const METHODS: &str = "GET, HEAD, OPTIONS";
const SESSION_OVER: &str =
    "this session is unknown or has ended: sign in again (POST /sessions), or send a key in the header x-api-key";
/// Most characters of a path that an answer repeats.
const PATH_CHARS_SHOWN: usize = 120;

impl DataSets {
    /// The routes of one worker, with the actors of that worker.
    pub fn new(service: Service, gate: Gate, queries: Queries) -> Self {
        Self { service, gate, queries }
    }

    /// Whether the path is a data set's, also if its records are lost or its name is a former one. Keeps the data set for the answer.
    fn takes(&self, context: &GuardContext<'_>) -> bool {
        let path = context.head().uri.path();
        let Some(name) = first_segment(path) else { return false };
        if directory::is_asked_by_reader(
            &context.head().method,
            path,
            context.head().headers(),
            &self.service.public_url,
        ) {
            return true;
        }
        let data_set = self.service.records.data_set(name);
        if data_set.is_none() && !self.service.lineages.may_be_lost(name) && self.renamed(name).is_none() {
            return false;
        }
        if let Some(passage) = context.req_data().get::<Passage>() {
            passage.data_set.replace(data_set);
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

impl DataSets {
    /// Answers a request for data: the gate first, then the answer, with the limits in its header either way.
    async fn respond(&self, request: &HttpRequest) -> HttpResponse {
        if checkpoints::is_asked(request.path()) {
            if request.method() != Method::GET && request.method() != Method::HEAD {
                return method::other(request, METHODS);
            }
            let told = Box::pin(self.checkpoints(request)).await;
            return self.answered(request, told).await;
        }
        let described = directory::described(request.path());
        if described.is_some() || [directory::PATH, directory::DOCUMENT].contains(&request.path()) {
            if request.method() != Method::GET && request.method() != Method::HEAD {
                return method::other(request, METHODS);
            }
            if let Some(answer) = Box::pin(self.told_to_role(request)).await {
                return answer.unwrap_or_else(|problem| problem.respond(request));
            }
            let told = match described {
                Some(name) => Box::pin(self.describe(request, name)).await,
                None if request.path() == directory::DOCUMENT => Box::pin(self.interface(request)).await,
                None => Box::pin(self.list(request)).await,
            };
            return self.answered(request, told).await;
        }
        let Some((data_set, wanted)) = self.destination(request) else {
            let path = request.match_info().as_str();
            return match path.strip_suffix('/').and_then(Wanted::of) {
                Some(_) => address::without_slash(request),
                None => address::unknown(request),
            };
        };
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return method::other(request, METHODS);
        }
        let name = first_segment(request.uri().path()).unwrap_or_default();
        if data_set.is_none()
            && let Some(to) = self.renamed(name)
        {
            let moved = Box::pin(self.moved(request, &to)).await;
            return self.answered(request, moved).await;
        }
        let admitted = match (self.sound(request, data_set).await, wanted) {
            (Ok(data_set), Wanted::Read(key, record_id)) => self.read(request, data_set, key, record_id).await,
            // Boxed, for the sake of reads by key: the future of a request is as large as its largest branch.
            (Ok(data_set), Wanted::Page) => Box::pin(self.find(request, data_set)).await,
            (Ok(data_set), Wanted::Other(question)) => Box::pin(self.answer(request, data_set, question)).await,
            (Err(problem), _) => Box::pin(self.refuse(request, problem)).await,
        };
        self.answered(request, admitted).await
    }

    /// The answer to a request, admitted or not, with the limits in its header.
    async fn answered(&self, request: &HttpRequest, admitted: Result<Admitted, Problem>) -> HttpResponse {
        let (mut pass, answer) = match admitted {
            Ok(admitted) => admitted,
            Err(problem) => return Box::pin(self.refusal(request, problem)).await.respond(request),
        };
        // An answer that the client has counts against the rate only, but not after `If-None-Match: *`: see `wants_nothing`.
        let is_known =
            |response: &HttpResponse| response.status() == StatusCode::NOT_MODIFIED && !caching::wants_nothing(request);
        let charge = match &answer {
            Err(problem) => problem.charge(),
            Ok(response) if response.status() == StatusCode::PERMANENT_REDIRECT => Charge::Rate,
            Ok(response) if is_known(response) => Charge::Rate,
            Ok(_) => Charge::Whole,
        };
        match charge {
            Charge::Whole => {}
            Charge::Rate => pass.refund(),
            Charge::Nothing => pass.keep(0, self.service.committer.clock.as_ref()),
        }
        let mut response = answer.unwrap_or_else(|problem| problem.respond(request));
        let dataset = first_segment(request.uri().path()).unwrap_or_default();
        pass.tell(dataset, response.status().as_u16(), wire::client_of(request));
        limits(&pass.standing, |name, value| {
            response.headers_mut().insert(name, value);
        });
        response
    }

    /// The data set that the guard has found, unless its records are gone, and the resource that the path names.
    fn destination<'r>(&self, request: &'r HttpRequest) -> Option<(Option<Arc<DataSet>>, Wanted<'r>)> {
        let wanted = Wanted::of(request.match_info().as_str())?;
        let extensions = request.extensions();
        let passage = extensions.get::<Passage>()?;
        passage.data_route.set(Some(wanted.route()));
        Some((passage.data_set.take(), wanted))
    }

    /// The data set, if its records are those that the log knows.
    pub(in crate::http) async fn sound(
        &self,
        request: &HttpRequest,
        data_set: Option<Arc<DataSet>>,
    ) -> Result<Arc<DataSet>, Problem> {
        if let Some(withdrawn) = data_set.as_ref().filter(|data_set| data_set.standing.withdrawn) {
            return Err(failure::withdrawn(withdrawn));
        }
        let name = first_segment(request.uri().path()).unwrap_or_default();
        served::sound(&self.service, name, data_set).await
    }

    /// The key or session that a request shows.
    fn credential(&self, request: &HttpRequest) -> Result<Credential, Problem> {
        credentials::of_reader(request.headers(), &self.service.public_url).map_err(|why| not_shown(request, why))
    }

    /// Tells an admitted caller the problem.
    async fn refuse(&self, request: &HttpRequest, problem: Problem) -> Result<Admitted, Problem> {
        let credential = self.credential(request)?;
        Ok((self.admit(request, None, credential).await?, Err(problem)))
    }

    /// Admits a request, for a data set if it is about one.
    async fn admit(
        &self,
        request: &HttpRequest,
        data_set: Option<&Arc<DataSet>>,
        credential: Credential,
    ) -> Result<Pass, Problem> {
        let (from, data_set) = (wire::client_of(request), data_set.map(Arc::clone));
        let asking = Asking { from, data_set, action: DataAction::Read };
        self.admit_as(credential, 1, asking).await?.map_err(not_admitted)
    }

    /// Admits a request that counts as `cost` requests, or returns the refusal.
    async fn admit_as(
        &self,
        credential: Credential,
        cost: u64,
        asking: Asking,
    ) -> Result<Result<Pass, Admission>, Problem> {
        match self.gate.admit(credential, cost, asking).await {
            Ok(Admission::Admitted(pass)) => Ok(Ok(pass)),
            Ok(refused) => Ok(Err(refused)),
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
        let credential = self.credential(request)?;
        let asked = read_form(request, &data_set).and_then(|form| {
            let (key, record_id) = named(&data_set, key, record_id)?;
            Ok((query_actor::WantedRecords { data_set: Arc::clone(&data_set), key, record_id }, form))
        });
        let (wanted, form) = match asked {
            Ok(asked) => asked,
            // Only an admitted caller is told what is wrong with the request.
            Err(problem) => return Ok((self.admit(request, Some(&data_set), credential).await?, Err(problem))),
        };
        if let Some(as_of) = form.as_of {
            let pass = self.admit(request, Some(&data_set), credential).await?;
            // Boxed, since few reads are of the past.
            let answer = Box::pin(self.read_earlier(request, pass.user, wanted, (as_of, &form))).await;
            return Ok((pass, answer));
        }
        let tag_of = |version: u64, key: &str, record_id: Option<&str>| {
            tag_in(&form, &data_set, caching::of_read(&data_set, version, key, record_id))
        };
        let tag = tag_of(data_set.version, &wanted.key, wanted.record_id.as_deref());
        if request.headers().contains_key(header::IF_NONE_MATCH)
            && let Some(tag) = tag.is_known(request)
        {
            return Ok((self.admit(request, Some(&data_set), credential).await?, Ok(caching::not_modified(tag))));
        }
        match self.gate.get(credential, wire::client_of(request), wanted).await {
            Ok(RecordsAnswer::Read { pass, found: Ok(Some(found)) }) => {
                // An import may have become visible meanwhile.
                let tag = if found.version == data_set.version {
                    tag
                } else {
                    let (key, record_id) = named(&data_set, key, record_id)?;
                    tag_of(found.version, &key, record_id.as_deref())
                };
                let document = document_in(&form, &data_set, found.document);
                let answer = read_answer(request, document, tag, form.numbers_as_texts).await;
                let unwanted = caching::wants_nothing(request);
                Ok((pass, if unwanted { answer.map(caching::without_body) } else { answer }))
            }
            Ok(RecordsAnswer::Read { pass, found: Ok(None) }) => Ok((pass, Err(no_record(request)))),
            Ok(RecordsAnswer::Read { pass, found: Err(error) }) => Ok((pass, Err(query_problem(error)))),
            Ok(RecordsAnswer::NotAdmitted(refused)) => Err(not_admitted(refused)),
            Err(error) => Err(undecided(error)),
        }
    }

    /// Answers a question that is neither a read by key nor a page.
    async fn answer(
        &self,
        request: &HttpRequest,
        data_set: Arc<DataSet>,
        question: Question<'_>,
    ) -> Result<Admitted, Problem> {
        let pass = self.admit(request, Some(&data_set), self.credential(request)?).await?;
        let who = pass.user;
        let answer = match question {
            Question::Facets => self.facets(request, who, data_set).await,
            Question::Groups => self.groups(request, who, data_set).await,
            Question::Stats => self.stats(request, who, data_set).await,
            Question::Changes => self.changes(request, who, data_set).await,
            Question::Proof => self.proof(request, data_set).await,
            Question::History(key, record_id) => self.history(request, who, data_set, key, record_id).await,
        };
        Ok((pass, answer))
    }

    /// The refusal of a request without a right key, when it is due. A wrong key counts as a guess, a missing one does not. A client with a
    /// key that was once right is told that the key has ended, however often the client asks.
    async fn refusal(&self, request: &HttpRequest, problem: Problem) -> Problem {
        let shown = credentials::of_reader(request.headers(), &self.service.public_url);
        let problem = match (problem.code(), shown) {
            (ProblemCode::InvalidKey, Err(NoCredential::Wrong(_)) | Ok(_)) => {
                let answer = wire::guessed(request, problem.clone()).await;
                if problem.is_no_guess() { problem } else { answer }
            }
            (ProblemCode::InvalidKey, _) | (_, Err(NoCredential::Two)) => {
                wire::refused(request).await;
                problem
            }
            _ => return problem,
        };
        if problem.code() != ProblemCode::InvalidKey {
            return problem;
        }
        let problem = match shown {
            Ok(Credential { kind: CredentialKind::Session, .. }) => problem.detailed(SESSION_OVER),
            _ => problem,
        };
        credentials::challenges(request.headers(), wants_html(request.headers()))
            .fold(problem, |problem, challenge| problem.header(header::WWW_AUTHENTICATE, challenge))
    }
}

/// The key in canonical form and the record id that a path names.
fn named(data_set: &DataSet, key: &str, record_id: Option<&str>) -> Result<(String, Option<String>), Problem> {
    let key = data_set.definition.canonical_key(&decoded(key, "key")?);
    let of_id = |id: Cow<'_, str>| data_set.definition.canonical_text(data_set.definition.record_id, &id).into_owned();
    let record_id = record_id.map(|id| decoded(id, "record_id")).transpose()?.map(of_id);
    Ok((key, record_id))
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

/// The form in which a read by key is shown. Refuses all other parameters.
fn read_form(request: &HttpRequest, data_set: &DataSet) -> Result<ReadForm, Problem> {
    let query = request.query_string();
    if query.is_empty() {
        return Ok(ReadForm::default());
    }
    query_of::parse_read(&data_set.definition, query, &query_of::QueryLimits::default())
        .map_err(|wrong| Problem::invalid_params(&wrong))
}

/// The tag of an answer in this form.
fn tag_in(form: &ReadForm, data_set: &DataSet, tag: Tag) -> Tag {
    let tag = if form.numbers_as_texts { tag.of_texts() } else { tag };
    let Some(select) = &form.select else { return tag };
    tag.of_columns(select.iter().map(|column| data_set.definition.column_name(*column)))
}

/// A document in this form.
fn document_in(form: &ReadForm, data_set: &DataSet, document: Bytes) -> Bytes {
    let definition = &data_set.definition;
    let document = match form.numbers_as_texts {
        true => json::numbers_as_texts(definition, &document, json::Entries::Records).into(),
        false => document,
    };
    match &form.select {
        Some(select) => json::selected(definition, &document, select).into(),
        None => document,
    }
}

/// Adds the link to the next page: the same query with the cursor in `parameter`, as of the same version.
fn link(
    request: &HttpRequest,
    public_url: &str,
    response: &mut HttpResponse,
    (parameter, cursor): (&str, &str),
    version: u64,
) -> Result<(), Problem> {
    // A time means the same version on every page.
    let version = if citing::has(request, AS_OF) { version.to_string() } else { String::new() };
    let target = citing::target(request, public_url, &[(AS_OF, &version), (parameter, cursor)]);
    let link = format!("<{target}>; rel=\"next\"");
    response.headers_mut().insert(header::LINK, HeaderValue::from_str(&link).map_err(Problem::internal)?);
    Ok(())
}

/// The answer to a read by key.
async fn read_answer(
    request: &HttpRequest,
    document: Bytes,
    tag: Tag,
    as_texts: bool,
) -> Result<HttpResponse, Problem> {
    let wanted = if document.len() < coding::BYTES_MIN { None } else { Coding::accepted(request) };
    let (body, coding) = match wanted {
        None => (document, None),
        // Boxed: few answers are compressed, and this would enlarge the future of every answer.
        wanted => Box::pin(coding::encoded(document, wanted)).await?,
    };
    let mut response = sent(body, coding, as_texts);
    caching::tagged(&mut response, &tag, coding);
    Ok(response)
}

/// A JSON document as it is sent.
fn sent(body: Bytes, coding: Option<Coding>, as_texts: bool) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::OK, BoxBody::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, if as_texts { JSON_OF_TEXTS } else { JSON });
    if let Some(coding) = coding {
        coding::coded(&mut response, coding);
    }
    response
}

impl DataSets {
    /// The answer to a question at a known version: not modified for a client that has it, a ready answer, or one made now.
    async fn answer_to(
        &self,
        request: &HttpRequest,
        data_set: &DataSet,
        QuestionForm { form, version, cited_as, goes_on_by, numbers_as_texts }: QuestionForm<'_>,
        make: impl AsyncFnOnce() -> Result<Made, Problem>,
    ) -> Result<HttpResponse, Problem> {
        let tag = Tag::of(data_set, version, form);
        // A version that was given up has no answers any more, not even those at hand: the records know what to say.
        let is_held = version >= data_set.held_from;
        if is_held
            && request.headers().contains_key(header::IF_NONE_MATCH)
            && let Some(known) = tag.is_known(request)
        {
            return Ok(caching::not_modified(known));
        }
        let wanted = Coding::accepted(request);
        let ready = if is_held { self.service.ready.get(&tag.0, wanted) } else { None };
        let (ready, tag, version) = match ready {
            Some(ready) => (ready, tag, version),
            None => {
                let made = make().await?;
                let tag = if made.version == version { tag } else { Tag::of(data_set, made.version, form) };
                let (body, coding) = coding::encoded(made.text, wanted).await?;
                let ready = Ready { body, coding, next: made.next.map(String::into_boxed_str) };
                if made.lasting {
                    self.service.ready.insert(tag.0, wanted, ready.clone());
                }
                (ready, tag, made.version)
            }
        };
        let mut response = sent(ready.body, ready.coding, numbers_as_texts);
        caching::tagged(&mut response, &tag, ready.coding);
        if let Some(cursor) = &ready.next {
            link(request, &self.service.public_url, &mut response, (goes_on_by, cursor), version)?;
        }
        if let Some(format) = cited_as {
            citing::cite(request, &self.service.public_url, &mut response, (version, format))?;
        }
        Ok(if caching::wants_nothing(request) { caching::without_body(response) } else { response })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_resource_or_nothing() {
        let other = |question| Some(Wanted::Other(question));
        assert_eq!(Wanted::of("/permits"), Some(Wanted::Page));
        assert_eq!(Wanted::of("/permits/2016%2F1"), Some(Wanted::Read("2016%2F1", None)));
        assert_eq!(Wanted::of("/permits/1/2"), Some(Wanted::Read("1", Some("2"))));
        assert_eq!(Wanted::of("/permits/facets"), other(Question::Facets));
        assert_eq!(Wanted::of("/permits/groups"), other(Question::Groups));
        assert_eq!(Wanted::of("/permits/stats"), other(Question::Stats));
        assert_eq!(Wanted::of("/permits/changes"), other(Question::Changes));
        assert_eq!(Wanted::of("/permits/proof"), other(Question::Proof));
        assert_eq!(Wanted::of("/permits/1/history"), other(Question::History("1", None)));
        assert_eq!(Wanted::of("/permits/1/2/history"), other(Question::History("1", Some("2"))));
        for nowhere in [
            "",
            "permits",
            "/permits/",
            "/permits//2",
            "/permits/1/",
            "/permits/1/2/",
            "/permits/1/2/3",
            "/permits/1/2/history/",
            "/permits/about",
            "/permits/explore",
            "/permits/explore/1",
            "/permits/explore/1/2",
        ] {
            assert_eq!(Wanted::of(nowhere), None, "{nowhere}");
        }
    }
}
