//! `/{dataset}/changes` and the histories of keys and records.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use super::{
    DataSets, Made, QuestionForm,
    failure::{query_problem, wrong_parameters},
    named, no_record,
};
use crate::{
    dataset::{
        cursor::{self, SealError},
        json, query,
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
        let (limits, key) = (query::QueryLimits::default(), &self.service.cursor_key.of(data_set.instance));
        let parsed = query::parse_changes(&data_set.definition, request.query_string(), &limits, key);
        let asked = parsed.map_err(|params| wrong_parameters(&params))?;
        let query::Changes { since, limit, numbers_as_texts } = &asked;
        let form = format!("changes;{since:?};limit={limit};texts={numbers_as_texts}");
        let (limit, numbers_as_texts) = (*limit, *numbers_as_texts);
        let make = async || {
            let past = self.queries.changes(who, Arc::clone(&data_set), asked).await.map_err(query_problem)?;
            let next = past.next.as_ref().map(|position| cursor::seal_change(key, &data_set.definition, position));
            listed(&data_set, past, (limit, numbers_as_texts), next.transpose())
        };
        let asked = QuestionForm {
            form: &form,
            version: data_set.version,
            cited_as: None,
            goes_on_by: "since",
            numbers_as_texts,
        };
        self.answer_to(request, &data_set, asked, make).await
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
        let (limits, cursor_key) = (query::QueryLimits::default(), &self.service.cursor_key.of(data_set.instance));
        let parsed = query::parse_history(&data_set.definition, request.query_string(), &limits, cursor_key, of);
        let asked = parsed.map_err(|params| wrong_parameters(&params))?;
        let form = format!("history;{of:?};{asked:?}");
        let (limit, numbers_as_texts) = (asked.limit, asked.numbers_as_texts);
        let make = async || {
            let found = self.queries.history(who, Arc::clone(&data_set), key.clone(), record_id.clone(), asked).await;
            let Some(past) = found.map_err(query_problem)? else { return Err(no_record(request)) };
            let seal = |position| cursor::seal_state(cursor_key, &data_set.definition, of, position);
            let next = past.next.as_ref().map(seal).transpose();
            listed(&data_set, past, (limit, numbers_as_texts), next)
        };
        let asked = QuestionForm {
            form: &form,
            version: data_set.version,
            cited_as: None,
            goes_on_by: "cursor",
            numbers_as_texts,
        };
        self.answer_to(request, &data_set, asked, make).await
    }
}

/// The document of a list, with its page.
fn listed(
    data_set: &DataSet,
    past: Past,
    (limit, numbers_as_texts): (u32, bool),
    next: Result<Option<String>, SealError>,
) -> Result<Made, Problem> {
    let next = next.map_err(|error| Problem::new(ProblemCode::InvalidParameters, error.to_string()))?;
    let page = serde_json::json!({ "limit": limit, "next": next }).to_string();
    let definition = &data_set.definition;
    let mut text = past.document.finish(&[("page", &page)], &definition.name, past.version);
    if numbers_as_texts {
        text = json::numbers_as_texts(definition, &text, json::Entries::Past);
    }
    Ok(Made { text: Bytes::from(text), version: past.version, next, lasting: true })
}
