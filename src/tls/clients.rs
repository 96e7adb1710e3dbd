//! Verifiers of clients' certificates: `client_certificates`, `client_ca` and `client_crl`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::certs::{self, CertFault};
use crate::config::{ClientCertificates, Complaint, Listener, Located};

/// What a listener asks its clients to show.
pub(super) fn verifier(
    listener: &Listener,
    provider: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Result<Arc<dyn ClientCertVerifier>, Vec<Complaint>> {
    let (ClientCertificates::Optional | ClientCertificates::Required, Some(ca)) =
        (listener.client_certificates, &listener.client_ca)
    else {
        return Ok(WebPkiClientVerifier::no_client_auth());
    };
    let is_required = listener.client_certificates == ClientCertificates::Required;
    made_by(ca, listener.client_crl.as_ref(), is_required, provider, now)
}

/// Certificates of these authorities that none of these lists revokes; where they are not required, none at all will do.
///
/// The request names the authorities in `client_ca` (RFC 8446 section 4.2.4, RFC 5246 section 7.4.4): clients that have
/// several certificates, those of mainframes among them, choose by these names, and show none where there are none.
pub(super) fn made_by(
    ca: &Located<PathBuf>,
    crl: Option<&Located<PathBuf>>,
    is_required: bool,
    provider: &Arc<CryptoProvider>,
    now: SystemTime,
) -> Result<Arc<dyn ClientCertVerifier>, Vec<Complaint>> {
    let roots = certs::read(ca).and_then(|bytes| certs::certificates(&bytes));
    let roots = roots
        .and_then(certs::authorities)
        .map_err(|fault| vec![certs::complaint(ca, &fault)]);
    let lists = crl.map_or_else(|| Ok(Vec::new()), |path| lists(path, now));
    let (roots, lists) = match (roots, lists) {
        (Ok(roots), Ok(lists)) => (roots, lists),
        (roots, lists) => {
            let faults = [roots.err(), lists.err()];
            return Err(faults.into_iter().flatten().flatten().collect());
        }
    };
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    // Every certificate below an authority needs a list that says it is not revoked: a missing one must not let it in.
    let builder = builder.with_crls(lists);
    let builder = match is_required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|error| {
        vec![crl.unwrap_or(ca).complaint(
            error.to_string(),
            "name the files of the clients' authorities",
        )]
    })
}

/// Every revocation list of a file.
fn lists(
    path: &Located<PathBuf>,
    now: SystemTime,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Vec<Complaint>> {
    let lists = certs::read(path).and_then(|bytes| certs::revocations(&bytes));
    let lists = lists.map_err(|fault| vec![certs::complaint(path, &fault)])?;
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for list in &lists {
        if let Some(fault) = overdue(list, i64::try_from(since_epoch).unwrap_or(i64::MAX)) {
            return Err(vec![certs::complaint(path, &fault)]);
        }
    }
    Ok(lists)
}

/// A list whose next edition should be there: what has been revoked since is not in it.
fn overdue(list: &CertificateRevocationListDer<'_>, now: i64) -> Option<CertFault> {
    use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

    match CertificateRevocationList::from_der(list) {
        Ok((_, list)) => {
            let due = list.next_update()?;
            let issuer = list.issuer().to_string();
            (due.timestamp() < now).then(|| CertFault::OverdueList(issuer, due.to_string()))
        }
        Err(error) => Some(CertFault::BrokenList(error.to_string())),
    }
}
