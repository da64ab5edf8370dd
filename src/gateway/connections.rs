//! Connections to a local server that are used again.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long a connection is kept for the next question. llama.cpp keeps a thread for each open one, and most servers close them after
/// five seconds.
const KEPT_FOR: Duration = Duration::from_secs(1);

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
    connections: Vec<Kept>,
    /// A task closes the old ones.
    is_watched: bool,
}

struct Kept {
    since: Instant,
    /// The thread that drives it: from another one it would be slow.
    thread: ThreadId,
    connection: Connection,
}

impl IdleConnections {
    pub(super) fn take(&self) -> Option<Connection> {
        let connections = &mut self.lock().connections;
        connections.retain(|kept| kept.is_young() && kept.connection.sender.is_ready());
        let own = connections.iter().rposition(|kept| kept.thread == thread::current().id())?;
        Some(connections.remove(own).connection)
    }

    pub(super) fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.connections.len() < MOST_KEPT {
            idle.connections.push(Kept { since: Instant::now(), thread: thread::current().id(), connection });
        }
        if !std::mem::replace(&mut idle.is_watched, true) {
            tokio::spawn(self.clone().close_old());
        }
    }

    async fn close_old(self) {
        loop {
            sleep(KEPT_FOR).await;
            let mut idle = self.lock();
            idle.connections.retain(Kept::is_young);
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

impl Kept {
    fn is_young(&self) -> bool {
        self.since.elapsed() < KEPT_FOR
    }
}
