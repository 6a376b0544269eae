//! JSON bodies, limited in size and time; a refusal names the place of the mistake.

use std::{future::Future, pin::Pin, rc::Rc, time::Duration};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, error::PayloadError, http::header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{Problem, ProblemCode, wire::Connection};
use crate::{config::HttpSection, domain::misfit};

/// The limits on a body's size and time.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The largest size, bytes.
    pub bytes_max: usize,
    /// The longest time from the end of the head to the end of the body.
    pub timeout: Duration,
    /// The longest pause between two pieces of the body.
    pub idle: Duration,
}

impl From<&HttpSection> for BodyLimits {
    fn from(settings: &HttpSection) -> Self {
        Self {
            bytes_max: settings.body_bytes_max,
            timeout: Duration::from_millis(settings.body_timeout_ms),
            idle: Duration::from_millis(settings.body_idle_timeout_ms),
        }
    }
}

/// A request's JSON body, read into `T`.
///
/// # Errors
/// As an extractor: 415 for another media type, 413 over the limit, 408 over the time, 400 when it is not JSON or not a `T`.
#[derive(Debug)]
pub struct JsonBody<T> {
    /// The parsed body.
    pub value: T,
    /// The bytes of the body: an `Idempotency-Key` is bound to their hash.
    pub bytes: Bytes,
}

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let limits = request.app_data::<BodyLimits>().copied();
            let limits = limits.ok_or_else(|| Problem::internal("the application has no body limits"))?;
            if !is_json(request.content_type()) {
                let detail = "the body must be JSON and say so: content-type: application/json";
                return Err(Problem::new(ProblemCode::UnsupportedMediaType, detail));
            }
            let bytes = whole(&request, payload, limits).await?;
            Ok(Self { value: parse(&bytes)?, bytes })
        })
    }
}

/// Reads a body of any media type, of at most `bytes_max` bytes.
///
/// # Errors
/// 413 over the limit, 408 over the time, 400 when the body ends too early or cannot be read.
pub(super) async fn bytes_of(request: &HttpRequest, payload: Payload, bytes_max: usize) -> Result<Bytes, Problem> {
    let limits = request.app_data::<BodyLimits>().copied();
    let limits = limits.ok_or_else(|| Problem::internal("the application has no body limits"))?;
    whole(request, payload, BodyLimits { bytes_max, ..limits }).await
}

async fn whole(request: &HttpRequest, payload: Payload, limits: BodyLimits) -> Result<Bytes, Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.bytes_max as u64) {
        return Err(too_large(limits));
    }
    let bytes = tokio::time::timeout(limits.timeout, read(payload, limits)).await.map_err(|_| {
        let detail = format!("the body did not arrive within {} ms", limits.timeout.as_millis());
        Problem::new(ProblemCode::RequestTimeout, detail)
    })?;
    // A refusal by the connection describes better what was wrong with the body's bytes.
    let refusal = || request.conn_data::<Rc<Connection>>().and_then(|connection| connection.refusal());
    bytes.map_err(|problem| refusal().map_or(problem, |refusal| refusal.problem()))
}

async fn read(mut payload: Payload, limits: BodyLimits) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    let paused = |_| {
        let detail = format!("nothing of the body arrived for {} ms", limits.idle.as_millis());
        Problem::new(ProblemCode::RequestTimeout, detail)
    };
    while let Some(chunk) = tokio::time::timeout(limits.idle, payload.next()).await.map_err(paused)? {
        let chunk = chunk.map_err(|error| {
            let detail = match error {
                PayloadError::Incomplete(_) => "the connection ended before the body did".to_owned(),
                error => format!("the body could not be read to its end: {error}"),
            };
            Problem::new(ProblemCode::InvalidRequest, detail)
        })?;
        if bytes.len() + chunk.len() > limits.bytes_max {
            return Err(too_large(limits));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Reads JSON.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let wrong = |detail: String| Problem::new(ProblemCode::InvalidBody, detail);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(wrong("the body is empty; it must be JSON".to_owned()));
    }
    if bytes.starts_with("\u{feff}".as_bytes()) {
        return Err(wrong(
            "the body begins with a byte order mark, which JSON may not have (RFC 8259, section 8.1)".to_owned(),
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let path = e.path().to_string();
        wrong(misfit_at(&path, e.inner()))
    })?;
    json.end().map_err(|e| wrong(misfit_at(".", &e)))?;
    Ok(value)
}

/// Describes a mistake in a body, with its path or its line and column.
pub(super) fn misfit_at(path: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Data if path == "." => misfit::told(&error.to_string()),
        Category::Data => format!("at `{path}`: {}", misfit::told(&error.to_string())),
        Category::Eof | Category::Io => {
            format!("the body is no whole JSON: it ends in line {line}, column {column}, too early")
        }
        Category::Syntax => format!("the body is no JSON: look at line {line}, column {column}"),
    }
}

fn too_large(limits: BodyLimits) -> Problem {
    Problem::new(ProblemCode::BodyTooLarge, format!("the body may have at most {} bytes", limits.bytes_max))
}

/// Whether a media type is JSON: `application/json` or `application/…+json`.
pub(super) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use futures_util::{Stream, stream};

    use super::*;

    async fn refusal(chunks: impl Stream<Item = Result<Bytes, PayloadError>> + 'static) -> ProblemCode {
        refusal_within(chunks, Duration::from_millis(50), Duration::from_secs(60)).await
    }

    async fn refusal_within(
        chunks: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
        timeout: Duration,
        idle: Duration,
    ) -> ProblemCode {
        let limits = BodyLimits { bytes_max: 10, timeout, idle };
        let request =
            TestRequest::post().insert_header(("content-type", "application/json")).app_data(limits).to_http_request();
        let mut payload = Payload::Stream { payload: chunks.boxed_local() };
        JsonBody::<serde_json::Value>::from_request(&request, &mut payload).await.unwrap_err().code()
    }

    #[actix_web::test]
    async fn a_body_that_never_ends_is_given_up() {
        assert_eq!(refusal(stream::pending()).await, ProblemCode::RequestTimeout);
        let first = stream::iter([Ok(Bytes::from_static(b"{"))]);
        assert_eq!(refusal(first.chain(stream::pending())).await, ProblemCode::RequestTimeout);
    }

    #[actix_web::test]
    async fn a_body_that_pauses_is_given_up() {
        let first = stream::iter([Ok(Bytes::from_static(b"{"))]);
        let code = refusal_within(first.chain(stream::pending()), Duration::from_secs(60), Duration::from_millis(50));
        assert_eq!(code.await, ProblemCode::RequestTimeout);
    }

    #[actix_web::test]
    async fn a_body_without_a_length_is_cut_off_at_the_limit() {
        assert_eq!(refusal(stream::repeat_with(|| Ok(Bytes::from_static(b"[[[[")))).await, ProblemCode::BodyTooLarge);
        let broken = stream::iter([Err(PayloadError::Incomplete(None))]);
        assert_eq!(refusal(broken).await, ProblemCode::InvalidRequest);
    }
}
