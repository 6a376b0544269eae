//! Everything that is kept about a person: `/me/export`, `/users/{id}/export`.

use actix_web::{HttpRequest, http::StatusCode, web};

use crate::{
    actors::about::everything,
    domain::id::UserId,
    http::{
        Problem, ProblemCode, method,
        routes::{
            answer::{self, Answer},
            params::Params,
            refusal::command_problem,
            users::user_id,
        },
        session::{Admin, OfPeople},
        signed_in::SignedIn,
        state::Service,
        store_problem::store_problem,
    },
};

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::readable("/me/export", own)).service(method::readable("/users/{id}/export", of_user));
}

async fn own(SignedIn(who): SignedIn, request: HttpRequest, service: web::Data<Service>) -> Answer {
    export(&request, who.user.id, &service).await
}

async fn of_user(
    _: Admin<OfPeople>,
    request: HttpRequest,
    id: web::Path<String>,
    service: web::Data<Service>,
) -> Answer {
    export(&request, user_id(&id)?, &service).await
}

async fn export(request: &HttpRequest, user: UserId, service: &Service) -> Answer {
    Params::read(request.query_string(), &[])?;
    service.book.settle(user).await.map_err(store_problem)?;
    let found = everything(&service.committer, &service.mailers, user).await.map_err(command_problem)?;
    let missing = || Problem::new(ProblemCode::NotFound, format!("there is no user {user}"));
    Ok(answer::document(StatusCode::OK, &found.ok_or_else(missing)?))
}
