//! What the actors count for whoever runs the server.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only rises.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Counts so many more.
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many were counted.
    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Declares counters, and a reading of them that has the same fields.
macro_rules! counters {
    ($(#[$about:meta])* $counters:ident read as $counts:ident { $($(#[$what:meta])* $name:ident,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        pub(in crate::actors) struct $counters {
            $(pub(in crate::actors) $name: $crate::actors::counting::Counter,)+
        }

        impl $counters {
            /// What they say now.
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
