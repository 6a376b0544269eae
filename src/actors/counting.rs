//! The actors' counters, for operators.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only rises.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds to the count.
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The present count.
    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Declares counters, and a snapshot type with the same fields.
macro_rules! counters {
    ($(#[$about:meta])* $counters:ident read as $counts:ident { $($(#[$what:meta])* $name:ident,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub(in crate::actors) struct $counters {
            $(pub(in crate::actors) $name: $crate::actors::counting::Counter,)+
        }

        impl $counters {
            /// A snapshot of the counters.
            pub(in crate::actors) fn read(&self) -> $counts {
                $counts { $($name: self.$name.read(),)+ }
            }
        }

        $(#[$about])*
        #[derive(Debug, Clone, Copy, serde::Serialize)]
        pub struct $counts {
            $($(#[$what])* pub $name: u64,)+
        }
    };
}
pub(super) use counters;
