//! What a writing request of somebody who is signed in is made of: who they are, what they say, and under which conditions.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};

use super::command::{Fields, said};
use crate::{
    actors::{commit::Envelope, sign_in::SignedInAs},
    domain::id::Who,
    http::{
        Problem,
        session::Conditions,
        signed_in::{SessionHolder, SignedIn},
        state::Service,
    },
};

/// Who gives a command about themselves. It says whether they must have all that is demanded of them.
pub(super) trait ActingPerson: FromRequest<Error = Problem> + 'static {
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
/// As an extractor: 401 first, then as a [`Command`](super::command::Command).
pub(super) struct Own<T, P = SignedIn> {
    /// Who.
    pub(super) who: SignedInAs,
    /// What they say.
    pub(super) body: T,
    /// What the command brings along.
    pub(super) envelope: Envelope,
    /// By what they are known.
    by: std::marker::PhantomData<P>,
}

impl<T: Fields, P: ActingPerson> FromRequest for Own<T, P> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let who = P::from_request(&request, &mut payload).await?.person();
            let conditions = Conditions::extract(&request).await?;
            let (body, bytes) = said::<T>(&request, &mut payload).await?;
            let missing = || Problem::internal("the service is not configured");
            let service = request.app_data::<web::Data<Service>>().ok_or_else(missing)?;
            let person = Who::user(who.user.id);
            let envelope = conditions.envelope(service, &person, &request, &bytes)?;
            Ok(Self { who, body, envelope, by: std::marker::PhantomData })
        })
    }
}
