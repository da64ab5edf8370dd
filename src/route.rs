//! The decision: who takes this call.

use crate::switch::Backend;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Become the real Claude.
    Exec,
    /// Answer here from the local server.
    Answer,
}

/// What kind of call it is, as the real CLI would take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Needs no model, or a person at a terminal: subcommands, `--version`, `--help`, interactive sessions.
    NotPrint,
    /// Print mode: a prompt in, an answer out.
    Print,
}

/// Claude takes everything when the switch says so, and always what is not print mode.
pub fn route(backend: Backend, kind: Kind) -> Route {
    match (backend, kind) {
        (Backend::Local, Kind::Print) => Route::Answer,
        (Backend::Claude, _) | (_, Kind::NotPrint) => Route::Exec,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind::*, Route::*, route};
    use crate::switch::Backend::*;

    #[test]
    fn table() {
        let table = [(Claude, Print, Exec), (Claude, NotPrint, Exec), (Local, Print, Answer), (Local, NotPrint, Exec)];
        for (backend, kind, expected) in table {
            assert_eq!(route(backend, kind), expected, "{backend:?} {kind:?}");
        }
    }
}
