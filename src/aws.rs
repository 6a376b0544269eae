//! What all AWS clients share: where they find region, credentials and endpoints (the SDK's usual places: `AWS_REGION`, `AWS_PROFILE`,
//! `AWS_ENDPOINT_URL`, …), how they retry, and how their calls are counted.
//!
//! Guarantees: no content of a request or answer is logged here; every sent attempt is counted, retries included. Requests are signed by
//! this machine's clock as it is, so that AWS refuses them when it is off by more than five minutes: the log bears that clock's times,
//! and who reads on in it relies on them.

mod feedback;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::SharedHttpClient,
        interceptors::{Intercept, context::BeforeTransmitInterceptorContextRef},
        orchestrator::Metadata,
        result::SdkError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{config_bag::ConfigBag, error::metadata::ProvideErrorMetadata};
use tracing::{Instrument, Span};

pub use self::feedback::FeedbackPlace;

/// How often a throttled or unanswered call is tried.
const ATTEMPTS_MAX: u32 = 5;
/// The timeout of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout of a call, retries included.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);

/// How often each operation was sent, by service and operation, such as `("DynamoDB", "PutItem")`.
pub type Calls = BTreeMap<(String, String), u64>;

/// The addresses of services that are not at AWS's own.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// DynamoDB.
    pub dynamodb: Option<String>,
    /// SQS.
    pub sqs: Option<String>,
    /// SES.
    pub ses: Option<String>,
    /// SNS.
    pub sns: Option<String>,
}

/// Why AWS cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// No region is set.
    #[error("no region of AWS is set: set AWS_REGION, or `region` in the profile that AWS_PROFILE names")]
    NoRegion,
    /// No credentials are set.
    #[error(
        "no credentials for AWS are found ({0}): set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this \
         machine a role"
    )]
    NoCredentials(String),
}

/// Access to AWS. Clones share their connections and counts.
#[derive(Debug, Clone)]
pub struct Access {
    config: SdkConfig,
    endpoints: Endpoints,
    calls: Arc<CallCounter>,
}

impl Access {
    /// Reads the SDK's usual sources: environment, profile files, the machine's role. Sends nothing to AWS before the first call; a role's
    /// credentials are fetched when needed.
    pub async fn from_environment() -> Self {
        Self::load(aws_config::defaults(BehaviorVersion::latest()), Endpoints::default()).await
    }

    /// Access to services at these endpoints, such as an emulator's; ignores the environment. Emulators accept any credentials.
    pub async fn to_endpoints(endpoints: Endpoints) -> Self {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .region(aws_config::Region::from_static("us-east-1"))
            .test_credentials();
        Self::load(loader, endpoints).await
    }

    async fn load(loader: aws_config::ConfigLoader, endpoints: Endpoints) -> Self {
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let loader = loader.http_client(http_client()).retry_config(retries).timeout_config(timeouts);
        let config = loader.disable_clock_skew_correction(true).load().await;
        Self { config, endpoints, calls: Arc::default() }
    }

    /// Checks that a region and credentials are set; only the first call shows whether AWS accepts them.
    ///
    /// # Errors
    /// Names what is missing, and where to set it.
    pub async fn check(&self) -> Result<(), AccessError> {
        if self.region().is_none() {
            return Err(AccessError::NoRegion);
        }
        let Some(provider) = self.config.credentials_provider() else {
            return Err(AccessError::NoCredentials("there is no provider of them".to_owned()));
        };
        match provider.provide_credentials().await {
            Ok(_) => Ok(()),
            Err(error) => Err(AccessError::NoCredentials(error.to_string())),
        }
    }

    /// The configuration for clients of AWS.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The same access with its own connections. The thread that made a connection drives it: a thread that must work while others may be
    /// blocked needs its own.
    pub fn with_own_connections(&self) -> Self {
        let config = self.config.to_builder().http_client(http_client()).build();
        Self { config, ..self.clone() }
    }

    /// The same access with this pause before the first retry; it doubles from try to try.
    pub fn with_first_backoff(&self, backoff: Duration) -> Self {
        let retries = self.config.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
        let config = self.config.to_builder().retry_config(retries.with_initial_backoff(backoff)).build();
        Self { config, ..self.clone() }
    }

    /// The addresses of the services.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The region, if one is known.
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(AsRef::as_ref)
    }

    /// The interceptor to add to every client's configuration.
    pub fn counter(&self) -> Counting {
        Counting(Arc::clone(&self.calls))
    }

    /// How often each operation was sent so far.
    pub fn calls(&self) -> Calls {
        self.calls.counts()
    }
}

fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

#[derive(Debug, Default)]
struct CallCounter(Mutex<Calls>);

impl CallCounter {
    fn count(&self, service: &str, operation: &str) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry((service.to_owned(), operation.to_owned())).or_default() += 1;
    }

    fn counts(&self) -> Calls {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts the attempts that a client sends.
#[derive(Debug, Clone)]
pub struct Counting(Arc<CallCounter>);

impl Intercept for Counting {
    fn name(&self) -> &'static str {
        "permitd-counting"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(metadata) = config.load::<Metadata>() {
            self.0.count(metadata.service(), metadata.name());
        }
        Ok(())
    }
}

/// Longest kept text of a service's words, characters.
const REASON_CHARS_MAX: usize = 300;

/// Why a call failed, in one line: the error's code and message, or that the service was not reached. Holds no sent data.
pub fn reason<E, R>(service: &str, error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata,
{
    let reason = match error {
        SdkError::ServiceError(answer) => {
            let (code, message) = (answer.err().code(), answer.err().message());
            let (code, message) = (code.unwrap_or("error"), message.unwrap_or("no reason was given"));
            format!("{service}: {code}: {message}{}", advice(code, message))
        }
        SdkError::TimeoutError(_) => format!("{service} did not answer in time"),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => format!("{service} cannot be reached: {}", causes(error)),
            None => format!("{service} cannot be reached"),
        },
        SdkError::ConstructionFailure(_) => {
            format!("no request to {service} can be made: check region and credentials (AWS_REGION, AWS_PROFILE)")
        }
        _ => format!("{service}'s answer cannot be read"),
    };
    one_line(&reason)
}

/// What to do about a refusal because of this machine's clock.
fn advice(code: &str, message: &str) -> &'static str {
    let tells_times = ["Signature expired", "Signature not yet current", "Request has expired"];
    let is_of_clock = matches!(code, "RequestTimeTooSkewed" | "RequestExpired")
        || tells_times.iter().any(|words| message.starts_with(words));
    if is_of_clock { "; this machine's clock is wrong by minutes: set it" } else { "" }
}

/// An error's message and its causes'. A connector's error names only its kind, such as `other`; its causes tell what happened.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let words = error.to_string();
        // Many errors repeat their cause's words.
        if !said.iter().any(|before| before.contains(&words)) {
            said.push(words);
        }
        next = error.source();
    }
    if said.len() > 1 && said.first().is_some_and(|kind| kind == "other") {
        said.remove(0);
    }
    said.join(": ")
}

/// A service's words on one line of bounded length.
pub fn one_line(words: &str) -> String {
    words.chars().take(REASON_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What a setup does about resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupAction {
    /// It makes missing resources, and corrects different ones.
    Make,
    /// It reports their state, and changes nothing.
    Check,
}

/// A resource of a deployment, and its state.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CheckedResource {
    /// The resource, such as `table permitd-events`.
    pub resource: String,
    /// Its state.
    #[serde(flatten)]
    pub found: ResourceState,
}

/// The state of a resource.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "found", content = "detail", rename_all = "snake_case")]
pub enum ResourceState {
    /// As it should be.
    Right,
    /// It was missing and has been made.
    Made,
    /// It was different and has been corrected: how.
    Changed(String),
    /// It is missing.
    Missing,
    /// It is different: how, and what to do.
    Different(String),
    /// It works, but has a notice, such as that SES is in its sandbox.
    Notice(String),
}

impl ResourceState {
    /// Whether a deployment cannot work with the resource in this state.
    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Missing | Self::Different(_))
    }
}

/// A thread that waits for AWS on behalf of blocking threads, such as an import's or a replay's. Its own runtime goes on while the calling
/// thread, and that thread's runtime, stand still.
#[derive(Debug)]
pub struct Bridge {
    runtime: tokio::runtime::Handle,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The bridge's thread cannot be started, or has ended.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no thread for calls to AWS: {0}")]
pub struct BridgeError(String);

impl Bridge {
    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(name: &str) -> Result<Self, BridgeError> {
        let failed = |error: std::io::Error| BridgeError(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let run = move || {
            // Ends by the signal, or when the bridge is dropped.
            runtime.block_on(stopped).ok();
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs `work` on the bridge's thread and blocks the calling thread until its end. Log lines belong to the calling thread's request.
    ///
    /// # Errors
    /// When the work panicked.
    pub fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, BridgeError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let work = async move {
            // The caller may have gone.
            answer.send(work.await).ok();
        };
        self.runtime.spawn(work.instrument(Span::current()));
        answered.recv().map_err(|_| BridgeError("the work was interrupted".to_owned()))
    }

    /// Starts `work` on the bridge's thread and does not wait; it runs at most as long as the bridge lives.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(work.instrument(Span::current()))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already.
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            // The waiting caller has reported a panic on it already.
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_bridge_runs_work_for_a_thread_that_blocks() {
        let bridge = Bridge::start("test").unwrap();
        let slept = bridge.run(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            7
        });
        assert_eq!(slept.unwrap(), 7);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct SaidError(&'static str, #[source] Option<Box<SaidError>>);

    #[test]
    fn a_refusal_because_of_the_clock_says_what_to_do() {
        let expired =
            "Signature expired: 20260301T120000Z is now earlier than 20260301T121000Z (20260301T121500Z - 5 min.)";
        assert!(advice("InvalidSignatureException", expired).contains("clock"));
        assert!(advice("RequestTimeTooSkewed", "").contains("clock"));
        assert_eq!(advice("InvalidSignatureException", "The request signature we calculated does not match"), "");
    }

    #[test]
    fn what_really_happened_is_said() {
        let refused = SaidError("tcp connect error: refused", Some(Box::new(SaidError("refused", None))));
        assert_eq!(causes(&SaidError("other", Some(Box::new(refused)))), "tcp connect error: refused");
        assert_eq!(causes(&SaidError("io error", Some(Box::new(SaidError("reset", None))))), "io error: reset");
        assert_eq!(causes(&SaidError("other", None)), "other");
    }

    #[test]
    fn work_that_panics_is_an_error() {
        let bridge = Bridge::start("test").unwrap();
        assert!(bridge.run(async { panic!("on purpose") }).is_err());
        assert_eq!(bridge.run(async { 1 }).unwrap(), 1);
    }
}
