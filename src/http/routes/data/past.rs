//! `/{dataset}/changes` and the histories of keys and records.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use super::{
    DataSets, Made,
    failure::{query_problem, wrong_parameters},
    named, no_record,
};
use crate::{
    dataset::{
        cursor::{self, SealError},
        query,
    },
    domain::id::UserId,
    http::{Problem, ProblemCode},
    store::records::{DataSet, Past},
};

impl DataSets {
    pub(super) async fn changes(
        &self,
        request: &HttpRequest,
        who: UserId,
        data_set: Arc<DataSet>,
    ) -> Result<HttpResponse, Problem> {
        let (limits, key) = (query::Limits::default(), &self.service.cursor_key.of(data_set.instance));
        let parsed = query::parse_changes(&data_set.definition, request.query_string(), &limits, key);
        let asked = parsed.map_err(|params| wrong_parameters(&params))?;
        let form = format!("changes;{:?};limit={}", asked.since, asked.limit);
        let limit = asked.limit;
        let make = async || {
            let past = self.queries.changes(who, Arc::clone(&data_set), asked).await.map_err(query_problem)?;
            let next = past.next.as_ref().map(|position| cursor::seal_change(key, &data_set.definition, position));
            listed(&data_set, past, limit, next.transpose())
        };
        self.answer_to(request, &data_set, (&form, data_set.version), "since", make).await
    }

    pub(super) async fn history(
        &self,
        request: &HttpRequest,
        who: UserId,
        data_set: Arc<DataSet>,
        key: &str,
        record_id: Option<&str>,
    ) -> Result<HttpResponse, Problem> {
        let (key, record_id) = named(&data_set, key, record_id)?;
        let of = (key.as_str(), record_id.as_deref());
        let (limits, cursor_key) = (query::Limits::default(), &self.service.cursor_key.of(data_set.instance));
        let parsed = query::parse_history(&data_set.definition, request.query_string(), &limits, cursor_key, of);
        let asked = parsed.map_err(|params| wrong_parameters(&params))?;
        let form = format!("history;{of:?};{asked:?}");
        let limit = asked.limit;
        let make = async || {
            let found = self.queries.history(who, Arc::clone(&data_set), key.clone(), record_id.clone(), asked).await;
            let Some(past) = found.map_err(query_problem)? else { return Err(no_record(request)) };
            let seal = |position| cursor::seal_state(cursor_key, &data_set.definition, of, position);
            let next = past.next.as_ref().map(seal).transpose();
            listed(&data_set, past, limit, next)
        };
        self.answer_to(request, &data_set, (&form, data_set.version), "cursor", make).await
    }
}

/// The document of a list, with its page.
fn listed(
    data_set: &DataSet,
    past: Past,
    limit: u32,
    next: Result<Option<String>, SealError>,
) -> Result<Made, Problem> {
    let next = next.map_err(|error| Problem::new(ProblemCode::InvalidParameters, error.to_string()))?;
    let page = serde_json::json!({ "limit": limit, "next": next }).to_string();
    let text = past.document.finish(&[("page", &page)], &data_set.definition.name, past.version);
    Ok(Made { text: Bytes::from(text), version: past.version, next, lasting: true })
}
