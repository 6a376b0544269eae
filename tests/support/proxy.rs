//! An HTTP server in front of an emulator of AWS that makes it behave as AWS does now and then: it throttles, conflicts, loses
//! answers, does a batch in part, lags behind with an index, delivers a message twice. What is tested is then the real client,
//! with the errors that AWS sends.
//!
//! A test says which calls are to suffer ([`On`]) and what ([`Trouble`]); troubles are used up in the order in which they were
//! added. Everything else is passed on as it is, and counted.

#![allow(dead_code, unused_imports, reason = "each test binary uses some of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own server"
)]

mod ask;
mod lag;
mod trouble;
mod wire;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io::BufReader,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use serde_json::Value;

use self::{
    ask::Ask,
    trouble::Outcome,
    wire::{Message, Upstream},
};
pub(crate) use self::{
    ask::On,
    lag::Lag,
    trouble::{Gate, Refusal, Trouble},
};

/// The server. It ends when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// What all connections share.
struct Shared {
    /// The emulator, as `host:port`.
    emulator: String,
    troubles: Mutex<VecDeque<(On, Trouble)>>,
    calls: Mutex<BTreeMap<String, u64>>,
    /// Messages that are to be delivered once more, by queue.
    again: Mutex<HashMap<String, Vec<Value>>>,
    lags: Mutex<Vec<lag::Shadow>>,
    /// The connections, by the client's address.
    connections: Mutex<HashMap<SocketAddr, TcpStream>>,
    stopping: AtomicBool,
}

impl Proxy {
    /// One before the emulator at this URL.
    pub(crate) fn before(url: &str) -> Self {
        let emulator =
            url.strip_prefix("http://").expect("an emulator speaks plain HTTP").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the port's number");
        let shared = Arc::new(Shared {
            emulator,
            troubles: Mutex::default(),
            calls: Mutex::default(),
            again: Mutex::default(),
            lags: Mutex::default(),
            connections: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let accepting = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.accept(&listener))
        };
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next call of this kind suffers this; those after it what is added after it.
    pub(crate) fn add(&self, on: On, trouble: Trouble) {
        self.shared.troubles.lock().unwrap().push_back((on, trouble));
    }

    /// The next `count` calls of this kind suffer it.
    pub(crate) fn add_many(&self, on: &On, count: usize, trouble: impl Fn() -> Trouble) {
        (0..count).for_each(|_| self.add(on.clone(), trouble()));
    }

    /// Troubles that were not met.
    pub(crate) fn left(&self) -> usize {
        self.shared.troubles.lock().unwrap().len()
    }

    /// Forgets the troubles that were not met.
    pub(crate) fn clear(&self) {
        self.shared.troubles.lock().unwrap().clear();
    }

    /// How often an operation was called, retries included.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.shared.calls.lock().unwrap().get(operation).copied().unwrap_or(0)
    }

    /// From now on, and for as long as what is returned is kept, an index answers as of now: it neither shows what comes nor
    /// misses what goes. `table` is the table's whole name.
    pub(crate) fn lag(&self, table: &str, index: &str) -> Lag {
        Lag::begin(&self.shared, table, index)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; it looks at the flag first.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().ok();
        }
        for (_, connection) in self.shared.connections.lock().unwrap().drain() {
            // It may have been closed by the client.
            connection.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for connection in listener.incoming() {
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            let Ok(connection) = connection else { continue };
            let (Ok(handle), Ok(client)) = (connection.try_clone(), connection.peer_addr()) else { continue };
            self.connections.lock().unwrap().insert(client, handle);
            let shared = Arc::clone(self);
            std::thread::spawn(move || {
                let mut upstream = Upstream::to(&shared.emulator);
                // It ends when either side closes the connection, or when a trouble cuts it.
                shared.serve(connection, &mut upstream).ok();
                shared.connections.lock().unwrap().remove(&client);
            });
        }
    }

    fn serve(&self, connection: TcpStream, upstream: &mut Upstream) -> std::io::Result<()> {
        connection.set_nodelay(true)?;
        let mut client = BufReader::new(connection);
        while let Some(request) = Message::read(&mut client)? {
            let ask = Ask::of(request);
            *self.calls.lock().unwrap().entry(ask.operation.clone()).or_default() += 1;
            match self.answer(ask, upstream)? {
                Outcome::Answer(answer) => answer.write(client.get_mut())?,
                Outcome::Cut => return client.get_ref().shutdown(Shutdown::Both),
            }
        }
        Ok(())
    }

    fn answer(&self, mut ask: Ask, upstream: &mut Upstream) -> std::io::Result<Outcome> {
        for shadow in self.lags.lock().unwrap().iter() {
            shadow.redirect(&mut ask);
        }
        match self.next_trouble(&ask) {
            Some((on, trouble)) => self.suffer(ask, on, trouble, upstream),
            None => self.pass(&ask, upstream).map(Outcome::Answer),
        }
    }

    fn next_trouble(&self, ask: &Ask) -> Option<(On, Trouble)> {
        let mut troubles = self.troubles.lock().unwrap();
        let place = troubles.iter().position(|(on, _)| on.means(ask))?;
        troubles.remove(place)
    }

    /// Passes a call on; a message that is due to come twice joins the answer.
    fn pass(&self, ask: &Ask, upstream: &mut Upstream) -> std::io::Result<Message> {
        let mut answer = upstream.ask(&ask.message())?;
        if ask.operation == "ReceiveMessage"
            && answer.word(1) == "200"
            && let Some(again) = self.again.lock().unwrap().remove(ask.queue())
        {
            let mut received: Value = serde_json::from_slice(&answer.body).unwrap();
            let mut messages = received["Messages"].as_array().cloned().unwrap_or_default();
            messages.extend(again);
            received["Messages"] = messages.into();
            answer.body = received.to_string().into_bytes();
        }
        Ok(answer)
    }
}
