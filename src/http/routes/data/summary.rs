//! `/{dataset}/facets` and `/{dataset}/stats`: summaries of the records that a filter means.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use super::{DataSets, Made, QuestionForm, failure::query_problem};
use crate::{
    dataset::{
        Definition, json,
        query::{self, Format, PointInTime},
    },
    domain::id::UserId,
    http::Problem,
    store::records::{DataSet, RecordsSummary},
};

impl DataSets {
    pub(super) async fn facets(
        &self,
        request: &HttpRequest,
        who: UserId,
        data_set: Arc<DataSet>,
    ) -> Result<HttpResponse, Problem> {
        let parsed = query::parse_facets(&data_set.definition, request.query_string(), &query::QueryLimits::default());
        let mut asked = parsed.map_err(|params| Problem::invalid_params(&params))?;
        let version = self.version_of(who, &data_set, asked.as_of).await?;
        asked.as_of = asked.as_of.map(|_| PointInTime::Version(version));
        let form = asked.normal_form(&data_set.definition);
        let (limit, as_texts) = (asked.limit, asked.numbers_as_texts);
        let make = async || {
            let found = self.queries.facets(who, Arc::clone(&data_set), asked).await.map_err(query_problem)?;
            let head = format!("\"limit\":{limit},");
            Ok(written(&data_set.definition, (&head, "facets"), &found, |facet, definition, out| {
                write_column(definition, facet.column, out);
                out.extend_from_slice(b",\"values\":[");
                for (nth, (value, count)) in facet.values.iter().enumerate() {
                    out.extend_from_slice(if nth == 0 { b"{\"value\":" } else { b",{\"value\":" });
                    json::write_value_as(value, as_texts, out);
                    out.extend_from_slice(b",\"count\":");
                    json::write_digits(*count, out);
                    out.push(b'}');
                }
                out.extend_from_slice(b"],\"complete\":");
                out.extend_from_slice(if facet.complete { b"true" } else { b"false" });
            }))
        };
        let cited_as = Some(Format::Json);
        let asked = QuestionForm { form: &form, version, cited_as, goes_on_by: "", numbers_as_texts: as_texts };
        self.answer_to(request, &data_set, asked, make).await
    }

    pub(super) async fn stats(
        &self,
        request: &HttpRequest,
        who: UserId,
        data_set: Arc<DataSet>,
    ) -> Result<HttpResponse, Problem> {
        let parsed = query::parse_stats(&data_set.definition, request.query_string(), &query::QueryLimits::default());
        let mut asked = parsed.map_err(|params| Problem::invalid_params(&params))?;
        let version = self.version_of(who, &data_set, asked.as_of).await?;
        asked.as_of = asked.as_of.map(|_| PointInTime::Version(version));
        let form = asked.normal_form(&data_set.definition);
        let as_texts = asked.numbers_as_texts;
        let make = async || {
            let found = self.queries.stats(who, Arc::clone(&data_set), asked).await.map_err(query_problem)?;
            Ok(written(&data_set.definition, ("", "stats"), &found, |figures, definition, out| {
                write_column(definition, figures.column, out);
                out.push(b',');
                figures.write_members(as_texts, out);
            }))
        };
        let cited_as = Some(Format::Json);
        let asked = QuestionForm { form: &form, version, cited_as, goes_on_by: "", numbers_as_texts: as_texts };
        self.answer_to(request, &data_set, asked, make).await
    }
}

fn write_column(definition: &Definition, column: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"column\":");
    json::write_string(definition.column_name(column), out);
}

/// `{"records":…,<head>"<name>":[{…},…],"dataset":{"name":…,"version":…}}`.
fn written<T>(
    definition: &Definition,
    (head, name): (&str, &str),
    summary: &RecordsSummary<T>,
    write: impl Fn(&T, &Definition, &mut Vec<u8>),
) -> Made {
    let mut out = format!("{{\"records\":{},{head}\"{name}\":[", summary.records).into_bytes();
    for (nth, column) in summary.columns.iter().enumerate() {
        out.extend_from_slice(if nth == 0 { b"{" } else { b",{" });
        write(column, definition, &mut out);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"dataset\":{\"name\":");
    json::write_string(&definition.name, &mut out);
    out.extend_from_slice(format!(",\"version\":{}}}}}", summary.version).as_bytes());
    Made { text: Bytes::from(out), version: summary.version, next: None, lasting: true }
}
