//! Connections to a local server that are used again.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long a connection is kept for the next question. llama.cpp keeps a thread for each open one, and most servers close them after
/// five seconds.
const KEPT: Duration = Duration::from_secs(1);

/// How many are kept.
const MOST_KEPT: usize = 64;

/// An open connection.
pub(super) struct Connection {
    pub sender: SendRequest<Full<Bytes>>,
    /// Drives it. Dropping this closes the connection.
    _task: JoinSet<hyper::Result<()>>,
}

impl Connection {
    pub(super) fn new(
        sender: SendRequest<Full<Bytes>>,
        driver: impl Future<Output = hyper::Result<()>> + Send + 'static,
    ) -> Connection {
        let mut task = JoinSet::new();
        task.spawn(driver);
        Connection { sender, _task: task }
    }
}

/// Connections on which an answer has ended.
#[derive(Clone, Default)]
pub(super) struct IdleConnections(Arc<Mutex<Idle>>);

#[derive(Default)]
struct Idle {
    /// The newest last.
    connections: Vec<(Instant, Connection)>,
    /// A task closes the old ones.
    is_watched: bool,
}

impl IdleConnections {
    pub(super) fn take(&self) -> Option<Connection> {
        let connections = &mut self.lock().connections;
        connections.retain(|(since, connection)| since.elapsed() < KEPT && connection.sender.is_ready());
        connections.pop().map(|(_, connection)| connection)
    }

    pub(super) fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.connections.len() < MOST_KEPT {
            idle.connections.push((Instant::now(), connection));
        }
        if !std::mem::replace(&mut idle.is_watched, true) {
            tokio::spawn(self.clone().close_old());
        }
    }

    async fn close_old(self) {
        loop {
            sleep(KEPT).await;
            let mut idle = self.lock();
            idle.connections.retain(|(since, _)| since.elapsed() < KEPT);
            idle.is_watched = !idle.connections.is_empty();
            if !idle.is_watched {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
