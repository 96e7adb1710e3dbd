//! A command of a client: parsed, emitted, and shown without its secrets.

use core::fmt;

use super::line::{escape, stuff};
use super::verb::{Argument, Verb};

/// One command line, understood.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Command {
    /// What is asked.
    pub verb: Verb,
    /// With what; empty where there is none.
    pub argument: Vec<u8>,
}

/// Why a line is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// No verb of the table.
    Unknown,
    /// The first word of another protocol.
    Foreign,
    /// The verb needs an argument, and there is none.
    ArgumentMissing(Verb),
    /// The verb takes no argument, and there is one.
    ArgumentSurplus(Verb),
    /// A NUL in the line: a backend written in C would see another command than we do.
    Nul,
}

impl Command {
    /// A command of the gate itself.
    #[must_use]
    pub fn new(verb: Verb, argument: impl Into<Vec<u8>>) -> Self {
        Self {
            verb,
            argument: argument.into(),
        }
    }

    /// The command that a line spells (RFC 959 section 5.3).
    ///
    /// # Errors
    /// Says why the line is not one; no part of a refused line is kept, as it may be a misplaced password.
    pub fn read(line: &[u8]) -> Result<Self, Malformed> {
        if line.contains(&0) {
            return Err(Malformed::Nul);
        }
        let end = line
            .iter()
            .position(|&byte| byte == b' ')
            .unwrap_or(line.len());
        let (word, rest) = line.split_at(end);
        let Some(verb) = Verb::read(word) else {
            return Err(if super::is_foreign(word) {
                Malformed::Foreign
            } else {
                Malformed::Unknown
            });
        };
        // Exactly one space separates: a path may begin with a space.
        let argument = rest.strip_prefix(b" ").unwrap_or(rest);
        match verb.row().argument {
            Argument::Required if argument.is_empty() => Err(Malformed::ArgumentMissing(verb)),
            Argument::Without if !argument.trim_ascii().is_empty() => {
                Err(Malformed::ArgumentSurplus(verb))
            }
            Argument::Without => Ok(Self::new(verb, [])),
            _ => Ok(Self::new(verb, argument)),
        }
    }

    /// The line for a backend, with its end.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.verb.word().len() + self.argument.len() + 3);
        wire.extend_from_slice(self.verb.word().as_bytes());
        if !self.argument.is_empty() {
            wire.push(b' ');
            stuff(&self.argument, &mut wire);
        }
        wire.extend_from_slice(b"\r\n");
        wire
    }

    /// SITE has sub-commands that carry passwords (SITE PSWD old new), so none of its argument but the first word is shown.
    fn shown(&self) -> &[u8] {
        let argument = &self.argument;
        match self.verb {
            Verb::Site => argument
                .split(|&byte| byte == b' ')
                .next()
                .unwrap_or_default(),
            _ => argument,
        }
    }
}

/// For a log: secrets are stars, a peer's bytes are escaped.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.verb.row();
        match (row.secret, self.argument.is_empty()) {
            (_, true) => f.write_str(row.word),
            (true, false) => write!(f, "{} ****", row.word),
            (false, false) => write!(f, "{} {}", row.word, escape(self.shown())),
        }
    }
}

/// The same as [`Display`](fmt::Display): a secret cannot be printed by accident.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_become_commands() {
        assert_eq!(
            Command::read(b"retr a b"),
            Ok(Command::new(Verb::Retr, "a b"))
        );
        assert_eq!(
            Command::read(b"RETR  a"),
            Ok(Command::new(Verb::Retr, " a"))
        );
        assert_eq!(Command::read(b"PASV "), Ok(Command::new(Verb::Pasv, "")));
        assert_eq!(Command::read(b"LIST"), Ok(Command::new(Verb::List, "")));
    }

    #[test]
    fn lines_that_are_none_say_why() {
        assert_eq!(
            Command::read(b"RETR"),
            Err(Malformed::ArgumentMissing(Verb::Retr))
        );
        assert_eq!(
            Command::read(b"RETR "),
            Err(Malformed::ArgumentMissing(Verb::Retr))
        );
        assert_eq!(
            Command::read(b"PASV x"),
            Err(Malformed::ArgumentSurplus(Verb::Pasv))
        );
        assert_eq!(Command::read(b"hunter2"), Err(Malformed::Unknown));
        assert_eq!(Command::read(b""), Err(Malformed::Unknown));
        assert_eq!(Command::read(b"GET / HTTP/1.1"), Err(Malformed::Foreign));
        assert_eq!(Command::read(b"DELE a\0b"), Err(Malformed::Nul));
    }

    #[test]
    fn secrets_do_not_print() {
        let password = Command::read(b"PASS hunter2").expect("a command");
        assert_eq!(
            format!("{password} {password:?}"),
            "PASS **** Command(PASS ****)"
        );
        let site = Command::read(b"SITE PSWD old new").expect("a command");
        assert_eq!(site.to_string(), "SITE PSWD");
        let path = Command::read(b"RETR a\x1b[2J").expect("a command");
        assert_eq!(path.to_string(), "RETR a\\x1b[2J");
    }

    proptest! {
        /// What can be represented can be emitted, and is read back the same.
        #[test]
        fn reading_undoes_writing(
            at in 0..Verb::TABLE.len(),
            argument in proptest::collection::vec(any::<u8>().prop_filter("one line", |b| *b != 0 && *b != b'\n'), 1..64),
        ) {
            let row = &Verb::TABLE[at];
            let argument = if row.argument == Argument::Without { Vec::new() } else { argument };
            let command = Command::new(row.verb, argument);
            let mut reader = crate::ftp::LineReader::new(4096, crate::ftp::Telnet::Strip);
            reader.push(&command.wire());
            let crate::ftp::Cut::Line(line) = reader.next_line() else { panic!("one whole line") };
            prop_assert!(reader.is_empty());
            prop_assert_eq!(Command::read(&line), Ok(command));
        }

        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _shown = Command::read(&line).map(|command| command.to_string());
        }
    }
}
