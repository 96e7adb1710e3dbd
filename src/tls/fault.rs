//! Why TLS ended, in the operator's words.

use core::fmt;

use rustls::{AlertDescription, Error, InvalidMessage};

use super::reason;

/// Why a TLS connection failed; by blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// When the peer has refused, by this alert.
    Alert(AlertDescription),
    /// When the peer's certificate will not do.
    Certificate(Box<str>),
    /// When the peer shows none, and must.
    NoCertificate,
    /// When neither side is wrong but they share no version, suite or group.
    NoCommonGround(Box<str>),
    /// When the peer named a host that is not here.
    UnknownHost,
    /// When what came is not TLS at all: the peer speaks in the clear.
    NotTls,
    /// When a record was changed on the way, or was made with other keys.
    BadRecord,
    /// When the peer broke the rules of the protocol.
    Misbehaved(Box<str>),
    /// When our side could not go on: keys used up, no randomness, a configuration that does not fit.
    Ours(Box<str>),
}

/// Which of two connections cannot go on, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The one that is read: its peer's doing, mostly.
    Source(Fault),
    /// The one that is written: ours.
    Sink(Fault),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::AlertReceived(alert) => Self::Alert(alert),
            Error::InvalidCertificate(why) => Self::Certificate(reason::refused(&why)),
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
                Self::NoCommonGround(text(&error))
            }
            // All that a certificate resolver can say against a name is to give nothing.
            Error::General(why) if why.starts_with("no server certificate") => Self::UnknownHost,
            // What a plain "USER anonymous" looks like to a record layer.
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            Error::DecryptError => Self::BadRecord,
            Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord => Self::Misbehaved(text(&error)),
            _ => Self::Ours(text(&error)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(alert) => write!(out, "the peer refused TLS with the alert {alert:?}"),
            Self::Certificate(why) => write!(out, "the peer's certificate was refused: {why}"),
            Self::NoCertificate => out.write_str("the peer showed no certificate, and has to"),
            Self::NoCommonGround(why) => write!(out, "no common TLS parameters: {why}"),
            Self::UnknownHost => out.write_str("the peer named a host (SNI) that is not here"),
            Self::NotTls => out.write_str("the peer does not speak TLS here"),
            Self::BadRecord => {
                out.write_str("a TLS record did not decrypt: changed on the way, or wrong keys")
            }
            Self::Misbehaved(why) => write!(out, "the peer broke the TLS protocol: {why}"),
            Self::Ours(why) => write!(out, "TLS failed on our side: {why}"),
        }
    }
}

fn text(error: &Error) -> Box<str> {
    error.to_string().into_boxed_str()
}
