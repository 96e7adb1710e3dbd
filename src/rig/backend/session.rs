//! One client of the backend: its control connection, and one transfer at a time beside it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use super::Shared;
use super::misbehave::Script;
use super::record::Record;
use super::transfer::{Cargo, Job, Played, Said};
use crate::ftp::{Command, Malformed, Telnet, Verb};
use crate::leg::{ControlLeg, Fault, Heard, Leg};
use crate::limits;
use crate::net::{Listener, Stream};
use crate::rig::wait::within;
use crate::sys::clock;
use crate::tls::ServerResume;

/// A session: its rights, its place in the tree, and what it has prepared for the next transfer.
pub(super) struct Session {
    pub(super) control: ControlLeg,
    pub(super) shared: Rc<Shared>,
    /// Some from AUTH on: the control connection is private.
    pub(super) resume: Option<ServerResume>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) logged_in: bool,
    /// PBSZ was said, without which there is no PROT (RFC 4217 section 9).
    pub(super) buffer_agreed: bool,
    /// PROT P.
    pub(super) private: bool,
    /// Absolute; may lead through `/misbehave/NAME`.
    pub(super) directory: String,
    pub(super) listener: Option<Listener>,
    pub(super) restart: u64,
    pub(super) rename_from: Option<String>,
    /// By SITE MISBEHAVE, for the rest of the session.
    pub(super) manners: Vec<(Verb, Script)>,
    /// Commands that came during a transfer and can wait.
    waiting: VecDeque<Vec<u8>>,
}

/// How the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    /// Politely, behind what was said.
    Leave,
    /// At once.
    Break,
}

impl Session {
    pub(super) fn new(stream: Stream, shared: Rc<Shared>) -> Self {
        let leg = Leg::new(stream);
        Self {
            control: ControlLeg::new(leg, limits::COMMAND_LINE_BYTES_MAX, Telnet::Strip),
            shared,
            resume: None,
            user: None,
            logged_in: false,
            buffer_agreed: false,
            private: false,
            directory: "/".to_owned(),
            listener: None,
            restart: 0,
            rename_from: None,
            manners: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Serves until the client leaves; a connection that fails has nobody left to tell.
    pub(super) async fn run(mut self) {
        let served = self.serve().await;
        match served {
            Ok(Next::Break) | Err(_) => self.control.abort(),
            Ok(_) => {
                let leg = self.control.leg_mut();
                let _parted = within(limits::LINGER_TIMEOUT, |cx| leg.poll_close(cx)).await;
            }
        }
    }

    async fn serve(&mut self) -> Result<Next, Fault> {
        self.say("220 The backend of a rig: nothing here is real.")
            .await?;
        loop {
            let line = match self.waiting.pop_front() {
                Some(line) => line,
                None => match self.line().await? {
                    Some(Heard::Line(line)) => line,
                    Some(Heard::TooLong) => {
                        self.say("500 That line is too long.").await?;
                        return Ok(Next::Leave);
                    }
                    Some(Heard::End { .. }) => return Ok(Next::Leave),
                    None => {
                        self.say("421 Nothing was said for too long.").await?;
                        return Ok(Next::Leave);
                    }
                },
            };
            let next = match Command::read(&line) {
                Ok(command) => self.answer(command).await?,
                Err(malformed) => {
                    self.say(complaint(malformed)).await?;
                    Next::Go
                }
            };
            if next != Next::Go {
                return Ok(next);
            }
        }
    }

    async fn line(&mut self) -> Result<Option<Heard>, Fault> {
        let heard = within(limits::IDLE_TIMEOUT, |cx| self.control.poll_line(cx)).await;
        heard.transpose()
    }

    /// Says a reply (lines between have their own CR LF) and sends it.
    pub(super) async fn say(&mut self, reply: impl Into<Said>) -> Result<(), Fault> {
        self.queue(&reply.into())?;
        let sent = within(limits::RIG_PATIENCE, |cx| self.control.poll_flush(cx)).await;
        sent.unwrap_or(Err(Fault::Closed))
    }

    fn queue(&mut self, reply: &str) -> Result<(), Fault> {
        // One call, so that it is one record.
        self.control.say(format!("{reply}\r\n").as_bytes())
    }

    /// Plays a transfer, and listens to the control connection meanwhile.
    pub(super) async fn transfer(
        &mut self,
        verb: Verb,
        path: String,
        script: Script,
        cargo: Cargo,
    ) -> Result<Next, Fault> {
        let shared = Rc::clone(&self.shared);
        let record = RefCell::new(Record::new(verb, path));
        let says = RefCell::new(VecDeque::new());
        let began = clock::now();
        let mut job = Job {
            shared: &shared,
            script,
            listener: self.listener.take(),
            client: self.control.leg().peer().ip(),
            tls: self
                .resume
                .as_ref()
                .filter(|_| self.private)
                .map(ServerResume::download),
            began,
            record: &record,
            says: &says,
        };
        let accompanied = self.accompany(&mut job, &says, cargo).await;
        // A listener that nobody has taken from lives on: what waits in it must not be reset by our forgetting.
        self.listener = job.listener.take();
        let mut record = record.into_inner();
        record.took = clock::now() - began;
        // An error: nobody will ever ask.
        let _oldest = shared.journal.force_send(record);
        match accompanied? {
            Accompanied::Over(next) => Ok(next),
            Accompanied::Aborted => {
                self.say("426 Aborted.").await?;
                self.say("226 The abort is done.").await?;
                Ok(Next::Go)
            }
        }
    }

    async fn accompany(
        &mut self,
        job: &mut Job<'_>,
        says: &RefCell<VecDeque<Said>>,
        cargo: Cargo,
    ) -> Result<Accompanied, Fault> {
        let mut playing = pin!(job.run(cargo));
        let mut leaving = false;
        loop {
            let turn = poll_fn(|cx| {
                let played = playing.as_mut().poll(cx);
                while let Some(reply) = says.borrow_mut().pop_front() {
                    self.queue(&reply)?;
                }
                if let Poll::Ready(Err(fault)) = self.control.poll_flush(cx) {
                    return Poll::Ready(Err(fault));
                }
                if let Poll::Ready(played) = played {
                    return Poll::Ready(Ok(Turn::Played(played)));
                }
                if self.waiting.len() >= limits::PIPELINE_COMMANDS_MAX || leaving {
                    return Poll::Pending;
                }
                self.control
                    .poll_line(cx)
                    .map(|heard| heard.map(Turn::Heard))
            });
            match turn.await? {
                Turn::Played(Played::ControlLost) => return Ok(Accompanied::Over(Next::Break)),
                Turn::Played(Played::Done) if leaving => {
                    self.say("221 Goodbye.").await?;
                    return Ok(Accompanied::Over(Next::Leave));
                }
                Turn::Played(Played::Done) => return Ok(Accompanied::Over(Next::Go)),
                Turn::Heard(Heard::Line(line)) => match self.meanwhile(line).await? {
                    Meanwhile::Go => {}
                    Meanwhile::Quit => leaving = true,
                    // Leaving here drops what is playing, and with it the data connection: a reset.
                    Meanwhile::Abort => return Ok(Accompanied::Aborted),
                },
                Turn::Heard(_) => return Ok(Accompanied::Over(Next::Break)),
            }
        }
    }

    /// A command in the middle of a transfer (RFC 959 section 4.1.3: ABOR, STAT, QUIT).
    async fn meanwhile(&mut self, line: Vec<u8>) -> Result<Meanwhile, Fault> {
        match Command::read(&line).map(|command| command.verb) {
            Ok(Verb::Abor) => return Ok(Meanwhile::Abort),
            Ok(Verb::Quit) => return Ok(Meanwhile::Quit),
            Ok(Verb::Noop) => self.say("200 Still at it.").await?,
            Ok(Verb::Stat) => self.say("211 A transfer is under way.").await?,
            _ => self.waiting.push_back(line),
        }
        Ok(Meanwhile::Go)
    }
}

enum Turn {
    Played(Played),
    Heard(Heard),
}

/// How it ended beside the control connection.
enum Accompanied {
    Over(Next),
    Aborted,
}

enum Meanwhile {
    Go,
    Quit,
    Abort,
}

const fn complaint(malformed: Malformed) -> &'static str {
    match malformed {
        Malformed::Unknown | Malformed::Foreign => "500 That is no command.",
        Malformed::ArgumentMissing(_) => "501 An argument is missing.",
        Malformed::ArgumentSurplus(_) => "501 There is no argument to this.",
        Malformed::Nul => "500 There is a NUL in that line.",
    }
}
