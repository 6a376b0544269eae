//! Questions about earlier versions: the version that `as_of` means, and reads of it by key.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};

use super::{DataSets, caching, citing::cite, document_in, failure::query_problem, no_record, read_answer, tag_in};
use crate::{
    actors::query::{QueryError, WantedRecords},
    dataset::query::{AS_OF, Format, PointInTime, Query, ReadForm},
    domain::id::UserId,
    http::{InvalidParam, Problem, ProblemCode},
    store::records::{DataSet, RecordStoreError},
};

/// The version that a question is about, as far as this node knows it without looking; otherwise what to look for.
pub(super) fn known(data_set: &DataSet, as_of: Option<PointInTime>) -> Result<u64, PointInTime> {
    match as_of {
        None => Ok(data_set.version),
        Some(PointInTime::Version(version)) if (data_set.held_from..=data_set.version).contains(&version) => {
            Ok(version)
        }
        Some(as_of) => Err(as_of),
    }
}

impl DataSets {
    /// The held version that a question is about: the present one without `as_of`.
    pub(super) async fn version_of(
        &self,
        who: UserId,
        data_set: &Arc<DataSet>,
        as_of: Option<PointInTime>,
    ) -> Result<u64, Problem> {
        let as_of = match known(data_set, as_of) {
            Ok(version) => return Ok(version),
            Err(as_of) => as_of,
        };
        if let PointInTime::Moment(moment) = as_of {
            let now = self.service.committer.clock.now();
            if moment > now {
                let reason = format!("lies in the future: it is {now} now, and nobody knows what the records will be");
                return Err(Problem::invalid_params(&[InvalidParam::new(AS_OF, reason, None)]));
            }
        }
        self.queries.version_at(who, Arc::clone(data_set), as_of).await.map_err(unknown_version)
    }

    /// The query as of a version, if it is as of anything.
    pub(super) async fn settled(
        &self,
        who: UserId,
        data_set: &Arc<DataSet>,
        mut query: Query,
    ) -> Result<Query, Problem> {
        if query.as_of.is_none() {
            return Ok(query);
        }
        let version = self.version_of(who, data_set, query.as_of).await?;
        if let Some(wrong) = query.of_other_version(version) {
            return Err(Problem::invalid_params(&[wrong]));
        }
        query.as_of = Some(PointInTime::Version(version));
        Ok(query)
    }

    /// The records that bore a key in an earlier version, or one of them; 404 when there were none. The answer and its tag are those
    /// that a read had when the version was the present one.
    pub(super) async fn read_earlier(
        &self,
        request: &HttpRequest,
        who: UserId,
        wanted: WantedRecords,
        (as_of, form): (PointInTime, &ReadForm),
    ) -> Result<HttpResponse, Problem> {
        let data_set = Arc::clone(&wanted.data_set);
        let version = self.version_of(who, &data_set, Some(as_of)).await?;
        let of_read = caching::of_read(&data_set, version, &wanted.key, wanted.record_id.as_deref());
        let tag = tag_in(form, &data_set, of_read);
        if let Some(known) = tag.is_known(request) {
            return Ok(caching::not_modified(known));
        }
        let found = self.queries.get_at(who, wanted, PointInTime::Version(version)).await.map_err(query_problem)?;
        let Some(found) = found else {
            let problem = no_record(request);
            let detail = format!("{} as of version {version}", problem.detail());
            return Err(problem.detailed(detail));
        };
        let document = document_in(form, &data_set, found.document);
        let mut response = read_answer(request, document, tag, form.numbers_as_texts).await?;
        cite(request, &self.service.public_url, &mut response, (version, Format::Json))?;
        Ok(if caching::wants_nothing(request) { caching::without_body(response) } else { response })
    }
}

/// The problem of a version that could not be found.
fn unknown_version(error: QueryError) -> Problem {
    match error {
        QueryError::Records(RecordStoreError::NoSuchVersion { present, .. }) => {
            let reason = format!("is of a version to come: the newest version is {present}");
            Problem::invalid_params(&[InvalidParam::new(AS_OF, reason, Some(&present.to_string()))])
        }
        QueryError::Records(RecordStoreError::VersionGone { name, version, held_from, since }) => {
            let since = since.map(|since| format!(" ({since})")).unwrap_or_default();
            let detail = format!(
                "version {version} of {name:?} is not held, only those from {held_from}{since} on: ask as of that one or a later one"
            );
            Problem::new(ProblemCode::VersionGone, detail)
        }
        error => query_problem(error),
    }
}
