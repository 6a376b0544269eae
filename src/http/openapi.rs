//! `/openapi.json`: what this server answers to, as an OpenAPI 3.1 document. It is made of the definitions of the data sets
//! that are served, so that every column and operator is a parameter with a type.
//!
//! The document is built by hand, from values: paths, parameters and records depend on definitions that are read at run time,
//! which no derive macro knows. What has a type of its own, the administrator's bodies and answers, comes from that type.

mod accounts;
mod administration;
mod answer;
mod data;
mod operation;
mod parameter;
mod provider;
mod schema;

use std::{cell::RefCell, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, EntityTag, Header, HeaderValue, IfNoneMatch},
    web,
};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{method, state::Service};
use crate::{dataset::Definition, domain::id::hex};

/// What is said of the whole.
const DESCRIPTION: &str = "Tables of records, for those who were invited.

**Data** is read with the key from the invitation, in the header `x-api-key`. Conditions are parameters named after columns: \
`status=issued`, `estimated_cost__gte=10000`; `filter` takes a whole expression. What is unknown, repeated or of the wrong type is \
refused, never ignored. Every answer says in `RateLimit` what is left of the plan.

**People** sign in with their address and a password, which they set by the link in their invitation, and see and change what is theirs \
below `/me`.

**Administration** wants an administrator's token that has the scope of the operation, or the session of somebody whose role has it, as \
`Authorization: Bearer`. Writes take an `Idempotency-Key` and, in `If-Match`, \
the version that they were decided upon.

Whatever fails is answered with a problem document (RFC 9457), whose `type` leads to a page that explains it.";

/// The document about the data sets that are defined so, under the name of this deployment, for a server at `public_url` whose
/// problems are explained below `explained_below`.
pub fn document(brand: &str, public_url: &str, explained_below: &str, definitions: &[Arc<Definition>]) -> Value {
    let mut paths = operation::Paths::explained_below(explained_below);
    let mut types = administration::Types::new();
    let data_sets: Vec<data::Described<'_>> = definitions.iter().map(|of| data::Described::new(of)).collect();
    for data_set in &data_sets {
        data_set.add_to(&mut paths);
    }
    administration::add_to(&mut paths, &mut types);
    accounts::add_to(&mut paths, &mut types);
    provider::add_to(&mut paths, &mut types);
    let (paths, responses) = paths.finish();

    let mut parameters = Map::new();
    parameters.extend(parameter::common().into_iter().map(|(name, parameter)| (name.to_owned(), parameter)));
    parameters.extend(data_sets.iter().flat_map(data::Described::parameters));

    let mut schemas = Map::new();
    schemas.extend(data_sets.iter().flat_map(data::Described::schemas));
    let of_types = types.finish();
    if let Some((_, key)) = of_types.iter().find(|(name, _)| name == "Key") {
        schemas.insert("IssuedKey".to_owned(), administration::issued_key(key));
    }
    if let Some((_, token)) = of_types.iter().find(|(name, _)| name == "ShownToken") {
        schemas.insert("IssuedAdminToken".to_owned(), administration::issued_token(token));
    }
    schemas.extend(of_types);
    let others =
        [data::schemas(), administration::schemas(), accounts::schemas(), answer::schemas(explained_below)].concat();
    schemas.extend(others.into_iter().map(|(name, schema)| (name.to_owned(), schema)));

    let tags: Vec<Value> = data_sets.iter().map(data::Described::tag).chain(administration::tags()).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": brand,
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
        },
        "servers": [{ "url": public_url }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters,
            "responses": responses,
            "securitySchemes": {
                "apiKey": {
                    "type": "apiKey", "in": "header", "name": "x-api-key",
                    "description": "The key from the invitation: `pmt_…`.",
                },
                "session": {
                    "type": "http", "scheme": "bearer",
                    "description": "The token of a session: `pms_…`. It reads data as a key does.",
                },
                "sessionCookie": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-permitd",
                    "description": "The session's cookie; without TLS it is called `permitd`. In writing requests it counts only where they come from a page of this server.",
                },
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "The same key as `Authorization: Bearer`.",
                },
                "basic": {
                    "type": "http", "scheme": "basic",
                    "description": "The same key as the user name, with any password or none, or as the password.",
                },
                "adminToken": {
                    "type": "http", "scheme": "bearer",
                    "description": "An administrator's token: `pmt_admin_…`. Each operation lists the scopes that it needs: `people`, `data`, \
                        `plans`, `events`, `server`. A token that may only read is refused what changes something.",
                },
            },
        },
    })
}

/// The document as it was last sent, and what it was made of.
#[derive(Default)]
struct Last(RefCell<Option<Made>>);

#[derive(Clone)]
struct Made {
    definitions: Vec<Arc<Definition>>,
    bytes: Bytes,
    tag: String,
}

impl Last {
    /// The document about these data sets: the last one, as long as they are the same.
    fn of(&self, service: &Service, definitions: Vec<Arc<Definition>>) -> Made {
        let same = |made: &&Made| made.definitions == definitions;
        if let Some(made) = self.0.borrow().as_ref().filter(same) {
            return made.clone();
        }
        let (settings, public_url) = (&service.settings, &service.public_url);
        let document = document(&settings.mail.brand, public_url, &settings.public_url, &definitions);
        let bytes = Bytes::from(document.to_string());
        let tag = hex(Sha256::digest(&bytes).as_slice().get(..16).unwrap_or_default());
        let made = Made { definitions, bytes, tag };
        self.0.replace(Some(made.clone()));
        made
    }
}

/// Adds the route. Each worker keeps the document that it sent last.
pub fn configure(app: &mut web::ServiceConfig) {
    app.app_data(web::Data::new(Last::default())).service(method::readable("/openapi.json", show));
}

async fn show(request: HttpRequest, service: web::Data<Service>, last: web::Data<Last>) -> HttpResponse {
    let data_sets = service.records.data_sets();
    let served = data_sets.iter().filter(|data_set| !data_set.standing.withdrawn);
    let definitions = served.map(|data_set| Arc::clone(&data_set.definition)).collect();
    let Made { bytes, tag, .. } = last.of(&service, definitions);
    let tag = EntityTag::new_strong(tag);
    let known = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    if known {
        return response.finish();
    }
    response.content_type("application/json").body(bytes)
}
