//! Why a record is refused, and what its sender is told.

use rustls::AlertDescription;

use crate::tls::Fault;

/// A record that ends its connection.
pub(super) struct Refusal {
    /// For the peer; nothing, when it was the peer who has refused.
    pub(super) alert: Option<AlertDescription>,
    /// For us.
    pub(super) fault: Fault,
}

pub(super) fn misbehaved(alert: AlertDescription, what: &str) -> Refusal {
    Refusal {
        alert: Some(alert),
        fault: Fault::Misbehaved(what.into()),
    }
}

pub(super) fn unexpected(what: &str) -> Refusal {
    misbehaved(AlertDescription::UnexpectedMessage, what)
}

pub(super) fn overlong() -> Refusal {
    misbehaved(
        AlertDescription::RecordOverflow,
        "a record that is too long",
    )
}

pub(super) fn unopened() -> Refusal {
    Refusal {
        alert: Some(AlertDescription::BadRecordMac),
        fault: Fault::BadRecord,
    }
}
