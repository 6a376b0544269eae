//! The interface of this server as two OpenAPI 3.1 documents: `/openapi.json` for calls with a key or a session, `/openapi-admin.json`
//! for the administration. The first is built from the definitions of the served data sets, so that every column and operator is a
//! parameter with a type.
//!
//! The documents are built by hand, since paths, parameters and records depend on definitions read at run time, which no derive macro
//! knows. The schemas of the administrator's bodies and answers come from their Rust types.

mod accounts;
mod administration;
mod answer;
pub(in crate::http) mod audience;
mod caller;
mod command;
mod components;
mod data;
pub(in crate::http) mod listed;
mod operation;
mod parameter;
mod provider;
mod schema;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, EntityTag, Header, HeaderValue, IfNoneMatch},
    web,
};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub use self::audience::Audience;
pub(super) use self::listed::Heading;
use super::{
    Problem,
    coding::{self, Coding},
    served::served,
    state::Service,
};
use crate::{dataset::Definition, domain::id::hex};

/// Builds the document of an audience about the data sets of these definitions. `brand` is the deployment's name, `public_url` the
/// address of the server; problems are explained below `explained_below`.
pub fn document(
    audience: Audience,
    brand: &str,
    public_url: &str,
    explained_below: &str,
    definitions: &[Arc<Definition>],
) -> Value {
    let mut paths = operation::Paths::of(audience, explained_below);
    let mut types = command::Types::new();
    let data_sets: Vec<data::DataSetInDocument<'_>> =
        definitions.iter().map(|of| data::DataSetInDocument::new(of)).collect();
    for data_set in &data_sets {
        data_set.add_to(&mut paths);
    }
    administration::add_to(&mut paths, &mut types);
    accounts::add_to(&mut paths, &mut types);
    provider::add_to(&mut paths, &mut types);
    let (paths, responses) = paths.finish();

    let mut parameters = Map::new();
    parameters.extend(parameter::common().into_iter().map(|(name, parameter)| (name.to_owned(), parameter)));
    parameters.extend(data_sets.iter().flat_map(data::DataSetInDocument::parameters));

    let mut schemas = Map::new();
    schemas.extend(data_sets.iter().flat_map(data::DataSetInDocument::schemas));
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

    let tags: Vec<Value> = data_sets.iter().map(data::DataSetInDocument::tag).chain(administration::tags()).collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": audience.title(brand),
            "version": env!("CARGO_PKG_VERSION"),
            "description": audience.description(),
        },
        "servers": [{ "url": public_url }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": parameters,
            "responses": responses,
            "securitySchemes": security_schemes(),
        },
    });
    components::keep_used(&mut document);
    document
}

/// The credentials that a request can show.
fn security_schemes() -> Value {
    json!({
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
    })
}

/// Most documents kept for one audience: readers of different plans see different data sets.
const KEPT_MAX: usize = 4;

/// The documents of one audience that were sent last, with their definitions; the latest at the end.
struct LastDocument {
    audience: Audience,
    made: RefCell<Vec<MadeDocument>>,
}

#[derive(Clone)]
struct MadeDocument {
    definitions: Vec<Arc<Definition>>,
    bytes: Bytes,
    tag: String,
    headings: Rc<[Heading]>,
}

impl LastDocument {
    fn none_yet(audience: Audience) -> Self {
        Self { audience, made: RefCell::default() }
    }

    /// The document about these data sets: a kept one, or a new one.
    fn of(&self, service: &Service, definitions: Vec<Arc<Definition>>) -> MadeDocument {
        let mut kept = self.made.borrow_mut();
        if let Some(place) = kept.iter().position(|made| made.definitions == definitions) {
            let made = kept.remove(place);
            kept.push(made.clone());
            return made;
        }
        let document = served_by(service, self.audience, &definitions);
        let headings = listed::headings(&document).into();
        let bytes = Bytes::from(document.to_string());
        let tag = hex(Sha256::digest(&bytes).as_slice().get(..16).unwrap_or_default());
        let made = MadeDocument { definitions, bytes, tag, headings };
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push(made.clone());
        made
    }
}

/// The documents that a worker keeps.
struct KeptDocuments {
    for_consumers: LastDocument,
    for_administrators: LastDocument,
    parts: RefCell<Vec<DocumentPart>>,
}

/// Most parts of documents kept: some hundred kilobytes each.
const PARTS_MAX: usize = 16;

/// The part of a document about one data set or none, with the definitions it was made from.
struct DocumentPart {
    audience: Audience,
    definitions: Vec<Arc<Definition>>,
    document: Rc<Value>,
}

impl KeptDocuments {
    /// The document of an audience about the served data sets that it may see. The administrators' one depends on no data set.
    fn of(&self, service: &Service, audience: Audience, may_see: impl Fn(&Definition) -> bool) -> MadeDocument {
        match audience {
            Audience::Consumers => self.for_consumers.of(service, definitions(service, may_see)),
            Audience::Administrators => self.for_administrators.of(service, Vec::new()),
        }
    }
}

/// The definitions of the served data sets that somebody may see.
fn definitions(service: &Service, may_see: impl Fn(&Definition) -> bool) -> Vec<Arc<Definition>> {
    let definitions = served(service).into_iter().map(|data_set| Arc::clone(&data_set.definition));
    definitions.filter(|definition| may_see(definition)).collect()
}

/// The document of this server about these data sets.
fn served_by(service: &Service, audience: Audience, definitions: &[Arc<Definition>]) -> Value {
    let (settings, public_url) = (&service.settings, &service.public_url);
    document(audience, &settings.mail.brand, public_url, &settings.public_url, definitions)
}

/// The document of an audience, with the data sets that the reader may see.
///
/// # Errors
/// An internal problem when [`configure`] has not prepared the documents.
fn made(
    request: &HttpRequest,
    audience: Audience,
    may_see: impl Fn(&Definition) -> bool,
) -> Result<MadeDocument, Problem> {
    let (service, kept) = prepared(request)?;
    Ok(kept.of(service, audience, may_see))
}

fn prepared(request: &HttpRequest) -> Result<(&Service, &KeptDocuments), Problem> {
    let service = request.app_data::<web::Data<Service>>();
    let (service, kept) = service
        .zip(request.app_data::<web::Data<KeptDocuments>>())
        .ok_or_else(|| Problem::internal("the descriptions of the interface are not configured"))?;
    Ok((service.get_ref(), kept.get_ref()))
}

/// The headings of the document of an audience.
///
/// # Errors
/// As [`shown_to`].
pub(super) fn headings(
    request: &HttpRequest,
    audience: Audience,
    may_see: impl Fn(&Definition) -> bool,
) -> Result<Rc<[Heading]>, Problem> {
    Ok(made(request, audience, may_see)?.headings)
}

/// Answers with the document of an audience, with the data sets that the reader may see, in the client's preferred coding.
///
/// # Errors
/// An internal problem when [`configure`] has not prepared the documents, or when compression fails.
pub(super) async fn shown_to(
    request: &HttpRequest,
    audience: Audience,
    may_see: impl Fn(&Definition) -> bool,
) -> Result<HttpResponse, Problem> {
    answered(request, made(request, audience, may_see)?).await
}

/// The part of a document under one heading, with the components that it names and all that belongs to no data set. A whole document
/// of many data sets is megabytes, and making a part takes milliseconds: the parts asked for last are kept.
///
/// # Errors
/// As [`shown_to`].
pub(super) fn under_heading(request: &HttpRequest, audience: Audience, name: &str) -> Result<Rc<Value>, Problem> {
    let (service, kept) = prepared(request)?;
    let definitions = definitions(service, |definition| audience == Audience::Consumers && definition.name == name);
    let mut parts = kept.parts.borrow_mut();
    let place = parts.iter().position(|part| part.audience == audience && part.definitions == definitions);
    let part = match place.map(|place| parts.remove(place)) {
        Some(part) => part,
        None => {
            let document = Rc::new(served_by(service, audience, &definitions));
            DocumentPart { audience, definitions, document }
        }
    };
    let document = Rc::clone(&part.document);
    if parts.len() == PARTS_MAX {
        parts.remove(0);
    }
    parts.push(part);
    Ok(document)
}

/// Prepares the documents: each worker keeps those that it sent last.
pub fn configure(app: &mut web::ServiceConfig) {
    let kept = KeptDocuments {
        for_consumers: LastDocument::none_yet(Audience::Consumers),
        for_administrators: LastDocument::none_yet(Audience::Administrators),
        parts: RefCell::default(),
    };
    app.app_data(web::Data::new(kept));
}

/// Answers with the document in the client's preferred coding. Each coding has its own tag.
async fn answered(request: &HttpRequest, made: MadeDocument) -> Result<HttpResponse, Problem> {
    let wanted = Coding::accepted(request);
    let tag_of = |coding: Option<Coding>| match coding {
        Some(coding) => EntityTag::new_strong(format!("{}.{}", made.tag, coding.token())),
        None => EntityTag::new_strong(made.tag.clone()),
    };
    let known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag_of(wanted))),
        Err(_) => false,
    };
    let (body, coding) =
        if known { (Bytes::new(), wanted) } else { coding::encoded(made.bytes.clone(), wanted).await? };
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, tag_of(coding)))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
        .insert_header((header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization, Cookie, X-Api-Key")));
    if known {
        return Ok(response.finish());
    }
    let mut response = response.content_type("application/json").body(body);
    if let Some(coding) = coding {
        coding::coded(&mut response, coding);
    }
    Ok(response)
}
