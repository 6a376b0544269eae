//! Counting the calls of a node's operations, one after the other.
//!
//! Between the end of one count and the beginning of the next the node must be still: a call that comes late, or that nobody
//! asked for, fails the test instead of being counted where it does not belong.

use std::collections::BTreeMap;

use permitd::aws::Calls;

use crate::{
    app::TestApp,
    calls::table::{Counts, Sizes, Table},
};

/// The call by which a mailer looks for messages.
const LOOK: &str = "ReceiveMessage";

/// Calls of a node since it began.
pub(crate) fn calls(app: &TestApp) -> Calls {
    app.service().aws.as_ref().expect("access to AWS").calls()
}

fn looks(calls: &Calls) -> u64 {
    calls.iter().filter(|((_, call), _)| call == LOOK).map(|(_, count)| count).sum()
}

/// What came between two readings, with the services' names of the table.
pub(crate) fn between(before: &Calls, after: &Calls) -> Counts {
    let column = |service: &str| if service == "SESv2" { "SES".to_owned() } else { service.to_owned() };
    let of = |(key, count): (&(String, String), &u64)| {
        let more = count - before.get(key).copied().unwrap_or(0);
        ((column(&key.0), key.1.clone()), more)
    };
    after.iter().map(of).filter(|(_, count)| *count > 0).collect()
}

/// How often an operation called what, and the sizes that it had.
struct Counted {
    found: Counts,
    sizes: Vec<(&'static str, u64)>,
}

/// What was counted of one node.
pub(crate) struct Counting<'a> {
    app: &'a TestApp,
    counted: BTreeMap<&'static str, Counted>,
    last: Calls,
}

impl<'a> Counting<'a> {
    /// Begins once the node's mailer has looked for messages, as it does when it starts.
    pub(crate) async fn of(app: &'a TestApp) -> Self {
        let looked = async || (looks(&calls(app)) == 1).then_some(());
        app.eventually("the first look for messages", looked).await;
        // Works on the node's thread: what had begun there before has been sent.
        app.service().relay.sweep().await.unwrap();
        Self { app, counted: BTreeMap::new(), last: calls(app) }
    }

    /// Counts an operation that has ended when `work` has.
    pub(crate) async fn count<T>(
        &mut self,
        operation: &'static str,
        sizes: &Sizes,
        work: impl Future<Output = T>,
    ) -> T {
        self.check_still(operation);
        let done = work.await;
        let found = self.since();
        self.keep(operation, sizes, found);
        done
    }

    /// Counts an operation that publishes a message, with all that the mailer does for it.
    pub(crate) async fn count_with_message<T>(
        &mut self,
        operation: &'static str,
        sizes: &Sizes,
        work: impl Future<Output = T>,
    ) -> T {
        self.check_still(operation);
        let before = looks(&self.last);
        let done = work.await;
        // The mailer looks, does what the message asks for, and looks again, in vain.
        let looked = async || (looks(&calls(self.app)) >= before + 2).then_some(());
        self.app.eventually("the end of what a message asks for", looked).await;
        let mut found = self.since();
        let looks = found.get_mut(&("SQS".to_owned(), LOOK.to_owned())).expect("it looked");
        assert_eq!(*looks, 2, "{operation}: the message, and none");
        // The second look is an operation by itself.
        *looks -= 1;
        self.keep(operation, sizes, found);
        done
    }

    /// Does what is not counted.
    pub(crate) async fn aside<T>(&mut self, work: impl Future<Output = T>) -> T {
        self.check_still("what is not counted");
        let done = work.await;
        self.last = calls(self.app);
        done
    }

    /// Takes over what was counted of another node.
    pub(crate) fn join(&mut self, other: Counting<'_>) {
        other.check_still("the end");
        for (operation, counted) in other.counted {
            assert!(self.counted.insert(operation, counted).is_none(), "{operation} is counted twice");
        }
    }

    /// How many calls an operation made that was counted.
    pub(crate) fn calls_of(&self, operation: &str) -> u64 {
        self.counted[operation].found.values().sum()
    }

    fn check_still(&self, next: &str) {
        let stray = between(&self.last, &calls(self.app));
        assert!(stray.is_empty(), "before {next}, calls that no operation accounts for: {stray:?}");
    }

    fn since(&mut self) -> Counts {
        let now = calls(self.app);
        let found = between(&self.last, &now);
        self.last = now;
        found
    }

    fn keep(&mut self, operation: &'static str, sizes: &Sizes, found: Counts) {
        let before = self.counted.insert(operation, Counted { found, sizes: sizes.to_vec() });
        assert!(before.is_none(), "{operation} is counted twice");
    }

    /// Compares what was counted with the table: the same operations, with the same counts.
    pub(crate) fn compare(&self, table: &Table) {
        self.check_still("the comparison");
        let mut wrong = Vec::new();
        for (operation, Counted { found, sizes }) in &self.counted {
            match table.counts(operation, sizes) {
                Some(said) if said == *found => {}
                Some(said) => wrong.push(format!("{operation} {sizes:?}: counted {found:?}, the table says {said:?}")),
                None => wrong.push(format!("{operation} {sizes:?} is not in the table: counted {found:?}")),
            }
        }
        let uncounted = table.operations().filter(|operation| !self.counted.contains_key(operation));
        wrong.extend(uncounted.map(|operation| format!("{operation} is in the table, but not counted")));
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }
}
