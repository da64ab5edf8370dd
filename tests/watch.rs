//! `auto` under bad conditions: signals, sudden deaths, many calls at once, odd input, and nobody who answers. The real
//! Claude is played: see `support/play.rs`.

mod breaker;
mod deaths;
mod local;
mod odd;
mod policies;
mod signals;
mod stdin;
mod stream;
mod text;
