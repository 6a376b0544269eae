//! What connections take of the machine, as Linux counts it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use reqwest::StatusCode;
use rustix::net;
use serde_json::Value;

use super::{
    Home,
    server::{Server, number_after},
    support::{Process, repository},
};

/// Clients that do not read what they ask for, and how often each asks.
const DEAF: usize = 150;
const ASKED: usize = 30;
/// What each may take: copies of what is to be sent next, and what the parser keeps. An answer has four times as much or more.
const EACH_KIB_MAX: u64 = 160;
/// Connections beyond the limit of open files that the process is started with.
const MANY: usize = 300;

fn address(url: &Value) -> SocketAddr {
    url.as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap()
}

/// A client whose system takes hardly anything on its behalf.
fn deaf(to: SocketAddr) -> TcpStream {
    let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None).unwrap();
    net::sockopt::set_socket_recv_buffer_size(&socket, 4 * 1024).unwrap();
    net::connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}

fn peak_kib(pid: u32) -> u64 {
    number_after("VmHWM:", &std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap())
}

#[tokio::test]
async fn answers_that_nobody_reads_take_little_memory() {
    let home = Home::new();
    home.sample(2_000, "a.csv");
    home.json(&["import", "a.csv", "--dataset", "permits"]);
    // The description of one data set alone is not long enough.
    let definition = std::fs::read_to_string(repository().join("schemas/datasets/permits.toml")).unwrap();
    for name in ["more", "most"] {
        let file = format!("{name}.toml");
        std::fs::write(home.path(&file), definition.replace("name = \"permits\"", &format!("name = \"{name}\"")))
            .unwrap();
        home.json(&["import", "a.csv", "--definition", &file]);
    }
    home.json(&["plans", "set", "default", "--rate", "1000000", "--burst", "1000000", "--quota", "1000000"]);
    home.json(&["invite", "ana@example.org"]);
    let key = home.json(&["keys", "issue", "--user", "ana@example.org"])["key"].as_str().unwrap().to_owned();
    for path in ["/openapi.json", "/permits?limit=1000"] {
        // One each: what the other left free would hide what this one takes.
        let server = Server::start(&home, "serve");
        let url = format!("{}{path}", server.ready()["url"].as_str().unwrap());
        let answer = server.client().get(url).header("x-api-key", &key).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let size_kib = answer.bytes().await.unwrap().len() as u64 / 1024;
        assert!(size_kib > 4 * EACH_KIB_MAX, "{path}: {size_kib} KiB");
        let before_kib = peak_kib(server.id());
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n\r\n").repeat(ASKED);
        let clients: Vec<TcpStream> = (0..DEAF)
            .map(|_| {
                let mut client = deaf(address(&server.ready()["url"]));
                client.write_all(request.as_bytes()).unwrap();
                client
            })
            .collect();
        for client in &clients {
            assert!(client.peek(&mut [0]).unwrap() > 0, "each is being answered");
        }
        // Time to do more than was wanted.
        std::thread::park_timeout(Duration::from_millis(300));
        let growth_kib = peak_kib(server.id()) - before_kib;
        assert!(growth_kib < DEAF as u64 * EACH_KIB_MAX, "{path}: {growth_kib} KiB for {DEAF} clients");
    }
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_and_said() {
    let home = Home::new();
    let log = home.path("log");
    // Far fewer than the connections to come; the hard limit stays what it is.
    let serve = ["serve", "--json", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    let mut program = home.command_under("ulimit -Sn 100", &serve);
    program.env("PERMITD_LOG_FILTER", "info").stderr(std::fs::File::create(&log).unwrap());
    let (process, ready) = Process::start(&mut program, |line| serde_json::from_str::<Value>(line).ok());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let files: Vec<&str> = files.split_whitespace().collect();
    assert_eq!(files[0], files[1], "soft and hard limit");
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("open files: the limit is enough for") && said.contains(files[1]), "{said}");
    let mut held: Vec<TcpStream> = (0..MANY).map(|_| TcpStream::connect(address(&ready["url"])).unwrap()).collect();
    for connection in &mut held {
        connection.write_all(b"GET /problems HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut status = [0; 12];
        connection.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }
    let health = format!("{}/health/ready", ready["ops_url"].as_str().unwrap());
    assert_eq!(reqwest::get(health).await.unwrap().status(), StatusCode::OK);
}
