//! One FTP client: its control connection, and one transfer at a time.

use std::borrow::Cow;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use super::{PATIENCE, Passive, Service, Shared};
use crate::ftp::{Answer, Command, Direction, Telnet, Verb, pasv_reply, write_epsv_reply};
use crate::leg::{ControlLeg, Fault, Heard, Leg};
use crate::limits;
use crate::net::Stream;
use crate::rig::goods::Goods;
use crate::rig::wait::within;
use crate::rig::wire::Wire;
use crate::tls::ServerResume;

/// A session and what it has prepared for the next transfer.
pub(super) struct Session {
    control: ControlLeg,
    service: Service,
    shared: Rc<Shared>,
    /// Some from TLS on.
    resume: Option<ServerResume>,
    is_private: bool,
    listener: Option<Passive>,
}

/// How the session goes on behind a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    Leave,
}

impl Session {
    pub(super) fn new(stream: Stream, service: Service, shared: Rc<Shared>) -> Self {
        let leg = Leg::new(stream);
        Self {
            control: ControlLeg::new(leg, limits::COMMAND_LINE_BYTES_MAX, Telnet::Strip),
            service,
            shared,
            resume: None,
            is_private: service == Service::Implicit,
            listener: None,
        }
    }

    /// Serves until the client leaves; a connection that fails has nobody left to tell.
    pub(super) async fn run(mut self) {
        if self.serve().await.is_ok() {
            let leg = self.control.leg_mut();
            let _parted = within(limits::LINGER_TIMEOUT, |cx| leg.poll_close(cx)).await;
        }
    }

    async fn serve(&mut self) -> Result<(), Fault> {
        if self.service == Service::Implicit {
            self.secure().await?;
        }
        self.say("220 Strike.").await?;
        loop {
            let Heard::Line(line) = poll_fn(|cx| self.control.poll_line(cx)).await? else {
                return Ok(());
            };
            let next = match Command::read(&line) {
                Ok(command) => self.answer(&command).await?,
                Err(_) => {
                    self.say("500 That is no command.").await?;
                    Next::Go
                }
            };
            if next == Next::Leave {
                return Ok(());
            }
        }
    }

    async fn say(&mut self, reply: &str) -> Result<(), Fault> {
        self.control.say(format!("{reply}\r\n").as_bytes())?;
        let sent = within(PATIENCE, |cx| self.control.poll_flush(cx)).await;
        sent.unwrap_or(Err(Fault::Closed))
    }

    async fn secure(&mut self) -> Result<(), Fault> {
        let Some(base) = &self.shared.options.tls else {
            return Err(Fault::Closed);
        };
        let resume = ServerResume::new(base);
        self.control.secure_as_server(resume.control())?;
        self.resume = Some(resume);
        let leg = self.control.leg_mut();
        let shaken = within(PATIENCE, |cx| leg.poll_handshake(cx)).await;
        shaken.unwrap_or(Err(Fault::Closed))
    }

    async fn answer(&mut self, command: &Command) -> Result<Next, Fault> {
        if let Answer::Transfer(direction) = command.verb.row().answer {
            self.transfer(command, direction).await?;
            return Ok(Next::Go);
        }
        let reply: Cow<'static, str> = match command.verb {
            Verb::Auth if self.service == Service::Explicit && self.resume.is_none() => {
                self.say("234 Go on in TLS.").await?;
                self.secure().await?;
                return Ok(Next::Go);
            }
            Verb::Auth => "502 Not here.".into(),
            Verb::User if self.service != Service::Plain && self.resume.is_none() => {
                "530 AUTH TLS comes first.".into()
            }
            Verb::User => "331 And the password?".into(),
            Verb::Pass => "230 Come in.".into(),
            Verb::Prot => {
                self.is_private = command.argument.eq_ignore_ascii_case(b"P");
                "200 Protection is as you wish.".into()
            }
            Verb::Pasv | Verb::Epsv => self.listen(command.verb).into(),
            Verb::Size => match Goods::file(&String::from_utf8_lossy(&command.argument)) {
                Some(goods) => format!("213 {}", goods.len()).into(),
                None => "550 No such file.".into(),
            },
            Verb::Feat => FEATURES.into(),
            Verb::Pwd | Verb::Xpwd => "257 \"/\"".into(),
            Verb::Cwd | Verb::Cdup => "250 It is all one.".into(),
            Verb::Syst => "215 UNIX Type: L8".into(),
            Verb::Abor => "226 There is nothing to abort.".into(),
            Verb::Quit => {
                self.say("221 Goodbye.").await?;
                return Ok(Next::Leave);
            }
            Verb::Noop
            | Verb::Pbsz
            | Verb::Type
            | Verb::Stru
            | Verb::Mode
            | Verb::Opts
            | Verb::Clnt
            | Verb::Allo
            | Verb::Dele => "200 Fine.".into(),
            _ => "502 Not here.".into(),
        };
        self.say(&reply).await?;
        Ok(Next::Go)
    }

    /// A port for the next data connection, on the address that the client has reached.
    fn listen(&mut self, verb: Verb) -> String {
        self.listener = None;
        let passive = match self.shared.listen(self.control.leg().local().ip()) {
            Ok(passive) => passive,
            Err(fault) => return format!("425 No port: {fault}."),
        };
        let reply = match (verb, passive.0.local()) {
            (Verb::Pasv, SocketAddr::V4(address)) => pasv_reply(address),
            (Verb::Pasv, _) => return "522 EPSV, please.".to_owned(),
            (_, address) => write_epsv_reply(address.port()),
        };
        self.listener = Some(passive);
        String::from_utf8_lossy(&reply.wire()).trim_end().to_owned()
    }

    async fn transfer(&mut self, command: &Command, direction: Direction) -> Result<(), Fault> {
        let path = String::from_utf8_lossy(&command.argument);
        let goods = match command.verb {
            Verb::List | Verb::Nlst | Verb::Mlsd => Some(Goods::listing(&path)),
            _ => Goods::file(&path),
        };
        let Some(mut passive) = self.listener.take() else {
            return self.say("425 PASV or EPSV comes first.").await;
        };
        if goods.is_none() && direction == Direction::Download {
            return self.say("550 No such file.").await;
        }
        self.say("150 Here it comes.").await?;
        // Bytes have no bound of their own here: the client's patience ends them, and its reset is heard.
        let moved = self.go(&mut passive, goods, direction).await;
        self.shared.count(|totals| match moved {
            Ok(()) => totals.transfers += 1,
            Err(_) => totals.failures += 1,
        });
        self.say(moved.err().unwrap_or("226 Transfer complete."))
            .await
    }

    /// The data connection from its first packet to our end of it, or the reply that says why not.
    async fn go(
        &self,
        passive: &mut Passive,
        goods: Option<Goods>,
        direction: Direction,
    ) -> Result<(), &'static str> {
        let mut wire = self.open(passive).await?;
        let count = |bytes| self.shared.count(|totals| totals.bytes += bytes);
        let mut verdict = Ok(());
        match (direction, goods) {
            (Direction::Download, Some(goods)) => wire.send_goods(goods, count).await,
            _ => {
                let mut equal = true;
                let taken = wire.take_all(|at, piece| {
                    count(piece.len() as u64);
                    equal &= goods.is_none_or(|goods| goods.seems(at, piece));
                });
                let taken = taken.await;
                verdict = match &taken {
                    Ok((len, _)) if !equal || goods.is_some_and(|goods| goods.len() != *len) => {
                        Err("451 That is not the file of that name.")
                    }
                    // A file that is all there may end so, as servers have it by default; how long another one is, nobody knows.
                    Ok((_, false)) if goods.is_none() => Err("426 There was no close_notify."),
                    _ => Ok(()),
                };
                taken.map(|_| ())
            }
        }
        .map_err(|_| BROKEN)?;
        // What is refused was still heard to its end: it is the reply that says so. An upload that has come stays, whether
        // or not its client waits for our end: mod_proxy and lftp do not.
        match wire.part().await {
            Ok(()) => wire.linger(limits::LINGER_TIMEOUT),
            Err(_) if direction == Direction::Upload => {}
            Err(_) => return Err(BROKEN),
        }
        verdict
    }

    async fn open(&self, (listener, lease): &mut Passive) -> Result<Wire, &'static str> {
        let client = self.control.leg().peer().ip();
        let accepted = within(PATIENCE, |cx| {
            loop {
                match listener.poll_accept(cx) {
                    Poll::Ready(Ok(stream)) if stream.peer().ip() != client => stream.abort(),
                    other => return other,
                }
            }
        });
        let Some(Ok(stream)) = accepted.await else {
            return Err("425 Nobody came for the data.");
        };
        if let Some(lease) = lease {
            lease.taken();
        }
        let resume = self.resume.as_ref().filter(|_| self.is_private);
        let mut shaking = pin!(Wire::accept(stream, resume.map(ServerResume::download)));
        let Some(Ok(wire)) = within(PATIENCE, |cx| shaking.as_mut().poll(cx)).await else {
            return Err("425 The data connection did not become private.");
        };
        if wire.resumed() == Some(true) {
            self.shared.count(|totals| totals.resumed += 1);
        } else if resume.is_some() && self.shared.options.demand_resumption {
            return Err(
                "522 The data connection must resume the TLS session of the control connection.",
            );
        }
        Ok(wire)
    }
}

const BROKEN: &str = "426 The transfer broke off.";

/// RFC 2389 section 3.2.
const FEATURES: &str =
    "211-Features:\r\n AUTH TLS\r\n PBSZ\r\n PROT\r\n EPSV\r\n PASV\r\n SIZE\r\n UTF8\r\n211 End";
