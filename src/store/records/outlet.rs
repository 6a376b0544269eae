//! The channel for an export's parts. The sender waits for the receiver, but only for a bounded time. If the parts simply end, they
//! are complete; otherwise an error ends them.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{
    mpsc::{self, OwnedPermit, Receiver, Sender, error::TrySendError},
    oneshot,
};

use super::{Export, RecordStoreError};
use crate::clock::SharedClock;

/// The size of a part, about, bytes.
pub(in crate::store) const PART_BYTES: usize = 64 * 1024;
/// Longer parts are sent as several.
const SENT_BYTES_MAX: usize = 2 * PART_BYTES;
/// Parts that are made ahead of the receiver.
const PARTS_WAITING: usize = 4;
/// The pause of a thread between two checks for room for the next part.
const REST_OF_THREAD: Duration = Duration::from_millis(2);

type ExportPart = Result<Bytes, RecordStoreError>;

/// The receiver is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Gone;

/// The sending end.
pub(in crate::store) struct Outlet {
    clock: SharedClock,
    stall_us: i64,
    begun: Option<oneshot::Sender<Result<u64, RecordStoreError>>>,
    parts: Sender<ExportPart>,
    /// Whether the receiver has let the time run out.
    stalled: bool,
    /// Reserved room for the message that not all was sent. It is sent unless the export ends well, also when a thread panics or a
    /// task is ended from outside.
    unfinished: Option<OwnedPermit<ExportPart>>,
}

/// The receiving end.
pub(in crate::store) struct Inlet {
    begun: oneshot::Receiver<Result<u64, RecordStoreError>>,
    parts: Receiver<ExportPart>,
}

impl Inlet {
    /// The export, once its first part or its end is there; or why there is none.
    pub(in crate::store) async fn export(self) -> Result<Export, RecordStoreError> {
        let stopped = |_| RecordStoreError::Unavailable {
            doing: "begin an export".to_owned(),
            reason: "who makes it has stopped".to_owned(),
        };
        let version = self.begun.await.map_err(stopped)??;
        Ok(Export { version, parts: self.parts })
    }
}

impl Outlet {
    /// An outlet that waits up to `stall_ms` for each part to be taken.
    pub(in crate::store) fn new(clock: SharedClock, stall_ms: u64) -> (Self, Inlet) {
        let (sender, parts) = mpsc::channel(PARTS_WAITING + 1);
        let (begin, begun) = oneshot::channel();
        let unfinished = sender.clone().try_reserve_owned().ok();
        let stall_us = i64::try_from(stall_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let outlet = Self { clock, stall_us, begun: Some(begin), parts: sender, stalled: false, unfinished };
        (outlet, Inlet { begun, parts })
    }

    /// Begins the parts, all of this version: from now on they carry the outcome.
    pub(in crate::store) fn begin(&mut self, version: u64) -> Result<(), Gone> {
        match self.begun.take().map(|begun| begun.send(Ok(version))) {
            Some(Err(_)) => Err(Gone),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn give_up_us(&self) -> i64 {
        self.clock.monotonic_us().saturating_add(self.stall_us)
    }

    /// Tells whether nobody waits for the parts any more.
    pub(in crate::store) fn is_left(&self) -> bool {
        self.begun.as_ref().map_or_else(|| self.parts.is_closed(), oneshot::Sender::is_closed)
    }

    /// Sends a part from a thread, as soon as there is room for it.
    pub(in crate::store) fn send_blocking(
        &mut self,
        version: u64,
        part: Vec<u8>,
        is_over: impl Fn() -> bool,
    ) -> Result<(), Gone> {
        self.begin(version)?;
        let mut rest = Bytes::from(part);
        while !rest.is_empty() {
            let next = rest.split_to(rest.len().min(SENT_BYTES_MAX));
            self.send_one(next, &is_over)?;
        }
        Ok(())
    }

    fn send_one(&mut self, part: Bytes, is_over: &impl Fn() -> bool) -> Result<(), Gone> {
        let give_up_us = self.give_up_us();
        let mut part = Ok(part);
        loop {
            part = match self.parts.try_send(part) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(Gone),
                Err(TrySendError::Full(part)) => part,
            };
            if is_over() || self.clock.monotonic_us() >= give_up_us {
                self.stalled = true;
                return Err(Gone);
            }
            std::thread::park_timeout(REST_OF_THREAD);
        }
    }

    /// Ends the parts: complete, or with an error.
    pub(in crate::store) fn finish(mut self, error: Option<RecordStoreError>) {
        match (error, self.begun.take()) {
            (None, _) => drop(self.unfinished.take()),
            (Some(error), Some(begun)) => drop(begun.send(Err(error))),
            (Some(error), None) => {
                if let Some(permit) = self.unfinished.take() {
                    permit.send(Err(error));
                }
            }
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Some(permit) = self.unfinished.take() {
            permit.send(Err(if self.stalled {
                RecordStoreError::Stalled
            } else {
                let reason = "who makes its parts has stopped".to_owned();
                RecordStoreError::Unavailable { doing: "go on with an export".to_owned(), reason }
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn outlet() -> (Outlet, Inlet) {
        Outlet::new(ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap()), 1_000)
    }

    #[tokio::test]
    async fn who_makes_an_export_sees_that_nobody_waits_for_it() {
        // Before there is a part, and after.
        let (unbegun, inlet) = outlet();
        assert!(!unbegun.is_left());
        drop(inlet);
        assert!(unbegun.is_left());
        let (mut begun, inlet) = outlet();
        assert!(begun.send_blocking(7, b"a".to_vec(), || false).is_ok());
        let export = inlet.export().await.unwrap();
        assert_eq!((export.version, begun.is_left()), (7, false));
        drop(export);
        assert!(begun.is_left());
    }

    #[tokio::test]
    async fn a_long_part_comes_as_several() {
        let (mut outlet, inlet) = outlet();
        let whole: Vec<u8> = (0..3 * SENT_BYTES_MAX + 1).map(|place| u8::try_from(place % 251).unwrap()).collect();
        assert!(outlet.send_blocking(1, whole.clone(), || false).is_ok());
        outlet.finish(None);
        let mut export = inlet.export().await.unwrap();
        let (mut got, mut parts) = (Vec::new(), 0);
        while let Some(part) = export.parts.recv().await {
            let part = part.unwrap();
            assert!(part.len() <= SENT_BYTES_MAX);
            (got, parts) = ([got, part.to_vec()].concat(), parts + 1);
        }
        assert_eq!((got == whole, parts), (true, 4));
    }
}
