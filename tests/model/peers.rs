//! The two peers on the control connections: what a client may say, and what a backend may answer to what it is asked.

use sluicegate::ftp::Direction;

/// A command of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Auth,
    User,
    Pass,
    Pbsz,
    Prot,
    Epsv,
    Port,
    Retr,
    Nlst,
    Stor,
    Cwd,
    Noop,
    Stat,
    Abor,
    Quit,
    Ccc,
    Rein,
    /// One of two hosts, or one that is not there.
    Host(u8),
    /// No command at all.
    Junk,
}

/// The names of hosts; the site has all of them but the last.
pub(crate) const HOSTS: [&str; 3] = ["alpha", "beta", "nowhere"];

impl Kind {
    /// The line; where it can, it carries the number of the command, and a backend's reply carries it back.
    pub(crate) fn line(self, number: u8) -> String {
        match self {
            Self::Auth => "AUTH TLS".to_owned(),
            Self::User => format!("USER u{number}"),
            Self::Pass => format!("PASS p{number}"),
            Self::Pbsz => "PBSZ 0".to_owned(),
            Self::Prot => "PROT P".to_owned(),
            Self::Epsv => "EPSV".to_owned(),
            Self::Port => "PORT 10,0,0,9,195,80".to_owned(),
            Self::Retr => format!("RETR f{number}"),
            Self::Nlst => format!("NLST f{number}"),
            Self::Stor => format!("STOR f{number}"),
            Self::Cwd => format!("CWD d{number}"),
            Self::Noop => format!("NOOP n{number}"),
            Self::Stat => "STAT".to_owned(),
            Self::Abor => "ABOR".to_owned(),
            Self::Quit => "QUIT".to_owned(),
            Self::Ccc => "CCC".to_owned(),
            Self::Rein => "REIN".to_owned(),
            Self::Host(host) => format!("HOST {}", HOSTS[usize::from(host)]),
            Self::Junk => "JUNK".to_owned(),
        }
    }

    pub(crate) const fn direction(self) -> Option<Direction> {
        match self {
            Self::Retr | Self::Nlst => Some(Direction::Download),
            Self::Stor => Some(Direction::Upload),
            _ => None,
        }
    }
}

/// Something that the backend owes an answer to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    pub(crate) verb: String,
    /// The client's command that it is, 0 where the gate asks for itself.
    pub(crate) number: u8,
    /// The 1xx has been said.
    pub(crate) is_begun: bool,
    /// A reply of several lines has been begun.
    pub(crate) partial: Option<u16>,
}

impl Ask {
    /// Not a command, but answered as if it were one.
    pub(crate) fn greeting() -> Self {
        Self::read(b"GREETING")
    }

    pub(crate) fn read(line: &[u8]) -> Self {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default().to_owned();
        let tag = words.next().unwrap_or_default();
        // SIZE names a file of the client's command, and is no command of the client.
        let is_own = verb == "SIZE" || !tag.starts_with(['u', 'p', 'f', 'd', 'n']);
        let number = if is_own {
            0
        } else {
            tag[1..].parse().unwrap_or(0)
        };
        Self {
            verb,
            number,
            is_begun: false,
            partial: None,
        }
    }

    pub(crate) fn is_transfer(&self) -> bool {
        matches!(self.verb.as_str(), "RETR" | "NLST" | "STOR")
    }

    /// Whatever a backend may say next to this.
    pub(crate) fn answers(&self, allows_lines: bool, answers: &mut Vec<Say>) {
        if let Some(code) = self.partial {
            return answers.push(Say::Reply(code));
        }
        let codes: &[u16] = match self.verb.as_str() {
            "GREETING" if self.is_begun => &[220, 421],
            "GREETING" => &[220, 120, 421],
            "AUTH" => &[234, 502],
            "CCC" => &[200, 534],
            "USER" => &[331, 230, 530],
            "PASS" => &[230, 530],
            "PBSZ" | "PROT" => &[200, 536],
            "EPSV" => &[229, 500],
            "PORT" | "EPRT" => &[200, 500],
            "NOOP" => &[200],
            "STAT" => &[211],
            "PASV" => &[227, 425],
            "SIZE" => &[213, 214, 550],
            "CWD" => &[250, 550, 421],
            "ABOR" => &[226, 502],
            "PWD" => &[257, 550],
            _ if self.is_begun => &[226, 451, 421],
            _ if self.is_transfer() => &[150, 226, 550, 421],
            _ => &[],
        };
        answers.extend(codes.iter().map(|&code| Say::Reply(code)));
        match self.verb.as_str() {
            "ABOR" => answers.extend([Say::Twice(226), Say::Nothing]),
            "CWD" if allows_lines => answers.push(Say::Line(250)),
            _ if self.is_transfer() && allows_lines => {
                answers.push(Say::Line(if self.is_begun { 226 } else { 150 }));
            }
            _ => {}
        }
    }

    /// The text of a reply: what a reader needs in it, and whose it is.
    pub(crate) fn text(&self, code: u16) -> String {
        let number = self.number;
        match code {
            229 => "229 Here (|||4711|)".to_owned(),
            227 => "227 Here (10,0,0,1,18,103)".to_owned(),
            213 => "213 0".to_owned(),
            // A size that says the file is not empty.
            214 => "213 5".to_owned(),
            257 => "257 \"/\" #0".to_owned(),
            // STAT without an argument carries no number.
            211 => "211 Fine".to_owned(),
            _ => format!("{code} #{number}"),
        }
    }
}

/// How the backend answers the oldest thing that it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Say {
    /// A reply, or the last line of one.
    Reply(u16),
    /// The first line of a reply of several.
    Line(u16),
    /// ABOR: 226 for the transfer that it takes for unfinished, and 226 for ABOR.
    Twice(u16),
    /// ABOR: some never answer it.
    Nothing,
}
