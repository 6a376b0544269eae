//! What a writing request of somebody who is signed in is made of: who they are, what they say, and under which conditions.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use bytes::Bytes;
use serde_json::Value;

use super::command::{BodyFields, of_form, said};
use crate::{
    actors::{commit::Envelope, sign_in::SignedInAs},
    domain::id::Who,
    http::{
        Problem,
        conditions::Conditions,
        signed_in::{SessionHolder, SignedIn},
        state::Service,
    },
};

/// Who gives a command about themselves. It says whether they must have all that is demanded of them.
pub(in crate::http) trait ActingPerson: FromRequest<Error = Problem> + 'static {
    /// Who it is.
    fn person(self) -> SignedInAs;
}

impl ActingPerson for SignedIn {
    fn person(self) -> SignedInAs {
        self.0
    }
}

impl ActingPerson for SessionHolder {
    fn person(self) -> SignedInAs {
        self.0
    }
}

/// A command of somebody who is signed in.
///
/// # Errors
/// As an extractor: 401 first, then as a [`CommandRequest`](super::command::CommandRequest).
pub(in crate::http) struct Own<T, P = SignedIn> {
    /// Who.
    pub(in crate::http) who: SignedInAs,
    /// What they say.
    pub(in crate::http) body: T,
    /// What the command brings along.
    pub(in crate::http) envelope: Envelope,
    /// By what they are known.
    by: std::marker::PhantomData<P>,
}

impl<T: BodyFields, P: ActingPerson> FromRequest for Own<T, P> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let who = P::from_request(&request, &mut payload).await?.person();
            let conditions = Conditions::extract(&request).await?;
            let said = said::<T>(&request, &mut payload).await?;
            let missing = || Problem::internal("the service is not configured");
            let service = request.app_data::<web::Data<Service>>().ok_or_else(missing)?;
            Self::of(who, said, &conditions, &request, service)
        })
    }
}

impl<T: BodyFields, P: ActingPerson> Own<T, P> {
    fn of(
        who: SignedInAs,
        (body, bytes): (T, Bytes),
        conditions: &Conditions,
        request: &HttpRequest,
        service: &Service,
    ) -> Result<Self, Problem> {
        let envelope = conditions.envelope(service, &Who::user(who.user.id), request, &bytes)?;
        Ok(Self { who, body, envelope, by: std::marker::PhantomData })
    }

    /// The same of a page's form, which says what a body would.
    ///
    /// # Errors
    /// As of the extractor.
    pub(in crate::http) fn of_form(
        who: SignedInAs,
        body: &Value,
        conditions: &Conditions,
        request: &HttpRequest,
        service: &Service,
    ) -> Result<Self, Problem> {
        Self::of(who, of_form(body)?, conditions, request, service)
    }
}
