//! Reply codes: their class, and the gate's own occasions by name (RFC 959 section 4.2, RFC 2228, RFC 4217).

use core::fmt;

/// A three-digit reply code, 100 to 659.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

/// The first digit's meaning (RFC 959 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 1yz: begun; another reply follows.
    Preliminary,
    /// 2yz: done.
    Completion,
    /// 3yz: accepted, and more is needed from the client.
    Intermediate,
    /// 4yz: not done; the same command may succeed later.
    Transient,
    /// 5yz: not done, and the same command will not do.
    Permanent,
    /// 6yz: a protected reply (RFC 2228), which we do not unwrap.
    Protected,
}

impl Code {
    /// The code that three ASCII digits spell, if they are one.
    #[must_use]
    pub fn read(digits: [u8; 3]) -> Option<Self> {
        let [
            hundreds @ b'1'..=b'6',
            tens @ b'0'..=b'9',
            units @ b'0'..=b'9',
        ] = digits
        else {
            return None;
        };
        let digit = |byte: u8| u16::from(byte - b'0');
        Some(Self(
            digit(hundreds) * 100 + digit(tens) * 10 + digit(units),
        ))
    }

    /// What the first digit says.
    #[must_use]
    pub const fn class(self) -> Class {
        match self.0 / 100 {
            1 => Class::Preliminary,
            2 => Class::Completion,
            3 => Class::Intermediate,
            4 => Class::Transient,
            5 => Class::Permanent,
            _ => Class::Protected,
        }
    }

    /// Whether it says that something failed, now or for good.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self.class(), Class::Transient | Class::Permanent)
    }

    /// The number itself.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

/// Occasions on which the gate itself answers, or that it looks for in a backend's answers.
pub mod occasion {
    use super::Code;

    /// The transfer begins.
    pub const OPENING_DATA: Code = Code(150);
    /// Done, nothing to add.
    pub const OKAY: Code = Code(200);
    /// The list of features (RFC 2389).
    pub const FEATURES: Code = Code(211);
    /// The size of a file (RFC 3659 section 4).
    pub const SIZE: Code = Code(213);
    /// Help.
    pub const HELP: Code = Code(214);
    /// Ready for a new user.
    pub const GREETING: Code = Code(220);
    /// Goodbye.
    pub const GOODBYE: Code = Code(221);
    /// ABOR found nothing to abort.
    pub const NOTHING_TO_ABORT: Code = Code(225);
    /// ABOR has ended a transfer, or a transfer has ended well.
    pub const DATA_CLOSED: Code = Code(226);
    /// PASV: where to connect.
    pub const PASSIVE: Code = Code(227);
    /// EPSV: where to connect (RFC 2428).
    pub const EXTENDED_PASSIVE: Code = Code(229);
    /// Logged in.
    pub const LOGGED_IN: Code = Code(230);
    /// Logged in by the security exchange (RFC 2228).
    pub const LOGGED_IN_SECURELY: Code = Code(232);
    /// The security exchange begins (RFC 2228).
    pub const SECURING: Code = Code(234);
    /// PWD: the working directory.
    pub const PATHNAME: Code = Code(257);
    /// The service or this session ends.
    pub const CLOSING: Code = Code(421);
    /// The data connection could not be opened.
    pub const NO_DATA_CONNECTION: Code = Code(425);
    /// The data connection broke, or was ended.
    pub const TRANSFER_ABORTED: Code = Code(426);
    /// The transfer failed at the server (RFC 959: local error in processing).
    pub const LOCAL_ERROR: Code = Code(451);
    /// The command is unknown, or the line is not a command.
    pub const NOT_UNDERSTOOD: Code = Code(500);
    /// The argument is wrong.
    pub const BAD_ARGUMENT: Code = Code(501);
    /// Known and not offered.
    pub const NOT_OFFERED: Code = Code(502);
    /// Not now: another command has to come first.
    pub const BAD_SEQUENCE: Code = Code(503);
    /// Not for this parameter.
    pub const NOT_THIS_PARAMETER: Code = Code(504);
    /// The data connection may not be opened with this protection (RFC 4217 section 10.2).
    pub const WRONG_PROTECTION: Code = Code(521);
    /// This network protocol is not supported (RFC 2428 section 2).
    pub const WRONG_FAMILY: Code = Code(522);
    /// The data connection's TLS session does not fit the control connection's (RFC 4217 section 10.2).
    pub const NOT_RESUMED: Code = Code(522);
    /// The data connection has another certificate than the control connection (RFC 4217 section 10.2).
    pub const OTHER_CERTIFICATE: Code = Code(522);
    /// Not logged in.
    pub const NOT_LOGGED_IN: Code = Code(530);
    /// The command channel's protection may not be given up (RFC 2228).
    pub const PROTECTION_DENIED: Code = Code(533);
    /// Refused by security policy (RFC 2228).
    pub const REFUSED_BY_POLICY: Code = Code(534);
    /// This protection level does not exist for the mechanism (RFC 2228).
    pub const NO_SUCH_PROTECTION: Code = Code(536);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_class() {
        assert_eq!(Code::read(*b"226"), Some(occasion::DATA_CLOSED));
        assert_eq!(
            Code::read(*b"226").map(Code::class),
            Some(Class::Completion)
        );
        for wrong in [b"026", b"726", b"2a6", b" 22"] {
            assert_eq!(Code::read(*wrong), None);
        }
        assert_eq!(occasion::CLOSING.to_string(), "421");
        assert!(occasion::CLOSING.is_failure() && occasion::NOT_LOGGED_IN.is_failure());
        assert!(!occasion::OPENING_DATA.is_failure());
    }
}
