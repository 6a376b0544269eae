//! `/{dataset}/changes` and the histories of keys and records.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use super::{DataSets, caching::Tag, document, failure::query_problem, link, named, no_record, summary::known};
use crate::{
    dataset::{
        cursor::{self, SealError},
        query,
    },
    http::{Problem, ProblemCode},
    store::records::{DataSet, Past},
};

impl DataSets {
    pub(super) async fn changes(&self, request: &HttpRequest, data_set: Arc<DataSet>) -> Result<HttpResponse, Problem> {
        let (limits, key) = (query::Limits::default(), &self.service.cursor_key);
        let parsed = query::parse_changes(&data_set.definition, request.query_string(), &limits, key);
        let asked = parsed.map_err(|params| Problem::invalid_params(&params))?;
        let form = format!("changes;{:?};limit={}", asked.since, asked.limit);
        if let Some(answer) = known(request, &data_set, &form) {
            return Ok(answer);
        }
        let limit = asked.limit;
        let past = self.queries.changes(Arc::clone(&data_set), asked).await.map_err(query_problem)?;
        let next = past.next.as_ref().map(|position| cursor::seal_change(key, &data_set.definition, position));
        listed(request, &data_set, &form, past, limit, (next.transpose(), "since")).await
    }

    pub(super) async fn history(
        &self,
        request: &HttpRequest,
        data_set: Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
    ) -> Result<HttpResponse, Problem> {
        let (key, record_id) = named(&data_set, key, record_id)?;
        let of = (key.as_str(), record_id.as_deref());
        let (limits, cursor_key) = (query::Limits::default(), &self.service.cursor_key);
        let parsed = query::parse_history(&data_set.definition, request.query_string(), &limits, cursor_key, of);
        let asked = parsed.map_err(|params| Problem::invalid_params(&params))?;
        let form = format!("history;{of:?};{asked:?}");
        if let Some(answer) = known(request, &data_set, &form) {
            return Ok(answer);
        }
        let limit = asked.limit;
        let found = self.queries.history(Arc::clone(&data_set), key.clone(), record_id.clone(), asked).await;
        let Some(past) = found.map_err(query_problem)? else { return Err(no_record(request)) };
        let seal = |position| cursor::seal_state(cursor_key, &data_set.definition, of, position);
        let next = past.next.as_ref().map(seal).transpose();
        listed(request, &data_set, &form, past, limit, (next, "cursor")).await
    }
}

/// The document of a list, with its page. `next` is where it goes on, by which parameter.
async fn listed(
    request: &HttpRequest,
    data_set: &DataSet,
    form: &str,
    past: Past,
    limit: u32,
    (next, parameter): (Result<Option<String>, SealError>, &str),
) -> Result<HttpResponse, Problem> {
    let next = next.map_err(|error| Problem::new(ProblemCode::InvalidParameters, error.to_string()))?;
    let page = serde_json::json!({ "limit": limit, "next": next }).to_string();
    let text = past.document.finish(&[("page", &page)], &data_set.definition.name, past.version);
    let mut response = document(request, Bytes::from(text), &Tag::of(data_set, past.version, form)).await?;
    if let Some(cursor) = next {
        link(request, &mut response, parameter, &cursor)?;
    }
    Ok(response)
}
