//! The edge: one middleware for all requests, because each further one costs an allocation per request. It sets request ids and the
//! headers of every answer, limits URLs and client addresses, answers CORS preflights, catches panics and writes one log line.

use std::{
    any::Any,
    future::{Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage, HttpResponse, ResponseError,
    body::{BodySize, BoxBody, EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    http::{
        ConnectionType, Method, StatusCode, Version,
        header::{self, HeaderName, HeaderValue},
    },
};
use tracing::{Instrument, Level};

use super::{
    Problem, ProblemCode, RequestId,
    cors::{self, Cors},
    masking,
    meter::RequestMeter,
    pages,
    passage::Passage,
    request_id::{REQUEST_ID, RequestIds},
    sent::Sent,
    state::{Readiness, Rehearsed},
    wants::wants_html,
    wire::{Answering, Connection},
};
use crate::{clock::SharedClock, config::HttpSection, secrets::Entropy, telemetry::ACCESS_TARGET};

const CROWDED: &str =
    "this address has as many requests at work as it may have at the same time: wait for their answers";
const CROWDED_RETRY_AFTER_S: u64 = 1;
/// Says of every answer of a server that shows a copy as of when the copy is.
const COPY_AS_OF: HeaderName = HeaderName::from_static("permitd-copy-as-of");
/// Where a browser shows an administrator's token to be let in.
const TOKEN_ENTRY: &str = "/sign-in/token";

/// The middleware. It must be the outermost one.
#[derive(Debug, Clone)]
pub struct Edge {
    cors: Cors,
    url_bytes_max: usize,
    clock: SharedClock,
    entropy: Arc<dyn Entropy>,
    meter: Option<Arc<RequestMeter>>,
    readiness: Readiness,
    /// What is shown, where nothing can be changed, and its moment as a header.
    rehearsed: Option<(Arc<Rehearsed>, HeaderValue)>,
    /// The prefix of a problem's `type`, before the path of the problem's page.
    explained_below: Arc<str>,
    is_quiet: bool,
}

impl Edge {
    /// The edge for these `settings`.
    pub fn new(settings: &HttpSection, clock: SharedClock, entropy: Arc<dyn Entropy>) -> Self {
        let (cors, url_bytes_max) = (Cors::new(&settings.cors_allowed_origins), settings.url_bytes_max);
        Self {
            cors,
            url_bytes_max,
            clock,
            entropy,
            meter: None,
            readiness: Readiness::default(),
            rehearsed: None,
            explained_below: Arc::default(),
            is_quiet: false,
        }
    }

    /// The edge of the operators' port: without CORS, since no page in a browser reads from it, and without log lines.
    pub fn of_operators(settings: &HttpSection, clock: SharedClock, entropy: Arc<dyn Entropy>) -> Self {
        Self { cors: Cors::new(&[]), is_quiet: true, ..Self::new(settings, clock, entropy) }
    }

    /// The same, with problems explained below the server's address, where one is set.
    #[must_use]
    pub fn explained_below(self, public_url: &str) -> Self {
        Self { explained_below: Arc::from(public_url), ..self }
    }

    /// The same, counting every answer.
    #[must_use]
    pub fn metered(self, meter: Arc<RequestMeter>) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// The same, refusing whatever could change something, where only a copy is shown; every answer says so.
    #[must_use]
    pub fn rehearsing(self, rehearsed: Option<Arc<Rehearsed>>) -> Self {
        let with_header = |rehearsed: Arc<Rehearsed>| {
            let as_of = HeaderValue::try_from(rehearsed.as_of.to_string());
            (rehearsed, as_of.unwrap_or(HeaderValue::from_static("unknown")))
        };
        Self { rehearsed: rehearsed.map(with_header), ..self }
    }

    /// The same, answering 503 to everything once the node is closed.
    #[must_use]
    pub fn guarded(self, readiness: Readiness) -> Self {
        Self { readiness, ..self }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Edge
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + Unpin + 'static,
{
    type Response = ServiceResponse<Sent<EitherBody<B>>>;
    type Error = Error;
    type Transform = EdgeService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let ids = RequestIds::new(self.clock.clone(), &*self.entropy).map_err(|e| tracing::error!("{e}"));
        ready(ids.map(|ids| EdgeService {
            service: Rc::new(service),
            edge: Rc::new(PerWorker { settings: self.clone(), ids }),
        }))
    }
}

#[derive(Debug)]
struct PerWorker {
    settings: Edge,
    ids: RequestIds,
}

/// The edge of one worker.
#[derive(Debug)]
pub struct EdgeService<S> {
    service: Rc<S>,
    edge: Rc<PerWorker>,
}

impl<S, B> Service<ServiceRequest> for EdgeService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + Unpin + 'static,
{
    type Response = ServiceResponse<Sent<EitherBody<B>>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(context)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let service = Rc::clone(&self.service);
        let (visit, refused) = EdgeVisit::begin(Rc::clone(&self.edge), &request);
        if let Some(response) = refused.or_else(|| visit.answer_at_once(&request)) {
            let response = visit.finish(request.into_response(response).map_into_right_body());
            return Box::pin(ready(Ok(response)));
        }
        request
            .extensions_mut()
            .insert(Passage::new(visit.id.clone(), Arc::clone(&visit.edge.settings.explained_below)));
        let span = tracing::info_span!("request", request_id = %visit.id);
        Box::pin(async move {
            let answer = catch_panic(async move { service.call(request).await }.instrument(span)).await;
            match answer {
                Ok(Ok(response)) => {
                    let response = visit.complete(response);
                    Ok(visit.finish(response))
                }
                Ok(Err(error)) => Err(visit.fail(&error)),
                Err(panic) => Err(visit.fail(&Problem::internal(panic_message(&*panic)).into())),
            }
        })
    }
}

/// One request on its way through the edge.
struct EdgeVisit {
    edge: Rc<PerWorker>,
    id: RequestId,
    origin: Option<HeaderValue>,
    started_us: i64,
    /// The method for the log line; none if no log line is written.
    logged_method: Option<Method>,
    /// Keeps the connection busy with this request; none in tests without a connection.
    answering: Option<Answering>,
}

impl EdgeVisit {
    /// Begins a visit. The response is the refusal by the connection, or because the address has too many requests at work.
    fn begin(edge: Rc<PerWorker>, request: &ServiceRequest) -> (Self, Option<HttpResponse>) {
        let connection = request.conn_data::<Rc<Connection>>();
        let refusal = connection.filter(|connection| connection.is_refused()).and_then(|known| known.refusal());
        let place = connection.map_or(Ok(None), |connection| connection.place(request.headers()));
        let crowded = || Problem::new(ProblemCode::TooManyFromAddress, CROWDED).retry_after(CROWDED_RETRY_AFTER_S);
        let problem = refusal.map(|refusal| refusal.problem()).or_else(|| place.is_err().then(crowded));
        let answering = connection.map(|connection| Answering::new(Rc::clone(connection), place.unwrap_or(None)));
        let visit = Self::of(edge, request, answering);
        let refused = problem.map(|problem| visit.named(problem).error_response());
        (visit, refused)
    }

    fn of(edge: Rc<PerWorker>, request: &ServiceRequest, answering: Option<Answering>) -> Self {
        let id = edge.ids.take(request.headers());
        let origin = request.headers().get(header::ORIGIN).cloned();
        let started_us = edge.settings.clock.monotonic_us();
        let is_logged = !edge.settings.is_quiet && tracing::enabled!(target: ACCESS_TARGET, Level::INFO);
        let logged_method = is_logged.then(|| request.method().clone());
        Self { edge, id, origin, started_us, logged_method, answering }
    }

    /// The answer to a request that needs no route: the node is closed, the URL too long, or it is a preflight.
    fn answer_at_once(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        if let Some(told) = self.edge.settings.readiness.moved() {
            let problem = self.named(Problem::new(ProblemCode::Moved, told.to_owned()));
            return Some(match wants_html(request.headers()) {
                true => pages::problem::answer::answer(&problem, request.request()),
                false => problem.error_response(),
            });
        }
        if self.edge.settings.readiness.closed().is_some() {
            // The log and the operators' port tell why.
            let problem = Problem::new(ProblemCode::Unavailable, "the server cannot use its data any more");
            return Some(self.named(problem).error_response());
        }
        let uri = request.uri();
        let url_bytes = uri.path_and_query().map_or(0, |target| target.as_str().len());
        let url_bytes_max = self.edge.settings.url_bytes_max;
        if url_bytes > url_bytes_max {
            let detail = format!("path and query have {url_bytes} bytes, at most {url_bytes_max} are read");
            return Some(self.named(Problem::new(ProblemCode::UrlTooLong, detail)).error_response());
        }
        let preflight = self.edge.settings.cors.preflight(request);
        preflight.or_else(|| self.refuse_change(request))
    }

    /// Refuses a request that could change something, where only a copy is shown. This is the one place: behind it nothing could act on a
    /// command anyway.
    fn refuse_change(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let (rehearsed, _) = self.edge.settings.rehearsed.as_ref()?;
        // Entering the administrator's pages with a token sets a cookie and nothing else.
        if request.method().is_safe() || request.path() == TOKEN_ENTRY {
            return None;
        }
        let detail = format!(
            "this server shows a copy of {} as of {}, and changes nothing: only GET and HEAD are answered here. Send it to the deployment itself",
            rehearsed.of, rehearsed.as_of
        );
        let problem = self.named(Problem::new(ProblemCode::ReadOnlyCopy, detail));
        Some(match wants_html(request.headers()) {
            true => pages::problem::answer::answer(&problem, request.request()),
            false => problem.error_response(),
        })
    }

    /// Completes the handler's answer: an error becomes a problem with the request's id, and browsers get problems as pages.
    fn complete<B: MessageBody>(&self, mut response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
        let Some(error) = response.response().error() else {
            let problem = response.response_mut().extensions_mut().remove::<Problem>();
            return match problem {
                Some(problem) => with_page(response, &problem).map_into_right_body(),
                None => response.map_into_left_body(),
            };
        };
        let problem = self.problem_of(error);
        let rendered = match wants_html(response.request().headers()) {
            true => pages::problem::answer::answer(&problem, response.request()),
            false => problem.error_response(),
        };
        response.into_response(rendered).map_into_right_body()
    }

    fn problem_of(&self, error: &Error) -> Problem {
        let problem = match error.as_error::<Problem>() {
            Some(problem) => problem.clone(),
            None => match ProblemCode::for_status(error.as_response_error().status_code()) {
                ProblemCode::Internal => Problem::internal(error),
                code => Problem::new(code, error.to_string()),
            },
        };
        problem.log(&self.id);
        self.named(problem)
    }

    /// Adds this request's id to a problem.
    fn named(&self, problem: Problem) -> Problem {
        problem.instance(self.id.clone(), Arc::clone(&self.edge.settings.explained_below))
    }

    /// Adds the headers of every answer, ends the connection where it must, and writes the log line.
    fn finish<B: MessageBody>(mut self, mut response: ServiceResponse<B>) -> ServiceResponse<Sent<B>> {
        cors::extend(response.headers_mut(), self.headers());
        let is_before_chunks = response.request().version() < Version::HTTP_11;
        if is_before_chunks && response.response().body().size() == BodySize::Stream {
            // HTTP/1.0 has no chunks (RFC 9112, section 6.1): the end of the connection ends the answer.
            let head = response.response_mut().head_mut();
            head.no_chunking(true);
            head.set_connection_type(ConnectionType::Close);
        }
        let ends = self.answering.as_ref().is_some_and(|answering| answering.connection().ends_with_this_answer());
        // The server upgrades to nothing. The parser ends such a connection, but would repeat the request's connection type.
        if ends || response.request().head().connection_type() == ConnectionType::Upgrade {
            response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
        }
        self.observe(&response);
        response.map_body(|_, body| Sent::new(body, self.answering.take()))
    }

    /// Counts the answer, and writes the log line.
    fn observe<B>(&self, response: &ServiceResponse<B>) {
        let duration_us = self.edge.settings.clock.monotonic_us() - self.started_us;
        let (request, status) = (response.request(), response.status());
        let data_route = request.extensions().get::<Passage>().and_then(|passage| passage.data_route.get());
        if let Some(route) = data_route {
            if let Some(meter) = &self.edge.settings.meter {
                meter.observe_data(route, status, duration_us);
            }
            self.log(status, route.pattern(), duration_us);
            return;
        }
        // The data sets' routes are one service with an empty pattern, which also matches requests that no route took.
        let pattern = request.match_pattern().filter(|pattern| !pattern.is_empty());
        if let Some(meter) = &self.edge.settings.meter {
            meter.observe(pattern.as_deref(), status, duration_us);
        }
        if self.logged_method.is_some() {
            self.log(status, &pattern.unwrap_or_else(|| masking::loggable_path(request.path())), duration_us);
        }
    }

    /// Returns the problem as an error, since no request is left to answer.
    fn fail(&self, error: &Error) -> Error {
        let problem = self.headers().fold(self.problem_of(error), |problem, (name, value)| problem.header(name, value));
        let (status, duration_us) =
            (problem.code().status(), self.edge.settings.clock.monotonic_us() - self.started_us);
        if let Some(meter) = &self.edge.settings.meter {
            meter.observe(None, status, duration_us);
        }
        self.log(status, "", duration_us);
        problem.into()
    }

    fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let always = [
            (REQUEST_ID, self.id.to_header_value()),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        let copy = self.edge.settings.rehearsed.as_ref().map(|(_, as_of)| (COPY_AS_OF, as_of.clone()));
        always.into_iter().chain(copy).chain(self.edge.settings.cors.headers(self.origin.as_ref()))
    }

    fn log(&self, status: StatusCode, path: &str, duration_us: i64) {
        if let Some(method) = &self.logged_method {
            let status = status.as_u16();
            // The line carries the request id itself, so that the span need not be shown.
            tracing::info!(
                target: ACCESS_TARGET, parent: None, request_id = %self.id, %method, path, status, duration_us, "answered"
            );
        }
    }
}

/// Replaces a problem's document by a page for people, and keeps the other headers, such as limits.
fn with_page<B: MessageBody>(response: ServiceResponse<B>, problem: &Problem) -> ServiceResponse<BoxBody> {
    let mut page = pages::problem::answer::answer(problem, response.request());
    for (name, value) in response.headers() {
        if !page.headers().contains_key(name) {
            page.headers_mut().append(name.clone(), value.clone());
        }
    }
    response.into_response(page)
}

async fn catch_panic<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut future = pin!(future);
    // After a panic the future is dropped without being polled again, so nobody sees its half-changed state.
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", message.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests;
