//! Imports that take their time, beside commands that begin meanwhile.

use std::{
    io::{self, Cursor, Read, Seek, SeekFrom},
    sync::{Arc, mpsc},
};

use permitd::{
    actors::import::{ImportProgress, Order},
    app::{Node, Purpose},
    clock::SystemClock,
    config::{LoadFrom, Settings},
    dataset::sample::{self, SampleFormat},
    domain::{event::Origin, id::Who},
    queue::Policy,
    secrets::SystemEntropy,
};
use tokio::sync::oneshot;

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
        replace: false,
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
