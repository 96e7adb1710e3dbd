//! The table of verbs: one row each, everything about the verb in its row; policy, metrics and documents derive from it.

/// When a verb may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// At any time, also before login.
    Any,
    /// Only by a logged-in client.
    Inside,
}

/// Whether a verb takes an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// None; one that is given anyway is an error (RFC 959 section 5.3.1).
    Without,
    /// One or none.
    Optional,
    /// Always one.
    Required,
}

/// Which way the bytes of a transfer go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the backend to the client: RETR and the listings.
    Download,
    /// From the client to the backend: STOR, APPE, STOU.
    Upload,
}

impl Direction {
    /// Its name, as metrics and the journal write it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The gate has a behaviour of its own for it.
    Gate,
    /// It is passed to the backend, and the backend's reply to the client.
    Backend,
    /// It is passed to the backend and moves data.
    Transfer(Direction),
    /// Known, and refused for the reason that stands in `docs/PROTOCOL.md`.
    Refused,
}

/// Everything the house knows about a verb.
#[derive(Debug)]
pub struct Row {
    /// The verb.
    pub verb: Verb,
    /// As it stands on the wire.
    pub word: &'static str,
    /// When it may be used.
    pub stage: Stage,
    /// Its argument.
    pub argument: Argument,
    /// Who answers it.
    pub answer: Answer,
    /// Its argument is a secret and is never written anywhere.
    pub secret: bool,
    /// Where it is specified.
    pub source: &'static str,
}

macro_rules! verbs {
    ($($verb:ident $word:literal $stage:ident $argument:ident $answer:expr, $secret:literal, $source:literal;)*) => {
        /// A verb of FTP that the gate knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Verb {
            $(#[doc = concat!($word, ", ", $source)] $verb,)*
        }

        impl Verb {
            /// Every verb with its row, in the order of the table.
            pub const TABLE: &'static [Row] = &[$(Row {
                verb: Self::$verb,
                word: $word,
                stage: Stage::$stage,
                argument: Argument::$argument,
                answer: $answer,
                secret: $secret,
                source: $source,
            },)*];
        }
    };
}

use Answer::{Backend, Gate, Refused, Transfer};
use Direction::{Download, Upload};

verbs! {
    // Access control (RFC 959 section 4.1.1).
    User "USER" Any Required Gate, false, "RFC 959 4.1.1";
    Pass "PASS" Any Optional Gate, true, "RFC 959 4.1.1";
    Acct "ACCT" Any Required Gate, true, "RFC 959 4.1.1";
    Cwd "CWD" Inside Required Backend, false, "RFC 959 4.1.1";
    Cdup "CDUP" Inside Without Backend, false, "RFC 959 4.1.1";
    Smnt "SMNT" Inside Required Backend, false, "RFC 959 4.1.1";
    Rein "REIN" Any Without Gate, false, "RFC 959 4.1.1";
    Quit "QUIT" Any Without Gate, false, "RFC 959 4.1.1";

    // Transfer parameters (RFC 959 section 4.1.2).
    Port "PORT" Inside Required Gate, false, "RFC 959 4.1.2";
    Pasv "PASV" Inside Without Gate, false, "RFC 959 4.1.2";
    Type "TYPE" Inside Required Backend, false, "RFC 959 4.1.2";
    Stru "STRU" Inside Required Backend, false, "RFC 959 4.1.2";
    Mode "MODE" Inside Required Gate, false, "RFC 959 4.1.2";

    // Service (RFC 959 section 4.1.3).
    Retr "RETR" Inside Required Transfer(Download), false, "RFC 959 4.1.3";
    Stor "STOR" Inside Required Transfer(Upload), false, "RFC 959 4.1.3";
    Stou "STOU" Inside Optional Transfer(Upload), false, "RFC 959 4.1.3";
    Appe "APPE" Inside Required Transfer(Upload), false, "RFC 959 4.1.3";
    Allo "ALLO" Inside Required Backend, false, "RFC 959 4.1.3";
    Rest "REST" Inside Required Gate, false, "RFC 3659 5";
    Rnfr "RNFR" Inside Required Backend, false, "RFC 959 4.1.3";
    Rnto "RNTO" Inside Required Backend, false, "RFC 959 4.1.3";
    Abor "ABOR" Inside Without Gate, false, "RFC 959 4.1.3";
    Dele "DELE" Inside Required Backend, false, "RFC 959 4.1.3";
    Rmd "RMD" Inside Required Backend, false, "RFC 959 4.1.3";
    Mkd "MKD" Inside Required Backend, false, "RFC 959 4.1.3";
    Pwd "PWD" Inside Without Backend, false, "RFC 959 4.1.3";
    List "LIST" Inside Optional Transfer(Download), false, "RFC 959 4.1.3";
    Nlst "NLST" Inside Optional Transfer(Download), false, "RFC 959 4.1.3";
    Site "SITE" Inside Required Backend, false, "RFC 959 4.1.3";
    Syst "SYST" Inside Without Backend, false, "RFC 959 4.1.3";
    Stat "STAT" Inside Optional Backend, false, "RFC 959 4.1.3";
    Help "HELP" Any Optional Gate, false, "RFC 959 4.1.3";
    Noop "NOOP" Any Optional Gate, false, "RFC 959 4.1.3";

    // The older names for directories (RFC 775), which RFC 1123 section 4.1.3.1 asks for.
    Xcwd "XCWD" Inside Required Backend, false, "RFC 775";
    Xcup "XCUP" Inside Without Backend, false, "RFC 775";
    Xmkd "XMKD" Inside Required Backend, false, "RFC 775";
    Xrmd "XRMD" Inside Required Backend, false, "RFC 775";
    Xpwd "XPWD" Inside Without Backend, false, "RFC 775";

    // Security (RFC 2228, RFC 4217).
    Auth "AUTH" Any Required Gate, false, "RFC 2228 3, RFC 4217 4";
    Adat "ADAT" Any Required Refused, true, "RFC 2228 3";
    Pbsz "PBSZ" Any Required Gate, false, "RFC 2228 3, RFC 4217 8";
    Prot "PROT" Any Required Gate, false, "RFC 2228 3, RFC 4217 9";
    Ccc "CCC" Any Without Gate, false, "RFC 2228 3, RFC 4217 12";
    Mic "MIC" Any Required Refused, true, "RFC 2228 3";
    Conf "CONF" Any Required Refused, true, "RFC 2228 3";
    Enc "ENC" Any Required Refused, true, "RFC 2228 3";

    // Negotiation (RFC 2389), languages (RFC 2640), virtual hosts (RFC 7151).
    Feat "FEAT" Any Without Gate, false, "RFC 2389 3";
    Opts "OPTS" Inside Required Backend, false, "RFC 2389 4";
    Lang "LANG" Inside Optional Backend, false, "RFC 2640 4";
    Host "HOST" Any Required Gate, false, "RFC 7151 3";

    // Addresses beyond IPv4 (RFC 2428, RFC 1639).
    Eprt "EPRT" Inside Required Gate, false, "RFC 2428 2";
    Epsv "EPSV" Inside Optional Gate, false, "RFC 2428 3";
    Lprt "LPRT" Inside Required Refused, false, "RFC 1639";
    Lpsv "LPSV" Inside Without Refused, false, "RFC 1639";

    // Extensions (RFC 3659).
    Mdtm "MDTM" Inside Required Backend, false, "RFC 3659 3";
    Size "SIZE" Inside Required Backend, false, "RFC 3659 4";
    Mlst "MLST" Inside Optional Backend, false, "RFC 3659 7";
    Mlsd "MLSD" Inside Optional Transfer(Download), false, "RFC 3659 7";

    // In use without a standard.
    Clnt "CLNT" Inside Required Backend, false, "in use: client name";
    Csid "CSID" Inside Required Backend, false, "in use: client and server identification";
    Mfmt "MFMT" Inside Required Backend, false, "draft-somers-ftp-mfxx";
    Mfct "MFCT" Inside Required Backend, false, "draft-somers-ftp-mfxx";
    Mff "MFF" Inside Required Backend, false, "draft-somers-ftp-mfxx";
    Hash "HASH" Inside Required Backend, false, "draft-bryan-ftpext-hash";
    Rang "RANG" Inside Required Backend, false, "draft-bryan-ftp-range";
    Xcrc "XCRC" Inside Required Backend, false, "in use: checksum";
    Xmd5 "XMD5" Inside Required Backend, false, "in use: checksum";
    Xsha "XSHA" Inside Required Backend, false, "in use: checksum";
    Xsha1 "XSHA1" Inside Required Backend, false, "in use: checksum";
    Xsha256 "XSHA256" Inside Required Backend, false, "in use: checksum";
    Xsha512 "XSHA512" Inside Required Backend, false, "in use: checksum";
    Avbl "AVBL" Inside Optional Backend, false, "draft-peterson-streamlined-ftp-command-extensions";
    Dsiz "DSIZ" Inside Optional Backend, false, "draft-peterson-streamlined-ftp-command-extensions";
    Rmda "RMDA" Inside Required Backend, false, "draft-peterson-streamlined-ftp-command-extensions";
    Thmb "THMB" Inside Required Refused, false, "draft-peterson-streamlined-ftp-command-extensions";
    Comb "COMB" Inside Required Backend, false, "in use: combine parts";
    Sscn "SSCN" Any Optional Refused, false, "in use: secure server-to-server transfer";
    Cpsv "CPSV" Inside Without Refused, false, "in use: secure server-to-server transfer";
}

impl Verb {
    /// The verb that a word spells, in any case (RFC 959 section 5.3: ASCII, case ignored).
    #[must_use]
    pub fn read(word: &[u8]) -> Option<Self> {
        Self::TABLE
            .iter()
            .find(|row| row.word.as_bytes().eq_ignore_ascii_case(word))
            .map(|row| row.verb)
    }

    /// Its row of the table.
    #[must_use]
    pub fn row(self) -> &'static Row {
        // The table is made from the same list as the enum: a verb's number is its place.
        &Self::TABLE[self as usize]
    }

    /// Its word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().word
    }
}

/// First words that only a peer speaking another protocol sends: a browser or a mail client tricked into
/// connecting here (ALPACA, CVE-2021-31971 and its kin) must not get a second line.
const FOREIGN: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "PATCH",
    "DELETE",
    "EHLO",
    "HELO",
    "MAIL",
    "RCPT",
    "HOST:",
    "USER-AGENT:",
];

/// Whether a line's first word belongs to HTTP or SMTP.
#[must_use]
pub fn is_foreign(word: &[u8]) -> bool {
    FOREIGN
        .iter()
        .any(|foreign| foreign.as_bytes().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_word_and_its_verb() {
        for row in Verb::TABLE {
            assert_eq!(Verb::read(row.word.as_bytes()), Some(row.verb));
            assert_eq!(
                Verb::read(row.word.to_ascii_lowercase().as_bytes()),
                Some(row.verb)
            );
            assert_eq!(row.verb.row().word, row.word);
            assert!(!is_foreign(row.word.as_bytes()), "{} is FTP", row.word);
        }
    }

    #[test]
    fn words_are_compared_byte_by_byte() {
        assert_eq!(Verb::read(b"\xffUSER"), None);
        assert_eq!(Verb::read(b""), None);
        assert!(is_foreign(b"get") && is_foreign(b"Host:"));
    }
}
