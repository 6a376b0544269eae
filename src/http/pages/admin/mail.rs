//! `/admin/mail`: how mails go out, a test mail, and the people whom mails did not reach.

use actix_web::{http::StatusCode, web};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    domain::{
        permission::{AccessKind, Permission, Permissions},
        view::{InvitationState, UserRow, UserStatus},
    },
    http::{
        Problem, method,
        pages::{
            flash::Flash,
            form::Form,
            route::{get, post},
            visit::{Shown, Staff, Visit},
        },
        routes::{
            command::Nothing,
            mail::{self, TestBody},
            users,
        },
        session::{OfPeople, OfServer},
        store_problem::store_problem,
    },
    mail::{settings::MailTransport, templates::Templates},
    store::UserFilter,
};

/// People shown: the last who were invited.
const SHOWN_MAX: usize = 200;

/// Adds the routes.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/admin/mail", "GET, HEAD").route(get(show)))
        .service(method::resource("/admin/mail/test", "POST").route(post(test)))
        .service(method::resource("/admin/mail/people/{id}/allow", "POST").route(post(allow)))
        .service(method::resource("/admin/mail/people/{id}/resend", "POST").route(post(resend)));
}

async fn show(visit: Visit<Staff<OfServer>>) -> Shown {
    page(&visit, StatusCode::OK, &Value::Null).await
}

async fn page(visit: &Visit<Staff<OfServer>>, status: StatusCode, form: &Value) -> Shown {
    let settings = &visit.service.settings;
    let transport = settings.mail_transport();
    let way = match transport {
        MailTransport::Smtp => settings.mail.smtp.host.clone(),
        _ => String::new(),
    };
    let sees_people = visit.permissions().may(Permissions::of(&[Permission::People]), AccessKind::Read);
    let unreached = if sees_people { Some(unreached(visit).await?) } else { None };
    let mails: Vec<&str> = Templates::names().collect();
    let context = json!({
        "form": form, "transport": transport.as_str(), "way": way, "from": settings.mail.from, "unreached": unreached, "mails": mails,
        "shown_max": SHOWN_MAX,
    });
    visit.page_as(status, "admin/mail/page.html", &context)
}

/// People whom mails did not reach, or who do not want them.
async fn unreached(visit: &Visit<Staff<OfServer>>) -> Result<Vec<Value>, Problem> {
    let (views, now) = (&visit.service.committer.stores.views, visit.service.committer.clock.now());
    let filter = UserFilter { unreached: Some(now), limit: SHOWN_MAX, ..UserFilter::default() };
    let people = views.users(filter).await.map_err(store_problem)?;
    Ok(people.into_iter().filter_map(|person| trouble(person, now)).collect())
}

/// Why mails do not reach a person; none if they do.
fn trouble(person: UserRow, now: Timestamp) -> Option<Value> {
    let person = person.at(now);
    let invitation = person.invitation.state;
    let kind = match (person.mail_stop, invitation) {
        _ if person.status == UserStatus::Deleted => return None,
        (Some(stop), _) => stop.as_str(),
        (None, InvitationState::Bounced) => "invitation-bounced",
        (None, InvitationState::Failed) => "invitation-failed",
        (None, InvitationState::Expired) => "invitation-expired",
        (None, _) if person.mail_failure.is_some() => "failed",
        (None, _) => return None,
    };
    let is_stopped = person.mail_stop.is_some();
    let is_invitation = matches!(person.status, UserStatus::Invited);
    Some(json!({
        "id": person.id, "name": person.name, "email": person.email, "kind": kind, "since": person.invitation.since,
        "reason": person.mail_failure, "is_stopped": is_stopped, "is_invitation": is_invitation,
    }))
}

async fn test(visit: Visit<Staff<OfServer>>, form: Form) -> Shown {
    let to = form.text("to").unwrap_or_default().to_owned();
    let asked = async {
        let body = json!({ "to": to, "mail": form.text("mail") });
        let command = visit.command::<TestBody>(&form, &body)?;
        visit.asked(mail::test(command, visit.service.clone())).await
    };
    let tested = match asked.await {
        Ok(tested) => tested,
        Err(problem) if problem.code().status().is_client_error() => {
            return page(&visit, problem.code().status(), &form.again(&problem)).await;
        }
        Err(problem) => return Err(problem.into()),
    };
    let of = |name: &str| tested.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let flash = match (of("outcome").as_str(), visit.service.settings.mail_transport()) {
        ("taken", MailTransport::File) => Flash::done("mail-test-file"),
        ("taken", _) => Flash::done("mail-test-taken"),
        ("refused", _) => Flash::not_done("mail-test-refused"),
        ("withheld", _) => Flash::not_done("mail-test-withheld"),
        _ => Flash::not_done("mail-test-unavailable"),
    };
    visit.led("/admin/mail", Some(&flash.with("to", to).with("answer", of("answer"))))
}

async fn allow(visit: Visit<Staff<OfPeople>>, form: Form) -> Shown {
    let command = visit.command::<Nothing>(&form, &json!({}))?;
    let id = web::Path::from(visit.part("id").to_owned());
    users::allow_mail(command, id, visit.service.clone()).await?;
    visit.led("/admin/mail", Some(&Flash::done("mail-allowed")))
}

async fn resend(visit: Visit<Staff<OfPeople>>, form: Form) -> Shown {
    let command = visit.command::<Nothing>(&form, &json!({}))?;
    let id = web::Path::from(visit.part("id").to_owned());
    match users::resend_invitation(command, id, visit.service.clone()).await {
        Ok(_) => visit.led("/admin/mail", Some(&Flash::done("mail-invited-again"))),
        Err(problem) if problem.code().status() == StatusCode::CONFLICT => {
            visit.led("/admin/mail", Some(&Flash::not_done("mail-not-invited").with("reason", problem.detail())))
        }
        Err(problem) => Err(problem.into()),
    }
}
