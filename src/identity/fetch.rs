//! Sends requests to a provider by the AWS SDK's HTTP client: one TLS stack, and this machine's certificate authorities.

use std::{net::IpAddr, time::Duration};

use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    client::http::HttpConnector as _, client::orchestrator::HttpRequest as SentRequest, http::Response as SentResponse,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use openidconnect::{
    HttpRequest, HttpResponse,
    http::{HeaderValue, header::USER_AGENT},
    url::Url,
};

/// The longest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Why a request has no answer. Holds nothing of the request or the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct FetchError(pub(super) String);

/// A client for one provider.
#[derive(Debug)]
pub(super) struct Fetcher {
    connector: Connector,
    timeout: Duration,
}

impl Fetcher {
    /// A client with this timeout.
    pub(super) fn new(timeout: Duration) -> Self {
        let connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            // No pooling: the worker that made a connection drives it, and may end before another worker uses it.
            .pool_max_idle_per_host(0)
            .build();
        Self { connector, timeout }
    }

    /// Sends a request and reads the whole answer. A redirect is returned like any answer.
    pub(super) async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let place = place_of(&request.uri().to_string());
        if !is_fetchable(&request.uri().to_string()) {
            return Err(FetchError(format!("{place}: only https is asked, or this machine")));
        }
        match tokio::time::timeout(self.timeout, self.fetch_unbounded(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(why)) => Err(FetchError(format!("{place} {why}"))),
            Err(_) => Err(FetchError(format!("{place} does not answer in time"))),
        }
    }

    async fn fetch_unbounded(&self, request: HttpRequest) -> Result<HttpResponse, &'static str> {
        let mut request = request;
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(concat!("permitd/", env!("CARGO_PKG_VERSION"))));
        let request = SentRequest::try_from(request.map(SdkBody::from)).map_err(|_| "cannot be asked this")?;
        let sent: Result<SentResponse, _> = self.connector.call(request).await;
        let response =
            sent.map_err(|error| if error.is_timeout() { "does not answer in time" } else { "cannot be reached" })?;
        let response = response.try_into_http1x().map_err(|_| "answers what is no HTTP")?;
        let (parts, body) = response.into_parts();
        let (mut stream, mut bytes) = (ByteStream::new(body), Vec::new());
        while let Some(chunk) = stream.next().await {
            bytes.extend_from_slice(&chunk.map_err(|_| "broke its answer off")?);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err("answers more than is read");
            }
        }
        Ok(HttpResponse::from_parts(parts, bytes))
    }
}

/// Scheme, host and port of an address: the part that errors may show.
fn place_of(address: &str) -> String {
    Url::parse(address).map_or_else(|_| "an address".to_owned(), |url| url.origin().ascii_serialization())
}

/// Whether an address may be called: over TLS, or on this machine.
pub fn is_fetchable(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let host = url.host_str().unwrap_or_default();
    let is_here = host == "localhost"
        || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_bare && (url.scheme() == "https" || url.scheme() == "http" && is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_is_asked_or_this_machine() {
        for address in
            ["https://id.example.org/a?b=c", "http://127.0.0.1:8000/", "http://localhost/x", "http://[::1]:9/"]
        {
            assert!(is_fetchable(address), "{address}");
        }
        for address in [
            "http://id.example.org/",
            "http://localhost.evil.org/",
            "http://127.0.0.1.evil.org/",
            "http://169.254.169.254/latest/meta-data",
            "https://name:word@id.example.org/",
            "https://id.example.org/#x",
            "file:///etc/passwd",
            "//id.example.org",
            "",
        ] {
            assert!(!is_fetchable(address), "{address}");
        }
    }

    #[test]
    fn of_an_address_only_its_place_is_told() {
        assert_eq!(place_of("https://id.example.org:444/a/b?code=secret"), "https://id.example.org:444");
        assert_eq!(place_of("x"), "an address");
    }
}
