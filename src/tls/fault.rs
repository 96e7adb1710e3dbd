//! Why TLS ended, in the operator's words.

use core::fmt;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why a TLS connection failed; by blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// When the peer has refused, by this alert.
    Alert(AlertDescription),
    /// When the peer's certificate will not do.
    Certificate(Box<str>),
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

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::AlertReceived(alert) => Self::Alert(alert),
            Error::InvalidCertificate(CertificateError::Other(why)) => {
                Self::Certificate(explained(&why.to_string()))
            }
            Error::InvalidCertificate(why) => Self::Certificate(why.to_string().into_boxed_str()),
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
            | Error::NoCertificatesPresented
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

/// What webpki says in one word, in a sentence that says what to do.
fn explained(why: &str) -> Box<str> {
    if why == "CaUsedAsEndEntity" {
        return "it is an authority's own (CA:TRUE, as openssl req -x509 makes them): no authority can vouch for it, \
                but verify = \"pin\" can take it"
            .into();
    }
    why.into()
}

fn text(error: &Error) -> Box<str> {
    error.to_string().into_boxed_str()
}
