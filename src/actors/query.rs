//! Reading records. One on every HTTP worker, with a reader of its own; what scans goes to the store's bounded pool.
//!
//! Guarantees: reading changes nothing; a point read waits for no query but such a short one as an index serves at once; a
//! query never waits without bound.

use std::{rc::Rc, sync::Arc};

use actix::{Actor, Addr, Context, Handler, Message, prelude::SendError};

use super::{
    ask::{Busy, Reply, ask},
    gate::GateError,
    grants::{Admission, Pass},
};
use crate::{
    dataset::{
        query::{Changes, Facets, History, Query, Stats},
        summary::{Facet, Figures},
    },
    store::records::{DataSet, Export, Found, Page, Past, RecordReader, RecordStore, RecordStoreError, Summary},
};

/// The records that are asked for by their key, or one of them.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of this data set.
    pub data_set: Arc<DataSet>,
    /// In canonical form.
    pub key: String,
    /// That one only.
    pub record_id: Option<String>,
}

/// What became of a request for records by their key.
#[derive(Debug)]
pub enum Answer {
    /// It may not pass.
    NotAdmitted(Admission),
    /// It may, and this was found.
    Read {
        /// That it may.
        pass: Pass,
        /// Nothing, if there is no such record.
        found: Result<Option<Found>, QueryError>,
    },
}

/// Reads what a request that the gate has let pass wants.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct GetRecords {
    pub(super) wanted: Wanted,
    pub(super) pass: Pass,
    pub(super) reply: Reply<Result<Answer, GateError>>,
}

impl GetRecords {
    fn answer(self, found: Result<Option<Found>, QueryError>) {
        // A client that has gone needs no answer.
        drop(self.reply.send(Ok(Answer::Read { pass: self.pass, found })));
    }
}

/// The records that a query asks for.
#[derive(Message)]
#[rtype(result = "()")]
struct FindRecords {
    data_set: Arc<DataSet>,
    query: Query,
    reply: Reply<Result<Page, RecordStoreError>>,
}

/// A question for which there is no answer at once.
#[derive(Message)]
#[rtype(result = "()")]
struct Ask {
    data_set: Arc<DataSet>,
    question: Question,
}

/// What is asked, and where the answer goes.
enum Question {
    /// For everything that a query asks for.
    ExportRecords(Query, Reply<Result<Export, RecordStoreError>>),
    /// For the values of columns.
    CountValues(Facets, Reply<Result<Summary<Facet>, RecordStoreError>>),
    /// For the figures of columns.
    AddUp(Stats, Reply<Result<Summary<Figures>, RecordStoreError>>),
    /// For what imports have changed.
    GetChanges(Changes, Reply<Result<Past, RecordStoreError>>),
    /// For the states of the records of a key, or of one of them.
    GetHistory(String, Option<String>, History, Reply<Result<Option<Past>, RecordStoreError>>),
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

    fn handle(&mut self, message: GetRecords, _: &mut Self::Context) {
        let Wanted { data_set, key, record_id } = &message.wanted;
        // A store on this machine has the answer at once: it needs no task.
        if let Some(found) = self.reader.get_now(&data_set.definition.name, key, record_id.as_deref()) {
            message.answer(found.map_err(QueryError::Records));
            return;
        }
        let reader = Rc::clone(&self.reader);
        actix::spawn(async move {
            let Wanted { data_set, key, record_id } = &message.wanted;
            let found = reader.get(&data_set.definition.name, key, record_id.as_deref()).await;
            message.answer(found.map_err(QueryError::Records));
        });
    }
}

impl Handler<FindRecords> for QueryActor {
    type Result = ();

    fn handle(&mut self, FindRecords { data_set, query, reply }: FindRecords, _: &mut Self::Context) {
        if let Some(page) = self.reader.find_now(&data_set, &query) {
            drop(reply.send(page));
            return;
        }
        let records = Arc::clone(&self.records);
        actix::spawn(async move { drop(reply.send(records.find(&data_set, &query).await)) });
    }
}

impl Handler<Ask> for QueryActor {
    type Result = ();

    fn handle(&mut self, Ask { data_set, question }: Ask, _: &mut Self::Context) {
        let records = Arc::clone(&self.records);
        actix::spawn(async move {
            // A client that has gone needs no answer.
            match question {
                Question::ExportRecords(query, reply) => drop(reply.send(records.export(&data_set, &query).await)),
                Question::CountValues(facets, reply) => drop(reply.send(records.facets(&data_set, &facets).await)),
                Question::AddUp(stats, reply) => drop(reply.send(records.stats(&data_set, &stats).await)),
                Question::GetChanges(Changes { since, limit }, reply) => {
                    drop(reply.send(records.changes(&data_set, &since, limit).await));
                }
                Question::GetHistory(key, id, History { after, limit }, reply) => {
                    let found = records.history(&data_set, &key, id.as_deref(), after.as_ref(), limit).await;
                    drop(reply.send(found));
                }
            }
        });
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

    /// Puts a message that the gate hands on into the mailbox, and answers it if there is no room.
    pub(super) fn forward(&self, message: GetRecords) {
        match self.actor.try_send(message) {
            Ok(()) => {}
            Err(SendError::Full(message)) => message.answer(Err(Busy::Full.into())),
            Err(SendError::Closed(message)) => message.answer(Err(Busy::Stopped.into())),
        }
    }

    async fn ask<T>(
        &self,
        data_set: Arc<DataSet>,
        question: impl FnOnce(Reply<Result<T, RecordStoreError>>) -> Question,
    ) -> Result<T, QueryError> {
        Ok(ask(&self.actor, |reply| Ask { data_set, question: question(reply) }, None).await??)
    }

    /// Begins to write everything that a query asks for.
    ///
    /// # Errors
    /// When the actor or the store does not answer.
    pub async fn export(&self, data_set: Arc<DataSet>, query: Query) -> Result<Export, QueryError> {
        self.ask(data_set, |reply| Question::ExportRecords(query, reply)).await
    }

    /// The values of columns and how often each occurs.
    ///
    /// # Errors
    /// When the actor or the store does not answer.
    pub async fn facets(&self, data_set: Arc<DataSet>, facets: Facets) -> Result<Summary<Facet>, QueryError> {
        self.ask(data_set, |reply| Question::CountValues(facets, reply)).await
    }

    /// The figures of columns.
    ///
    /// # Errors
    /// When the actor or the store does not answer.
    pub async fn stats(&self, data_set: Arc<DataSet>, stats: Stats) -> Result<Summary<Figures>, QueryError> {
        self.ask(data_set, |reply| Question::AddUp(stats, reply)).await
    }

    /// What imports have changed.
    ///
    /// # Errors
    /// When the actor or the store does not answer.
    pub async fn changes(&self, data_set: Arc<DataSet>, changes: Changes) -> Result<Past, QueryError> {
        self.ask(data_set, |reply| Question::GetChanges(changes, reply)).await
    }

    /// The states of the records that bear a key, or of one of them.
    ///
    /// # Errors
    /// When the actor or the store does not answer.
    pub async fn history(
        &self,
        data_set: Arc<DataSet>,
        key: String,
        record_id: Option<String>,
        history: History,
    ) -> Result<Option<Past>, QueryError> {
        self.ask(data_set, |reply| Question::GetHistory(key, record_id, history, reply)).await
    }

    /// A page of the records that a query asks for. The store bounds how long it takes.
    ///
    /// # Errors
    /// When the actor or the store does not answer.
    pub async fn find(&self, data_set: Arc<DataSet>, query: Query) -> Result<Page, QueryError> {
        Ok(ask(&self.actor, |reply| FindRecords { data_set, query, reply }, None).await??)
    }
}
