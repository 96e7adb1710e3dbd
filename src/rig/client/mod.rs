//! A strict FTPS client: it does what it was told and records what happened on each data connection, in order.
//! The demo prints its records; tests demand of them that a transfer was complete before it was called so.
//! It never tries again, never falls back, and never calls a transfer good that was not.

mod answer;
mod channel;
mod fault;
mod flow;
mod follow;

pub use answer::Answer;
pub use channel::{Channel, Content};
pub use fault::Fault;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::wait::within;
use super::{Handshake, Source, Stretch};
use crate::ftp::{Class, ReplyLine, Telnet, read_epsv_reply, read_pasv_reply};
use crate::leg::{self, ControlLeg, Leg};
use crate::limits;
use crate::net::Dial;
use crate::sys::clock;
use crate::tls::ClientResume;
use answer::Replies;
use flow::Flow;

/// Whom to trust, and how long to wait.
#[derive(Clone)]
pub struct Options {
    /// The server's control port.
    pub address: SocketAddr,
    /// The base of this session's TLS and the name expected of the server; nothing: all in the clear.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Whether data connections resume the control connection's session.
    pub resume: bool,
    /// How long to wait for any one step of the server.
    pub patience: Duration,
}

impl Options {
    /// Everything private, as this project thinks it should be.
    #[must_use]
    pub const fn private(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Self {
        Self {
            address,
            tls: Some((config, name)),
            resume: true,
            patience: limits::RIG_PATIENCE,
        }
    }

    /// Everything in the clear.
    #[must_use]
    pub const fn clear(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            resume: false,
            patience: limits::RIG_PATIENCE,
        }
    }
}

/// What a transfer moves.
pub enum Cargo {
    /// From the server.
    Take(Sink),
    /// To the server, and how it ends.
    Give(Source, Manner),
}

/// What becomes of a download.
pub enum Sink {
    /// Kept in memory, up to a bound, and summed.
    Keep,
    /// Compared with what it should be.
    Compare(Stretch),
    /// Counted.
    Count,
}

/// How the client ends an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// close_notify where private, then FIN.
    Polite,
    /// FIN before any TLS: what a broken client does, and what must not become an empty file.
    Bare,
    /// FIN without close_notify.
    Unfinished,
    /// A reset behind the last byte.
    Reset,
}

/// A client session.
pub struct Client {
    control: ControlLeg,
    replies: Replies,
    options: Options,
    /// Some where the control connection is private: the memory of its TLS sessions.
    resume: Option<ClientResume>,
    control_handshake: Option<Handshake>,
}

impl Client {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// Nobody is there, or nobody who greets.
    pub async fn connect(options: Options) -> Result<Self, Fault> {
        let mut dial = Dial::start(options.address, None).map_err(leg::Fault::from)?;
        let stream = within(options.patience, |cx| dial.poll(cx)).await;
        let stream = stream.ok_or(Fault::Silent("the connection"))?;
        let leg = Leg::new(stream.map_err(leg::Fault::from)?);
        let mut client = Self {
            control: ControlLeg::new(leg, limits::REPLY_LINE_BYTES_MAX, Telnet::Keep),
            replies: Replies::default(),
            options,
            resume: None,
            control_handshake: None,
        };
        client.expect(Class::Completion).await?;
        Ok(client)
    }

    /// AUTH TLS, the handshake, PBSZ and PROT P; nothing where the options say clear.
    ///
    /// # Errors
    /// The server refuses, or is not whom it should be.
    pub async fn secure(&mut self) -> Result<(), Fault> {
        let Some((base, name)) = self.options.tls.clone() else {
            return Ok(());
        };
        self.command("AUTH TLS", Class::Completion).await?;
        let resume = ClientResume::new(&base);
        self.control.secure_as_client(resume.control(), name)?;
        let begun = clock::now();
        let leg = self.control.leg_mut();
        let shaken = within(self.options.patience, |cx| leg.poll_handshake(cx)).await;
        shaken.ok_or(Fault::Silent("the handshake"))??;
        let took = clock::now() - begun;
        let facts = self.control.leg().facts();
        self.control_handshake = facts.map(|facts| Handshake::new(&facts, took));
        self.resume = Some(resume);
        self.command("PBSZ 0", Class::Completion).await?;
        self.command("PROT P", Class::Completion).await?;
        Ok(())
    }

    /// USER, PASS and TYPE I.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn login(&mut self, user: &str, password: &str) -> Result<(), Fault> {
        let named = self.ask(&format!("USER {user}")).await?;
        if named.code.class() != Class::Completion {
            self.command(&format!("PASS {password}"), Class::Completion)
                .await?;
        }
        self.command("TYPE I", Class::Completion).await?;
        Ok(())
    }

    /// Connects, secures, logs in.
    ///
    /// # Errors
    /// As the three.
    pub async fn start(options: Options, user: &str, password: &str) -> Result<Self, Fault> {
        let mut client = Self::connect(options).await?;
        client.secure().await?;
        client.login(user, password).await?;
        Ok(client)
    }

    /// Says any one line and reads the final reply to it.
    ///
    /// # Errors
    /// The control connection fails, or nothing comes.
    pub async fn ask(&mut self, line: &str) -> Result<Answer, Fault> {
        self.say(line).await?;
        loop {
            let answer = self.answer().await?;
            if answer.code.class() != Class::Preliminary {
                return Ok(answer);
            }
        }
    }

    /// As `ask`, and the reply must be of this class.
    ///
    /// # Errors
    /// As `ask`; `Unexpected` for a reply of another class.
    pub async fn command(&mut self, line: &str, class: Class) -> Result<Answer, Fault> {
        let answer = self.ask(line).await?;
        if answer.code.class() == class {
            Ok(answer)
        } else {
            Err(Fault::Unexpected(answer))
        }
    }

    /// How the control connection became private.
    #[must_use]
    pub const fn control_handshake(&self) -> Option<Handshake> {
        self.control_handshake
    }

    /// EPSV: where the next data connection goes.
    ///
    /// # Errors
    /// The server refuses, or its reply holds no port.
    pub async fn epsv(&mut self) -> Result<SocketAddr, Fault> {
        let answer = self.command("EPSV", Class::Completion).await?;
        let port = answer.lines.last().map(ReplyLine::text);
        let port = port.and_then(read_epsv_reply).ok_or(Fault::NotFtp)?;
        Ok(SocketAddr::new(self.options.address.ip(), port))
    }

    /// PASV: where the next data connection goes, as the server says it.
    ///
    /// # Errors
    /// As `epsv`.
    pub async fn pasv(&mut self) -> Result<SocketAddr, Fault> {
        let answer = self.command("PASV", Class::Completion).await?;
        let address = answer.lines.last().map(ReplyLine::text);
        let address = address.and_then(read_pasv_reply).ok_or(Fault::NotFtp)?;
        Ok(address.into())
    }

    /// Gets a file.
    ///
    /// # Errors
    /// Only what ends the session; the rest is in the channel.
    pub async fn retr(&mut self, path: &str, sink: Sink) -> Result<Channel, Fault> {
        self.passive(&format!("RETR {path}"), Cargo::Take(sink))
            .await
    }

    /// Puts a file.
    ///
    /// # Errors
    /// As `retr`.
    pub async fn stor(
        &mut self,
        path: &str,
        source: Source,
        manner: Manner,
    ) -> Result<Channel, Fault> {
        let cargo = Cargo::Give(source, manner);
        self.passive(&format!("STOR {path}"), cargo).await
    }

    /// Lists a directory by `verb`: LIST, NLST or MLSD.
    ///
    /// # Errors
    /// As `retr`.
    pub async fn list(&mut self, verb: &str, path: &str) -> Result<Channel, Fault> {
        let line = format!("{verb} {path}");
        self.passive(line.trim_end(), Cargo::Take(Sink::Keep)).await
    }

    /// EPSV and a transfer.
    ///
    /// # Errors
    /// As `retr`.
    pub async fn passive(&mut self, line: &str, cargo: Cargo) -> Result<Channel, Fault> {
        let to = self.epsv().await?;
        self.transfer(to, line, cargo, None).await
    }

    /// A transfer by `line` over a data connection to `to`; `progress` is told every so often how many bytes came.
    ///
    /// # Errors
    /// As `retr`.
    pub async fn transfer(
        &mut self,
        to: SocketAddr,
        line: &str,
        cargo: Cargo,
        progress: Option<Box<dyn FnMut(u64)>>,
    ) -> Result<Channel, Fault> {
        self.say(line).await?;
        let tls = self.resume.as_ref().zip(self.options.tls.as_ref());
        let tls = tls.map(|(resume, (base, name))| match self.options.resume {
            true => (resume.data(), name.clone()),
            false => (ClientResume::new(base).data(), name.clone()),
        });
        let mut flow = Flow::start(to, tls, cargo, progress);
        let both = self.follow(&mut flow).await;
        flow.channel.took = flow.elapsed();
        both.map(|()| flow.channel)
    }

    /// QUIT, and a polite end of the control connection; gives whether the server's own end was clean.
    ///
    /// # Errors
    /// The control connection fails before the goodbye.
    pub async fn quit(mut self) -> Result<Option<leg::Ended>, Fault> {
        self.command("QUIT", Class::Completion).await?;
        let leg = self.control.leg_mut();
        let ended = within(limits::LINGER_TIMEOUT, |cx| leg.poll_close(cx)).await;
        Ok(ended.and_then(Result::ok))
    }

    async fn say(&mut self, line: &str) -> Result<(), Fault> {
        self.control.say(format!("{line}\r\n").as_bytes())?;
        let sent = within(self.options.patience, |cx| self.control.poll_flush(cx)).await;
        Ok(sent.ok_or(Fault::Silent("a command's way out"))??)
    }

    /// The next whole reply.
    async fn answer(&mut self) -> Result<Answer, Fault> {
        loop {
            let heard = within(self.options.patience, |cx| self.control.poll_line(cx)).await;
            let heard = heard.ok_or(Fault::Silent("a reply"))??;
            if let Some(answer) = self.replies.take(heard)? {
                return Ok(answer);
            }
        }
    }

    async fn expect(&mut self, class: Class) -> Result<(), Fault> {
        let answer = self.answer().await?;
        if answer.code.class() == class {
            Ok(())
        } else {
            Err(Fault::Unexpected(answer))
        }
    }
}
