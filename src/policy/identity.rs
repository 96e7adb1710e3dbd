//! Who a peer is by its certificate.

/// What a certificate that has been verified says of its holder. Every text is the issuer's, unescaped and bounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerIdentity {
    /// The distinguished name of its subject.
    pub subject: String,
    /// The names that a login may have: the first common name, then the mail addresses and DNS names.
    pub names: Vec<String>,
    /// Every alternative name with its kind, such as `DNS:ftp.example`.
    pub alternatives: Vec<String>,
    /// The distinguished name of its issuer.
    pub issuer: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// The SHA-256 of its DER, in hexadecimal.
    pub fingerprint: String,
}

impl PeerIdentity {
    /// Whether one of its names is this user, byte for byte: what an authority has certified is not read generously.
    #[must_use]
    pub fn is(&self, user: &[u8]) -> bool {
        self.names.iter().any(|name| name.as_bytes() == user)
    }
}
