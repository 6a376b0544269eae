//! Reads records. One actor on every HTTP worker, with its own reader; scans run in the store's bounded pool.
//!
//! Guarantees: reading changes nothing; a point read waits at most for queries that an index answers at once; no query waits without a
//! limit; long queries are shared between people ([`WaitingLine`]) before the pool is full.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, Context, Handler, Message, prelude::SendError};
use futures_util::future::poll_immediate;
use tracing::{Instrument, Span};

use super::{
    ask::{Busy, Mailbox, Reply, ask},
    gate::error::GateError,
    grants::{Admission, Pass},
    turns::{Capacity, NoTurn, Turn, WaitingLine},
};
use crate::{
    dataset::{
        query::{Changes, Facets, Groups, History, PointInTime, Query, Stats},
        summary::{Facet, Figures},
    },
    domain::id::UserId,
    store::records::{
        DataSet, Export, FoundRecords, Page, Past, RecordReader, RecordStore, RecordStoreError, RecordsGroups,
        RecordsSummary,
    },
};

/// A request for the records of a key, or for one of them.
#[derive(Debug, Clone)]
pub struct WantedRecords {
    /// Of this data set.
    pub data_set: Arc<DataSet>,
    /// The key in canonical form.
    pub key: String,
    /// The record id, for one record only.
    pub record_id: Option<String>,
}

/// The result of a request for records by key.
#[derive(Debug)]
pub enum RecordsAnswer {
    /// The request may not pass.
    NotAdmitted(Admission),
    /// The request passed and was answered.
    Read {
        /// The admission.
        pass: Pass,
        /// The records; `None` if there is no such record.
        found: Result<Option<FoundRecords>, QueryError>,
    },
}

/// Reads the records for a request that the gate has admitted.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct GetRecords {
    pub(super) wanted: WantedRecords,
    pub(super) pass: Pass,
    pub(super) reply: Reply<Result<RecordsAnswer, GateError>>,
}

impl GetRecords {
    fn answer(self, found: Result<Option<FoundRecords>, QueryError>) {
        self.reply.send(Ok(RecordsAnswer::Read { pass: self.pass, found }));
    }
}

/// Reads the records of a query.
#[derive(Message)]
#[rtype(result = "()")]
struct FindRecords {
    who: UserId,
    data_set: Arc<DataSet>,
    query: Query,
    reply: Reply<Result<Page, QueryError>>,
}

/// Asks a question that may take long.
#[derive(Message)]
#[rtype(result = "()")]
struct Ask {
    who: UserId,
    data_set: Arc<DataSet>,
    question: AskedQuestion,
}

/// A question, and the receiver of its answer.
enum AskedQuestion {
    /// Exports all records of a query.
    ExportRecords(Query, Reply<Result<Exporting, QueryError>>),
    /// Counts the values of columns.
    CountValues(Facets, Reply<Result<RecordsSummary<Facet>, QueryError>>),
    /// Computes the figures of columns.
    AddUp(Stats, Reply<Result<RecordsSummary<Figures>, QueryError>>),
    /// Groups records.
    GroupRecords(Groups, Reply<Result<RecordsGroups, QueryError>>),
    /// Finds the version that a question is about.
    FindVersion(PointInTime, Reply<Result<u64, QueryError>>),
    /// Reads the records that a key had, or one of them.
    GetEarlier(WantedRecords, PointInTime, Reply<Result<Option<FoundRecords>, QueryError>>),
    /// Reads the changes by imports.
    GetChanges(Changes, Reply<Result<Past, QueryError>>),
    /// Reads the states of the records of a key, or of one of them.
    GetHistory(String, Option<String>, History, Reply<Result<Option<Past>, QueryError>>),
}

impl AskedQuestion {
    /// The span of the request.
    fn span(&self) -> Span {
        match self {
            Self::ExportRecords(_, reply) => reply.span(),
            Self::CountValues(_, reply) => reply.span(),
            Self::AddUp(_, reply) => reply.span(),
            Self::GroupRecords(_, reply) => reply.span(),
            Self::FindVersion(_, reply) => reply.span(),
            Self::GetEarlier(.., reply) => reply.span(),
            Self::GetChanges(_, reply) => reply.span(),
            Self::GetHistory(.., reply) => reply.span(),
        }
    }
}

/// An export in progress, and its place until its parts were sent.
#[derive(Debug)]
pub struct Exporting {
    /// Its parts.
    pub export: Export,
    /// The place.
    pub place: Turn,
}

/// A node's capacity for long questions, shared by its query actors.
#[derive(Debug, Clone)]
pub struct Shares {
    scans: Arc<WaitingLine>,
    exports: Arc<WaitingLine>,
    /// The time limit of a question, including its waiting.
    patience: Duration,
}

impl Shares {
    /// The capacity of scans and exports, and the time limit of a scan, including its waiting.
    pub fn new(scans: Capacity, exports: Capacity, patience: Duration) -> Self {
        Self { scans: WaitingLine::new(scans), exports: WaitingLine::new(exports), patience }
    }

    /// The waiting line of scans.
    pub fn scans(&self) -> &Arc<WaitingLine> {
        &self.scans
    }

    /// The places of exports.
    pub fn exports(&self) -> &Arc<WaitingLine> {
        &self.exports
    }

    /// Answers a question in its turn, if the caller still waits. The answer gets the remaining time.
    async fn in_turn<T>(
        &self,
        who: UserId,
        mut reply: Reply<Result<T, QueryError>>,
        answer: impl Future<Output = Result<T, RecordStoreError>>,
    ) {
        let begun = tokio::time::Instant::now();
        let mut turn = std::pin::pin!(self.scans.turn(who));
        let turn = match poll_immediate(turn.as_mut()).await {
            Some(turn) => {
                // Without waiting, the store's own time limit and error apply.
                let outcome = match turn {
                    Ok(_turn) => answer.await.map_err(QueryError::Records),
                    Err(refused) => Err(refused.into()),
                };
                reply.send(outcome);
                return;
            }
            None => tokio::select! {
                biased;
                turn = tokio::time::timeout(self.patience, turn) => turn,
                () = reply.closed() => return,
            },
        };
        let outcome = match turn {
            Ok(Ok(_turn)) => {
                let waited = begun.elapsed();
                match tokio::time::timeout(self.patience.saturating_sub(waited), answer).await {
                    Ok(answer) => answer.map_err(QueryError::Records),
                    Err(_) => Err(timed_out(self.patience, waited).into()),
                }
            }
            Ok(Err(refused)) => Err(refused.into()),
            Err(_) if self.scans.is_at_share(who) => Err(NoTurn::OwnShare.into()),
            Err(_) => Err(NoTurn::Full.into()),
        };
        reply.send(outcome);
    }

    async fn export(
        &self,
        who: UserId,
        export: impl Future<Output = Result<Export, RecordStoreError>>,
    ) -> Result<Exporting, QueryError> {
        let place = self.exports.turn_now(who)?;
        Ok(Exporting { export: export.await?, place })
    }
}

/// The error of a question that waited and then exceeded the rest of its time.
fn timed_out(patience: Duration, waited: Duration) -> RecordStoreError {
    let limit_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let waited_ms = waited.as_millis();
    let narrow = format!("it waited for its turn for {waited_ms} ms of that; repeat it, or narrow it with a filter");
    RecordStoreError::TimedOut { limit_ms, narrow }
}

/// The actor.
pub struct QueryActor {
    records: Arc<dyn RecordStore>,
    reader: Rc<dyn RecordReader>,
    shares: Shares,
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
        let WantedRecords { data_set, key, record_id } = &message.wanted;
        // A store on this machine has the answer at once: it needs no task.
        if let Some(found) = self.reader.get_now(&data_set.definition.name, key, record_id.as_deref()) {
            message.answer(found.map_err(QueryError::Records));
            return;
        }
        let (reader, span) = (Rc::clone(&self.reader), message.reply.span());
        let reading = async move {
            let WantedRecords { data_set, key, record_id } = &message.wanted;
            let found = reader.get(&data_set.definition.name, key, record_id.as_deref()).await;
            message.answer(found.map_err(QueryError::Records));
        };
        actix::spawn(reading.instrument(span));
    }
}

impl Handler<FindRecords> for QueryActor {
    type Result = ();

    fn handle(&mut self, FindRecords { who, data_set, query, reply }: FindRecords, _: &mut Self::Context) {
        if let Some(page) = self.reader.find_now(&data_set, &query) {
            reply.send(page.map_err(QueryError::Records));
            return;
        }
        let (records, shares) = (Arc::clone(&self.records), self.shares.clone());
        let span = reply.span();
        let finding = async move { shares.in_turn(who, reply, records.find(&data_set, &query)).await };
        actix::spawn(finding.instrument(span));
    }
}

impl Handler<Ask> for QueryActor {
    type Result = ();

    fn handle(&mut self, Ask { who, data_set, question }: Ask, _: &mut Self::Context) {
        let (records, shares, span) = (Arc::clone(&self.records), self.shares.clone(), question.span());
        let answering = async move {
            match question {
                AskedQuestion::ExportRecords(query, reply) => {
                    reply.send(shares.export(who, records.export(&data_set, &query)).await);
                }
                AskedQuestion::CountValues(facets, reply) => {
                    shares.in_turn(who, reply, records.facets(&data_set, &facets)).await;
                }
                AskedQuestion::AddUp(stats, reply) => {
                    shares.in_turn(who, reply, records.stats(&data_set, &stats)).await;
                }
                AskedQuestion::GroupRecords(groups, reply) => {
                    shares.in_turn(who, reply, records.groups(&data_set, &groups)).await;
                }
                AskedQuestion::FindVersion(as_of, reply) => {
                    shares.in_turn(who, reply, records.version_at(&data_set, as_of)).await;
                }
                AskedQuestion::GetEarlier(WantedRecords { key, record_id, .. }, as_of, reply) => {
                    let reading = records.get_at(&data_set, &key, record_id.as_deref(), as_of);
                    shares.in_turn(who, reply, reading).await;
                }
                AskedQuestion::GetChanges(Changes { since, limit, .. }, reply) => {
                    shares.in_turn(who, reply, records.changes(&data_set, &since, limit)).await;
                }
                AskedQuestion::GetHistory(key, id, History { after, limit, .. }, reply) => {
                    let history = records.history(&data_set, &key, id.as_deref(), after.as_ref(), limit);
                    shares.in_turn(who, reply, history).await;
                }
            }
        };
        actix::spawn(answering.instrument(span));
    }
}

/// Why records could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The actor did not answer.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// There was no place for the question.
    #[error(transparent)]
    NoTurn(#[from] NoTurn),
    /// The store failed or refused.
    #[error(transparent)]
    Records(#[from] RecordStoreError),
}

/// The edge's handle to its worker's query actor.
#[derive(Clone)]
pub struct Queries {
    actor: Mailbox<QueryActor>,
}

impl Queries {
    /// Starts a query actor on the calling thread's arbiter.
    pub fn start(records: Arc<dyn RecordStore>, shares: Shares, mailbox_capacity: usize) -> Self {
        let reader: Rc<dyn RecordReader> = Rc::from(records.reader());
        Self { actor: Mailbox::start(QueryActor { records, reader, shares, mailbox_capacity }, mailbox_capacity) }
    }

    /// Passes a message from the gate to the mailbox, or answers it if there is no room.
    pub(super) fn forward(&self, message: GetRecords) {
        match self.actor.actor().try_send(message) {
            Ok(()) => {}
            Err(SendError::Full(message)) => message.answer(Err(Busy::Full.into())),
            Err(SendError::Closed(message)) => message.answer(Err(Busy::Stopped.into())),
        }
    }

    async fn ask<T>(
        &self,
        who: UserId,
        data_set: Arc<DataSet>,
        question: impl FnOnce(Reply<Result<T, QueryError>>) -> AskedQuestion,
    ) -> Result<T, QueryError> {
        ask(&self.actor, |reply| Ask { who, data_set, question: question(reply) }, None).await?
    }

    /// Begins an export of all records of a query.
    ///
    /// # Errors
    /// When the actor or the store does not answer, or there is no place for the question.
    pub async fn export(&self, who: UserId, data_set: Arc<DataSet>, query: Query) -> Result<Exporting, QueryError> {
        self.ask(who, data_set, |reply| AskedQuestion::ExportRecords(query, reply)).await
    }

    /// The values of columns and the count of each.
    ///
    /// # Errors
    /// When the actor or the store does not answer, or there is no place for the question.
    pub async fn facets(
        &self,
        who: UserId,
        data_set: Arc<DataSet>,
        facets: Facets,
    ) -> Result<RecordsSummary<Facet>, QueryError> {
        self.ask(who, data_set, |reply| AskedQuestion::CountValues(facets, reply)).await
    }

    /// The figures of columns.
    ///
    /// # Errors
    /// When the actor or the store does not answer, or there is no place for the question.
    pub async fn stats(
        &self,
        who: UserId,
        data_set: Arc<DataSet>,
        stats: Stats,
    ) -> Result<RecordsSummary<Figures>, QueryError> {
        self.ask(who, data_set, |reply| AskedQuestion::AddUp(stats, reply)).await
    }

    /// The groups of records.
    ///
    /// # Errors
    /// When the actor or the store does not answer, or there is no place for the question.
    pub async fn groups(
        &self,
        who: UserId,
        data_set: Arc<DataSet>,
        groups: Groups,
    ) -> Result<RecordsGroups, QueryError> {
        self.ask(who, data_set, |reply| AskedQuestion::GroupRecords(groups, reply)).await
    }

    /// The held version that a question as of this is about.
    ///
    /// # Errors
    /// When the actor or the store does not answer, or there is no place for the question.
    pub async fn version_at(&self, who: UserId, data_set: Arc<DataSet>, as_of: PointInTime) -> Result<u64, QueryError> {
        self.ask(who, data_set, |reply| AskedQuestion::FindVersion(as_of, reply)).await
    }

    /// The records that bore a key in an earlier version, or one of them.
    ///
    /// # Errors
    /// When the actor or the store does not answer, or there is no place for the question.
    pub async fn get_at(
        &self,
        who: UserId,
        wanted: WantedRecords,
        as_of: PointInTime,
    ) -> Result<Option<FoundRecords>, QueryError> {
        let data_set = Arc::clone(&wanted.data_set);
        self.ask(who, data_set, |reply| AskedQuestion::GetEarlier(wanted, as_of, reply)).await
    }

    /// The changes by imports.
    ///
    /// # Errors
    /// When the actor or the store does not answer, or there is no place for the question.
    pub async fn changes(&self, who: UserId, data_set: Arc<DataSet>, changes: Changes) -> Result<Past, QueryError> {
        self.ask(who, data_set, |reply| AskedQuestion::GetChanges(changes, reply)).await
    }

    /// The states of the records with a key, or of one of them.
    ///
    /// # Errors
    /// When the actor or the store does not answer, or there is no place for the question.
    pub async fn history(
        &self,
        who: UserId,
        data_set: Arc<DataSet>,
        key: String,
        record_id: Option<String>,
        history: History,
    ) -> Result<Option<Past>, QueryError> {
        self.ask(who, data_set, |reply| AskedQuestion::GetHistory(key, record_id, history, reply)).await
    }

    /// A page of a query's records. The store limits the time.
    ///
    /// # Errors
    /// When the actor or the store does not answer, or there is no place for the question.
    pub async fn find(&self, who: UserId, data_set: Arc<DataSet>, query: Query) -> Result<Page, QueryError> {
        ask(&self.actor, |reply| FindRecords { who, data_set, query, reply }, None).await?
    }
}
