//! The parts of a signed-in person's writing request: the person, the body and the conditions.

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

/// A person who gives a command about themselves. The type says whether they must have set up a demanded second factor.
pub(in crate::http) trait ActingPerson: FromRequest<Error = Problem> + 'static {
    /// The person.
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
    /// The person who gives the command.
    pub(in crate::http) who: SignedInAs,
    /// The body that was read.
    pub(in crate::http) body: T,
    /// The envelope of the command.
    pub(in crate::http) envelope: Envelope,
    /// The extractor of the person.
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

    /// The command from a page's form, which stands in for a body.
    ///
    /// # Errors
    /// The same as for the extractor.
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
