//! Imports that take their time, beside commands that begin meanwhile.

use std::{
    io::{self, Cursor, Read, Seek, SeekFrom},
    sync::{Arc, mpsc},
};

use permitd::{
    actors::{
        commit::Envelope,
        import::{ImportProgress, Order, WantedImport},
    },
    app::{Node, Purpose},
    clock::SystemClock,
    config::{LoadFrom, Settings},
    dataset::sample::{self, SampleFormat},
    domain::{
        event::{Event, Origin},
        id::{CommandId, StreamId, Who},
    },
    queue::Policy,
    secrets::SystemEntropy,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::support::backend::Place;

/// A file whose first byte is read when the test says so.
struct Slow {
    file: Cursor<Vec<u8>>,
    asked: Option<oneshot::Sender<()>>,
    go: mpsc::Receiver<()>,
}

impl Slow {
    fn wait(&mut self) {
        if let Some(asked) = self.asked.take() {
            asked.send(()).unwrap();
            self.go.recv().unwrap();
        }
    }
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait();
        self.file.read(buffer)
    }
}

impl Seek for Slow {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.wait();
        self.file.seek(to)
    }
}

/// What a command opens, and makes good what died before it.
pub(crate) async fn node(place: &Place) -> Node {
    let from = LoadFrom { config_file: None, env: std::iter::empty(), overrides: &place.settings() };
    let settings = Settings::load(from).unwrap();
    let (address, aws) = (settings.listen, place.access().await);
    Node::open(settings, SystemClock::shared(), Arc::new(SystemEntropy), Purpose::Command, address, aws).await.unwrap()
}

async fn told(node: &Node) -> Vec<String> {
    let imports = node.service.committer.stores.views.imports(None, 10).await.unwrap();
    imports.into_iter().map(|import| import.status).collect()
}

#[actix_web::test]
async fn an_import_under_way_is_not_taken_for_one_that_died() {
    let place = Place::in_real_time(crate::MODE, Policy::default()).await;
    let importing = node(&place).await;
    let mut file = Cursor::new(Vec::new());
    sample::generate(10, 1, SampleFormat::Csv, &mut file).unwrap();
    file.set_position(0);
    let (asked, is_asked) = oneshot::channel();
    let (go, goes) = mpsc::channel();
    let order = Order {
        file: Box::new(Slow { file, asked: Some(asked), go: goes }),
        file_name: "slow.csv".to_owned(),
        definition: Arc::clone(importing.definition("permits").unwrap()),
        reading: Arc::clone(importing.definition("permits").unwrap()),
        replace: false,
        confirmed: true,
        keep_absent: None,
        staged: None,
        dry_run: false,
        origin: Origin { who: Who::system("test"), correlation_id: "slow".to_owned(), causation_id: None },
        progress: Arc::new(ImportProgress::default()),
    };
    let imports = importing.service.imports.clone();
    let import = actix_web::rt::spawn(async move { imports.import(order).await });
    is_asked.await.unwrap();

    // The file is not even recognised yet.
    let beside = node(&place).await;
    assert_eq!(told(&beside).await, ["running"]);
    go.send(()).unwrap();
    assert_eq!(import.await.unwrap().unwrap().counts.inserted, 10);
    assert_eq!(told(&beside).await, ["completed"]);
}

/// The import of a process that died: the log knows that it began, and nobody has the data set.
async fn begin_and_die(node: &Node) -> Uuid {
    let import = Uuid::now_v7();
    let envelope = Envelope::new(
        CommandId::from_import(import, "start"),
        Origin { who: Who::system("test"), correlation_id: "dead".to_owned(), causation_id: None },
    );
    let began =
        Event::ImportStarted { import, file_name: "dead.csv".to_owned(), definition: "d".to_owned(), replace: false };
    let stream = StreamId::DataSet("permits".to_owned());
    node.service.committer.run(&stream, &envelope, |_| Ok(vec![began.clone()])).await.unwrap();
    import
}

fn order(node: &Node, rows: u64) -> Order {
    let mut file = Cursor::new(Vec::new());
    sample::generate(rows, 1, SampleFormat::Csv, &mut file).unwrap();
    file.set_position(0);
    Order {
        file: Box::new(file),
        file_name: "next.csv".to_owned(),
        definition: Arc::clone(node.definition("permits").unwrap()),
        reading: Arc::clone(node.definition("permits").unwrap()),
        replace: false,
        confirmed: true,
        keep_absent: None,
        staged: None,
        dry_run: false,
        origin: Origin { who: Who::system("test"), correlation_id: "next".to_owned(), causation_id: None },
        progress: Arc::new(ImportProgress::default()),
    }
}

#[actix_web::test]
async fn the_next_import_writes_down_those_that_died() {
    let place = Place::in_real_time(crate::MODE, Policy::default()).await;
    let node = node(&place).await;
    begin_and_die(&node).await;
    begin_and_die(&node).await;
    assert_eq!(told(&node).await, ["running", "running"]);
    node.service.imports.import(order(&node, 5)).await.unwrap();
    assert_eq!(told(&node).await, ["completed", "failed", "failed"]);
    // One that is wrong itself does it as well.
    begin_and_die(&node).await;
    let wrong = Order { file: Box::new(Cursor::new(b"no;such\nheader;here\n".to_vec())), ..order(&node, 1) };
    node.service.imports.import(wrong).await.unwrap_err();
    assert_eq!(told(&node).await, ["failed", "failed", "completed", "failed", "failed"]);
    let imports = node.service.committer.stores.views.imports(None, 10).await.unwrap();
    let reasons: Vec<_> = imports.iter().filter_map(|import| import.reason.as_deref()).collect();
    assert!(reasons[0].contains("header") && reasons[1].contains("the process ended"), "{reasons:?}");
}

/// Sends a file that would remove most of the data set; the import that is held of it.
async fn hold(node: &Node) -> Uuid {
    let mut file = Cursor::new(Vec::new());
    sample::generate(3, 1, SampleFormat::Csv, &mut file).unwrap();
    let imports = &node.service.imports;
    let mut upload = imports.receive("permits", &Who::system("test"), None, None).unwrap();
    upload.write(file.get_ref()).unwrap();
    let wanted = WantedImport {
        dataset: "permits".to_owned(),
        replace: true,
        dry_run: false,
        keep_absent: true,
        options: Vec::new(),
        file_name: "few.csv".to_owned(),
        definition: None,
        redefines: None,
    };
    let import = imports.accept(upload, wanted, &asked_by("somebody")).await.unwrap();
    ends_as(node, import, "held").await;
    import
}

fn asked_by(name: &str) -> Envelope {
    Envelope::new(
        CommandId::unique(Uuid::now_v7()),
        Origin { who: Who::system(name), correlation_id: name.to_owned(), causation_id: None },
    )
}

async fn ends_as(node: &Node, import: Uuid, wanted: &str) {
    loop {
        let status = node.service.imports.status(import).await.unwrap().unwrap();
        if status.is_settled() {
            assert_eq!(status.status, wanted, "{status:?}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// The import waits for its turn all the while, so that nothing but the log tells others that it is not dead.
#[actix_web::test]
async fn what_was_approved_is_discarded_by_no_other_process() {
    let place = Place::in_real_time(crate::MODE, Policy::default()).await;
    let approving = node(&place).await;
    approving.service.imports.import(order(&approving, 100)).await.unwrap();
    let import = hold(&approving).await;
    let (asked, is_asked) = oneshot::channel();
    let (go, goes) = mpsc::channel();
    let mut file = Cursor::new(Vec::new());
    sample::generate(10, 1, SampleFormat::Csv, &mut file).unwrap();
    file.set_position(0);
    let slow = Slow { file, asked: Some(asked), go: goes };
    let rehearsal = Order { file: Box::new(slow), dry_run: true, ..order(&approving, 1) };
    let imports = approving.service.imports.clone();
    let before_it = actix_web::rt::spawn(async move { imports.import(rehearsal).await });
    is_asked.await.unwrap();

    approving.service.imports.approve(import, asked_by("ana")).await.unwrap();
    // It looks for imports that died when it begins, and afterwards.
    let beside = node(&place).await;
    assert_eq!(beside.service.imports.recover().await.unwrap(), 0);
    let refused = beside.service.imports.discard(import, &asked_by("bob")).await.unwrap_err();
    assert!(refused.to_string().contains("is being done"), "{refused}");
    let refused = beside.service.imports.approve(import, asked_by("bob")).await.unwrap_err();
    assert!(refused.to_string().contains("is being done"), "{refused}");
    go.send(()).unwrap();
    before_it.await.unwrap().unwrap();
    ends_as(&approving, import, "completed").await;
    beside.service.records.refresh().await.unwrap();
    assert_eq!(beside.service.records.data_set("permits").unwrap().records, 3);
}

#[actix_web::test]
async fn of_an_approval_and_a_discard_at_once_one_is_done() {
    let place = Place::in_real_time(crate::MODE, Policy::default()).await;
    let (one, other) = (node(&place).await, node(&place).await);
    for _ in 0..8 {
        let whole = Order { replace: true, ..order(&one, 100) };
        one.service.imports.import(whole).await.unwrap();
        let import = hold(&one).await;
        let discard = asked_by("bob");
        let (approved, discarded) = tokio::join!(
            one.service.imports.approve(import, asked_by("ana")),
            other.service.imports.discard(import, &discard)
        );
        assert_ne!(approved.is_ok(), discarded.is_ok(), "one of both");
        ends_as(&one, import, if approved.is_ok() { "completed" } else { "discarded" }).await;
    }
}

#[actix_web::test]
async fn an_import_that_finds_another_under_way_is_written_down_at_once() {
    let place = Place::in_real_time(crate::MODE, Policy::default()).await;
    let importing = node(&place).await;
    let (asked, is_asked) = oneshot::channel();
    let (go, goes) = mpsc::channel();
    let order_of = order(&importing, 10);
    let mut file = Cursor::new(Vec::new());
    sample::generate(10, 1, SampleFormat::Csv, &mut file).unwrap();
    file.set_position(0);
    let slow = Order { file: Box::new(Slow { file, asked: Some(asked), go: goes }), ..order_of };
    let imports = importing.service.imports.clone();
    let import = actix_web::rt::spawn(async move { imports.import(slow).await });
    is_asked.await.unwrap();
    let beside = node(&place).await;
    beside.service.imports.import(order(&beside, 5)).await.unwrap_err();
    assert_eq!(told(&beside).await, ["failed", "running"]);
    let stream = StreamId::DataSet("permits".to_owned());
    let commits = beside.service.committer.stores.log.load(&stream, 0, 10).await.unwrap();
    assert_eq!(commits.len(), 2, "it began and failed in one commit, so that nobody takes it for one that died");
    go.send(()).unwrap();
    import.await.unwrap().unwrap();
    assert_eq!(told(&beside).await, ["failed", "completed"]);
}
