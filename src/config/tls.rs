//! What both legs' sections say about TLS in the same words.

/// A version of TLS that this gate speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// Which versions of TLS a leg may speak: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsVersions {
    /// TLS 1.2
    pub v1_2: bool,
    /// TLS 1.3
    pub v1_3: bool,
}

/// Whether clients show a certificate of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    Off,
    /// They are asked; whoever has none is served all the same.
    Optional,
    /// Whoever shows none is turned away in the handshake.
    Required,
}

/// Whether TLS keys are to withstand a quantum computer: X25519MLKEM768, which TLS 1.3 alone has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyExchange {
    /// With peers that can.
    Preferred,
    /// With every peer; TLS 1.2 is out.
    Required,
    /// With none.
    Off,
}
