//! `permitd openapi`: prints the descriptions of the HTTP interface, without a server.

use clap::Args;

use serde_json::{Value, json};

use super::{CommandAnswer, Common, Failure, open::Definitions};
use crate::{
    app,
    http::openapi::{self, Audience},
};

/// Spaces that a level stands further to the right.
const INDENT: usize = 2;
/// What stands on one line is no longer than this.
const LINE_BYTES_MAX: usize = 120;

/// Print the OpenAPI 3.1 document of the HTTP interface, for all data sets that are defined
///
/// It has what keys and sessions may call. A server has the same at /openapi.json, for the data sets that it serves. What only
/// administrators call is in a document of its own, which a server has at /openapi-admin.json.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  permitd openapi > openapi.json
  permitd openapi --datasets definitions
  permitd openapi --admin > openapi-admin.json")]
pub(super) struct OpenApi {
    #[command(flatten)]
    definitions: Definitions,

    /// Print the document of the administration instead.
    #[arg(long)]
    admin: bool,
}

impl OpenApi {
    pub(super) fn run(self, common: &Common) -> Result<CommandAnswer, Failure> {
        let settings = common.settings(&[self.definitions.flag()])?;
        let definitions = app::definitions(settings.datasets())?;
        let (brand, public_url) = (&settings.mail.brand, settings.public_url(settings.listen));
        let audience = if self.admin { Audience::Administrators } else { Audience::Consumers };
        let document = openapi::document(audience, brand, &public_url, &settings.public_url, &definitions);
        let mut text = String::new();
        write(&document, 0, &mut text);
        Ok(CommandAnswer::new(document, text))
    }
}

/// Appends a value as JSON. What fits on a line stands on one, so that a change of the document is a change of few lines.
fn write(value: &Value, depth: usize, out: &mut String) {
    let flat = value.to_string();
    let nested: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, one)| (format!("{}: ", json!(name)), one)).collect(),
        Value::Array(items) => items.iter().map(|one| (String::new(), one)).collect(),
        _ => Vec::new(),
    };
    if flat.len() + depth * INDENT <= LINE_BYTES_MAX || nested.is_empty() {
        return out.push_str(&flat);
    }
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    out.push(open);
    for (nth, (name, one)) in nested.into_iter().enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        out.push_str(&format!("{comma}\n{:1$}{name}", "", (depth + 1) * INDENT));
        write(one, depth + 1, out);
    }
    out.push_str(&format!("\n{:1$}{close}", "", depth * INDENT));
}
