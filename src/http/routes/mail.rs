//! Whether mail arrives: `/mail/test`.

use actix_web::{
    http::{Method, StatusCode},
    web,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    answer::{self, Answer},
    command::{BodyFields, CommandRequest},
    refusal::command_problem,
};
use crate::{
    actors::mailer::ExampleError,
    domain::email::Email,
    http::{Problem, ProblemCode, method, session::OfServer, state::Service},
};

/// Adds the route.
pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(method::resource("/mail/test", "POST").route(web::method(Method::POST).to(test)));
}

/// The example of a mail that is to be sent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MailTest")]
pub(in crate::http) struct TestBody {
    /// Whom to.
    #[schemars(email)]
    to: String,
    /// Which mail; the invitation where nothing is said.
    #[serde(default)]
    mail: Option<String>,
}

impl BodyFields for TestBody {
    const NAMES: &'static [&'static str] = &["to", "mail"];
}

pub(in crate::http) async fn test(command: CommandRequest<TestBody, OfServer>, service: web::Data<Service>) -> Answer {
    let CommandRequest { body, envelope, .. } = command;
    let wrong = |field: &str, error: String| Problem::new(ProblemCode::InvalidBody, format!("at `{field}`: {error}"));
    let to = Email::parse(&body.to).map_err(|error| wrong("to", error.to_string()))?;
    let mail = body.mail.unwrap_or_else(|| "invitation".to_owned());
    let tested = service.mailers.send_example(&to, &mail, &envelope.command).await.map_err(|error| match error {
        ExampleError::NoMail(_) => wrong("mail", error.to_string()),
        ExampleError::Template(error) => Problem::internal(error),
        ExampleError::Command(error) => command_problem(error),
    })?;
    let (outcome, answer) = tested.told();
    let transport = service.settings.mail_transport().as_str();
    let document = json!({ "mail": mail, "transport": transport, "outcome": outcome, "answer": answer });
    Ok(answer::document(StatusCode::OK, &document))
}
