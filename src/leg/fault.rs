//! Why a leg failed, in the operator's words.

use core::fmt;
use std::io;

use crate::tls;

/// Why a leg failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// When the peer, or something between, has reset the connection.
    Reset,
    /// When the peer closed before its handshake was complete.
    Closed,
    /// When the peer's FIN came within a TLS record.
    CutOff,
    /// When TLS failed.
    Tls(tls::Fault),
    /// When bytes stood behind the command that began or ended TLS: somebody has put them there (RFC 4217 section 15.3), or
    /// did not wait for the answer.
    Injected,
    /// When a peer sends and sends although its direction has ended or is not wanted any more.
    Overlong,
    /// When the network failed otherwise.
    Io(io::ErrorKind),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => Self::Reset,
            kind => Self::Io(kind),
        }
    }
}

impl From<tls::Fault> for Fault {
    fn from(fault: tls::Fault) -> Self {
        Self::Tls(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => out.write_str("the connection was reset"),
            Self::Closed => out.write_str("the peer closed before the TLS handshake was complete"),
            Self::CutOff => out.write_str("the peer's stream ended within a TLS record"),
            Self::Tls(fault) => fault.fmt(out),
            Self::Injected => {
                out.write_str("bytes were waiting behind the command that begins or ends TLS")
            }
            Self::Overlong => out.write_str("the peer went on sending after its end"),
            Self::Io(kind) => write!(out, "the network failed: {kind}"),
        }
    }
}
