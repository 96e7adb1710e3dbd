//! Why a client's session could not go on.

use std::fmt;

use super::Answer;
use crate::leg;

/// Why a session could not go on. What fails on a data connection is in its [`Channel`](super::Channel), not here.
#[derive(Debug)]
pub enum Fault {
    /// The control connection failed.
    Control(leg::Fault),
    /// The server did nothing for too long.
    Silent(&'static str),
    /// The server has closed the control connection.
    Gone,
    /// The server has said something else than it should have.
    Unexpected(Answer),
    /// What the server said is no FTP.
    NotFtp,
}

impl From<leg::Fault> for Fault {
    fn from(fault: leg::Fault) -> Self {
        Self::Control(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control(fault) => write!(out, "the control connection: {fault}"),
            Self::Silent(what) => write!(out, "nothing came for too long: {what}"),
            Self::Gone => out.write_str("the server has closed the control connection"),
            Self::Unexpected(answer) => write!(out, "the server said: {answer}"),
            Self::NotFtp => out.write_str("what came is no reply of FTP"),
        }
    }
}
