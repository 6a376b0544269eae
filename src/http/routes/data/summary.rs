//! `/{dataset}/facets` and `/{dataset}/stats`: what a filter's records have in common.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header};
use bytes::Bytes;

use super::{
    DataSets,
    caching::{self, Tag},
    document,
    failure::query_problem,
};
use crate::{
    dataset::{Definition, json, query},
    http::Problem,
    store::records::{DataSet, Summary},
};

impl DataSets {
    pub(super) async fn facets(&self, request: &HttpRequest, data_set: Arc<DataSet>) -> Result<HttpResponse, Problem> {
        let parsed = query::parse_facets(&data_set.definition, request.query_string(), &query::Limits::default());
        let asked = parsed.map_err(|params| Problem::invalid_params(&params))?;
        let form = asked.normal_form(&data_set.definition);
        if let Some(answer) = known(request, &data_set, &form) {
            return Ok(answer);
        }
        let found = self.queries.facets(Arc::clone(&data_set), asked).await.map_err(query_problem)?;
        let text = written(&data_set.definition, "facets", &found, |facet, definition, out| {
            write_column(definition, facet.column, out);
            out.extend_from_slice(b",\"values\":[");
            for (nth, (value, count)) in facet.values.iter().enumerate() {
                out.extend_from_slice(if nth == 0 { b"{\"value\":" } else { b",{\"value\":" });
                json::write_value(value, out);
                out.extend_from_slice(b",\"count\":");
                json::write_digits(*count, out);
                out.push(b'}');
            }
            out.extend_from_slice(b"],\"complete\":");
            out.extend_from_slice(if facet.complete { b"true" } else { b"false" });
        });
        document(request, text, &Tag::of(&data_set, found.version, &form)).await
    }

    pub(super) async fn stats(&self, request: &HttpRequest, data_set: Arc<DataSet>) -> Result<HttpResponse, Problem> {
        let parsed = query::parse_stats(&data_set.definition, request.query_string(), &query::Limits::default());
        let asked = parsed.map_err(|params| Problem::invalid_params(&params))?;
        let form = asked.normal_form(&data_set.definition);
        if let Some(answer) = known(request, &data_set, &form) {
            return Ok(answer);
        }
        let found = self.queries.stats(Arc::clone(&data_set), asked).await.map_err(query_problem)?;
        let text = written(&data_set.definition, "stats", &found, |figures, definition, out| {
            write_column(definition, figures.column, out);
            out.push(b',');
            figures.write_members(out);
        });
        document(request, text, &Tag::of(&data_set, found.version, &form)).await
    }
}

/// The answer to who has it already.
pub(super) fn known(request: &HttpRequest, data_set: &DataSet, form: &str) -> Option<HttpResponse> {
    if !request.headers().contains_key(header::IF_NONE_MATCH) {
        return None;
    }
    Tag::of(data_set, data_set.version, form).is_known(request).map(caching::not_modified)
}

fn write_column(definition: &Definition, column: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"column\":");
    json::write_string(definition.columns.get(column).map_or("", |column| column.name.as_str()), out);
}

/// `{"records":…,"<name>":[{…},…],"dataset":{"name":…,"version":…}}`.
fn written<T>(
    definition: &Definition,
    name: &str,
    summary: &Summary<T>,
    write: impl Fn(&T, &Definition, &mut Vec<u8>),
) -> Bytes {
    let mut out = format!("{{\"records\":{},\"{name}\":[", summary.records).into_bytes();
    for (nth, column) in summary.columns.iter().enumerate() {
        out.extend_from_slice(if nth == 0 { b"{" } else { b",{" });
        write(column, definition, &mut out);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"dataset\":{\"name\":");
    json::write_string(&definition.name, &mut out);
    out.extend_from_slice(format!(",\"version\":{}}}}}", summary.version).as_bytes());
    Bytes::from(out)
}
