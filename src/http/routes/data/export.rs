//! Exports: all that matches, in any format but JSON. An export replaces many pages, so it is charged as several requests, before it begins.

use std::{pin::Pin, sync::Arc, task::Poll};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{self, BodyStream, BoxBody},
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web,
};
use bytes::Bytes;

use super::{
    Admitted, DataSets, as_of,
    caching::{self, Tag},
    citing,
    failure::query_problem,
    limits,
};
use crate::{
    actors::{gate::Asking, grants::Pass, query::Exporting, turns::Turn},
    dataset::{
        export::{ExportError, WORKBOOK_RECORDS_MAX},
        query::{Format, PointInTime, Query},
    },
    domain::{bounds::DataAction, credential::Credential},
    http::{
        Charge, Problem, ProblemCode,
        coding::{self, Coding, Encoder},
        wire,
    },
    store::records::{DataSet, Export},
};

/// The header field for the version that a JSON document has in its member `dataset`.
const DATASET_VERSION: HeaderName = HeaderName::from_static("x-dataset-version");

impl DataSets {
    pub(super) async fn export(
        &self,
        request: &HttpRequest,
        data_set: Arc<DataSet>,
        query: Query,
        form: &str,
        credential: Credential,
    ) -> Result<Admitted, Problem> {
        let from = wire::client_of(request);
        let asking = Asking { from, data_set: Some(Arc::clone(&data_set)), action: DataAction::Export };
        let cost = self.service.settings.records.export_cost;
        let mut passed = None;
        let version = match as_of::known(&data_set, query.as_of) {
            Ok(version) => version,
            // Only an admitted caller may ask which version that is, and nobody pays twice.
            Err(as_of) => {
                let mut pass = self.admit_export(credential, cost, asking.clone(), None).await?;
                match self.version_of(pass.user, &data_set, Some(as_of)).await {
                    Ok(version) => {
                        passed = Some(pass);
                        version
                    }
                    Err(problem) => {
                        pass.keep(1, self.service.committer.clock.as_ref());
                        return Ok((pass, Err(problem)));
                    }
                }
            }
        };
        let query = Query { as_of: query.as_of.map(|_| PointInTime::Version(version)), ..query };
        let tag = Tag::of(&data_set, version, form);
        if request.headers().contains_key(header::IF_NONE_MATCH)
            && let Some(known) = tag.is_known(request)
        {
            let pass = self.admit_export(credential, 1, asking, passed).await?;
            return Ok((pass, Ok(caching::not_modified(known))));
        }
        let format = query.format.unwrap_or(Format::Ndjson);
        // How many records an earlier version has is not known before they are read.
        let records = if version == data_set.version { data_set.records } else { 0 };
        if let Some(problem) = beyond_a_sheet(records, &query, format) {
            // It is known without reading a record.
            return Ok((self.admit_export(credential, 1, asking, passed).await?, Err(problem)));
        }
        let head = || {
            let mut head = head(request, &data_set, (version, format), &tag);
            citing::cite(request, &self.service.public_url, &mut head, (version, format)).map(|()| head)
        };
        if request.method() == Method::HEAD {
            // HEAD counts as one request and makes no export: all header fields are known without making it.
            let pass = self.admit_export(credential, 1, asking, passed).await?;
            let unwanted = caching::wants_nothing(request);
            return Ok((pass, if unwanted { head().map(caching::without_body) } else { head() }));
        }
        // The whole price or nothing: an export that the limits have no room for takes nothing of them.
        let pass = self.admit_export(credential, cost, asking, passed).await?;
        if caching::wants_nothing(request) {
            return Ok((pass, head().map(caching::without_body)));
        }
        let Exporting { export, place } = match self.queries.export(pass.user, Arc::clone(&data_set), query).await {
            Ok(exporting) => exporting,
            Err(error) => return Ok((pass, Err(query_problem(error)))),
        };
        let (version, dataset) = (export.version, data_set.definition.name.to_string());
        let coding = coding_of(request, format);
        let encoder = coding.map(Encoder::new).transpose().map_err(Problem::internal)?;
        let parts =
            ExportBody { export, encoder: Encoding::Ready(encoder), pass: pass.clone(), dataset, place: Some(place) };
        let mut response = HttpResponse::with_body(StatusCode::OK, BoxBody::new(BodyStream::new(parts)));
        describe(&mut response, &data_set, format, version);
        if let Some(coding) = coding {
            coding::coded(&mut response, coding);
        }
        caching::tagged(&mut response, &Tag::of(&data_set, version, form), coding);
        citing::cite(request, &self.service.public_url, &mut response, (version, format))?;
        Ok((pass, Ok(response)))
    }

    /// Admits an answer of this cost about an export, or lowers the cost of the pass that there is already.
    async fn admit_export(
        &self,
        credential: Credential,
        cost: u64,
        asking: Asking,
        passed: Option<Pass>,
    ) -> Result<Pass, Problem> {
        if let Some(mut pass) = passed {
            pass.keep(cost, self.service.committer.clock.as_ref());
            return Ok(pass);
        }
        let admitted = self.admit_as(credential, cost, asking).await?;
        admitted.map_err(|refused| match cost {
            1 => limits::not_admitted(refused),
            cost => limits::export_not_admitted(refused, cost),
        })
    }
}

/// The problem of a workbook that is known to have too many rows: of so many records all are asked for, or a number of them.
fn beyond_a_sheet(records: u64, query: &Query, format: Format) -> Option<Problem> {
    let records = query.limit_asked.map_or(records, |limit| records.min(u64::from(limit)));
    let is_known = format == Format::Xlsx && query.filter.terms() == 0 && records > WORKBOOK_RECORDS_MAX;
    let error = ExportError::TooManyRecords { records_max: WORKBOOK_RECORDS_MAX };
    is_known.then(|| Problem::new(ProblemCode::InvalidParameters, error.to_string()))
}

/// The header fields of an export, without making it. There is no length, since it is not known.
fn head(request: &HttpRequest, data_set: &DataSet, (version, format): (u64, Format), tag: &Tag) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::OK, BoxBody::new(body::None::new()));
    describe(&mut response, data_set, format, version);
    let coding = coding_of(request, format);
    if let Some(coding) = coding {
        coding::coded(&mut response, coding);
    }
    caching::tagged(&mut response, tag, coding);
    response
}

/// The coding of an export. What is compressed by itself is sent as it is.
fn coding_of(request: &HttpRequest, format: Format) -> Option<Coding> {
    Coding::accepted(request).filter(|_| !format.is_compressed())
}

fn describe(response: &mut HttpResponse, data_set: &DataSet, format: Format, version: u64) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    let name = format!("attachment; filename=\"{}-v{version}.{}\"", data_set.definition.name, format.suffix());
    headers.insert(DATASET_VERSION, HeaderValue::from(version));
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
}

type EncodedBlock = std::io::Result<(Option<Encoder>, Vec<u8>)>;

/// The owner of the encoder.
enum Encoding {
    Ready(Option<Encoder>),
    /// A thread has the encoder and compresses a part.
    Busy(Pin<Box<dyn Future<Output = Result<EncodedBlock, actix_web::error::BlockingError>>>>),
    Ended,
}

/// The body of an export.
struct ExportBody {
    export: Export,
    encoder: Encoding,
    pass: Pass,
    dataset: String,
    /// Its place among the concurrent exports, given back with the last part.
    place: Option<Turn>,
}

/// The error that breaks off a body. The client sees the connection end before the body does.
#[derive(Debug, thiserror::Error)]
#[error("an export was not finished")]
struct BrokenOff;

impl ExportBody {
    /// Breaks off an export, and gives it back to the quota if the server is at fault. An export that its client stalled, or that took too
    /// long, is not given back: the work was done.
    fn break_off(&mut self, cause: &dyn std::fmt::Display, charge: Charge) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        tracing::warn!(%cause, "an export was broken off");
        self.encoder = Encoding::Ended;
        self.place = None;
        if charge != Charge::Whole {
            self.pass.refund_told(&self.dataset, StatusCode::OK.as_u16());
        }
        Poll::Ready(Some(Err(BrokenOff)))
    }

    /// Ends the body. Gives back its place first, so that a client that sees the end may begin another export at once.
    fn end(&mut self) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        self.place = None;
        Poll::Ready(None)
    }
}

impl futures_util::Stream for ExportBody {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::mem::replace(&mut self.encoder, Encoding::Ended) {
                Encoding::Ended => return self.end(),
                Encoding::Busy(mut work) => match work.as_mut().poll(context) {
                    Poll::Pending => {
                        self.encoder = Encoding::Busy(work);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(Ok((encoder, piece)))) => {
                        // The last piece comes without an encoder.
                        self.encoder = if encoder.is_some() { Encoding::Ready(encoder) } else { Encoding::Ended };
                        if !piece.is_empty() {
                            return Poll::Ready(Some(Ok(piece.into())));
                        }
                    }
                    Poll::Ready(Ok(Err(error))) => return self.break_off(&error, Charge::Rate),
                    Poll::Ready(Err(error)) => return self.break_off(&error, Charge::Rate),
                },
                Encoding::Ready(encoder) => match (self.export.parts.poll_recv(context), encoder) {
                    (Poll::Pending, encoder) => {
                        self.encoder = Encoding::Ready(encoder);
                        return Poll::Pending;
                    }
                    (Poll::Ready(Some(Err(error))), _) => {
                        let text = error.to_string();
                        return self.break_off(&text, query_problem(error.into()).charge());
                    }
                    (Poll::Ready(Some(Ok(part))), None) => {
                        self.encoder = Encoding::Ready(None);
                        return Poll::Ready(Some(Ok(part)));
                    }
                    (Poll::Ready(Some(Ok(part))), Some(mut encoder)) => {
                        let compress = move || encoder.write(&part).map(|piece| (Some(encoder), piece));
                        self.encoder = Encoding::Busy(Box::pin(web::block(compress)));
                    }
                    (Poll::Ready(None), None) => return self.end(),
                    (Poll::Ready(None), Some(encoder)) => {
                        let finish = move || encoder.finish().map(|piece| (None, piece));
                        self.encoder = Encoding::Busy(Box::pin(web::block(finish)));
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::query::{Filter, Term, Test};

    #[test]
    fn a_workbook_of_too_many_records_is_known_where_nothing_is_filtered() {
        let some = Filter::Term(Term { column: 0, test: Test::Null(false) });
        let all = Filter::All(Vec::new());
        for (records, limit, filter, format, is_refused) in [
            (1_048_576, None, &all, Format::Xlsx, true),
            (1_048_575, None, &all, Format::Xlsx, false),
            (9_000_000, Some(1_048_575), &all, Format::Xlsx, false),
            (9_000_000, Some(1_048_576), &all, Format::Xlsx, true),
            (9_000_000, None, &some, Format::Xlsx, false),
            (9_000_000, None, &all, Format::Csv, false),
            (9_000_000, None, &all, Format::Parquet, false),
        ] {
            let query = Query { limit_asked: limit, filter: filter.clone(), ..Query::everything(1) };
            assert_eq!(beyond_a_sheet(records, &query, format).is_some(), is_refused, "{records} {limit:?} {format:?}");
        }
    }
}
