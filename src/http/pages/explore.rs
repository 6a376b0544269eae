//! `/{dataset}/explore` and the pages of its records: data for people. A page spends the same quota as the API, one request per question,
//! and says so.

mod address;
mod chart;
mod drawing;
mod groups;
mod map;
pub(super) mod reader;
mod record;
mod rows;
mod summary;
mod table;
mod wording;

use std::rc::Rc;

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    dev::{AppService, HttpServiceFactory, ResourceDef, ServiceRequest, ServiceResponse, fn_service},
    guard::{self, GuardContext},
    http::{Method, StatusCode},
};
use percent_encoding::percent_decode_str;

pub(super) use self::reader::instead;
use self::reader::{DataReader, SECTION};
use super::{
    about, route,
    visit::{Anyone, KnownVisitor, PageRefusal, Shown, SignedInPerson, Visit, Visitor},
};
use crate::{
    domain::credential::CredentialKind,
    http::{
        DataRoute, Problem, ProblemCode, address as addresses, credentials, method,
        passage::Passage,
        routes::data::{data_sets::DataSets, wanted::first_segment},
    },
};

const METHODS: &str = "GET, HEAD";
/// The path segment of the page that describes a data set.
const ABOUT: &str = "about";

/// The pages of data sets. They come before the data sets' other routes, and take only the paths of pages.
pub struct DataPages {
    data: DataSets,
}

impl DataPages {
    /// The pages of one worker, which ask its actors.
    pub fn new(data: DataSets) -> Self {
        Self { data }
    }

    fn takes(&self, context: &GuardContext<'_>) -> bool {
        let path = context.head().uri.path();
        let Some(name) = first_segment(path) else { return false };
        if !path.split('/').nth(2).is_some_and(|section| [SECTION, ABOUT].contains(&section)) {
            return false;
        }
        let service = self.data.service();
        service.records.data_set(name).is_some()
            || service.lineages.may_be_lost(name)
            || self.data.renamed(name).is_some()
    }
}

impl HttpServiceFactory for DataPages {
    fn register(self, config: &mut AppService) {
        let pages = Rc::new(self);
        let guarded = Rc::clone(&pages);
        let guard = guard::fn_guard(move |context| guarded.takes(context));
        let service = fn_service(move |request: ServiceRequest| {
            let pages = Rc::clone(&pages);
            async move {
                let request = request.into_parts().0;
                let response = pages.respond(&request).await;
                Ok::<_, Error>(ServiceResponse::new(request, response))
            }
        });
        config.register_service(ResourceDef::prefix(""), Some(vec![Box::new(guard)]), service, None);
    }
}

impl DataPages {
    async fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let path = request.uri().path();
        let is_about = path.split('/').nth(2) == Some(ABOUT);
        if let Some(passage) = request.extensions().get::<Passage>() {
            passage.data_route.set(Some(if is_about { DataRoute::About } else { DataRoute::Page }));
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return method::other(request, METHODS);
        }
        let segments: Vec<&str> = path.split('/').skip(3).collect();
        if segments.last() == Some(&"") {
            return addresses::without_slash(request);
        }
        let shown = match segments.as_slice() {
            [] if is_about => about::show(request, &self.data).await,
            _ if is_about => return addresses::unknown(request),
            [] => self.table(request).await,
            [key] if !key.is_empty() => self.record(request, key, None).await,
            [key, id] if !key.is_empty() => self.record(request, key, Some(id)).await,
            _ => return addresses::unknown(request),
        };
        route::sent(request, shown).await
    }

    async fn table(&self, request: &HttpRequest) -> Shown {
        match self.reader(request).await? {
            Ok(reader) => table::show(&reader).await,
            Err(instead) => Ok(instead),
        }
    }

    async fn record(&self, request: &HttpRequest, key: &str, id: Option<&str>) -> Shown {
        let decoded = |segment: &str| {
            let text = percent_decode_str(segment).decode_utf8();
            let reason = "the key or the record id in the path is not UTF-8";
            text.map(|text| text.into_owned()).map_err(|_| Problem::new(ProblemCode::InvalidParameters, reason))
        };
        let (key, id) = (decoded(key)?, id.map(decoded).transpose()?);
        match self.reader(request).await? {
            Ok(reader) => record::show(&reader, &key, id.as_deref()).await,
            Err(instead) => Ok(instead),
        }
    }

    /// Finds the reader and the data set; or makes the page that is shown instead.
    async fn reader(&self, request: &HttpRequest) -> Result<Result<DataReader<'_>, HttpResponse>, PageRefusal> {
        let visit = Visit::<Anyone>::open(request).await?;
        let service = self.data.service();
        let name = first_segment(request.uri().path()).unwrap_or_default();
        if let Some(KnownVisitor::Token(_)) = visit.known() {
            return instead(&visit, StatusCode::FORBIDDEN, "token", name).map(Err);
        }
        SignedInPerson::of(visit.known(), request, service)?;
        let data_set = service.records.data_set(name);
        if data_set.is_none()
            && let Some(to) = self.data.renamed(name)
        {
            let rest = request.uri().path_and_query().map_or("", |target| target.as_str());
            let rest = rest.get(1 + name.len()..).unwrap_or_default();
            return visit.led(&format!("/{}{rest}", to.definition.name), None).map(Err);
        }
        if data_set.as_ref().is_some_and(|data_set| data_set.standing.withdrawn) {
            return instead(&visit, ProblemCode::DataSetWithdrawn.status(), "withdrawn", name).map(Err);
        }
        let data_set = self.data.sound(request, data_set).await?;
        let shown = credentials::of_reader(request.headers(), &service.public_url);
        match shown {
            Ok(credential) if credential.kind == CredentialKind::Session => {
                Ok(Ok(DataReader { visit, data: &self.data, data_set, credential }))
            }
            _ => Err(PageRefusal::SignIn),
        }
    }
}
