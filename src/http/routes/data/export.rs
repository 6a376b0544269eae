//! Exports: `format=ndjson` and `format=csv`. One is charged as several requests, before it begins: it is worth many pages.

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
    Admitted, DataSets,
    caching::{self, Tag},
    failure::query_problem,
    limits,
};
use crate::{
    actors::grants::Pass,
    dataset::query::{Format, Query},
    domain::key::PresentedKey,
    http::{
        Problem,
        coding::{self, Coding, Encoder},
    },
    store::records::{DataSet, Export},
};

/// What a JSON document says in its member `dataset`.
const DATASET_VERSION: HeaderName = HeaderName::from_static("x-dataset-version");

impl DataSets {
    pub(super) async fn export(
        &self,
        request: &HttpRequest,
        data_set: Arc<DataSet>,
        query: Query,
        form: &str,
        (presented, first): (&PresentedKey<'_>, Pass),
    ) -> Result<Admitted, Problem> {
        let tag = Tag::of(&data_set, data_set.version, form);
        if request.headers().contains_key(header::IF_NONE_MATCH)
            && let Some(known) = tag.is_known(request)
        {
            return Ok((first, Ok(caching::not_modified(known))));
        }
        let format = query.format.unwrap_or(Format::Ndjson);
        if request.method() == Method::HEAD {
            // One request, and no export: there is nothing to be said of it that only its making would tell.
            let head = head(request, &data_set, format, &tag);
            let head = if caching::wants_nothing(request) { caching::without_body(head) } else { head };
            return Ok((first, Ok(head)));
        }
        let charged = self.charge(presented, first).await?;
        let Some(last) = charged.last().cloned() else { return Err(Problem::internal("an export without a pass")) };
        if caching::wants_nothing(request) {
            return Ok((last, Ok(caching::without_body(head(request, &data_set, format, &tag)))));
        }
        let export = match self.queries.export(Arc::clone(&data_set), query).await {
            Ok(export) => export,
            Err(error) => {
                // The last one is given back with the answer.
                charged.iter().rev().skip(1).for_each(Pass::refund);
                return Ok((last, Err(query_problem(error))));
            }
        };
        let version = export.version;
        let coding = Coding::accepted(request);
        let encoder = coding.map(Encoder::new).transpose().map_err(Problem::internal)?;
        let parts = Parts { export, encoder: Encoding::Ready(encoder), charged };
        let mut response = HttpResponse::with_body(StatusCode::OK, BoxBody::new(BodyStream::new(parts)));
        describe(&mut response, &data_set, format, version);
        if let Some(coding) = coding {
            coding::coded(&mut response, coding);
        }
        caching::tagged(&mut response, &Tag::of(&data_set, version, form), coding);
        Ok((last, Ok(response)))
    }

    /// Takes the passes that an export costs beyond the first, or none of them.
    async fn charge(&self, presented: &PresentedKey<'_>, first: Pass) -> Result<Vec<Pass>, Problem> {
        let bucket = first.standing.bucket;
        // Nobody's bucket is too small for an export: it costs a whole one at most.
        let burst = u64::try_from(bucket.burst).unwrap_or(1);
        let cost = self.service.settings.records.export_cost.min(burst).max(1);
        let more = cost - 1;
        let standing = first.standing;
        let (rate, quota) = (standing.burst_left < more, standing.quota_left < more);
        if rate || quota {
            first.refund();
            return Err(limits::too_little_for_export(&standing, cost, rate, quota));
        }
        let mut passes = vec![first];
        for _ in 0..more {
            match self.admit(presented).await {
                Ok(pass) => passes.push(pass),
                Err(problem) => {
                    passes.iter().for_each(Pass::refund);
                    return Err(problem);
                }
            }
        }
        Ok(passes)
    }
}

/// What is said of an export without making it. How long it would be is not known: nothing is said of that.
fn head(request: &HttpRequest, data_set: &DataSet, format: Format, tag: &Tag) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::OK, BoxBody::new(body::None::new()));
    describe(&mut response, data_set, format, data_set.version);
    let coding = Coding::accepted(request);
    if let Some(coding) = coding {
        coding::coded(&mut response, coding);
    }
    caching::tagged(&mut response, tag, coding);
    response
}

fn describe(response: &mut HttpResponse, data_set: &DataSet, format: Format, version: u64) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    let name = format!("attachment; filename=\"{}-v{version}.{}\"", data_set.definition.name, format.name());
    headers.insert(DATASET_VERSION, HeaderValue::from(version));
    if let Ok(name) = HeaderValue::try_from(name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
}

type Encoded = std::io::Result<(Option<Encoder>, Vec<u8>)>;

/// Who has the encoder.
enum Encoding {
    Ready(Option<Encoder>),
    /// A thread that compresses a part.
    Busy(Pin<Box<dyn Future<Output = Result<Encoded, actix_web::error::BlockingError>>>>),
    Ended,
}

/// The body of an export.
struct Parts {
    export: Export,
    encoder: Encoding,
    charged: Vec<Pass>,
}

/// Why a body breaks off. The client sees a connection that ends before its body does.
#[derive(Debug, thiserror::Error)]
#[error("an export was not finished")]
struct BrokenOff;

impl Parts {
    /// An export that the server breaks off is not charged.
    fn break_off(&mut self, cause: &dyn std::fmt::Display) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        tracing::warn!(%cause, "an export was broken off");
        self.encoder = Encoding::Ended;
        self.charged.drain(..).for_each(|pass| pass.refund());
        Poll::Ready(Some(Err(BrokenOff)))
    }
}

impl futures_util::Stream for Parts {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match std::mem::replace(&mut self.encoder, Encoding::Ended) {
                Encoding::Ended => return Poll::Ready(None),
                Encoding::Busy(mut work) => match work.as_mut().poll(context) {
                    Poll::Pending => {
                        self.encoder = Encoding::Busy(work);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(Ok((encoder, piece)))) => {
                        // Without an encoder it was the last piece.
                        self.encoder = if encoder.is_some() { Encoding::Ready(encoder) } else { Encoding::Ended };
                        if !piece.is_empty() {
                            return Poll::Ready(Some(Ok(piece.into())));
                        }
                    }
                    Poll::Ready(Ok(Err(error))) => return self.break_off(&error),
                    Poll::Ready(Err(error)) => return self.break_off(&error),
                },
                Encoding::Ready(encoder) => match (self.export.parts.poll_recv(context), encoder) {
                    (Poll::Pending, encoder) => {
                        self.encoder = Encoding::Ready(encoder);
                        return Poll::Pending;
                    }
                    (Poll::Ready(Some(Err(error))), _) => return self.break_off(&error),
                    (Poll::Ready(Some(Ok(part))), None) => {
                        self.encoder = Encoding::Ready(None);
                        return Poll::Ready(Some(Ok(part)));
                    }
                    (Poll::Ready(Some(Ok(part))), Some(mut encoder)) => {
                        let compress = move || encoder.write(&part).map(|piece| (Some(encoder), piece));
                        self.encoder = Encoding::Busy(Box::pin(web::block(compress)));
                    }
                    (Poll::Ready(None), None) => return Poll::Ready(None),
                    (Poll::Ready(None), Some(encoder)) => {
                        let finish = move || encoder.finish().map(|piece| (None, piece));
                        self.encoder = Encoding::Busy(Box::pin(web::block(finish)));
                    }
                },
            }
        }
    }
}
