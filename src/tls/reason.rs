//! Why a certificate was refused: which check it has failed, what was expected, and what it says instead.

use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use x509_parser::time::ASN1Time;

use crate::ftp::escape;
use crate::limits::IDENTITY_NAMES_MAX;

/// One phrase for the log.
pub(super) fn refused(error: &CertificateError) -> Box<str> {
    use CertificateError as Why;

    let text = match error {
        Why::UnknownIssuer => "unknown authority: none of the trusted ones has issued it".into(),
        Why::BadSignature => {
            "unknown authority: one of its name is trusted, but has not signed it".into()
        }
        Why::ExpiredContext { not_after, .. } => format!("expired on {}", date(*not_after)),
        Why::NotValidYetContext { not_before, .. } => {
            format!("not yet valid: it begins on {}", date(*not_before))
        }
        Why::Revoked => "revoked by its authority".into(),
        Why::UnknownRevocationStatus => {
            "no revocation list of its authority is at hand, and lists are asked for".into()
        }
        Why::NotValidForNameContext {
            expected,
            presented,
        } => {
            let shown = presented.iter().take(IDENTITY_NAMES_MAX);
            let shown: Vec<String> = shown.map(|name| escape(name.as_bytes())).collect();
            let names = match shown.is_empty() {
                true => "none".into(),
                false => shown.join(", "),
            };
            format!(
                "another name: expected {}, its alternative names are {names}",
                expected.to_str()
            )
        }
        Why::Other(why) => explained(&why.to_string()),
        other => escape(other.to_string().as_bytes()),
    };
    text.into_boxed_str()
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    ASN1Time::from_timestamp(seconds).map_or_else(|_| seconds.to_string(), |date| date.to_string())
}

/// What webpki says in one word, in a sentence that says what to do.
fn explained(why: &str) -> String {
    if why == "CaUsedAsEndEntity" {
        return "it is an authority's own (CA:TRUE, as openssl req -x509 makes them): no authority can vouch for it, \
                but verify = \"pin\" can take a backend's"
            .into();
    }
    escape(why.as_bytes())
}
