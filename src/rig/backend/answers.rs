//! What the backend answers inside: paths, transfers, and SITE.

use std::net::SocketAddr;

use super::misbehave::{Misbehaviour, POLITE, Script, TABLE};
use super::session::{Next, Session};
use super::transfer::{Cargo, Said};
use super::tree::{self, Content, MODIFIED, Node};
use crate::ftp::{
    Answer, Command, Direction, EpsvAsk, Verb, pasv_reply, read_epsv_ask, write_epsv_reply,
};
use crate::leg::Fault;
use crate::net::Listener;
use crate::rig::{Crc, Source};

impl Session {
    /// One command, answered.
    pub(super) async fn answer(&mut self, command: Command) -> Result<Next, Fault> {
        if let Some(next) = self.answer_outside(&command).await? {
            return Ok(next);
        }
        if let Answer::Transfer(direction) = command.verb.row().answer {
            return self.answer_transfer(&command, direction).await;
        }
        let reply = match command.verb {
            Verb::Pasv | Verb::Epsv => self.listen(&command),
            Verb::Rest => match std::str::from_utf8(&command.argument).map(str::parse) {
                Ok(Ok(offset)) => {
                    self.restart = offset;
                    format!("350 From byte {offset} on.").into()
                }
                _ => "501 A number of bytes.".into(),
            },
            Verb::Type | Verb::Stru | Verb::Mode => parameter(&command).into(),
            Verb::Abor => "225 There is nothing to abort.".into(),
            Verb::Stat => "211 All is well.".into(),
            Verb::Opts | Verb::Allo | Verb::Clnt => "200 Fine.".into(),
            Verb::Site => self.site(&command.argument),
            Verb::Xcrc => self.checksum(&command.argument).await,
            _ => self.answer_path(&command),
        };
        self.say(reply).await?;
        Ok(Next::Go)
    }

    /// The verbs that name something in the tree.
    fn answer_path(&mut self, command: &Command) -> Said {
        let mut full = tree::resolve(&self.directory, &command.argument);
        if matches!(command.verb, Verb::Cdup | Verb::Xcup) {
            full = tree::resolve(&self.directory, b"..");
        }
        let (_, path) = tree::place(&full);
        let mut tree = self.shared.tree.borrow_mut();
        match command.verb {
            Verb::Cwd | Verb::Xcwd | Verb::Cdup | Verb::Xcup if tree.is_directory(&path) => {
                self.directory = full;
                "250 There we are.".into()
            }
            Verb::Pwd | Verb::Xpwd => format!("257 \"{}\"", self.directory).into(),
            Verb::Size => match tree.file(&path) {
                Some(content) => format!("213 {}", content.len()).into(),
                None => NOT_THERE.into(),
            },
            Verb::Mdtm if tree.file(&path).is_some() => format!("213 {MODIFIED}").into(),
            Verb::Mlst => match tree.node(&path) {
                Some(node) => {
                    format!("250-Facts:\r\n {}\r\n250 End", tree::facts(&path, node)).into()
                }
                None => NOT_THERE.into(),
            },
            Verb::Mkd | Verb::Xmkd if tree.takes(&path) && tree.node(&path).is_none() => {
                tree.put(path, Node::Directory);
                format!("257 \"{full}\"").into()
            }
            Verb::Rmd | Verb::Xrmd if tree.is_directory(&path) && tree.is_empty(&path) => {
                tree.remove(&path);
                "250 Gone.".into()
            }
            Verb::Dele if tree.file(&path).is_some() => {
                tree.remove(&path);
                "250 Gone.".into()
            }
            Verb::Rnfr if tree.file(&path).is_some() => {
                self.rename_from = Some(path);
                "350 To what?".into()
            }
            Verb::Rnto if self.rename_from.is_none() => "503 RNFR comes first.".into(),
            Verb::Rnto if tree.takes(&path) => {
                let from = self.rename_from.take().unwrap_or_default();
                match tree.remove(&from) {
                    Some(node) => {
                        tree.put(path, node);
                        "250 It has a new name.".into()
                    }
                    None => NOT_THERE.into(),
                }
            }
            Verb::Cwd
            | Verb::Xcwd
            | Verb::Cdup
            | Verb::Xcup
            | Verb::Mdtm
            | Verb::Mkd
            | Verb::Xmkd
            | Verb::Rmd
            | Verb::Xrmd
            | Verb::Dele
            | Verb::Rnfr
            | Verb::Rnto => NOT_THERE.into(),
            _ => "502 Not here.".into(),
        }
    }

    /// PASV and EPSV (RFC 959 section 4.1.2, RFC 2428 section 3).
    fn listen(&mut self, command: &Command) -> Said {
        let local = self.control.leg().local();
        if command.verb == Verb::Epsv {
            match (read_epsv_ask(&command.argument), local) {
                (Some(EpsvAsk::All), _) => return "200 Nothing but EPSV from here on.".into(),
                (Some(EpsvAsk::Any), _)
                | (Some(EpsvAsk::V4), SocketAddr::V4(_))
                | (Some(EpsvAsk::V6), SocketAddr::V6(_)) => {}
                (None, _) => return "501 1, 2 or ALL.".into(),
                (Some(_), SocketAddr::V4(_)) => return "522 Use (1).".into(),
                (Some(_), SocketAddr::V6(_)) => return "522 Use (2).".into(),
            }
        }
        let Ok(listener) = Listener::listen_passive(SocketAddr::new(local.ip(), 0)) else {
            return "425 No port is free.".into();
        };
        let reply = match (command.verb, listener.local()) {
            (Verb::Epsv, address) => write_epsv_reply(address.port()),
            (_, SocketAddr::V4(address)) => pasv_reply(address),
            (_, SocketAddr::V6(_)) => return "522 PASV is for IPv4: use EPSV.".into(),
        };
        self.listener = Some(listener);
        let wire = String::from_utf8_lossy(&reply.wire()).into_owned();
        wire.trim_end().to_owned().into()
    }

    async fn answer_transfer(
        &mut self,
        command: &Command,
        direction: Direction,
    ) -> Result<Next, Fault> {
        let restart = std::mem::take(&mut self.restart);
        let (manners, path) = self.place(command);
        let session_manners = self.manners.iter().rev();
        let session_manners = session_manners.filter(|(verb, _)| *verb == command.verb);
        let script = manners
            .or_else(|| session_manners.map(|(_, script)| *script).next())
            .unwrap_or(POLITE);
        let options = &self.shared.options;
        if options.tls.is_some() && options.demand_tls && !self.private {
            self.say("521 PROT P comes first.").await?;
            return Ok(Next::Go);
        }
        if self.listener.is_none() {
            self.say("425 PASV or EPSV comes first.").await?;
            return Ok(Next::Go);
        }
        let cargo = match direction {
            Direction::Download => self.offer(command.verb, &path, restart),
            Direction::Upload => self.accept(command.verb, &path, restart),
        };
        match cargo {
            Ok(cargo) => self.transfer(command.verb, path, script, cargo).await,
            Err(refusal) => {
                self.listener = None;
                self.say(refusal).await?;
                Ok(Next::Go)
            }
        }
    }

    /// The path that a transfer is about, and the manners that it asks for.
    fn place(&self, command: &Command) -> (Option<Script>, String) {
        let mut argument = command.argument.as_slice();
        if matches!(command.verb, Verb::List | Verb::Nlst) && argument.starts_with(b"-") {
            // Options of ls, which clients send although no standard knows them.
            let end = argument.iter().position(|&byte| byte == b' ');
            argument = end.map_or(b"", |end| &argument[end + 1..]);
        }
        let full = tree::resolve(&self.directory, argument);
        let (script, path) = tree::place(&full);
        if command.verb == Verb::Stou {
            let mut tree = self.shared.tree.borrow_mut();
            return (script, tree.unique(&tree::place(&self.directory).1));
        }
        (script, path)
    }

    fn offer(&self, verb: Verb, path: &str, restart: u64) -> Result<Cargo, &'static str> {
        let tree = self.shared.tree.borrow();
        if verb != Verb::Retr {
            let listing = tree.listing(verb, path).ok_or(NOT_THERE)?;
            return Ok(Cargo::Download(Source::Bytes(listing), 0));
        }
        match tree.file(path) {
            Some(Content::Bytes(source)) if restart <= source.len() => {
                Ok(Cargo::Download(source.clone(), restart))
            }
            Some(Content::Bytes(_)) => Err("554 That is behind its end."),
            Some(Content::Counted { .. }) => Err("550 It was too long to be kept."),
            None => Err(NOT_THERE),
        }
    }

    fn accept(&self, verb: Verb, path: &str, restart: u64) -> Result<Cargo, &'static str> {
        let tree = self.shared.tree.borrow();
        if !tree.takes(path) {
            return Err("553 Nothing can be put there.");
        }
        let before = match tree.file(path) {
            Some(Content::Bytes(source)) if verb == Verb::Appe => piece(source, source.len()),
            Some(Content::Bytes(source)) if restart > 0 => piece(source, restart),
            Some(Content::Counted { .. }) if verb == Verb::Appe || restart > 0 => None,
            _ if restart > 0 => None,
            _ => Some(Vec::new()),
        };
        let before = before.filter(|before| before.len() <= tree.room());
        before
            .map(Cargo::Upload)
            .ok_or("554 There is nothing to go on behind.")
    }

    /// XCRC: the checksum of a file as the tree has it.
    async fn checksum(&self, argument: &[u8]) -> Said {
        let argument = argument.trim_ascii();
        let (_, path) = tree::place(&tree::resolve(&self.directory, argument));
        let content = self.shared.tree.borrow().file(&path).cloned();
        let crc = match content {
            None => return NOT_THERE.into(),
            Some(Content::Counted { crc, .. }) => crc,
            Some(Content::Bytes(source)) => {
                let (mut crc, mut at) = (Crc::default(), 0);
                while at < source.len() {
                    let piece = source.piece(at, PIECE_BYTES);
                    crc.update(piece);
                    at += piece.len() as u64;
                    glommio::yield_if_needed().await;
                }
                crc.value()
            }
        };
        format!("250 {crc:08X}").into()
    }

    /// SITE MISBEHAVE VERB NAME, SITE BEHAVE, SITE HELP.
    fn site(&mut self, argument: &[u8]) -> Said {
        let argument = String::from_utf8_lossy(argument).to_ascii_lowercase();
        let words: Vec<&str> = argument.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["behave"] => {
                self.manners.clear();
                "200 As good as gold.".into()
            }
            ["misbehave", verb, name] => {
                let row = Misbehaviour::named(name);
                let verb = Verb::read(verb.as_bytes());
                let verb = verb.filter(|verb| matches!(verb.row().answer, Answer::Transfer(_)));
                let (Some(verb), Some(row)) = (verb, row) else {
                    return "501 SITE MISBEHAVE RETR bare-close; SITE HELP lists what there is."
                        .into();
                };
                self.manners.retain(|(other, _)| *other != verb);
                self.manners.push((verb, row.script));
                format!("200 {}: {}", verb.word(), row.meaning).into()
            }
            ["help"] => {
                let mut text = "214-SITE MISBEHAVE VERB NAME, SITE BEHAVE; or the path /misbehave/NAME/...\r\n".to_owned();
                for row in TABLE {
                    text.push_str(&format!(" {:<24}{}\r\n", row.name, row.meaning));
                }
                text.push_str("214 End");
                text.into()
            }
            _ => "501 SITE HELP says what there is.".into(),
        }
    }
}

const NOT_THERE: &str = "550 There is no such thing, or it cannot be done to it.";

/// Bytes looked at between two chances for other sessions.
const PIECE_BYTES: usize = 64 * 1024;

fn parameter(command: &Command) -> &'static str {
    let first = command.argument.first().map(u8::to_ascii_uppercase);
    match (command.verb, first) {
        (Verb::Type, Some(b'A' | b'I' | b'L'))
        | (Verb::Stru, Some(b'F'))
        | (Verb::Mode, Some(b'S')) => "200 So be it.",
        _ => "504 Not that one.",
    }
}

/// The first `len` bytes, if there are that many and they can be kept.
fn piece(source: &Source, len: u64) -> Option<Vec<u8>> {
    if len > source.len() || len > crate::limits::RIG_UPLOAD_BYTES_MAX as u64 {
        return None;
    }
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < len {
        let left = usize::try_from(len).ok()? - bytes.len();
        bytes.extend_from_slice(source.piece(bytes.len() as u64, left));
    }
    Some(bytes)
}
