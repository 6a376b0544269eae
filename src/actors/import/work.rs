//! One import from beginning to end: reads the file, writes its records, and records the result in the log.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::{civil::Date, tz::TimeZone};
use tracing::Span;
use uuid::Uuid;

use super::{
    Guarded, ImportCounters, ImportDifference, ImportError, ImportSettings, Order, Phase, Summary, desk::Desk, guard,
    rejects::Rejects, spool::Spool, summary::counts,
};
use crate::{
    actors::{
        commit::{CommandError, Committer, Envelope},
        lineage::{judged, look_at},
    },
    dataset::{
        Definition, Value,
        definition::FieldOrigin,
        reader::{self, CellProblem, FileRow, Header},
        suggest,
    },
    domain::{
        data_set::{DataSetLog, HeldFor, HoldRefusal, name_to_keep},
        event::{Event, ImportCounts, Origin},
        guard::{Excess, covers},
        id::{CommandId, StreamId},
        text::one_line,
        view::State,
    },
    failpoint::crash_point,
    store::records::{
        AbsentColumn, Anew, ChangedValue, ImportOrder, ImportSession, Outlook, RecordStore, RecordStoreError,
        RowOutcome,
    },
};

/// Rows between two reports of progress.
const ROWS_PER_REPORT: u64 = 1024;
/// How often, and at which interval, an import tries to begin while another one is running.
const RUNNING_TRIES_MAX: u32 = 600;
const RUNNING_INTERVAL: Duration = Duration::from_secs(1);
/// Longest reason in the log, characters.
const REASON_CHARS_MAX: usize = 1000;

/// What all imports use.
pub(super) struct ImportWork {
    pub(super) committer: Arc<Committer>,
    pub(super) records: Arc<dyn RecordStore>,
    pub(super) settings: ImportSettings,
    pub(super) spool: Spool,
    pub(super) desk: Desk,
    pub(super) counters: ImportCounters,
    pub(super) one_at_a_time: tokio::sync::Mutex<()>,
    /// Held while an arrived file is accepted.
    pub(super) accepting: tokio::sync::Mutex<()>,
}

/// The result of reading and writing.
struct ImportWritten {
    definition: Arc<Definition>,
    header: Header,
    version_before: u64,
    version: u64,
    changed: bool,
    counts: ImportCounts,
    rejects_file: Option<PathBuf>,
    notes: Vec<String>,
    absent: Vec<AbsentColumn>,
    /// Whether stored records kept their values of columns that the file does not have.
    kept: bool,
    replace: bool,
    /// The exceeded limits.
    exceeds: Vec<Excess>,
    differences: Vec<ChangedValue>,
}

/// An approved import: the limits that it was held for, and the definition that it was read by.
struct Approved {
    definition: String,
    held: HeldFor,
}

impl Approved {
    /// Whether the approval covers this result: the same comparison, or no greater excess.
    fn covers(&self, written: &ImportWritten) -> bool {
        let is_same = self.definition == written.definition.fingerprint();
        is_same && self.held.dataset_version == written.version_before || covers(&self.held.why, &written.exceeds)
    }
}

impl ImportWork {
    pub(super) async fn import(self: &Arc<Self>, order: Order) -> Result<Summary, ImportError> {
        one_line(&order.file_name)?;
        let import = match &order.staged {
            Some(staged) => staged.id,
            None => self.committer.new_id().map_err(CommandError::from)?,
        };
        let approval = order.staged.as_ref().and_then(|staged| staged.approval.clone());
        let progress = Arc::clone(&order.progress);
        progress.enter(Phase::Reading);
        let (dataset, origin) = (order.definition.name.clone(), order.origin.clone());
        let started = Event::ImportStarted {
            import,
            file_name: name_to_keep(&order.file_name),
            definition: order.definition.fingerprint(),
            replace: order.replace,
        };
        // The session begins before the log has the import: from its first event until its rows are visible, others see that it is running,
        // and do not take it for dead.
        let (definition, replace, dry_run) = (Arc::clone(&order.definition), order.replace, order.dry_run);
        let mut tries = if order.staged.is_some() { RUNNING_TRIES_MAX } else { 1 };
        let session = loop {
            tries -= 1;
            let anew = self.anew(&dataset).await?;
            let (work, definition) = (Arc::clone(self), Arc::clone(&definition));
            let session = blocking(move || {
                let mut order = ImportOrder::new(&definition, import, work.today(), replace);
                if let Some(anew) = anew {
                    order = order.beginning_anew(anew);
                }
                Ok(work.records.begin_import(if dry_run { order.dry() } else { order })?)
            });
            match session.await {
                // The sender of an uploaded file does not wait: the import waits for one of a command or of another server.
                Err(ImportError::Records(RecordStoreError::ImportRunning { .. }))
                    if tries > 0 && progress.cancelled().is_none() =>
                {
                    tokio::time::sleep(RUNNING_INTERVAL).await;
                }
                session => break session,
            }
        };
        if dry_run {
            return self.rehearse(import, order, session?).await;
        }
        let session = match session {
            Ok(session) => session,
            Err(error) if approval.is_some() => {
                self.died(&dataset, import, None).await?;
                return Err(error);
            }
            Err(error) => return self.failed_to_begin(&dataset, &origin, started, import, error).await,
        };
        self.counters.started.add(1);
        let begun = match &approval {
            None => self.write_down_start(&dataset, &origin, import, started).await.map(|()| None),
            Some(approval) => self.take_up(&dataset, import, approval).await.map(Some),
        };
        let approved = match begun {
            Ok(approved) => approved,
            Err(error) => {
                self.counters.failed.add(1);
                give_up(Some(session)).await?;
                return Err(error);
            }
        };
        crash_point(if approval.is_some() { "import-approved" } else { "import-started" });
        let (work, is_staged) = (Arc::clone(self), order.staged.is_some());
        let done = blocking(move || {
            let mut session = Some(session);
            Ok((work.write(import, order, approved.as_ref(), &mut session), session))
        });
        let (written, session) = done.await.unwrap_or_else(|error| (Err(error), None));
        crash_point("import-written");
        match written {
            Ok(written) => self.completed(&dataset, &origin, import, written).await,
            Err(error) => {
                let recorded = match &error {
                    _ if session.is_none() => self.after_commit(&dataset, &origin, import, &error).await,
                    ImportError::Guarded(guarded) if is_staged => self.hold_back(&origin, import, guarded).await,
                    ImportError::Cancelled => {
                        self.counters.failed.add(1);
                        let who = progress.cancelled().unwrap_or(&origin);
                        crash_point("import-cancel-before");
                        let ended =
                            self.record(&dataset, who, import, "end", vec![Event::ImportCancelled { import }]).await;
                        crash_point("import-cancelled");
                        ended
                    }
                    _ if approval.is_some() => self.died(&dataset, import, None).await,
                    _ => self.failed(&dataset, &origin, Vec::new(), import, &error).await,
                };
                // The session ends after the log has the end: until then others see that the import is running.
                give_up(session).await?;
                recorded?;
                Err(error)
            }
        }
    }

    /// Reads and compares everything without writing to the log; leaves only the rejects file.
    async fn rehearse(
        self: &Arc<Self>,
        import: Uuid,
        order: Order,
        session: Box<dyn ImportSession>,
    ) -> Result<Summary, ImportError> {
        let (work, dataset, is_confirmed) = (Arc::clone(self), order.definition.name.clone(), order.confirmed);
        let written = blocking(move || work.write(import, order, None, &mut Some(session))).await?;
        let mut would = Summary { dry_run: true, ..summary(import, &dataset, written) };
        if !is_confirmed && !would.exceeds.is_empty() {
            let guarded = Guarded { excess: would.exceeds.clone(), would: Box::new(would.clone()) };
            would.refused_unless_confirmed = Some(guarded.reason());
        }
        Ok(would)
    }

    /// Records the approval of a held import. From then on nobody can discard it.
    pub(super) async fn write_down_approval(
        &self,
        dataset: &str,
        import: Uuid,
        approval: &Envelope,
    ) -> Result<DataSetLog, CommandError> {
        let decide = |state: &State| match state {
            State::DataSet(_, log) if log.approved(import).is_some() => Ok(Vec::new()),
            State::DataSet(_, log) => {
                log.held(import)?;
                Ok(vec![Event::ImportApproved { import }])
            }
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Ok(Vec::new()),
        };
        match self.committer.run(&StreamId::DataSet(dataset.to_owned()), approval, decide).await?.state {
            State::DataSet(_, log) => Ok(log),
            State::User(_) | State::Plan(..) | State::AdminTokens(_) => Err(HoldRefusal::Unknown.into()),
        }
    }

    /// The limits and definition of an approved import that begins now. One that was taken for dead while it waited is approved again,
    /// unless somebody has decided otherwise.
    async fn take_up(&self, dataset: &str, import: Uuid, approval: &Envelope) -> Result<Approved, ImportError> {
        self.end_others(dataset, import).await?;
        let again = Envelope::new(
            CommandId::unique(self.committer.new_id().map_err(CommandError::from)?),
            approval.origin.clone(),
        );
        let log = self.write_down_approval(dataset, import, &again).await?;
        let known = log.imports.get(&import).and_then(|known| Some((known.definition.clone(), known.held.clone()?)));
        let (definition, held) = known.ok_or_else(|| CommandError::from(HoldRefusal::Unknown))?;
        Ok(Approved { definition, held })
    }

    /// Records that an import is held, and why.
    async fn hold_back(&self, origin: &Origin, import: Uuid, guarded: &Guarded) -> Result<(), CommandError> {
        let Guarded { excess, would } = guarded;
        let event = Event::ImportHeld {
            import,
            dataset_version: would.version_before,
            counts: would.counts,
            why: excess.clone(),
            node: self.settings.node.clone(),
        };
        self.counters.held.add(1);
        // An import may be held repeatedly.
        let step = format!("held-{}", self.committer.new_id()?);
        self.record(&would.dataset, origin, import, &step, vec![event]).await?;
        crash_point("import-held");
        Ok(())
    }

    async fn write_down_start(
        &self,
        dataset: &str,
        origin: &Origin,
        import: Uuid,
        started: Event,
    ) -> Result<(), ImportError> {
        self.end_others(dataset, import).await?;
        Ok(self.record(dataset, origin, import, "start", vec![started]).await?)
    }

    /// Records the end of an import that failed while becoming visible: the records tell whether it did. If they do not, or it may still
    /// become visible, nothing is recorded: recovery finds it as dead.
    async fn after_commit(
        &self,
        dataset: &str,
        origin: &Origin,
        import: Uuid,
        error: &ImportError,
    ) -> Result<(), CommandError> {
        match self.last_visible(dataset).await {
            Ok(Some(last)) if last.id == import => {
                self.counters.failed.add(1);
                self.died(dataset, import, Some(last)).await
            }
            Ok(_) if !matches!(error, ImportError::Records(RecordStoreError::Unavailable { .. })) => {
                self.failed(dataset, origin, Vec::new(), import, error).await
            }
            Ok(_) | Err(_) => {
                self.counters.failed.add(1);
                tracing::warn!(dataset, %import, %error, "whether an import became visible is not known yet");
                Ok(())
            }
        }
    }

    /// How to begin the data set anew, when its records are not those of the log: nothing builds on the present records, and no version of
    /// the log occurs twice.
    async fn anew(&self, dataset: &str) -> Result<Option<Anew>, ImportError> {
        look_at(&self.records).await?;
        let (stored, lineage, verdict) = judged(&self.committer, &self.records, dataset).await?;
        let Err(loss) = verdict else {
            // The versions of removed records do not come again: clients that ask for changes since one are told so.
            let is_again = stored.is_none() && lineage.version() > 0;
            return Ok(is_again.then(|| Anew { above: lineage.version(), instead_of: None }));
        };
        tracing::warn!(dataset, "{loss}; the import begins it anew");
        Ok(Some(Anew { above: lineage.version(), instead_of: stored.map(|stored| stored.last_import) }))
    }

    /// Records in one commit that an import began and failed: it never held the data set, so that others might take it for dead.
    async fn failed_to_begin(
        &self,
        dataset: &str,
        origin: &Origin,
        started: Event,
        import: Uuid,
        error: ImportError,
    ) -> Result<Summary, ImportError> {
        self.counters.started.add(1);
        self.failed(dataset, origin, vec![started], import, &error).await?;
        Err(error)
    }

    async fn failed(
        &self,
        dataset: &str,
        origin: &Origin,
        mut events: Vec<Event>,
        import: Uuid,
        error: &ImportError,
    ) -> Result<(), CommandError> {
        self.counters.failed.add(1);
        let reason = error.to_string().chars().take(REASON_CHARS_MAX).collect();
        events.push(Event::ImportFailed { import, reason });
        self.record(dataset, origin, import, "end", events).await
    }

    async fn completed(
        &self,
        dataset: &str,
        origin: &Origin,
        import: Uuid,
        written: ImportWritten,
    ) -> Result<Summary, ImportError> {
        let event = Event::ImportCompleted { import, dataset_version: written.version, counts: written.counts };
        self.record(dataset, origin, import, "end", vec![event]).await?;
        self.counters.completed.add(1);
        Ok(summary(import, dataset, written))
    }

    /// Appends events of an import: its beginning, its end unless recorded, or both.
    pub(super) async fn record(
        &self,
        dataset: &str,
        origin: &Origin,
        import: Uuid,
        step: &str,
        events: Vec<Event>,
    ) -> Result<(), CommandError> {
        let envelope = Envelope::new(CommandId::from_import(import, step), origin.clone());
        let decide = |state: &State| match (state, events.as_slice()) {
            (State::DataSet(_, log), [ending]) if !matches!(ending, Event::ImportStarted { .. }) => {
                Ok(log.end_import(import, ending.clone()))
            }
            (State::DataSet(..), events) => Ok(events.to_vec()),
            (State::User(_) | State::Plan(..) | State::AdminTokens(_), _) => Ok(Vec::new()),
        };
        self.committer.run(&StreamId::DataSet(dataset.to_owned()), &envelope, decide).await.map(drop)
    }

    fn today(&self) -> Date {
        self.committer.clock.now().to_zoned(TimeZone::UTC).date()
    }

    /// Reads the file and writes its records, which become visible only on success, and never in a dry run. A failure before the commit
    /// leaves the session to the caller.
    fn write(
        &self,
        import: Uuid,
        order: Order,
        approved: Option<&Approved>,
        session: &mut Option<Box<dyn ImportSession>>,
    ) -> Result<ImportWritten, ImportError> {
        let ended = || ImportError::Interrupted("its session has ended".to_owned());
        let Order { file, file_name, definition, reading, progress, replace, confirmed, .. } = order;
        let Order { dry_run, keep_absent, staged, .. } = order;
        let kept = keep_absent.unwrap_or(!confirmed);
        let still_wanted = || {
            if let Some(who) = staged.as_ref().and_then(|_| self.spool.cancelled_by(import)) {
                progress.cancel(who);
            }
            if progress.cancelled().is_some() { Err(ImportError::Cancelled) } else { Ok(()) }
        };
        let mut source = reader::open(file, &file_name, &reading, &self.settings.limits)?;
        let path = self.settings.rejects.join(format!("{}-{import}.csv", definition.name));
        let mut rejects = Rejects::into(path);
        let mut rows = 0;
        let running = session.as_deref_mut().ok_or_else(ended)?;
        let header = source.header().clone();
        let absent: Vec<usize> = header.absent.iter().filter_map(|name| definition.column_index(name)).collect();
        running.absent(&absent, kept)?;
        if header.brings_ids {
            running.take_ids();
        }
        while let Some(row) = source.next() {
            self.take(running, &mut rejects, &definition, row?)?;
            rows += 1;
            if rows % ROWS_PER_REPORT == 0 {
                still_wanted()?;
                progress.rows.store(rows, Ordering::Relaxed);
                progress.bytes.store(source.progress().bytes_read, Ordering::Relaxed);
            }
        }
        progress.rows.store(rows, Ordering::Relaxed);
        let rejected = rejects.rows();
        let rejects_file = rejects.finish()?;
        still_wanted()?;
        let outlook = running.settle()?;
        let exceeds = guard::found(self.settings.guard, &definition, replace, &outlook);
        let notes = source.notes().iter().map(ToString::to_string).collect();
        let Outlook { version_before, result, absent, differences, .. } = outlook;
        let mut written = ImportWritten {
            definition,
            header,
            version_before,
            version: if dry_run { version_before } else { result.version },
            changed: result.changed,
            counts: counts(&result),
            rejects_file,
            notes,
            absent,
            kept,
            replace,
            exceeds,
            differences,
        };
        crash_point("import-before-commit");
        if dry_run {
            return Ok(written);
        }
        let is_approved = approved.is_some_and(|approved| approved.covers(&written));
        if !confirmed && !is_approved && !written.exceeds.is_empty() {
            let (excess, dataset) = (written.exceeds.clone(), written.definition.name.clone());
            return Err(Guarded { excess, would: Box::new(summary(import, &dataset, written)) }.into());
        }
        still_wanted()?;
        progress.enter(Phase::Committing);
        let result = session.take().ok_or_else(ended)?.commit()?;
        self.counters.rows.add(rows);
        self.counters.rejected.add(rejected);
        (written.version, written.changed, written.counts) = (result.version, result.changed, counts(&result));
        Ok(written)
    }

    fn take(
        &self,
        session: &mut dyn ImportSession,
        rejects: &mut Rejects,
        definition: &Definition,
        row: FileRow,
    ) -> Result<(), ImportError> {
        match row {
            FileRow::Rejected { line, key, problems } => {
                session.reject(key.as_deref())?;
                rejects.write(line, &problems)
            }
            FileRow::Record { line, key, record } => match session.put(line, &key, record)? {
                RowOutcome::Inserted | RowOutcome::Updated | RowOutcome::Unchanged => Ok(()),
                RowOutcome::Duplicate { first_line } => {
                    let column = definition.columns.get(definition.record_id);
                    let problem = CellProblem {
                        column: column.map(|column| column.name.clone()).unwrap_or_default(),
                        value: key,
                        reason: format!("line {first_line} has the same key and record id"),
                    };
                    session.reject(None)?;
                    rejects.write(line, &[problem])
                }
            },
        }
    }
}

/// The summary of a successful import.
fn summary(import: Uuid, dataset: &str, written: ImportWritten) -> Summary {
    let ImportWritten { definition, header, version, version_before, changed, counts, .. } = written;
    let ImportWritten { rejects_file, notes, absent, kept, replace, exceeds, differences, .. } = written;
    let named = |absent: &AbsentColumn| (definition.column_name(absent.column).to_owned(), absent.values);
    let stored: BTreeMap<String, u64> = absent.iter().map(named).collect();
    let (kept_columns, emptied_columns) = if kept { (stored, BTreeMap::new()) } else { (BTreeMap::new(), stored) };
    let text = |value: &Value| (!value.is_null()).then(|| value.to_string());
    let change = |ChangedValue { key, record_id, column, old, new }: &ChangedValue| ImportDifference {
        key: key.clone(),
        record_id: record_id.to_string(),
        column: definition.column_name(*column).to_owned(),
        old: text(old),
        new: text(new),
    };
    let differences = differences.iter().map(change).collect();
    Summary {
        import,
        dataset: dataset.to_owned(),
        dry_run: false,
        replace,
        version_before,
        dataset_version: version,
        changed,
        counts,
        rejects_file,
        sheet: header.sheet.clone(),
        header_line: header.line,
        similar_headers: similar_headers(&definition, &header),
        unmatched_headers: header.unmatched,
        absent_columns: header.absent,
        notes,
        kept_columns,
        emptied_columns,
        refused_unless_confirmed: None,
        exceeds,
        differences,
    }
}

/// Headers that no column reads, each with the absent column of nearly the same name.
fn similar_headers(definition: &Definition, header: &Header) -> BTreeMap<String, String> {
    let mut known: Vec<(&str, &str)> = Vec::new();
    for field in definition.source.fields.iter().filter(|field| header.absent.contains(&field.name)) {
        if let FieldOrigin::Header { headers, .. } = &field.origin {
            known.push((&field.name, &field.name));
            known.extend(headers.iter().map(|header| (header.as_str(), field.name.as_str())));
        }
    }
    let meant = |header: &String| {
        let spelling = suggest::nearest(header, known.iter().map(|(spelling, _)| *spelling))?;
        let (_, column) = known.iter().find(|(known, _)| *known == spelling)?;
        Some((header.clone(), (*column).to_owned()))
    };
    header.unmatched.iter().filter_map(meant).collect()
}

/// Ends a session on a separate thread: it may have to notify a store.
async fn give_up(session: Option<Box<dyn ImportSession>>) -> Result<(), ImportError> {
    blocking(move || {
        drop(session);
        Ok(())
    })
    .await
}

/// Runs blocking work on a separate thread; its log lines belong to the request.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    let span = Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.unwrap_or_else(|error| Err(ImportError::Interrupted(error.to_string())))
}
