//! `/sign-in/forgotten`: a link to set a password that was forgotten or never set. Nothing tells whether an address is known.

use actix_web::web;
use serde_json::{Value, json};

use super::entered::{provider_label, worded};
use crate::http::{
    method,
    pages::{
        form::Form,
        route::{get, post},
        visit::{Anyone, KnownVisitor, Shown, Visit},
    },
    routes::{passwords, sessions},
};

const TEMPLATE: &str = "sign_in/forgotten/page.html";

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/sign-in/forgotten", "GET, HEAD, POST").route(get(show)).route(post(ask)))
        .service(method::resource("/sign-in/forgotten/sent", "GET, HEAD").route(get(sent)));
}

fn context(visit: &Visit<Anyone>, form: &Value, is_sent: bool) -> Value {
    let own = match visit.known() {
        Some(KnownVisitor::Person(holder)) => holder.user.email.known(),
        _ => None,
    };
    let minutes = visit.service.settings.accounts.reset_link_min;
    json!({ "form": form, "sent": is_sent, "email": own, "provider": provider_label(&visit.service), "minutes": minutes })
}

async fn show(visit: Visit<Anyone>) -> Shown {
    sessions::offered(&visit.service)?;
    visit.page(TEMPLATE, &context(&visit, &Value::Null, false))
}

async fn ask(visit: Visit<Anyone>, form: Form) -> Shown {
    sessions::offered(&visit.service)?;
    let email = form.text("email").unwrap_or_default();
    match passwords::asked_for(&visit.request, &visit.service, email).await {
        // The answer is the same for everybody, and does not repeat the address.
        Ok(()) => visit.led("/sign-in/forgotten/sent", None),
        Err(problem) => {
            let problem = worded(&visit, problem);
            let mut page =
                visit.page_as(problem.code().status(), TEMPLATE, &context(&visit, &form.again(&problem), false))?;
            problem.headers_into(page.headers_mut());
            Ok(page)
        }
    }
}

async fn sent(visit: Visit<Anyone>) -> Shown {
    visit.page(TEMPLATE, &context(&visit, &Value::Null, true))
}
