//! `/{dataset}/groups`: records in groups, with what is measured of each.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use bytes::Bytes;

use super::{DataSets, Made, QuestionForm, failure::query_problem, query::accepted};
use crate::{
    dataset::{
        export::{groups_as_csv, groups_as_json},
        json,
        query::{self, Format, Groups, PointInTime},
    },
    domain::id::UserId,
    http::{InvalidParam, Problem},
    store::records::{DataSet, RecordsGroups},
};

impl DataSets {
    pub(super) async fn groups(
        &self,
        request: &HttpRequest,
        who: UserId,
        data_set: Arc<DataSet>,
    ) -> Result<HttpResponse, Problem> {
        let parsed = query::parse_groups(&data_set.definition, request.query_string(), &query::QueryLimits::default());
        let asked = parsed.map_err(|params| Problem::invalid_params(&params))?;
        let mut asked = in_form(request, asked)?;
        let version = self.version_of(who, &data_set, asked.as_of).await?;
        asked.as_of = asked.as_of.map(|_| PointInTime::Version(version));
        let form = asked.normal_form(&data_set.definition);
        let (is_csv, as_texts) = (asked.format == Some(Format::Csv), asked.numbers_as_texts);
        let make = async || {
            let found = self.queries.groups(who, Arc::clone(&data_set), asked.clone()).await.map_err(query_problem)?;
            Ok(written(&data_set, &asked, &found))
        };
        let cited_as = asked.format;
        let question = QuestionForm { form: &form, version, cited_as, goes_on_by: "", numbers_as_texts: as_texts };
        let mut response = self.answer_to(request, &data_set, question, make).await?;
        if is_csv && response.status() == StatusCode::OK {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Format::Csv.media_type()));
            let name = format!("attachment; filename=\"{}-groups.csv\"", data_set.definition.name);
            headers.insert(header::CONTENT_DISPOSITION, HeaderValue::try_from(name).map_err(Problem::internal)?);
        }
        Ok(response)
    }
}

/// The question with the form that the request asks for: by `format`, else by Accept.
fn in_form(request: &HttpRequest, mut asked: Groups) -> Result<Groups, Problem> {
    let is_csv = match asked.format {
        Some(format) => format == Format::Csv,
        None => accepted(request) == Format::Csv,
    };
    asked.format = Some(if is_csv { Format::Csv } else { Format::Json });
    let mut wrong = Vec::new();
    for (is_given, name) in [(asked.csv_safe, "csv_safe"), (asked.bom, "bom"), (asked.delimiter.is_some(), "delimiter")]
    {
        if is_given && !is_csv {
            wrong.push(InvalidParam::new(name, "is for format=csv only", None));
        }
    }
    if is_csv {
        // A cell of CSV has no type: it is the same answer.
        asked.numbers_as_texts = false;
    }
    if wrong.is_empty() { Ok(asked) } else { Err(Problem::invalid_params(&wrong)) }
}

/// `{"records":…,"count":…,"limit":…,"groups":[{…},…],"complete":…,"dataset":{…}}`, or a table.
fn written(data_set: &DataSet, asked: &Groups, RecordsGroups { version, found }: &RecordsGroups) -> Made {
    let definition = &data_set.definition;
    let text = if asked.format == Some(Format::Csv) {
        groups_as_csv(definition, asked, found)
    } else {
        let mut out =
            format!("{{\"records\":{},\"count\":{},\"limit\":{},\"groups\":", found.records, found.count, asked.limit)
                .into_bytes();
        out.extend(groups_as_json(definition, asked, found));
        let complete = found.rows.len() as u64 == found.count;
        out.extend_from_slice(format!(",\"complete\":{complete},\"dataset\":{{\"name\":").as_bytes());
        json::write_string(&definition.name, &mut out);
        out.extend_from_slice(format!(",\"version\":{version}}}}}").as_bytes());
        out
    };
    Made { text: Bytes::from(text), version: *version, next: None, lasting: true }
}
