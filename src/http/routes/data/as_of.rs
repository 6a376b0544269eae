//! Questions about earlier versions: the version that `as_of` means, and the address by which an answer can be cited.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
};
use percent_encoding::percent_decode_str;

use super::{DataSets, caching, document_in, failure::query_problem, no_record, read_answer, tag_in};
use crate::{
    actors::query::{QueryError, WantedRecords},
    dataset::query::{AS_OF, AsOf, Format, Query, ReadForm},
    domain::id::UserId,
    http::{InvalidParam, Problem},
    store::records::{DataSet, RecordStoreError},
};

/// The longest address to be cited, bytes. With a longer one the head of the answer would exceed what some clients take.
const CITED_BYTES_MAX: usize = 4096;

/// The version that a question is about, as far as this node knows it without looking; otherwise what to look for.
pub(super) fn known(data_set: &DataSet, as_of: Option<AsOf>) -> Result<u64, AsOf> {
    match as_of {
        None => Ok(data_set.version),
        Some(AsOf::Version(version)) if (data_set.held_from..=data_set.version).contains(&version) => Ok(version),
        Some(as_of) => Err(as_of),
    }
}

impl DataSets {
    /// The held version that a question is about: the present one without `as_of`.
    pub(super) async fn version_of(
        &self,
        who: UserId,
        data_set: &Arc<DataSet>,
        as_of: Option<AsOf>,
    ) -> Result<u64, Problem> {
        let as_of = match known(data_set, as_of) {
            Ok(version) => return Ok(version),
            Err(as_of) => as_of,
        };
        if let AsOf::Moment(moment) = as_of {
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
        query.as_of = Some(AsOf::Version(version));
        Ok(query)
    }

    /// The records that bore a key in an earlier version, or one of them; 404 when there were none. The answer and its tag are those
    /// that a read had when the version was the present one.
    pub(super) async fn read_earlier(
        &self,
        request: &HttpRequest,
        who: UserId,
        wanted: WantedRecords,
        (as_of, form): (AsOf, &ReadForm),
    ) -> Result<HttpResponse, Problem> {
        let data_set = Arc::clone(&wanted.data_set);
        let version = self.version_of(who, &data_set, Some(as_of)).await?;
        let of_read = caching::of_read(&data_set, version, &wanted.key, wanted.record_id.as_deref());
        let tag = tag_in(form, &data_set, of_read);
        if let Some(known) = tag.is_known(request) {
            return Ok(caching::not_modified(known));
        }
        let found = self.queries.get_at(who, wanted, AsOf::Version(version)).await.map_err(query_problem)?;
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
        error => query_problem(error),
    }
}

/// The address of a request with other values of these parameters; an empty value leaves its parameter out.
pub(super) fn target(request: &HttpRequest, public_url: &str, changed: &[(&str, &str)]) -> String {
    let mut target = format!("{public_url}{}?", request.uri().path());
    let mut add = |text: &str| {
        if !target.ends_with('?') {
            target.push('&');
        }
        target.push_str(text);
    };
    let is_kept = |name: &str| changed.iter().all(|(changed, _)| *changed != name);
    parameters(request).filter(|(name, _)| is_kept(name)).for_each(|(_, given)| add(given));
    changed.iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| add(&format!("{name}={value}")));
    target
}

/// The parameters of a request: their names, and each as it was given.
fn parameters(request: &HttpRequest) -> impl Iterator<Item = (std::borrow::Cow<'_, str>, &str)> {
    let given = request.query_string().split('&').filter(|given| !given.is_empty());
    given.map(|given| (percent_decode_str(given.split('=').next().unwrap_or(given)).decode_utf8_lossy(), given))
}

/// Tells whether a request has a parameter.
pub(super) fn has(request: &HttpRequest, name: &str) -> bool {
    parameters(request).any(|(given, _)| given == name)
}

/// Adds the address by which the answer can be cited (RFC 8574): the same question as of the version that was answered, in the same
/// form.
pub(super) fn cite(
    request: &HttpRequest,
    public_url: &str,
    response: &mut HttpResponse,
    (version, format): (u64, Format),
) -> Result<(), Problem> {
    let version = version.to_string();
    // Without the header field Accept the address has to say the form.
    let form = if format == Format::Json || has(request, "format") { None } else { Some(("format", format.name())) };
    let changed: Vec<(&str, &str)> = form.into_iter().chain([(AS_OF, version.as_str())]).collect();
    let target = target(request, public_url, &changed);
    if target.len() <= CITED_BYTES_MAX {
        let link = HeaderValue::try_from(format!("<{target}>; rel=\"cite-as\"")).map_err(Problem::internal)?;
        response.headers_mut().append(header::LINK, link);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn an_address_keeps_what_is_not_changed() {
        let cases = [
            ("/permits", "https://x/permits?as_of=3"),
            ("/permits?status=issued&&limit=1", "https://x/permits?status=issued&limit=1&as_of=3"),
            ("/permits?as_of=2026-11-01&status=a%26b", "https://x/permits?status=a%26b&as_of=3"),
            ("/permits?as%5Fof=2026-11-01&as_of__eq=1&as_of_x", "https://x/permits?as_of__eq=1&as_of_x&as_of=3"),
        ];
        for (given, expected) in cases {
            let request = TestRequest::with_uri(given).to_http_request();
            assert_eq!(target(&request, "https://x", &[(AS_OF, "3")]), expected);
        }
        let request = TestRequest::with_uri("/permits?cursor=a&as_of=2").to_http_request();
        assert_eq!(target(&request, "", &[(AS_OF, ""), ("cursor", "b")]), "/permits?cursor=b");
    }

    #[test]
    fn a_citation_says_the_form_and_is_no_longer_than_clients_take() {
        let cited = |uri: &str, format: Format| {
            let request = TestRequest::with_uri(uri).to_http_request();
            let mut response = HttpResponse::Ok().finish();
            cite(&request, "https://x", &mut response, (3, format)).unwrap();
            response.headers().get(header::LINK).map(|link| link.to_str().unwrap().to_owned())
        };
        let link = |target: &str| Some(format!("<https://x{target}>; rel=\"cite-as\""));
        assert_eq!(cited("/permits", Format::Json), link("/permits?as_of=3"));
        assert_eq!(cited("/permits", Format::Csv), link("/permits?format=csv&as_of=3"));
        assert_eq!(cited("/permits?format=parquet", Format::Parquet), link("/permits?format=parquet&as_of=3"));
        assert!(cited(&format!("/permits?status={}", "x".repeat(4000)), Format::Json).is_some());
        assert_eq!(cited(&format!("/permits?status={}", "x".repeat(5000)), Format::Json), None);
    }
}
