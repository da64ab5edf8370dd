//! Drives the built binary through its links, as users do: in a cleared environment and an empty home, with a time
//! limit on every process, comparing all of stdout, stderr and the exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(unreachable_pub, reason = "nobody uses this crate")]

mod support;

mod affinity;
mod answer;
mod applets;
mod attack;
mod base_url;
mod chain;
mod circles;
mod config;
mod context;
mod daily;
mod dashboard;
mod debug;
mod dialects;
mod docs;
mod doctor;
mod failover;
mod gateway;
mod golden;
mod layers;
mod ledger;
mod lines;
mod looks;
mod macos;
mod man_pages;
mod mirror;
mod newcomers;
mod night;
mod notify_scripts;
mod one_stream;
mod packaging;
mod prime;
mod process_marks;
mod process_state;
mod quirks;
mod refusals;
mod scripts;
mod search;
mod server_life;
mod sessions;
mod setup;
mod shim;
mod simulation;
mod statusline;
mod strict_parsers;
mod supervisors;
mod switch;
mod terminal_texts;
mod watch;
mod wrapper_form;

/// Tests that drive what `scripts/test-deps.sh` installs. `scripts/test.sh --quick` leaves out what has this name.
#[path = "."]
mod with_deps {
    pub mod agent;
    pub mod auto;
    pub mod browser;
    pub mod completions;
    #[path = "dashboard/browser.rs"]
    pub mod dashboard_in_a_browser;
    #[path = "dashboard/picture.rs"]
    pub mod dashboard_picture;
    #[path = "doctor/real.rs"]
    pub mod doctor_of_real_servers;
    pub mod drill;
    #[path = "prime/real.rs"]
    pub mod first_word;
    #[path = "dashboard/parser.rs"]
    pub mod metrics_parser;
    pub mod mirror_frames;
    #[path = "newcomers/sdk.rs"]
    pub mod newcomer_with_sdk;
    #[path = "packaging/tools.rs"]
    pub mod packaging_tools;
    pub mod pool;
    pub mod real_cli;
    pub mod real_engines;
    pub mod schema_errors;
    pub mod sdk;
    pub mod sdk_sessions;
    #[path = "terminal.rs"]
    pub mod sessions_at_terminals;
    #[path = "setup/real.rs"]
    pub mod setup_of_real_engines;
    #[path = "wrapper_form/real.rs"]
    pub mod wrapped;
}
use with_deps::{auto, real_cli, real_engines};
