//! What the command line says: which gate, and what to show it.

use std::path::PathBuf;

use super::ask::{Place, Question};
use crate::tls::readers;

/// Which gate is asked, and how.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where its admin server listens: an address, unix: and a path, or https: and the name in its certificate
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9121")]
    admin: Place,
    /// A file with the admin token, where the gate asks for one
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// With https: the authority of the gate's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// With https: a certificate to show, where the gate asks for one (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
}

impl Arguments {
    /// The question that is meant, or why it cannot be asked, for a person.
    ///
    /// # Errors
    /// When a file cannot be used, or one is missing or would have no use.
    pub fn question(self) -> Result<Question, String> {
        let token = self.token_file.map(|file| {
            let text = std::fs::read_to_string(&file);
            let told = |error| format!("{} cannot be read: {error}", file.display());
            text.map(|text| text.trim_end().to_owned()).map_err(told)
        });
        let own = self.certificate.as_deref().zip(self.key.as_deref());
        let tls = match (&self.admin, self.ca) {
            (Place::Tls { .. }, Some(ca)) => Some(readers::client(&ca, own)?),
            (Place::Tls { .. }, None) => {
                return Err(
                    "https: needs the authority of the gate's certificate: --ca FILE".to_owned(),
                );
            }
            (_, None) if own.is_none() => None,
            _ => return Err("certificates are for an address with https:".to_owned()),
        };
        Ok(Question {
            place: self.admin,
            token: token.transpose()?,
            tls,
        })
    }
}
