//! An HTTP server on loopback: its listener, the threads among which it shares the connections, and a task for each of these.

mod body;
pub(crate) mod host;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Error, Result};
pub(crate) use crate::http_server::body::{HttpResponse, response, stream_response, streamed};

/// How long the head of a request may take to come.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait after a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The connections that one thread serves before the next one is started: a Claude Code seldom has more.
const FEW: usize = 4;

const MOST_THREADS: usize = 4;

/// A thread that serves connections. One stays on its thread, since passing it to another one takes longer than the work.
struct Server {
    tasks: Handle,
    /// Each connection has a clone of it.
    connections: Arc<()>,
}

/// Answers requests.
pub(crate) trait Service: Send + Sync + 'static {
    fn respond(self: Arc<Self>, request: Request<Incoming>) -> impl Future<Output = HttpResponse> + Send;
}

/// Who is at the other end of a connection: an extension of each request.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub SocketAddr);

/// Where one asks whether a server is there.
pub(crate) const HEALTH: &str = "/healthz";

/// What can be read under paths of its own, and changes nothing.
pub(crate) trait ReadOnly: Send + Sync {
    fn has(&self, path: &str) -> bool;

    /// Reads files, and may ask servers: not for a thread that serves connections.
    fn get(&self, path: &str, query: &str) -> HttpResponse;
}

/// Serves until `end`. `name` is that of the server in errors.
///
/// # Errors
/// If the system has no threads or files left.
pub(crate) fn run<S: Service>(
    service: S,
    name: &'static str,
    listener: TcpListener,
    end: impl Future<Output = ()>,
) -> Result<()> {
    let runtime = runtime().map_err(Error::system("start", name))?;
    let outcome = runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let service = Arc::new(service);
        tokio::select! {
            () = end => Ok(()),
            failed = accept(listener, service) => failed,
        }
    });
    // Does not wait for other threads, which may wait for the local server.
    runtime.shutdown_background();
    outcome.map_err(Error::system("serve", name))
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn accept(listener: tokio::net::TcpListener, service: Arc<impl Service>) -> std::io::Result<()> {
    let most = thread::available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
    let mut servers = vec![Server { tasks: Handle::current(), connections: Arc::default() }];
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Too many open files, or the caller has gone: the next one may succeed.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        // Small pieces must not wait for more.
        let _ = stream.set_nodelay(true);
        if servers.len() < most && servers.iter().all(|server| server.load() >= FEW) {
            servers.extend(Server::start());
        }
        if let (Ok(stream), Some(server)) = (stream.into_std(), servers.iter().min_by_key(|server| server.load())) {
            server.serve(service.clone(), stream, Peer(peer));
        }
    }
}

impl Server {
    /// One with a thread of its own, unless the system has none left.
    fn start() -> Option<Server> {
        let runtime = runtime().ok()?;
        let tasks = runtime.handle().clone();
        thread::Builder::new().spawn(move || runtime.block_on(pending::<()>())).ok()?;
        Some(Server { tasks, connections: Arc::default() })
    }

    fn load(&self) -> usize {
        Arc::strong_count(&self.connections) - 1
    }

    fn serve(&self, service: Arc<impl Service>, stream: TcpStream, peer: Peer) {
        let counted = self.connections.clone();
        self.tasks.spawn(async move {
            let _counted = counted;
            let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
            let service = service_fn(|mut request| {
                let service = service.clone();
                request.extensions_mut().insert(peer);
                async move { Ok::<_, Infallible>(service.respond(request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            // A broken connection concerns only its caller.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
