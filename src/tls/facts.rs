//! What a handshake has agreed on, for the log.

use rustls::{CommonState, HandshakeKind, ProtocolVersion};

use super::identity::fingerprint;
use crate::config::Pin;

/// A protocol version we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V12,
    /// RFC 8446.
    V13,
}

impl TlsVersion {
    /// As the config and the log write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        }
    }
}

/// What a completed handshake has agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version.
    pub version: TlsVersion,
    /// The cipher suite, by its IANA name.
    pub suite: &'static str,
    /// The key exchange group; none where a TLS 1.2 session was resumed.
    pub group: Option<&'static str>,
    /// Whether an earlier session was resumed rather than a new one begun.
    pub resumed: bool,
    /// The application protocol, where one was agreed on.
    pub alpn: Option<Box<[u8]>>,
    /// The certificate that the peer has shown, in this handshake or in the one that it resumes.
    pub peer: Option<Pin>,
}

impl TlsFacts {
    /// Whether the key exchange of this very handshake was a post-quantum one.
    #[must_use]
    pub fn is_hybrid(&self) -> bool {
        self.group.is_some_and(|group| group.contains("MLKEM"))
    }

    /// None before the handshake is complete.
    pub(super) fn of(common: &CommonState) -> Option<Self> {
        if common.is_handshaking() {
            return None;
        }
        let version = match common.protocol_version()? {
            ProtocolVersion::TLSv1_2 => TlsVersion::V12,
            ProtocolVersion::TLSv1_3 => TlsVersion::V13,
            _ => return None,
        };
        let suite = common.negotiated_cipher_suite()?.suite();
        let group = common.negotiated_key_exchange_group();
        Some(Self {
            version,
            suite: suite.as_str().unwrap_or("unknown"),
            group: group.map(|group| group.name().as_str().unwrap_or("unknown")),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            alpn: common.alpn_protocol().map(Box::from),
            peer: common
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(fingerprint),
        })
    }
}
