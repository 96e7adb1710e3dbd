//! What is shown: a table of transfers, each with what must come of it.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::page::Page;
use super::stage::Stage;
use crate::ftp::Class;
use crate::rig::backend::Record;
use crate::rig::client::{self, Cargo, Channel, Client, Fault, Manner, Sink};
use crate::rig::{Source, Stretch};

/// One transfer through the gate.
pub(super) struct Act {
    /// What it is, for a person.
    pub(super) title: &'static str,
    /// The transfer command.
    pub(super) command: &'static str,
    play: Play,
}

enum Play {
    /// A download of these many bytes, which must be complete.
    Take(u64),
    /// An upload of nothing, which must be complete and be there afterwards.
    Give,
    /// An upload that the client breaks off before any TLS, which must fail and leave nothing.
    Break,
}

/// The acts in their order.
pub(super) const ACTS: &[Act] = &[
    Act {
        title: "An empty file",
        command: "RETR /empty",
        play: Play::Take(0),
    },
    Act {
        title: "The same, from a backend that closes without a TLS handshake (APAR IT13168)",
        command: "RETR /misbehave/bare-close/empty",
        play: Play::Take(0),
    },
    Act {
        title: "The same, from a backend that resets",
        command: "RETR /misbehave/bare-reset/empty",
        play: Play::Take(0),
    },
    Act {
        title: "The same, from a backend that says 226 and never takes the connection",
        command: "RETR /misbehave/never-take/empty",
        play: Play::Take(0),
    },
    Act {
        title: "A listing of an empty directory",
        command: "MLSD /empty-dir",
        play: Play::Take(0),
    },
    Act {
        title: "An empty file, upwards",
        command: "STOR /upload/empty",
        play: Play::Give,
    },
    Act {
        title: "An upload whose client closes without a handshake: must not become an empty file",
        command: "STOR /upload/broken",
        play: Play::Break,
    },
    Act {
        title: "1 GiB",
        command: "RETR /1GiB.bin",
        play: Play::Take(1 << 30),
    },
];

/// Plays all of them in one session; says how many did not go as promised.
pub(super) async fn play_all(stage: &Stage, page: Rc<Page>) -> io::Result<usize> {
    let name = ServerName::from(stage.gate.ip());
    let options = client::Options::private(stage.gate, stage.trust.clone(), name);
    let mut client = match Client::start(options, "demo", "demo").await {
        Ok(client) => client,
        Err(fault) => {
            page.broken(&fault)?;
            return Ok(ACTS.len());
        }
    };
    page.session(client.control_handshake())?;
    let mut failed = 0;
    for (at, act) in ACTS.iter().enumerate() {
        page.act(at + 1, act)?;
        let played = play(&mut client, act, &page).await;
        let record = stage.backend.next_record(RECORD_TIMEOUT).await;
        match played {
            Ok(channel) => {
                let verdict = act.judge(&mut client, &channel, record.as_ref()).await;
                failed += usize::from(verdict.is_err());
                page.outcome(&channel, record.as_ref(), verdict)?;
            }
            Err(fault) => {
                page.broken(&fault)?;
                return Ok(failed + ACTS.len() - at);
            }
        }
    }
    // Every transfer has been judged by now; how the session parts adds nothing to it.
    let _parted = client.quit().await;
    Ok(failed)
}

/// The backend's record is there before the client's reply, except where the gate has given up on it.
const RECORD_TIMEOUT: Duration = Duration::from_secs(3);

async fn play(client: &mut Client, act: &Act, page: &Rc<Page>) -> Result<Channel, Fault> {
    let nothing = || Source::Bytes([].into());
    let cargo = match act.play {
        Play::Take(len) => Cargo::Take(Sink::Compare(Stretch::named(act.command, len))),
        Play::Give => Cargo::Give(nothing(), Manner::Polite),
        Play::Break => Cargo::Give(nothing(), Manner::Bare),
    };
    let to = client.epsv().await?;
    let progress = match act.play {
        Play::Take(len) if len > 0 => page.progress(len),
        _ => None,
    };
    client.transfer(to, act.command, cargo, progress).await
}

impl Act {
    /// Whether it went as promised; what was promised and did not happen, otherwise.
    async fn judge(
        &self,
        client: &mut Client,
        channel: &Channel,
        record: Option<&Record>,
    ) -> Result<&'static str, String> {
        let complete = match channel.missing() {
            None => {
                Ok("complete: handshake, every byte, close_notify, FIN, and only then the reply")
            }
            Some(missing) => Err(format!("missing: {missing}")),
        };
        match self.play {
            Play::Take(_) => complete,
            Play::Give => {
                complete?;
                match record {
                    Some(record) if record.complete => Ok("complete, and the backend has the file"),
                    _ => Err("the backend has no such file".to_owned()),
                }
            }
            Play::Break if channel.succeeded() => Err("it was called a success".to_owned()),
            Play::Break if record.is_some_and(|record| record.complete) => {
                Err("the backend has taken it for a file".to_owned())
            }
            Play::Break => {
                let path = self.command.rsplit(' ').next().unwrap_or_default();
                match client
                    .command(&format!("SIZE {path}"), Class::Completion)
                    .await
                {
                    Ok(_) => Err("the backend has a file of it".to_owned()),
                    Err(_) => Ok("refused, and the backend has no such file"),
                }
            }
        }
    }
}
