//! Bounded waits for AWS.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::store::{
    StoreError,
    dynamodb::{has_code, unavailable},
};

/// The number of tries, and the pauses between them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    /// The first pause; each following one is twice as long as the one before.
    pause_first: Duration,
    /// The longest pause.
    pause_max: Duration,
    /// Tries, the first one included.
    tries_max: u32,
}

impl Backoff {
    /// Waiting for a table or an index to become ready: about half an hour. An index over much data takes longer.
    pub(super) const FOR_A_TABLE: Self =
        Self { pause_first: Duration::from_millis(100), pause_max: Duration::from_secs(5), tries_max: 366 };
    /// Waiting until AWS accepts a request that has to wait for others: about five minutes.
    pub(super) const FOR_A_TURN: Self =
        Self { pause_first: Duration::from_millis(500), pause_max: Duration::from_secs(5), tries_max: 64 };

    /// The pause after each try; none after the last.
    fn pauses(self) -> impl Iterator<Item = Option<Duration>> {
        let pause = move |past: u32| {
            let growing = self.pause_first.saturating_mul(1_u32.checked_shl(past).unwrap_or(u32::MAX));
            (past + 1 < self.tries_max).then(|| growing.min(self.pause_max))
        };
        (0..self.tries_max).map(pause)
    }
}

/// A reason to ask again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BusyReason {
    /// Too many tables are being made or changed.
    TooMany,
    /// The table is being changed.
    InUse,
    /// The table is too new for backups.
    BackupsNotYet,
}

impl BusyReason {
    fn code(self) -> &'static str {
        match self {
            Self::TooMany => "LimitExceededException",
            Self::InUse => "ResourceInUseException",
            Self::BackupsNotYet => "ContinuousBackupsUnavailableException",
        }
    }
}

/// Sends a request, repeatedly while it is refused for one of these reasons. Returns the last refusal.
pub(super) async fn patiently<T, E, R, F>(
    backoff: &Backoff,
    busy: &[BusyReason],
    mut send: impl FnMut() -> F,
) -> Result<T, SdkError<E, R>>
where
    E: ProvideErrorMetadata,
    F: Future<Output = Result<T, SdkError<E, R>>>,
{
    let is_busy = |error: &SdkError<E, R>| busy.iter().any(|busy| has_code(error, busy.code()));
    let mut pauses = backoff.pauses();
    loop {
        let sent = send().await;
        match (sent, pauses.next().flatten()) {
            (Err(error), Some(pause)) if is_busy(&error) => tokio::time::sleep(pause).await,
            (sent, _) => return sent,
        }
    }
}

/// The service's answer about a table; nothing if it does not know the operation, as some emulators.
pub(super) fn if_known<T, E: ProvideErrorMetadata, R>(
    table: &str,
    answer: Result<T, SdkError<E, R>>,
) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(said) => Ok(Some(said)),
        Err(error) if has_code(&error, "UnknownOperationException") => Ok(None),
        Err(error) => Err(unavailable(table, &error)),
    }
}

/// Repeats `look` until it gives a result. If none comes in time: the last reason.
pub(super) async fn until<T>(
    backoff: &Backoff,
    mut look: impl AsyncFnMut() -> Result<Result<T, String>, StoreError>,
) -> Result<Result<T, String>, StoreError> {
    let mut pauses = backoff.pauses();
    loop {
        let seen = look().await?;
        match (seen, pauses.next().flatten()) {
            (Err(_), Some(pause)) => tokio::time::sleep(pause).await,
            (seen, _) => return Ok(seen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Backoff = Backoff { pause_first: Duration::ZERO, pause_max: Duration::ZERO, tries_max: 3 };

    #[test]
    fn pauses_grow_and_end() {
        let total = |backoff: Backoff| backoff.pauses().flatten().sum::<Duration>();
        let minutes = |backoff| total(backoff).as_secs() / 60;
        assert_eq!((minutes(Backoff::FOR_A_TABLE), minutes(Backoff::FOR_A_TURN)), (30, 5));
        let pauses: Vec<_> = Backoff { tries_max: 4, ..Backoff::FOR_A_TABLE }.pauses().collect();
        assert_eq!(pauses, [Some(100), Some(200), Some(400), None].map(|ms| ms.map(Duration::from_millis)));
        assert!(Backoff::FOR_A_TABLE.pauses().flatten().all(|pause| pause <= Duration::from_secs(5)));
    }

    #[actix_web::test]
    async fn a_request_is_sent_again_only_while_aws_is_busy() {
        use aws_sdk_dynamodb::{error::ErrorMetadata, operation::create_table::CreateTableError};
        async fn sent(codes: &[&str]) -> (Result<(), String>, usize) {
            let mut sends = 0;
            let done = patiently(&AT_ONCE, &[BusyReason::TooMany], || {
                let answer = codes.get(sends).map(|code| ErrorMetadata::builder().code(*code).build());
                sends += 1;
                let answer = answer.map(|error| SdkError::service_error(CreateTableError::generic(error), ()));
                async { answer.map_or(Ok(()), Err) }
            });
            let done = done.await.map_err(|error| error.code().unwrap().to_owned());
            (done, sends)
        }
        let (busy, in_use) = ("LimitExceededException", "ResourceInUseException");
        assert_eq!(sent(&[]).await, (Ok(()), 1));
        assert_eq!(sent(&[busy, busy]).await, (Ok(()), 3));
        assert_eq!(sent(&[busy, busy, busy]).await, (Err(busy.to_owned()), 3), "there is a bound");
        assert_eq!(sent(&[in_use]).await, (Err(in_use.to_owned()), 1), "not one of the reasons to wait");
    }

    #[actix_web::test]
    async fn a_wait_ends_with_what_it_waited_for_or_with_the_last_word() {
        let mut looks = 0;
        let seen = until(&AT_ONCE, async || {
            looks += 1;
            Ok(if looks == 2 { Ok(looks) } else { Err(format!("look {looks}")) })
        });
        assert_eq!(seen.await.unwrap(), Ok(2));
        let mut looks = 0;
        let seen = until(&AT_ONCE, async || {
            looks += 1;
            Ok(Err::<(), _>(format!("look {looks}")))
        });
        assert_eq!(seen.await.unwrap(), Err("look 3".to_owned()));
        let failed: Result<Result<(), _>, _> =
            until(&AT_ONCE, async || Err(StoreError::Unavailable("away".to_owned()))).await;
        assert!(failed.is_err());
    }
}
