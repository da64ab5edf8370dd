//! Drives the built binary through its links, as users do: in a cleared environment and an empty home, with a time
//! limit on every process, comparing all of stdout, stderr and the exit code.

mod support;

mod applets;
mod failover;
mod readme;
mod real_engines;
mod server_life;
mod supervisors;
