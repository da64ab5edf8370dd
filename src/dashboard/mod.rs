//! The dashboard: one page on loopback that shows how things stand, and changes them; and what programs may ask.

mod access;
mod actions;
pub(crate) mod api;
pub(crate) mod html;
mod live;
mod look;
mod metrics;
mod open;
pub(crate) mod page;
mod peer;
mod reply;
mod router;
mod timeline;
pub(crate) mod view;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::dashboard::access::Access;
use crate::dashboard::actions::Actions;
use crate::dashboard::api::Api;
use crate::dashboard::live::Live;
use crate::dashboard::router::Dashboard;
use crate::error::{Error, Result, say};
use crate::http_server;
use crate::os::cleanup::CleanupOnSignal;
use crate::setup::dashboard_service;
use crate::shown::{Shown, shown};
use crate::state::daily;

const NAME: &str = "llm-failover";

/// The port where users look for it.
pub(crate) const PORT: u16 = 9421;

/// How long a service may take to answer.
const START_LIMIT: Duration = Duration::from_secs(20);

const MINUTE: Duration = Duration::from_secs(60);

/// Has it run as a service from now on. Calls `print` with what was written, and with its address.
///
/// # Errors
/// If it does not answer then.
pub(crate) fn install(context: &Context, port: u16, opens: bool, print: &dyn Fn(&Shown)) -> Result<()> {
    if port == 0 {
        return Err(Error::Usage { message: "a service needs a port of its own: `--install` goes with any but 0".into() });
    }
    dashboard_service::install(context, port, print)?;
    let begun = Instant::now();
    while !open::is_dashboard(port) {
        if begun.elapsed() > START_LIMIT {
            let reason = shown!("the service runs, and no dashboard answers at port {port}");
            return Err(Error::Setup {
                reason,
                mend: "see why with `llm-failover dashboard`, or choose another `--port`".into(),
            });
        }
        sleep(Duration::from_millis(100));
    }
    show(context, port, opens, print);
    Ok(())
}

/// # Errors
/// If the service manager does not end it.
pub(crate) fn uninstall(context: &Context, print: &dyn Fn(&Shown)) -> Result<()> {
    dashboard_service::uninstall(context, print)
}

fn show(context: &Context, port: u16, opens: bool, print: &dyn Fn(&Shown)) {
    let address = format!("http://127.0.0.1:{port}/");
    print(&shown!("{address}"));
    if opens {
        open::in_browser(context, &address);
    }
}

/// Serves until a signal ends it. Calls `print` with its address. `opens`: in the browser, too.
///
/// # Errors
/// If another program has the port.
pub(crate) fn serve(context: &Context, port: u16, opens: bool, print: &dyn Fn(&Shown)) -> Result<()> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            return match open::is_dashboard(port) {
                true => {
                    say(&shown!("{NAME}: the dashboard runs already"));
                    show(context, port, opens, print);
                    Ok(())
                }
                false => Err(Error::PortTaken { port }),
            };
        }
        bound => bound.map_err(Error::system("listen on", shown!("127.0.0.1:{port}")))?,
    };
    let port = listener.local_addr().map_err(Error::system("read the address of", "the dashboard"))?.port();
    let access = Access::new(port);
    let live = Arc::new(Live::new(access.token.clone()));
    let actions = Arc::new(Actions::new(live.clone()));
    let to_end = actions.clone();
    let _cleanup = CleanupOnSignal::new(move || to_end.end());
    show(context, port, opens, print);
    thread::spawn(send_daily_lines);
    let dashboard = Dashboard { access, api: Arc::new(Api::default()), live, actions };
    http_server::run(dashboard, "the dashboard", listener, std::future::pending())
}

/// What runs all the time is the first to run after the time for it.
fn send_daily_lines() {
    loop {
        daily::send_if_due(&look::context(), NAME);
        sleep(MINUTE);
    }
}
