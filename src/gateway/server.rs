//! The gateway's HTTP server: its listener, and a task for each connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::error::{Error, Result};
use crate::gateway::router::Gateway;

/// How long the head of a request may take to come.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait after a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

pub(super) fn run(gateway: Gateway, listener: TcpListener, end: impl Future<Output = ()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::system("start", "the gateway"))?;
    let outcome = runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let gateway = Arc::new(gateway);
        tokio::select! {
            () = end => Ok(()),
            failed = accept(listener, gateway) => failed,
        }
    });
    // Does not wait for other threads, which may wait for the local server.
    runtime.shutdown_background();
    outcome.map_err(Error::system("serve", "the gateway"))
}

async fn accept(listener: tokio::net::TcpListener, gateway: Arc<Gateway>) -> std::io::Result<()> {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Too many open files, or the caller has gone: the next one may succeed.
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // Small pieces must not wait for more.
        let _ = stream.set_nodelay(true);
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let gateway = gateway.clone();
                async move { Ok::<_, Infallible>(gateway.respond(request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            // A broken connection concerns only its caller.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
