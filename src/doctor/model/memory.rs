//! What the local server takes of this machine's memory, and what is left.

use crate::doctor::check::Check;
use crate::local_model::chain::Link;
use crate::os::memory::memory;
use crate::settings::Setting;
use crate::shown::shown;

/// With less than this part of it left, the machine swaps.
const LEAST_SHARE: f64 = 0.05;

const GIB: f64 = (1 << 30) as f64;

pub(super) fn check(link: &Link) -> Check {
    let id = "memory";
    let endpoint = link.server.endpoint();
    if !endpoint.is_loopback() {
        return Check::ok(id, shown!("that of another machine ({})", endpoint.host()));
    }
    let gib = |bytes: u64| bytes as f64 / GIB;
    let (taken, machine) = (link.server.memory(), memory());
    let takes =
        taken.map_or("what the server takes is not known".to_string(), |taken| format!("the server takes {:.1} GiB", gib(taken)));
    let Some(machine) = machine else { return Check::ok(id, shown!("{takes}")) };
    let text = shown!("{takes}; {:.1} of {:.1} GiB are left", gib(machine.available), gib(machine.total));
    let is_short = (machine.available as f64) < LEAST_SHARE * machine.total as f64;
    let check = match is_short {
        true => {
            let mend =
                shown!("set {} to a smaller model, or give the server a shorter context", endpoint.variable(Setting::Model));
            Check::warning(id, text, mend)
        }
        false => Check::ok(id, text),
    };
    let check = taken.into_iter().fold(check, |check, taken| check.with("taken_gib", gib(taken)));
    check.with("left_gib", gib(machine.available))
}
