//! The gate decides whether a request may pass. Each HTTP worker has one; all use the node's grants.
//!
//! A request for records waits for one answer only: the gate passes admitted requests on to its worker's query actor.
//!
//! Guarantees: an answer from a held grant touches no store; without the ledger nobody passes.

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

/// What a request uses its key or session for.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The client's address, if known.
    pub from: Option<IpAddr>,
    /// The data set, if the request concerns one.
    pub data_set: Option<Arc<DataSet>>,
    /// The action.
    pub action: DataAction,
}

impl Asking {
    fn purpose(&self) -> KeyPurpose<'_> {
        let dataset = self.data_set.as_ref().map(|data_set| data_set.definition.name.as_str());
        KeyPurpose { from: self.from, dataset, action: self.action }
    }
}

/// Asks whether a request with this credential may pass.
#[derive(Message)]
#[rtype(result = "()")]
struct Admit {
    shown: Credential,
    /// The request's cost.
    cost: u64,
    asking: Asking,
    then: Then,
}

/// What follows the decision.
enum Then {
    /// Returns the decision.
    Tell(Reply<Result<Admission, GateError>>),
    /// Passes an admitted request on to the query actor.
    Get(WantedRecords, Reply<Result<RecordsAnswer, GateError>>),
}

impl Then {
    /// The span of the request.
    fn span(&self) -> Span {
        match self {
            Self::Tell(reply) => reply.span(),
            Self::Get(_, reply) => reply.span(),
        }
    }

    fn go_on(self, admission: Result<Admission, GateError>, queries: &Queries) {
        // If the client has gone, the request stays counted.
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
        // Only the ledger can make a request wait, so only this path sets a timer: a timer costs more than an answer.
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

/// The edge's handle to the gate of its worker.
#[derive(Clone)]
pub struct Gate {
    actor: Mailbox<GateActor>,
}

impl Gate {
    /// Starts a gate on the calling thread's arbiter, before the same thread's query actor. A request waits for the ledger up to
    /// `patience`.
    pub fn start(book: Arc<GrantBook>, queries: Queries, mailbox_capacity: usize, patience: Duration) -> Self {
        Self { actor: Mailbox::start(GateActor { book, queries, mailbox_capacity, patience }, mailbox_capacity) }
    }

    /// Decides whether a request of this cost may pass with this credential, and counts it if so.
    ///
    /// # Errors
    /// When that cannot be decided: the request must not pass.
    pub async fn admit(&self, shown: Credential, cost: u64, asking: Asking) -> Result<Admission, GateError> {
        ask(&self.actor, |reply| Admit { shown, cost, asking, then: Then::Tell(reply) }, None).await?
    }

    /// The same, and reads records for an admitted request.
    ///
    /// # Errors
    /// When that cannot be decided: nothing was read.
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
