//! How a peer is lost, and how a backend can fail.

/// Why a control connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The peer closed it.
    Closed,
    /// It broke.
    Broken,
    /// Its TLS handshake failed.
    Handshake,
    /// Bytes stood behind the command that starts or ends TLS (CVE-2011-0411 and its kin).
    Injection,
}

/// How a backend has failed, whatever it knew of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failing {
    /// It closed.
    Closed,
    /// Its connection broke.
    Broken,
    /// What it owed did not come in its time: greeting, answer or handshake.
    Silent,
    /// Its greeting was a refusal: the last line of it.
    Refused(Vec<u8>),
    /// What it says is no FTP: the line, where it is one.
    NoFtp(Vec<u8>),
    /// It has refused AUTH TLS, in these words.
    NoTls(Vec<u8>),
    /// Its TLS handshake failed.
    Handshake,
    /// Bytes stood behind its 234.
    Injection,
}

impl From<Loss> for Failing {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Closed => Self::Closed,
            Loss::Broken => Self::Broken,
            Loss::Handshake => Self::Handshake,
            Loss::Injection => Self::Injection,
        }
    }
}
