//! Reading records. One on every HTTP worker, with a reader of its own; what scans goes to the store's bounded pool.
//!
//! Guarantees: reading changes nothing; a point read never waits for a query, and a query never waits without bound.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll, Waker},
};

use actix::{Actor, Addr, Context, Handler, Message};

use super::ask::{Busy, Reply, ask};
use crate::{
    dataset::query::Query,
    store::records::{DataSet, Found, Page, RecordReader, RecordStore, RecordStoreError},
};

type FoundResult = Result<Option<Found>, RecordStoreError>;

/// The records of a key, or one of them.
#[derive(Message)]
#[rtype(result = "()")]
struct GetRecords {
    data_set: Arc<DataSet>,
    key: String,
    record_id: Option<String>,
    reply: Reply<FoundResult>,
}

/// The records that a query asks for.
#[derive(Message)]
#[rtype(result = "()")]
struct FindRecords {
    data_set: Arc<DataSet>,
    query: Query,
    reply: Reply<Result<Page, RecordStoreError>>,
}

/// The actor.
pub struct QueryActor {
    records: Arc<dyn RecordStore>,
    reader: Rc<dyn RecordReader>,
    mailbox_capacity: usize,
}

impl Actor for QueryActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_capacity);
    }
}

impl Handler<GetRecords> for QueryActor {
    type Result = ();

    fn handle(&mut self, GetRecords { data_set, key, record_id, reply }: GetRecords, _: &mut Self::Context) {
        let reader = Rc::clone(&self.reader);
        let mut reading = Box::pin(async move {
            let name = &data_set.definition.name;
            match record_id {
                None => reader.get(name, &key).await,
                Some(record_id) => reader.get_one(name, &key, &record_id).await,
            }
        });
        // A store on this machine has the answer at once: it needs no task. A client that has gone needs no answer.
        match poll_once(reading.as_mut()) {
            Poll::Ready(found) => drop(reply.send(found)),
            Poll::Pending => {
                actix::spawn(async move { drop(reply.send(reading.await)) });
            }
        }
    }
}

fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut TaskContext::from_waker(Waker::noop()))
}

impl Handler<FindRecords> for QueryActor {
    type Result = ();

    fn handle(&mut self, FindRecords { data_set, query, reply }: FindRecords, _: &mut Self::Context) {
        let records = Arc::clone(&self.records);
        actix::spawn(async move { drop(reply.send(records.find(&data_set, &query).await)) });
    }
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The actor did not answer.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The store did not, or refused.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
}

/// How the edge talks to the query actor of its worker.
#[derive(Clone)]
pub struct Queries {
    actor: Addr<QueryActor>,
}

impl Queries {
    /// Starts a query actor on the calling thread's arbiter.
    pub fn start(records: Arc<dyn RecordStore>, mailbox_capacity: usize) -> Self {
        let reader: Rc<dyn RecordReader> = Rc::from(records.reader());
        Self { actor: QueryActor { records, reader, mailbox_capacity }.start() }
    }

    /// All records that bear a key, in canonical form; with `record_id`, that one.
    ///
    /// # Errors
    /// When the actor or the store does not answer.
    pub async fn get(
        &self,
        data_set: Arc<DataSet>,
        key: String,
        record_id: Option<String>,
    ) -> Result<Option<Found>, QueryError> {
        Ok(ask(&self.actor, |reply| GetRecords { data_set, key, record_id, reply }, None).await??)
    }

    /// A page of the records that a query asks for. The store bounds how long it takes.
    ///
    /// # Errors
    /// When the actor or the store does not answer.
    pub async fn find(&self, data_set: Arc<DataSet>, query: Query) -> Result<Page, QueryError> {
        Ok(ask(&self.actor, |reply| FindRecords { data_set, query, reply }, None).await??)
    }
}
