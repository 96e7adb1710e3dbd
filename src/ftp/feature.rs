//! Feature lists: what the gate offers of itself, and what of a backend's list it lets through (RFC 2389).

use super::reply::Reply;
use super::verb::{Answer, Verb};
use super::{escape, occasion};

/// The lines of a FEAT reply, between its first and its last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features(Vec<String>);

/// What of the gate's own features a listener offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// AUTH: not where TLS is there from the first byte.
    pub auth: bool,
    /// EPRT: where clients may be connected to.
    pub active: bool,
    /// CCC: where it is taken (RFC 4217 section 6 lists what the gate knows of security).
    pub ccc: bool,
    /// HOST: where there are several (RFC 7151 section 3).
    pub host: bool,
    /// MODE Z: where it is passed on, and the backend has it.
    pub mode_z: bool,
}

/// What the gate answers itself, whatever stands behind it.
const OWN: &[&str] = &["PBSZ", "PROT", "EPSV", "PASV"];

/// Features that are no verbs and that pass through the gate unharmed.
const PASSING: &[&str] = &["REST", "TVFS", "UTF8"];

impl Features {
    /// The gate's own list, for a client that is not logged in.
    #[must_use]
    pub fn own(offer: Offer) -> Self {
        let auth = offer.auth.then_some("AUTH TLS");
        let active = offer.active.then_some("EPRT");
        let ccc = offer.ccc.then_some("CCC");
        let lines = auth.into_iter().chain(OWN.iter().copied());
        let host = offer.host.then_some("HOST");
        let lines = lines.chain(active).chain(ccc).chain(host);
        Self(lines.map(str::to_owned).collect())
    }

    /// The gate's own list and what a backend's lines offer beyond it: only verbs that the gate passes on unchanged.
    #[must_use]
    pub fn with_backend<'a>(offer: Offer, lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut features = Self::own(offer);
        for line in lines {
            let line = line.trim_ascii();
            let word = line
                .split(|byte| matches!(byte, b' ' | b';'))
                .next()
                .unwrap_or_default();
            let is_mode_z = line.eq_ignore_ascii_case(b"MODE Z");
            if passes(word) || (is_mode_z && offer.mode_z) {
                features.0.push(escape(line));
            }
        }
        features
    }

    /// The 211 reply.
    #[must_use]
    pub fn reply(self) -> Reply {
        Reply::block(occasion::FEATURES, "Features:", self.0, "End")
    }
}

fn passes(word: &[u8]) -> bool {
    let is_passing = PASSING
        .iter()
        .any(|passing| passing.as_bytes().eq_ignore_ascii_case(word));
    is_passing
        || Verb::read(word)
            .is_some_and(|verb| matches!(verb.row().answer, Answer::Backend | Answer::Transfer(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_intersection_is_what_both_can_do() {
        let backend: [&[u8]; 9] = [
            b" AUTH TLS;TLS-C;SSL;TLS-P;",
            b" PROT C;P;",
            b" EPRT",
            b" MLST type*;size*;",
            b" REST STREAM",
            b" MODE Z",
            b" UTF8",
            b" XFANCY\x1b[2J",
            b" SIZE",
        ];
        let reply = Features::with_backend(
            Offer {
                auth: true,
                active: false,
                ccc: false,
                host: false,
                mode_z: false,
            },
            backend,
        )
        .reply();
        let text = String::from_utf8(reply.wire()).expect("ASCII");
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let expected = [
            "211-Features:",
            "AUTH TLS",
            "PBSZ",
            "PROT",
            "EPSV",
            "PASV",
            "MLST type*;size*;",
            "REST STREAM",
            "UTF8",
            "SIZE",
            "211 End",
        ];
        assert_eq!(lines, expected);
    }
}
