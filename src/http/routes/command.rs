//! The parts of an administrator's writing request: the caller, the conditions and the body.

use std::{future::Future, marker::PhantomData, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use bytes::Bytes;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

use super::params::Params;
use crate::{
    actors::commit::Envelope,
    dataset::suggest,
    http::{
        InvalidParam, JsonBody, Problem, ProblemCode,
        body::misfit_at,
        conditions::Conditions,
        session::{Admin, KnownCaller, Needs},
        state::Service,
    },
};

/// Most unknown fields that an answer lists.
const UNKNOWN_FIELDS_MAX: usize = 20;

/// A body: an object whose fields are all known. Its `Deserialize` must refuse unknown fields.
pub(in crate::http) trait BodyFields: DeserializeOwned + 'static {
    /// The names of its fields.
    const NAMES: &'static [&'static str];
    /// Whether a request may leave out the body. It then counts as `{}`.
    const OPTIONAL: bool = false;
}

/// The body of a command whose path says everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Nothing {}

impl BodyFields for Nothing {
    const NAMES: &'static [&'static str] = &[];
    const OPTIONAL: bool = true;
}

/// A command of a caller with the permissions of `N`. A caller without them learns nothing else about the request.
///
/// # Errors
/// As an extractor: those of [`Admin`] first; then 400 for conditions that cannot be read and for any parameter; then those of
/// [`JsonBody`], with `invalid_params` for unknown fields.
pub(in crate::http) struct CommandRequest<T, N> {
    /// The body that was read.
    pub(in crate::http) body: T,
    /// The envelope of the command.
    pub(in crate::http) envelope: Envelope,
    /// The caller who gives the command.
    pub(in crate::http) caller: KnownCaller,
    needs: PhantomData<N>,
}

impl<T: BodyFields, N: Needs> FromRequest for CommandRequest<T, N> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let admin = Admin::<N>::from_request(&request, &mut payload).await?;
            let conditions = Conditions::extract(&request).await?;
            let said = said::<T>(&request, &mut payload).await?;
            let missing = || Problem::internal("the service is not configured");
            let service = request.app_data::<web::Data<Service>>().ok_or_else(missing)?;
            Self::of(admin, said, &conditions, &request, service)
        })
    }
}

impl<T: BodyFields, N: Needs> CommandRequest<T, N> {
    /// The command of an administrator, from a body and its bytes.
    fn of(
        Admin { caller, .. }: Admin<N>,
        (body, bytes): (T, Bytes),
        conditions: &Conditions,
        request: &HttpRequest,
        service: &Service,
    ) -> Result<Self, Problem> {
        let envelope = conditions.administering(service, &caller, request, &bytes)?;
        Ok(Self { body, envelope, caller, needs: PhantomData })
    }

    /// The command from a page's form, which stands in for a body.
    ///
    /// # Errors
    /// The same as for the extractor.
    pub(in crate::http) fn of_form(
        admin: Admin<N>,
        body: &Value,
        conditions: &Conditions,
        request: &HttpRequest,
        service: &Service,
    ) -> Result<Self, Problem> {
        Self::of(admin, of_form(body)?, conditions, request, service)
    }
}

/// Reads a page's form as a body, and returns the body with its bytes.
pub(super) fn of_form<T: BodyFields>(body: &Value) -> Result<(T, Bytes), Problem> {
    let bytes = Bytes::from(serde_json::to_vec(body).map_err(Problem::internal)?);
    Ok((read(&bytes)?, bytes))
}

/// Reads the body, and returns it with its bytes. Refuses parameters: a command has none.
pub(super) async fn said<T: BodyFields>(request: &HttpRequest, payload: &mut Payload) -> Result<(T, Bytes), Problem> {
    Params::read(request.query_string(), &[])?;
    let bytes = match T::OPTIONAL && is_absent(request) {
        true => Bytes::from_static(b"{}"),
        false => JsonBody::<IgnoredAny>::from_request(request, payload).await?.bytes,
    };
    Ok((read(&bytes)?, bytes))
}

/// Whether the request has no body, according to its head.
fn is_absent(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH).map_or(Some("0"), |length| length.to_str().ok());
    length == Some("0") && !headers.contains_key(header::TRANSFER_ENCODING)
}

fn read<T: BodyFields>(bytes: &[u8]) -> Result<T, Problem> {
    // A JSON array would be taken for the values of the fields in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::new(
            ProblemCode::InvalidBody,
            "the body is no JSON object, such as {\"name\": \"value\"}",
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let unknown = unknown_fields(bytes, T::NAMES);
        if !unknown.is_empty() {
            let names: Vec<&str> = unknown.iter().map(|field| field.name.as_str()).collect();
            let detail = format!("the body has unknown fields: {}", names.join(", "));
            return Problem::new(ProblemCode::InvalidBody, detail)
                .member("invalid_params", unknown.iter().map(|field| serde_json::json!(field)).collect());
        }
        let path = error.path().to_string();
        Problem::new(ProblemCode::InvalidBody, misfit_at(&path, error.inner()))
    })
}

fn unknown_fields(bytes: &[u8], known: &'static [&'static str]) -> Vec<InvalidParam> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(bytes) else { return Vec::new() };
    let reason = match known {
        [] => "this body has no fields".to_owned(),
        known => format!("unknown field; the fields are: {}", known.join(", ")),
    };
    let invalid =
        |name: &String| InvalidParam::new(name, reason.as_str(), suggest::nearest(name, known.iter().copied()));
    let unknown = fields.keys().filter(|name| !known.contains(&name.as_str()));
    unknown.take(UNKNOWN_FIELDS_MAX).map(invalid).collect()
}
