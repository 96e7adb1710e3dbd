//! What the gate answers itself: small commands, FEAT, and every refusal with its reason.

use super::action::Blame;
use super::phase::{BackendStage, Work};
use super::timers::Timer;
use super::{Dialog, Turn};
use crate::ftp::{Command, Features, Malformed, Offer, Reply, ReplyLine, Verb, occasion};
use crate::limits::FEATURE_LINES_MAX;
use crate::policy::{ClientCcc, ClientTls};

impl Dialog {
    /// The verbs with a behaviour of their own.
    pub(super) fn answer_own(&mut self, turn: &mut Turn, command: Command) {
        match command.verb {
            Verb::Auth => self.auth(turn, &command.argument),
            Verb::Pbsz => self.pbsz(turn),
            Verb::Prot => self.prot(turn, &command.argument),
            Verb::Host => self.host(turn, &command.argument),
            Verb::Ccc => self.ccc(turn),
            Verb::Rein => self.rein(turn),
            Verb::User => self.user(turn, command),
            Verb::Pass | Verb::Acct => self.credential(turn, &command),
            Verb::Feat => self.feat(turn),
            Verb::Pasv => self.pasv(turn),
            Verb::Epsv => self.epsv(turn, &command.argument),
            Verb::Port => self.port(turn, &command.argument),
            Verb::Eprt => self.eprt(turn, &command.argument),
            Verb::Mode => self.mode(turn, &command),
            Verb::Rest => self.rest_marker(turn, &command),
            Verb::Noop if self.client.logged_in => self.forward(turn, &command),
            Verb::Noop => turn.answer(&noop()),
            Verb::Help => turn.answer(&help()),
            // A transfer hears ABOR itself; here nothing runs.
            Verb::Abor => {
                turn.answer(&Reply::new(occasion::NOTHING_TO_ABORT, "Nothing to abort"));
            }
            Verb::Quit => {
                let goodbye = Reply::new(occasion::GOODBYE, "Goodbye");
                self.leave(turn, Some(&goodbye), Blame::Client, "QUIT");
            }
            other => turn.answer(&refused(other)),
        }
    }

    /// FEAT (RFC 2389 section 3): our own before login, what both can do after it.
    fn feat(&mut self, turn: &mut Turn) {
        if !self.client.logged_in || self.backend.stage != BackendStage::There {
            return turn.answer(&Features::own(self.offer()).reply());
        }
        turn.ask(&Command::new(Verb::Feat, ""));
        self.timers
            .arm(Timer::Work, turn.now + self.rules.patience.backend_reply);
        self.work = Work::Features(Vec::new());
    }

    fn offer(&self) -> Offer {
        Offer {
            auth: self.rules.client_tls != ClientTls::Implicit,
            active: self.rules.active,
            ccc: self.rules.client_ccc == ClientCcc::Accept,
            host: !self.site.hosts.is_empty(),
            mode_z: self.rules.mode_z,
        }
    }

    pub(super) fn features_replied(&mut self, turn: &mut Turn, line: ReplyLine) {
        let offer = self.offer();
        let Work::Features(lines) = &mut self.work else {
            return;
        };
        if !line.last {
            // The first line announces, it lists nothing; neither does one with the code before it.
            if line.raw.first() == Some(&b' ') && lines.len() < FEATURE_LINES_MAX {
                lines.push(line.raw);
            }
            return;
        }
        let features = match line.code {
            occasion::FEATURES => Features::with_backend(offer, lines.iter().map(Vec::as_slice)),
            occasion::CLOSING => return self.lose_backend(turn, "backend said 421"),
            _ => Features::own(offer),
        };
        self.rest();
        turn.answer(&features.reply());
    }

    /// MODE: stream, compressed where the pool allows it (`Z`, in use and never specified); in the others the end of a file
    /// stands within the stream, where the gate does not look.
    fn mode(&mut self, turn: &mut Turn, command: &Command) {
        let is = |mode: &[u8]| command.argument.eq_ignore_ascii_case(mode);
        match is(b"Z") && self.rules.mode_z {
            false if !is(b"S") => {
                let text = match self.rules.mode_z {
                    true => "Only MODE S and MODE Z are offered",
                    false => "Only MODE S is offered",
                };
                turn.answer(&Reply::new(occasion::NOT_THIS_PARAMETER, text));
            }
            is_compressed => {
                // Where the backend refuses, the last mode stands; taking it for compressed costs a proof, never a file.
                self.client.mode_z |= is_compressed;
                self.forward(turn, command);
            }
        }
    }

    /// REST (RFC 3659 section 5): in stream mode the marker is an offset in digits.
    fn rest_marker(&mut self, turn: &mut Turn, command: &Command) {
        if let Some(offset) = read_offset(&command.argument) {
            self.client.offset = offset;
            self.forward(turn, command);
        } else {
            turn.answer(&Reply::new(
                occasion::BAD_ARGUMENT,
                "REST takes an offset in digits",
            ));
        }
    }
}

pub(super) fn noop() -> Reply {
    Reply::new(occasion::OKAY, "Fine")
}

fn help() -> Reply {
    let words: Vec<_> = Verb::TABLE
        .iter()
        .filter(|row| row.answer != crate::ftp::Answer::Refused)
        .map(|row| row.word)
        .collect();
    let lines = words.chunks(10).map(|words| words.join(" "));
    Reply::block(occasion::HELP, "Commands:", lines, "End")
}

/// Why a line is not taken as a command.
pub(super) fn malformed(malformed: Malformed) -> Reply {
    match malformed {
        Malformed::Unknown | Malformed::Foreign => {
            Reply::new(occasion::NOT_UNDERSTOOD, "Command not understood")
        }
        Malformed::ArgumentMissing(verb) => Reply::new(
            occasion::BAD_ARGUMENT,
            format!("{} needs an argument", verb.word()),
        ),
        Malformed::ArgumentSurplus(verb) => Reply::new(
            occasion::BAD_ARGUMENT,
            format!("{} takes no argument", verb.word()),
        ),
        Malformed::Nul => Reply::new(occasion::BAD_ARGUMENT, "A command holds no NUL"),
    }
}

/// Why a known command is refused.
pub(super) fn refused(verb: Verb) -> Reply {
    let (code, text) = match verb {
        Verb::Lprt => (occasion::NOT_OFFERED, "Use EPRT or PORT"),
        Verb::Lpsv => (occasion::NOT_OFFERED, "Use EPSV or PASV"),
        Verb::Mic | Verb::Conf | Verb::Enc => (
            occasion::PROTECTION_DENIED,
            "TLS protects the connection, not the command",
        ),
        Verb::Adat => (occasion::BAD_SEQUENCE, "AUTH TLS takes no ADAT"),
        Verb::Sscn | Verb::Cpsv => (
            occasion::NOT_OFFERED,
            "Server-to-server transfers are not offered",
        ),
        _ => (occasion::NOT_OFFERED, "Not offered by this gate"),
    };
    Reply::new(code, text)
}

/// A size or an offset, in digits; one too large to count is as large as can be.
pub(super) fn read_offset(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits.trim_ascii()).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}
