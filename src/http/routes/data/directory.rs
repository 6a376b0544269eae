//! Lists and describes data sets for keys and sessions, and redirects former names of data sets.

use std::sync::Arc;

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
};
use serde_json::{Value, json};

use super::{
    data_sets::{Admitted, DataSets},
    failure,
};
use crate::{
    dataset::Definition,
    domain::credential::CredentialKind,
    http::{
        Problem, ProblemCode, address,
        credentials::{self, InHeaders, NoCredential},
        openapi::{self, audience::Audience},
        routes::{
            answer::{self, Answer},
            checkpoints,
            datasets::{
                described::{Described, shown},
                list_all, present, show_one,
            },
            params::Params,
        },
        served::served,
        session::{Admin, OfData},
    },
    store::records::DataSet,
};

/// The path of the document that describes the interface, with the data sets that its reader may see.
pub(super) const DOCUMENT: &str = "/openapi.json";
/// The path at which data sets are listed.
pub(super) const PATH: &str = "/datasets";

/// The data set that a path asks to describe.
pub(super) fn described(path: &str) -> Option<&str> {
    path.strip_prefix(PATH)?.strip_prefix('/').filter(|name| !name.is_empty() && !name.contains('/'))
}

/// Whether a request with a key or a session asks for the list or a description. Tokens see other ones.
pub(super) fn is_asked_by_reader(method: &Method, path: &str, headers: &HeaderMap, public_url: &str) -> bool {
    let is_description = || (method == Method::GET || method == Method::HEAD) && described(path).is_some();
    if path == DOCUMENT {
        // Sessions read the document for free.
        return match credentials::in_header(headers) {
            Ok(InHeaders::Credential(credential)) => credential.kind == CredentialKind::Key,
            Ok(InHeaders::Token(_)) | Err(NoCredential::Missing) => false,
            Err(_) => true,
        };
    }
    (path == PATH || is_description() || checkpoints::is_asked(path))
        && !matches!(credentials::shown(headers, public_url), Ok(InHeaders::Token(_)) | Err(NoCredential::Missing))
}

impl DataSets {
    /// The data set that formerly had this name.
    pub(in crate::http) fn renamed(&self, name: &str) -> Option<Arc<DataSet>> {
        let had = |data_set: &Arc<DataSet>| data_set.standing.former_names.iter().any(|former| former == name);
        self.service.records.data_sets().into_iter().find(had)
    }

    /// Redirects an admitted request to the present name.
    pub(super) async fn moved(&self, request: &HttpRequest, to: &DataSet) -> Result<Admitted, Problem> {
        let pass = self.admit(request, None, self.credential(request)?).await?;
        let rest = request.uri().path().trim_start_matches('/').split_once('/').map(|(_, rest)| rest);
        let mut target = format!("{}/{}", address::base(request), to.definition.name);
        if let Some(rest) = rest {
            target.push('/');
            target.push_str(rest);
        }
        if let Some(query) = request.uri().query() {
            target.push('?');
            target.push_str(query);
        }
        let response = HttpResponse::build(StatusCode::PERMANENT_REDIRECT)
            .insert_header((header::LOCATION, target))
            // The old name may be used again.
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .finish();
        Ok((pass, Ok(response)))
    }

    /// The list, or one data set in full, for a session whose role administers data. `None` for those who only read data.
    pub(super) async fn told_to_role(&self, request: &HttpRequest) -> Option<Answer> {
        let shown = credentials::of_reader(request.headers(), &self.service.public_url);
        if !shown.is_ok_and(|shown| shown.kind == CredentialKind::Session) {
            return None;
        }
        match Admin::<OfData>::extract(request).await {
            Ok(_) => Some(match described(request.path()) {
                Some(name) => show_one(request, name, &self.service).await,
                None => list_all(request, &self.service),
            }),
            Err(problem) if problem.code() == ProblemCode::MissingPermission => None,
            Err(problem) => Some(Err(problem)),
        }
    }

    /// The description of a data set, for a key or a session that may read it.
    pub(super) async fn describe(&self, request: &HttpRequest, name: &str) -> Result<Admitted, Problem> {
        let credential = self.credential(request)?;
        let data_set = self.service.records.data_set(name);
        let pass = self.admit(request, data_set.as_ref(), credential).await?;
        let described = async {
            Params::read(request.query_string(), &[])?;
            let data_set = present(&self.service, name, data_set).await?;
            if data_set.standing.withdrawn {
                return Err(failure::withdrawn(&data_set));
            }
            Ok(answer::document(StatusCode::OK, &Described::to_readers(&self.service, &data_set).await?))
        };
        Ok((pass, described.await))
    }

    /// The document of the interface, with the data sets that the key may read and those that are public.
    pub(super) async fn interface(&self, request: &HttpRequest) -> Result<Admitted, Problem> {
        let pass = self.admit(request, None, self.credential(request)?).await?;
        let may_see = |set: &Definition| set.about.public || pass.is_for(&set.name);
        let shown = openapi::shown_to(request, Audience::Consumers, may_see).await;
        Ok((pass, shown))
    }

    /// The checkpoints, for whoever has a key or a session.
    pub(super) async fn checkpoints(&self, request: &HttpRequest) -> Result<Admitted, Problem> {
        let pass = self.admit(request, None, self.credential(request)?).await?;
        Ok((pass, checkpoints::told(request, &self.service).await))
    }

    /// The data sets that a key or a session may read.
    pub(super) async fn list(&self, request: &HttpRequest) -> Result<Admitted, Problem> {
        let pass = self.admit(request, None, self.credential(request)?).await?;
        if let Err(problem) = Params::read(request.query_string(), &[]) {
            return Ok((pass, Err(problem)));
        }
        let data_sets = served(&self.service);
        let served = data_sets.iter().filter(|data_set| pass.is_for(&data_set.definition.name));
        let listed: Vec<Value> = served.map(|data_set| shown(data_set)).collect();
        let response = HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .json(json!({ "data": listed }));
        Ok((pass, Ok(response)))
    }
}
