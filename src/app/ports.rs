//! The two ports. Each has its own threads, connections and share of the system's limit of open files, so that no load on the public port
//! keeps an operator out.

use std::{fmt, io, net::TcpListener, sync::Arc, time::Duration};

use actix_http::{
    HttpService, KeepAlive, Request, Response,
    body::{BoxBody, MessageBody},
    error::DispatchError,
};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{App, Error, dev::AppConfig, rt::net::TcpStream, web};

use super::open_files;
use crate::{
    actors::{gate::Gate, query::Queries},
    failpoint::delay_point,
    http::{
        self, Edge,
        pages::DataPages,
        routes::data::DataSets,
        state::Service,
        wire::{Stream, Wire},
    },
};

/// Connections of the operation port at the same time: some probes and scrapers.
pub(super) const OPS_CONNECTIONS_MAX: usize = 64;

/// How a port is served.
struct Port {
    wire: Arc<Wire>,
    workers: usize,
    /// Per worker.
    connections_max: usize,
    /// How long a stop waits for requests in progress.
    patience: Duration,
}

/// The API's port.
///
/// # Errors
/// When the system gives no threads or sockets.
pub(super) fn public(
    service: &Service,
    listener: TcpListener,
    wire: Arc<Wire>,
    patience: Duration,
) -> io::Result<Server> {
    let settings = &service.settings.http;
    let connections_max = open_files::connections_max(settings.connections_max, settings.workers());
    let port = Port { wire, workers: settings.workers(), connections_max, patience };
    let service = service.clone();
    serve(listener, port, move || {
        mark_thread();
        let settings = &service.settings;
        let (capacity, patience) = (settings.actors.mailbox_capacity, settings.actors.send_timeout());
        let (clock, entropy) = (Arc::clone(&service.committer.clock), Arc::clone(&service.committer.entropy));
        let queries = Queries::start(Arc::clone(&service.records), service.shares.clone(), capacity);
        let gate = Gate::start(Arc::clone(&service.book), queries.clone(), capacity, patience);
        App::new()
            .app_data(web::Data::new(service.clone()))
            // Registered first: the pages' paths below a data set are no keys of its records.
            .service(DataPages::new(DataSets::new(service.clone(), gate.clone(), queries.clone())))
            .service(DataSets::new(service.clone(), gate, queries))
            .configure(http::routes::administration)
            .configure(http::routes::accounts)
            .configure(http::openapi::configure)
            .configure(http::pages::configure)
            .configure(http::configure(&settings.http))
            .wrap(
                Edge::new(&settings.http, clock, entropy)
                    .explained_below(&settings.public_url)
                    .metered(Arc::clone(&service.meter))
                    .rehearsing(service.rehearsed.clone())
                    .guarded(service.readiness.clone()),
            )
    })
}

/// The port of health and metrics.
///
/// # Errors
/// When the system gives no threads or sockets.
pub(super) fn ops(service: &Service, listener: TcpListener) -> io::Result<Server> {
    let clock = Arc::clone(&service.committer.clock);
    let wire = Arc::new(Wire::new(&service.settings, clock).without_places());
    let port = Port { wire, workers: 1, connections_max: OPS_CONNECTIONS_MAX, patience: Duration::from_secs(1) };
    let service = service.clone();
    serve(listener, port, move || {
        let (clock, entropy) = (Arc::clone(&service.committer.clock), Arc::clone(&service.committer.entropy));
        App::new().app_data(web::Data::new(service.clone())).configure(http::routes::operation).wrap(
            Edge::of_operators(&service.settings.http, clock, entropy)
                .explained_below(&service.settings.public_url)
                .rehearsing(service.rehearsed.clone()),
        )
    })
}

/// Serves as `actix_web::HttpServer` does, but the parser reads from a [`Stream`]. The stream alone controls the timeouts of heads, idle
/// connections and answers, the end of a connection, and the order of a stop.
fn serve<F, A, S, B>(listener: TcpListener, port: Port, app: F) -> io::Result<Server>
where
    F: Fn() -> A + Send + Clone + 'static,
    A: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as actix_service::Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let Port { wire, workers, connections_max, patience } = port;
    let name = listener.local_addr()?.to_string();
    let builder = Server::build()
        .workers(workers)
        .max_concurrent_connections(connections_max)
        .shutdown_timeout(patience.as_secs())
        .disable_signals();
    let server = builder.listen(name, listener, move || {
        let wire = Arc::clone(&wire);
        let app = app().into_factory().map_err(|error| Response::<BoxBody>::from(error.into()));
        let parser = HttpService::build()
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(Duration::ZERO)
            .on_connect_ext(|stream: &Stream, data| drop(data.insert(stream.connection())))
            .h1(map_config(app, |()| AppConfig::default()));
        let accept = move |io: TcpStream| {
            let accepted = Stream::accept(io, &wire).map_err(DispatchError::Io);
            async move { accepted }
        };
        fn_service(accept).and_then(parser)
    })?;
    Ok(server.run())
}

/// Lets tests of a stop delay the main thread after its runtime is gone: the value marked first is dropped last.
pub(super) fn mark_main_thread() {
    struct MainThreadEnding;
    impl Drop for MainThreadEnding {
        fn drop(&mut self) {
            delay_point("main-thread-ends");
        }
    }
    thread_local! {
        static ENDING: MainThreadEnding = const { MainThreadEnding };
    }
    ENDING.with(|_| ());
}

/// Lets tests of a stop delay a worker's thread at its very end.
fn mark_thread() {
    struct WorkerThreadEnding;
    impl Drop for WorkerThreadEnding {
        fn drop(&mut self) {
            delay_point("worker-thread-ends");
        }
    }
    thread_local! {
        static ENDING: WorkerThreadEnding = const { WorkerThreadEnding };
    }
    ENDING.with(|_| ());
}
