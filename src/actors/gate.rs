//! The gate: decides whether a request may pass. One on every HTTP worker, over the node's grants.
//!
//! A request for records waits for one answer only: the gate hands what it admits on to the query actor of its worker.
//!
//! Guarantees: an answer from a grant that is held touches no store; when the ledger cannot be reached nobody passes.

pub(super) mod error;

use std::{net::IpAddr, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message};
use tracing::{Instrument, Span};

pub use self::error::GateError;
use super::{
    ask::{Busy, Mailbox, Reply, ask},
    grants::{Admission, GrantBook},
    query::{GetRecords, Queries, RecordsAnswer, WantedRecords},
};
use crate::{
    domain::{bounds::DataAction, credential::Credential, reach::KeyPurpose},
    store::records::DataSet,
};

/// What a request would use its key or session for.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The client's address; none where nobody knows it.
    pub from: Option<IpAddr>,
    /// The data set; none where it is about none.
    pub data_set: Option<Arc<DataSet>>,
    /// What it does.
    pub action: DataAction,
}

impl Asking {
    fn purpose(&self) -> KeyPurpose<'_> {
        let dataset = self.data_set.as_ref().map(|data_set| data_set.definition.name.as_str());
        KeyPurpose { from: self.from, dataset, action: self.action }
    }
}

/// May a request with this key or session pass?
#[derive(Message)]
#[rtype(result = "()")]
struct Admit {
    shown: Credential,
    /// What it counts as.
    cost: u64,
    asking: Asking,
    then: Then,
}

/// What the gate does with its decision.
enum Then {
    /// Tells it.
    Tell(Reply<Result<Admission, GateError>>),
    /// Hands an admitted request on.
    Get(WantedRecords, Reply<Result<RecordsAnswer, GateError>>),
}

impl Then {
    /// What the request is part of.
    fn span(&self) -> Span {
        match self {
            Self::Tell(reply) => reply.span(),
            Self::Get(_, reply) => reply.span(),
        }
    }

    fn go_on(self, admission: Result<Admission, GateError>, queries: &Queries) {
        // A client that has gone does not need the answer; what it was admitted stays counted.
        match (self, admission) {
            (Self::Tell(reply), admission) => reply.send(admission),
            (Self::Get(wanted, reply), Ok(Admission::Admitted(pass))) => {
                queries.forward(GetRecords { wanted, pass, reply });
            }
            (Self::Get(_, reply), admission) => reply.send(admission.map(RecordsAnswer::NotAdmitted)),
        }
    }
}

/// The actor.
pub struct GateActor {
    book: Arc<GrantBook>,
    queries: Queries,
    mailbox_capacity: usize,
    patience: Duration,
}

impl Actor for GateActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
    }
}

impl Handler<Admit> for GateActor {
    type Result = ();

    fn handle(&mut self, Admit { shown, cost, asking, then }: Admit, _: &mut Self::Context) {
        if let Some(admission) = self.book.admit_now(&shown, cost, &asking.purpose()) {
            then.go_on(Ok(admission), &self.queries);
            return;
        }
        // Only the ledger can keep a request waiting, so only then is there a timer: it costs more than an answer.
        let (book, queries, patience) = (Arc::clone(&self.book), self.queries.clone(), self.patience);
        let span = then.span();
        let deciding = async move {
            let what = asking.purpose();
            let admission = match tokio::time::timeout(patience, book.admit(&shown, cost, &what)).await {
                Ok(admission) => admission.map_err(GateError::Ledger),
                Err(_) => Err(GateError::Busy(Busy::TimedOut)),
            };
            then.go_on(admission, &queries);
        };
        actix::spawn(deciding.instrument(span));
    }
}

/// How the edge talks to the gate of its worker.
#[derive(Clone)]
pub struct Gate {
    actor: Mailbox<GateActor>,
}

impl Gate {
    /// Starts a gate on the calling thread's arbiter, before the query actor of the same thread. Its requests wait for the
    /// ledger as long as `patience`.
    pub fn start(book: Arc<GrantBook>, queries: Queries, mailbox_capacity: usize, patience: Duration) -> Self {
        Self { actor: Mailbox::start(GateActor { book, queries, mailbox_capacity, patience }, mailbox_capacity) }
    }

    /// Asks whether a request with this credential that counts as `cost` of them may pass, and counts it if so.
    ///
    /// # Errors
    /// When that cannot be decided: the request must not pass.
    pub async fn admit(&self, shown: Credential, cost: u64, asking: Asking) -> Result<Admission, GateError> {
        ask(&self.actor, |reply| Admit { shown, cost, asking, then: Then::Tell(reply) }, None).await?
    }

    /// The same, and reads records for the request if it may pass.
    ///
    /// # Errors
    /// When it cannot be decided whether it may: nothing was read then.
    pub async fn get(
        &self,
        shown: Credential,
        from: Option<IpAddr>,
        wanted: WantedRecords,
    ) -> Result<RecordsAnswer, GateError> {
        let asking = Asking { from, data_set: Some(Arc::clone(&wanted.data_set)), action: DataAction::Read };
        ask(&self.actor, |reply| Admit { shown, cost: 1, asking, then: Then::Get(wanted, reply) }, None).await?
    }
}
