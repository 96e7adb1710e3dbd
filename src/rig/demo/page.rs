//! The demo's words for a person: one block for each transfer, one line for each leg.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use super::acts::Act;
use super::stage::Stage;
use crate::ftp::escape;
use crate::rig::Handshake;
use crate::rig::backend::{OwnEnd, Record};
use crate::rig::client::{Channel, Fault};
use crate::sys::clock;

/// What the reader's terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    terminal: bool,
    colour: bool,
    utf8: bool,
}

impl Look {
    /// Colour only on a terminal and where NO_COLOR is not set (no-color.org); signs beyond ASCII only where the locale has
    /// them.
    pub(super) fn of(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        Self {
            terminal,
            colour: terminal
                && set("NO_COLOR").is_none()
                && variable("TERM").is_some_and(|term| term != "dumb"),
            utf8: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }
}

/// Standard output, with a look.
pub(super) struct Page {
    look: Look,
}

/// Colours, by what they are for.
#[derive(Clone, Copy)]
enum Ink {
    Title,
    Good,
    Bad,
    Faint,
}

impl Page {
    pub(super) const fn new(look: Look) -> Self {
        Self { look }
    }

    fn ink(&self, ink: Ink, text: impl Display) -> String {
        let code = match ink {
            Ink::Title => "1",
            Ink::Good => "32",
            Ink::Bad => "1;31",
            Ink::Faint => "2",
        };
        match self.look.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_string(),
        }
    }

    fn sign(&self, good: bool) -> String {
        match (good, self.look.utf8) {
            (true, true) => self.ink(Ink::Good, "✓"),
            (true, false) => self.ink(Ink::Good, "ok"),
            (false, true) => self.ink(Ink::Bad, "✗"),
            (false, false) => self.ink(Ink::Bad, "FAILED"),
        }
    }

    fn line(&self, text: impl Display) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    pub(super) fn title(&self, stage: &Stage) -> io::Result<()> {
        let arrow = if self.look.utf8 { "→" } else { "->" };
        let cores = match stage.cores {
            1 => "1 core".to_owned(),
            cores => format!("{cores} cores"),
        };
        let title = self.ink(Ink::Title, "sluicegate, a demonstration");
        let backend = stage.backend.addresses()[0];
        self.line(format!(
            "\n{title}\n  client {arrow} gate {} on {cores} {arrow} backend {backend}; TLS on every connection",
            stage.gate
        ))
    }

    pub(super) fn session(&self, control: Option<Handshake>) -> io::Result<()> {
        let shaken = control.map_or_else(|| "in the clear".into(), handshake);
        self.line(format!(
            "  control connection: {shaken}; the backend demands that data connections resume its TLS session\n"
        ))?;
        let header = row(["", "TCP", "TLS", "bytes", "close_notify", "FIN", "reply"]);
        self.line(self.ink(Ink::Faint, header.trim_end()))
    }

    pub(super) fn act(&self, number: usize, act: &Act) -> io::Result<()> {
        let title = self.ink(Ink::Title, format!("{number}  {}", act.title));
        self.line(format!("\n{title}"))?;
        self.line(self.ink(Ink::Faint, format!("   {}", act.command)))
    }

    /// A line that is drawn over while bytes come; only a terminal can do that.
    pub(super) fn progress(self: &Rc<Self>, whole: u64) -> Option<Box<dyn FnMut(u64)>> {
        if !self.look.terminal {
            return None;
        }
        let page = Rc::clone(self);
        let begun = clock::now();
        let mut drawn = begun;
        Some(Box::new(move |bytes| {
            let now = clock::now();
            if now - drawn >= PROGRESS_INTERVAL || bytes == whole {
                drawn = now;
                // A terminal that is gone shows in the next line of the page.
                let _drawn = page.draw(bytes, whole, now - begun);
            }
        }))
    }

    fn draw(&self, bytes: u64, whole: u64, took: Duration) -> io::Result<()> {
        let filled = usize::try_from(bytes * BAR as u64 / whole.max(1)).unwrap_or(BAR);
        let (full, empty) = if self.look.utf8 {
            ("█", "░")
        } else {
            ("#", ".")
        };
        let bar = full.repeat(filled) + &empty.repeat(BAR.saturating_sub(filled));
        let rate = bytes as f64 / took.as_secs_f64().max(0.001);
        let mut out = io::stdout();
        if bytes == whole {
            write!(out, "\r\x1b[K")?;
        } else {
            write!(
                out,
                "\r   {bar}  {} MiB  {}\x1b[K",
                bytes >> 20,
                speed(rate)
            )?;
        }
        out.flush()
    }

    /// Both legs, and whether all was as promised.
    pub(super) fn outcome(
        &self,
        channel: &Channel,
        record: Option<&Record>,
        verdict: Result<&str, String>,
    ) -> io::Result<()> {
        self.line(client_row(channel).trim_end())?;
        let backend = record.map_or_else(|| "   backend leg: nothing was seen".into(), backend_row);
        self.line(backend.trim_end())?;
        let rate = channel.rate().filter(|_| channel.bytes >= RATED_BYTES_MIN);
        let rate = rate.map_or_else(String::new, |rate| format!(", {}", speed(rate)));
        let took = milliseconds(channel.took);
        match verdict {
            Ok(good) => self.line(format!("   {} {good} ({took}{rate})", self.sign(true))),
            Err(bad) => {
                let fault = channel.fault.as_ref();
                let fault = fault.map_or_else(String::new, |fault| format!("; {fault}"));
                let bad = self.ink(Ink::Bad, format!("{bad}{fault}"));
                self.line(format!("   {} {bad} ({took})", self.sign(false)))
            }
        }
    }

    /// The session itself broke.
    pub(super) fn broken(&self, fault: &Fault) -> io::Result<()> {
        let text = self.ink(Ink::Bad, fault);
        self.line(format!("   {} the session ended: {text}", self.sign(false)))
    }

    pub(super) fn verdict(&self, acts: usize, failed: usize) -> io::Result<()> {
        let text = match failed {
            0 => self.ink(
                Ink::Good,
                format!("All {acts} went as promised: no success without a complete data connection, no empty file by mistake."),
            ),
            _ => self.ink(Ink::Bad, format!("{failed} of {acts} did not go as promised.")),
        };
        self.line(format!("\n{} {text}", self.sign(failed == 0)))
    }

    /// What can be pasted into another terminal.
    pub(super) fn invitation(&self, stage: &Stage) -> io::Result<()> {
        let ca = escape(stage.authority().as_os_str().as_encoded_bytes());
        let gate = stage.gate;
        let curl = format!("curl --ssl-reqd --cacert {ca} --user demo:demo");
        let lftp = "set ftp:ssl-force true; set ftp:ssl-protect-data true";
        let title = self.ink(
            Ink::Title,
            "Still up; Ctrl-C ends it. Any user, any password:",
        );
        self.line(format!(
            "\n{title}\n\
             \x20 {curl} ftp://{gate}/\n\
             \x20 {curl} ftp://{gate}/misbehave/bare-close/empty -o empty && ls -l empty\n\
             \x20 {curl} ftp://{gate}/1GiB.bin -o /dev/null\n\
             \x20 {curl} --upload-file README.md ftp://{gate}/upload/\n\
             \x20 lftp -u demo,demo -e '{lftp}; set ssl:ca-file {ca}' ftp://{gate}\n\
             Paths below /misbehave/NAME/ misbehave; the names: {curl} --quote 'SITE HELP' --verbose ftp://{gate}/empty-dir/"
        ))
    }
}

const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Width of the bar.
const BAR: usize = 40;

/// Smaller transfers have no rate worth telling.
const RATED_BYTES_MIN: u64 = 1 << 20;

const WIDTHS: [usize; 7] = [14, 10, 23, 15, 14, 7, 0];

fn row<T: AsRef<str>>(cells: [T; 7]) -> String {
    let mut line = "   ".to_owned();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        line.push_str(&format!("{:<width$}", cell.as_ref()));
    }
    line
}

fn client_row(channel: &Channel) -> String {
    let behind = channel.replied_behind_fin.filter(|_| channel.succeeded());
    let reply = match (channel.reply, behind) {
        (None, _) => "none".into(),
        (Some(code), Some(true)) => format!("{code} behind FIN").into(),
        (Some(code), Some(false)) => format!("{code} before FIN").into(),
        (Some(code), None) => Cow::from(code.to_string()),
    };
    row([
        "client leg".into(),
        channel
            .established
            .map_or_else(|| "never".into(), |at| milliseconds(at).into()),
        channel
            .handshake
            .map_or_else(|| "none".into(), |shaken| handshake(shaken).into()),
        grouped(channel.bytes).into(),
        yes(channel.close_notify.is_some()).into(),
        yes(channel.fin.is_some()).into(),
        reply,
    ])
}

fn backend_row(record: &Record) -> String {
    let (close_notify, fin) = match record.own_end {
        OwnEnd::None => ("no", "no"),
        OwnEnd::CloseNotify => ("yes", "yes"),
        OwnEnd::Fin => ("no", "yes"),
        OwnEnd::Reset => ("no", "reset"),
    };
    row([
        "backend leg".into(),
        record
            .established
            .map_or_else(|| "never".into(), |at| milliseconds(at).into()),
        record
            .handshake
            .map_or_else(|| "none".into(), |shaken| handshake(shaken).into()),
        grouped(record.bytes).into(),
        close_notify.into(),
        fin.into(),
        match record.reply {
            0 => Cow::from("none"),
            code => code.to_string().into(),
        },
    ])
}

const fn yes(happened: bool) -> &'static str {
    if happened { "yes" } else { "no" }
}

fn handshake(shaken: Handshake) -> String {
    let kind = if shaken.resumed { "resumed" } else { "full" };
    format!(
        "{} {kind}, {}",
        shaken.version.as_str(),
        milliseconds(shaken.took)
    )
}

fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        _ if ms < 10.0 => format!("{ms:.2} ms"),
        _ if ms < 1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1000.0),
    }
}

fn speed(bytes_per_second: f64) -> String {
    format!("{:.0} MB/s", bytes_per_second / 1e6)
}

/// Digits in threes.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_that_want_it() {
        let of = |terminal, variables: &'static [(&str, &str)]| {
            Look::of(terminal, |name| {
                let found = variables.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(of(true, &[("TERM", "xterm")]).colour);
        assert!(!of(true, &[("TERM", "xterm"), ("NO_COLOR", "1")]).colour);
        assert!(!of(true, &[("TERM", "dumb")]).colour);
        assert!(!of(false, &[("TERM", "xterm")]).colour);
        assert!(of(false, &[("LANG", "de_DE.UTF-8")]).utf8);
        assert!(!of(false, &[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]).utf8);
    }

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1 << 30), "1,073,741,824");
        assert_eq!(milliseconds(Duration::from_micros(512)), "0.51 ms");
        assert_eq!(milliseconds(Duration::from_millis(1234)), "1.23 s");
    }
}
