//! `/{dataset}`: a page of records, or all of them as an export.

use std::sync::Arc;

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderValue},
};
use bytes::Bytes;

use super::{
    Admitted, DataSets, Made, QuestionForm,
    failure::{query_problem, wrong_parameters},
};
use crate::{
    dataset::{
        cursor, json,
        query::{self, Format, InvalidParam, Query},
    },
    http::{Problem, ProblemCode},
    store::records::{DataSet, Page},
};

impl DataSets {
    pub(super) async fn find(&self, request: &HttpRequest, data_set: Arc<DataSet>) -> Result<Admitted, Problem> {
        let credential = self.credential(request)?;
        let query = match self.query(request, &data_set) {
            Ok(query) => query,
            // Only an admitted caller is told what is wrong with the request.
            Err(problem) => return Ok((self.admit(request, Some(&data_set), credential).await?, Err(problem))),
        };
        let form = form(&data_set, &query);
        if query.format.is_some_and(Format::is_export) {
            return self.export(request, data_set, query, &form, credential).await;
        }
        let pass = self.admit(request, Some(&data_set), credential).await?;
        let query = match self.settled(pass.user, &data_set, query).await {
            Ok(query) => query,
            Err(problem) => return Ok((pass, Err(problem))),
        };
        // A page of a version never changes: the tag is known before the page.
        let version = query.version().unwrap_or(data_set.version);
        let make = async || {
            let found = self.queries.find(pass.user, Arc::clone(&data_set), query.clone()).await;
            let page = found.map_err(query_problem)?;
            self.page(&data_set, &query, page)
        };
        let numbers_as_texts = query.numbers_as_texts;
        let cited_as = Some(Format::Json);
        let asked = QuestionForm { form: &form, version, cited_as, goes_on_by: "cursor", numbers_as_texts };
        let answer = self.answer_to(request, &data_set, asked, make).await;
        Ok((pass, answer))
    }

    /// The query of a request, and its format.
    fn query(&self, request: &HttpRequest, data_set: &DataSet) -> Result<Query, Problem> {
        let (limits, key) = (query::QueryLimits::default(), self.service.cursor_key.of(data_set.instance));
        let parsed = query::parse(&data_set.definition, request.query_string(), &limits, &key);
        let mut query = parsed.map_err(|params| wrong_parameters(&params))?;
        let format = query.format.unwrap_or_else(|| accepted(request));
        query.format = Some(format);
        let mut wrong = Vec::new();
        let mut refuse = |is_given: bool, name: &str, reason: &str| {
            if is_given {
                wrong.push(InvalidParam::new(name, reason, None));
            }
        };
        if format.is_export() {
            let whole = "an export has no pages: it is everything that matches";
            refuse(query.goes_on(), "cursor", whole);
            refuse(
                query.count,
                "count",
                "an export has no place for it: count its rows, or ask for a page with limit=1",
            );
            refuse(query.explain, "explain", "an export has no place for it: ask for a page");
        }
        let of_csv = "is for format=csv only";
        refuse(query.csv_safe && format != Format::Csv, "csv_safe", of_csv);
        refuse(query.bom && format != Format::Csv, "bom", of_csv);
        refuse(query.delimiter.is_some() && format != Format::Csv, "delimiter", of_csv);
        if format == Format::Geojson
            && let Err(reason) = query.geometry(&data_set.definition)
        {
            wrong.push(InvalidParam::new("format", reason, None));
        }
        if format == Format::Csv {
            // A cell of CSV has no type: it is the same answer.
            query.numbers_as_texts = false;
        }
        if wrong.is_empty() { Ok(query) } else { Err(Problem::invalid_params(&wrong)) }
    }

    pub(super) fn page(&self, data_set: &DataSet, query: &Query, page: Page) -> Result<Made, Problem> {
        let (definition, key) = (&data_set.definition, self.service.cursor_key.of(data_set.instance));
        let next = page.next.as_ref().map(|position| cursor::seal(&key, definition, query, position)).transpose();
        let next = next.map_err(|error| Problem::new(ProblemCode::InvalidParameters, error.to_string()))?;
        let mut page_of = serde_json::Map::new();
        page_of.insert("limit".to_owned(), query.limit.into());
        page_of.insert("next".to_owned(), next.clone().into());
        if let Some(count) = page.count {
            page_of.insert("count".to_owned(), count.into());
        }
        if let Some(explained) = page.explained {
            page_of.insert("explain".to_owned(), serde_json::to_value(explained).map_err(Problem::internal)?);
        }
        let page_of = serde_json::Value::Object(page_of).to_string();
        let mut text = page.document.finish(&[("page", &page_of)], &definition.name, page.version);
        if query.numbers_as_texts {
            text = json::numbers_as_texts(definition, &text, json::Entries::Records);
        }
        // `explain` asks how this very answer was found, so the answer is not kept for others.
        Ok(Made { text: Bytes::from(text), version: page.version, next, lasting: !query.explain })
    }
}

/// One text for all ways of asking for the same answer. Two pages of one walk differ in their position.
fn form(data_set: &DataSet, query: &Query) -> String {
    let format = query.format.unwrap_or(Format::Json).name();
    let after = query.after.as_ref().map(|position| &position.values);
    let anchor = &query.anchor;
    format!("{format};{};after={after:?};behind={anchor:?}", query.normal_form(&data_set.definition))
}

/// The format that a client likes best; JSON if it does not say.
pub(super) fn accepted(request: &HttpRequest) -> Format {
    let fields = request.headers().get_all(header::ACCEPT).filter_map(|field| HeaderValue::to_str(field).ok());
    let mut best: Option<(Format, f32)> = None;
    for range in fields.flat_map(|field| field.split(',')) {
        let mut params = range.split(';').map(str::trim);
        let format = match params.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "application/json" | "application/*" | "*/*" => Format::Json,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Format::Ndjson,
            "text/csv" => Format::Csv,
            "application/geo+json" => Format::Geojson,
            "application/vnd.apache.parquet" | "application/x-parquet" => Format::Parquet,
            "application/vnd.apache.arrow.stream" => Format::Arrow,
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => Format::Xlsx,
            _ => continue,
        };
        let quality = params.find_map(|param| param.strip_prefix("q="));
        let quality = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
        if quality > best.map_or(0.0, |(_, best)| best) {
            best = Some((format, quality));
        }
    }
    best.map_or(Format::Json, |(format, _)| format)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        let cases = [
            ("*/*", Format::Json),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Json),
            ("text/csv", Format::Csv),
            ("text/csv; header=present", Format::Csv),
            ("application/x-ndjson, application/json;q=0.9", Format::Ndjson),
            ("text/csv;q=0.5, application/json", Format::Json),
            ("application/json;q=0, text/csv;q=0.1", Format::Csv),
            ("image/png", Format::Json),
            ("application/geo+json, application/json;q=0.9", Format::Geojson),
            ("application/vnd.apache.parquet", Format::Parquet),
            ("application/vnd.apache.arrow.stream, application/json;q=0.1", Format::Arrow),
            ("text/csv;q=0.5, application/vnd.openxmlformats-officedocument.spreadsheetml.sheet;q=0.8", Format::Xlsx),
        ];
        for (field, expected) in cases {
            let request = TestRequest::default().insert_header((header::ACCEPT, field)).to_http_request();
            assert_eq!(accepted(&request), expected, "{field}");
        }
        assert_eq!(accepted(&TestRequest::default().to_http_request()), Format::Json);
    }
}
