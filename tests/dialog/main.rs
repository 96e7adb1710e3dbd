//! The contract of the data channel, case by case: one readable scenario for each rule and each of its traps.
//!
//! A script says who speaks and what the gate must do about it (`script.rs`); the rules are numbered as in
//! `docs/PROTOCOL.md`. What no list of cases finds is the business of `tests/sim`.

mod clearing;
mod closing;
mod control;
mod downloads;
mod during;
mod hosts;
mod identity;
mod members;
mod modes;
mod notes;
mod replies;
mod script;
mod uploads;
