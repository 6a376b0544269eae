//! Questions of pages for people about a data set: a page is admitted once for all its questions, and they are answered as documents.

use std::sync::Arc;

use actix_web::HttpRequest;
use serde_json::Value;

use super::{
    DataSets,
    failure::{query_problem, wrong_parameters},
};
use crate::{
    actors::{
        gate::Asking,
        grants::{Admission, Pass},
    },
    dataset::{
        cursor, json,
        query::{self, Facets, Groups, InvalidParam, Query},
        summary::Facet,
    },
    domain::{bounds::DataAction, credential::Credential, id::UserId},
    http::{Charge, Problem, ProblemCode, state::Service, wire},
    store::records::{DataSet, RecordsGroups, RecordsSummary},
};

/// A page of records, with whole numbers and amounts as texts.
#[derive(Debug)]
pub(in crate::http) struct PageOfRows {
    /// The records, each an object.
    pub(in crate::http) records: Vec<Value>,
    /// The cursor of the next page.
    pub(in crate::http) next: Option<String>,
    /// How many records match, if the page asked for it.
    pub(in crate::http) count: Option<u64>,
}

impl DataSets {
    /// The service of the routes.
    pub(in crate::http) fn service(&self) -> &Service {
        &self.service
    }

    /// Admits a page with `cost` questions, or returns the refusal.
    ///
    /// # Errors
    /// When admission cannot be decided.
    pub(in crate::http) async fn admit_page(
        &self,
        request: &HttpRequest,
        credential: Credential,
        data_set: &Arc<DataSet>,
        cost: u64,
    ) -> Result<Result<Pass, Admission>, Problem> {
        let from = wire::client_of(request);
        self.admit_as(credential, cost, Asking { from, data_set: Some(Arc::clone(data_set)), action: DataAction::Read })
            .await
    }

    /// Lowers the cost of a page to `kept` questions, and adds the page to the person's usage.
    pub(in crate::http) fn charge(
        &self,
        request: &HttpRequest,
        pass: &mut Pass,
        data_set: &DataSet,
        kept: u64,
        status: u16,
    ) {
        pass.keep(kept, self.service.committer.clock.as_ref());
        pass.tell(&data_set.definition.name, status, wire::client_of(request));
    }

    /// The cost of a page of which one question failed with `problem`.
    pub(in crate::http) fn charged(problem: &Problem, cost: u64) -> u64 {
        match problem.charge() {
            Charge::Whole => cost,
            Charge::Rate | Charge::Nothing => cost.saturating_sub(1),
        }
    }

    /// The query that the parameters of a page ask for.
    ///
    /// # Errors
    /// All wrong parameters.
    pub(in crate::http) fn question(&self, data_set: &DataSet, raw_query: &str) -> Result<Query, Vec<InvalidParam>> {
        let key = self.service.cursor_key.of(data_set.instance);
        let asked = query::parse(&data_set.definition, raw_query, &query::QueryLimits::default(), &key);
        asked.map(|asked| Query { numbers_as_texts: true, ..asked })
    }

    /// The question for groups that these parameters ask for.
    ///
    /// # Errors
    /// All wrong parameters.
    pub(in crate::http) fn question_of_groups(
        &self,
        data_set: &DataSet,
        raw_query: &str,
    ) -> Result<Groups, Vec<InvalidParam>> {
        query::parse_groups(&data_set.definition, raw_query, &query::QueryLimits::default())
    }

    /// Groups of records.
    ///
    /// # Errors
    /// The same as for the API.
    pub(in crate::http) async fn groups_of(
        &self,
        who: UserId,
        data_set: &Arc<DataSet>,
        asked: &Groups,
    ) -> Result<RecordsGroups, Problem> {
        self.queries.groups(who, Arc::clone(data_set), asked.clone()).await.map_err(query_problem)
    }

    /// A page of records.
    ///
    /// # Errors
    /// The same as for the API.
    pub(in crate::http) async fn rows(
        &self,
        who: UserId,
        data_set: &Arc<DataSet>,
        query: &Query,
    ) -> Result<PageOfRows, Problem> {
        let query = self.settled(who, data_set, query.clone()).await?;
        let found = self.queries.find(who, Arc::clone(data_set), query.clone()).await.map_err(query_problem)?;
        let count = found.count;
        let made = self.page(data_set, &query, found)?;
        let mut document: Value = serde_json::from_slice(&made.text).map_err(Problem::internal)?;
        Ok(PageOfRows { records: entries(&mut document), next: made.next, count })
    }

    /// How often the values of a column occur, for at most `limit` values.
    ///
    /// # Errors
    /// The same as for the API.
    pub(in crate::http) async fn values_of(
        &self,
        who: UserId,
        data_set: &Arc<DataSet>,
        (query, column, limit): (&Query, usize, u32),
    ) -> Result<(u64, Facet), Problem> {
        let facets = Facets {
            filter: query.filter.clone(),
            columns: vec![column],
            limit,
            numbers_as_texts: true,
            as_of: query.as_of,
        };
        let found = self.queries.facets(who, Arc::clone(data_set), facets).await.map_err(query_problem)?;
        let RecordsSummary { records, columns, .. } = found;
        let facet = columns.into_iter().next().ok_or_else(|| Problem::internal("no values were counted"))?;
        Ok((records, facet))
    }

    /// The states of a key's records, or of one of them, and the cursor of further states. `None` if there never was such a record.
    ///
    /// # Errors
    /// The same as for the API.
    pub(in crate::http) async fn states_of(
        &self,
        who: UserId,
        data_set: &Arc<DataSet>,
        (key, record_id): (&str, Option<&str>),
        raw_query: &str,
    ) -> Result<Option<(Vec<Value>, Option<String>)>, Problem> {
        let definition = &data_set.definition;
        let cursor_key = self.service.cursor_key.of(data_set.instance);
        let limits = query::QueryLimits::default();
        let asked = query::parse_history(definition, raw_query, &limits, &cursor_key, (key, record_id));
        let asked = asked.map_err(|params| wrong_parameters(&params))?;
        let record = record_id.map(ToOwned::to_owned);
        let found = self.queries.history(who, Arc::clone(data_set), key.to_owned(), record, asked).await;
        let Some(past) = found.map_err(query_problem)? else { return Ok(None) };
        let seal = |position| cursor::seal_state(&cursor_key, definition, (key, record_id), position);
        let next = past.next.as_ref().map(seal).transpose();
        let next = next.map_err(|error| Problem::new(ProblemCode::InvalidParameters, error.to_string()))?;
        let text = past.document.finish(&[], &definition.name, past.version);
        let text = json::numbers_as_texts(definition, &text, json::Entries::Past);
        let mut document = serde_json::from_slice(&text).map_err(Problem::internal)?;
        Ok(Some((entries(&mut document), next)))
    }
}

/// The entries of a document.
fn entries(document: &mut Value) -> Vec<Value> {
    match document.get_mut("data").map(Value::take) {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    }
}
