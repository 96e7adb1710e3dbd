//! A script of one session: who says what, and exactly what the gate does about it, one short line for each action.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sluicegate::dialog::{
    Action, Actions, Close, DataNews, Dialog, End, FromBackend, FromClient, Input, Loss, Note,
    Protection, Side, Target,
};
use sluicegate::limits;
use sluicegate::policy::{
    BackendCcc, BackendProtection, BackendTls, ClientCcc, ClientIdentity, ClientProtection,
    ClientTls, OnEmpty, OnUnfinished, PassiveStyle, PasvAddress, Patience, Pbsz, SiteRules,
};

/// One session under test.
pub(crate) struct Script {
    dialog: Dialog,
    now: Instant,
    done: Vec<String>,
    pub(crate) notes: Vec<Note>,
}

/// The strictest site, with the defaults of everything else.
pub(crate) fn rules() -> SiteRules {
    SiteRules {
        banner: "FTP gateway ready".to_owned(),
        client_tls: ClientTls::Required,
        banner_first: false,
        assume_private: false,
        pbsz: Pbsz::Expected,
        client_ccc: ClientCcc::Refuse,
        client_identity: ClientIdentity::Ignore,
        client_protection: ClientProtection::Private,
        backend_tls: BackendTls::Explicit,
        backend_banner_first: false,
        backend_protection: BackendProtection::Private,
        backend_ccc: BackendCcc::Off,
        mode_z: false,
        hosts: Vec::new(),
        on_empty: OnEmpty::Complete,
        client_unfinished: OnUnfinished::Mirror,
        backend_unfinished: OnUnfinished::Mirror,
        bare_uploads: false,
        active: true,
        passive: PassiveStyle::Auto,
        pasv_address: PasvAddress::Ignore,
        patience: Patience {
            handshake: limits::HANDSHAKE_TIMEOUT,
            login: limits::LOGIN_TIMEOUT,
            idle: limits::IDLE_TIMEOUT,
            backend_connect: limits::BACKEND_CONNECT_TIMEOUT,
            backend_reply: limits::BACKEND_REPLY_TIMEOUT,
            data_connect: limits::DATA_CONNECT_TIMEOUT,
            data_handshake: limits::DATA_HANDSHAKE_TIMEOUT,
            data_completion: limits::DATA_COMPLETION_TIMEOUT,
            linger: limits::LINGER_TIMEOUT,
        },
    }
}

/// The same, everything in clear text.
pub(crate) fn clear() -> SiteRules {
    SiteRules {
        client_tls: ClientTls::Optional,
        client_protection: ClientProtection::Any,
        backend_tls: BackendTls::Off,
        ..rules()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "an Instant cannot be made otherwise; the script counts from it"
)]
fn start() -> Instant {
    Instant::now()
}

impl Script {
    pub(crate) fn open(rules: SiteRules) -> Self {
        Self::open_family(rules, false)
    }

    pub(crate) fn open_family(rules: SiteRules, is_v6: bool) -> Self {
        let mut script = Self::accepted(rules, is_v6);
        script.gives(&["C 220 FTP gateway ready"]);
        script
    }

    /// A client that has just been accepted; what the gate does about it is still to be looked at.
    pub(crate) fn accepted(rules: SiteRules, is_v6: bool) -> Self {
        let now = start();
        let peer = if is_v6 { "fd00::7" } else { "192.0.2.7" };
        let peer = peer.parse().expect("an address");
        let (dialog, greeting) = Dialog::open(Arc::new(rules), peer, now);
        let mut script = Self {
            dialog,
            now,
            done: Vec::new(),
            notes: Vec::new(),
        };
        script.perform(greeting);
        script
    }

    /// A client that has secured its connection; no backend yet.
    pub(crate) fn secured(rules: SiteRules) -> Self {
        let mut script = Self::open(rules);
        script.client("AUTH TLS").gives(&["C 234", "secure client"]);
        script.news(FromClient::Secured).gives(&[]);
        script
    }

    /// A logged-in client under `rules()` or the like, PROT P on both legs.
    pub(crate) fn ready(rules: SiteRules) -> Self {
        let mut script = Self::secured(rules);
        script.client("USER ann").gives(&["connect"]);
        script.reached(FromBackend::Reached).gives(&[]);
        script.backend("220 Hello").gives(&["B AUTH TLS"]);
        script.backend("234 Go").gives(&["secure backend"]);
        script.reached(FromBackend::Secured).gives(&["B USER ann"]);
        script.backend("331 Password").gives(&["C 331 Password"]);
        script.client("PASS secret").gives(&["B PASS secret"]);
        script.backend("230 In").gives(&["C 230 In"]);
        script.client("PBSZ 0").gives(&["C 200"]);
        script.client("PROT P").gives(&["C 200"]);
        script.client("EPSV").gives(&["listen", "B PBSZ 0"]);
        script.passive().gives(&["C 229"]);
        script.backend("200 Zero").gives(&["B PROT P"]);
        script.backend("200 Private").gives(&["B EPSV"]);
        script.backend("229 Here (|||4711|)").gives(&[]);
        script
    }

    /// A logged-in client under `clear()`, in clear text throughout.
    pub(crate) fn ready_clear(rules: SiteRules) -> Self {
        let mut script = Self::open(rules);
        script.client("USER ann").gives(&["connect"]);
        script.reached(FromBackend::Reached).gives(&[]);
        script.backend("220 Hello").gives(&["B USER ann"]);
        script.backend("230 In").gives(&["C 230 In"]);
        script.arrange();
        script
    }

    /// EPSV with everything as it was before.
    pub(crate) fn arrange(&mut self) {
        self.client("EPSV").gives(&["listen", "B EPSV"]);
        self.passive().gives(&["C 229"]);
        self.backend("229 Here (|||4711|)").gives(&[]);
    }

    /// A transfer's command, its 150, and both legs up.
    pub(crate) fn flowing(&mut self, command: &str) {
        let passed = format!("B {command}");
        self.client(command).gives(&["open", &passed]);
        self.backend("150 Opening").gives(&["C 150 Opening"]);
        self.up(Side::Backend);
        self.up(Side::Client);
    }

    /// A leg is connected and secured.
    pub(crate) fn up(&mut self, side: Side) {
        self.data(DataNews::Connected(side)).gives(&[]);
        self.data(DataNews::Up(side)).gives(&[]);
    }

    pub(crate) fn client(&mut self, line: &str) -> &mut Self {
        self.news(FromClient::Line(line.as_bytes().to_vec()))
    }

    pub(crate) fn news(&mut self, news: FromClient) -> &mut Self {
        self.step(Input::Client(news))
    }

    pub(crate) fn backend(&mut self, line: &str) -> &mut Self {
        self.reached(FromBackend::Line(line.as_bytes().to_vec()))
    }

    pub(crate) fn backend_lost(&mut self, loss: Loss) -> &mut Self {
        self.reached(FromBackend::Lost(loss))
    }

    pub(crate) fn reached(&mut self, news: FromBackend) -> &mut Self {
        self.step(Input::Backend(news))
    }

    /// The backend has been passed over for this reason, and there is no other one.
    pub(crate) fn passes_over(&mut self, early: &str) -> &mut Self {
        self.gives(&[&format!("pass over {early}")]);
        self.reached(FromBackend::Unreachable)
    }

    pub(crate) fn passive(&mut self) -> &mut Self {
        let address = "203.0.113.5:50001".parse().expect("an address");
        self.step(Input::Passive(Side::Client, Some(address)))
    }

    pub(crate) fn data(&mut self, news: DataNews) -> &mut Self {
        self.step(Input::Data(news))
    }

    pub(crate) fn ended(&mut self, side: Side, end: End) -> &mut Self {
        self.data(DataNews::Ended(side, end))
    }

    pub(crate) fn flowed(&mut self, bytes: u64, side: Side, end: End) -> &mut Self {
        self.data(DataNews::Flowed { bytes, side, end })
    }

    pub(crate) fn drain(&mut self) -> &mut Self {
        self.step(Input::Drain)
    }

    /// Nothing happens until the next deadline, which must be this far away.
    pub(crate) fn waits(&mut self, expected: Duration) -> &mut Self {
        let deadline = self
            .dialog
            .deadline()
            .expect("somebody has to end the wait");
        assert_eq!(deadline - self.now, expected, "another deadline is first");
        self.now = deadline;
        self.step(Input::Deadline)
    }

    pub(crate) fn passes(&mut self, time: Duration) {
        self.now += time;
    }

    /// A port of ours for the backend.
    pub(crate) fn passive_inside(&mut self, address: &str) -> &mut Self {
        let address = address.parse().expect("an address");
        self.step(Input::Passive(Side::Backend, Some(address)))
    }

    /// No port is free.
    pub(crate) fn no_passive(&mut self) -> &mut Self {
        self.step(Input::Passive(Side::Client, None))
    }

    pub(crate) fn step(&mut self, input: Input) -> &mut Self {
        let actions = self.dialog.step(self.now, input);
        self.perform(actions);
        self
    }

    fn perform(&mut self, actions: Actions) {
        for action in actions {
            match action {
                Action::Note(note) => self.notes.push(note),
                other => self.done.push(shown(&other)),
            }
        }
    }

    /// Exactly these actions, each beginning like this.
    pub(crate) fn gives(&mut self, expected: &[&str]) -> &mut Self {
        let done = std::mem::take(&mut self.done);
        let is_so = done.len() == expected.len()
            && done
                .iter()
                .zip(expected)
                .all(|(done, expected)| done.starts_with(expected));
        assert!(is_so, "expected {expected:#?}\nbut got {done:#?}");
        self
    }

    pub(crate) fn wants_client(&self) -> bool {
        self.dialog.wants_client()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.dialog.ending().is_some()
    }

    pub(crate) fn noted(&self, note: &Note) -> bool {
        self.notes.contains(note)
    }

    /// The session is sound: another file comes through, with the replies in step.
    pub(crate) fn works(&mut self) {
        self.arrange();
        self.flowing("RETR next");
        self.flowed(3, Side::Backend, End::Clean).gives(&[]);
        self.backend("226 Fine").gives(&["end client clean"]);
        self.ended(Side::Client, End::Clean)
            .gives(&["close data", "C 226 Fine"]);
    }
}

fn shown(action: &Action) -> String {
    let text = |wire: &[u8]| {
        String::from_utf8_lossy(wire)
            .trim_end()
            .replace("\r\n", " / ")
    };
    let leg = |side: &Side| {
        if *side == Side::Client {
            "client"
        } else {
            "backend"
        }
    };
    match action {
        Action::ToClient(wire) => format!("C {}", text(wire)),
        Action::ToBackend(wire) => format!("B {}", text(wire)),
        Action::SecureClient => "secure client".to_owned(),
        Action::SecureBackend => "secure backend".to_owned(),
        Action::Clear(side) => format!("clear {}", leg(side)),
        Action::Choose(host) => format!("choose {host:?}"),
        Action::ReleaseBackend => "release".to_owned(),
        Action::ConnectBackend => "connect".to_owned(),
        Action::PassOver(early) => format!("pass over {early:?}"),
        Action::OpenPassive(Side::Client) => "listen".to_owned(),
        Action::OpenPassive(Side::Backend) => "listen inside".to_owned(),
        Action::ClosePassive(Side::Client) => "stop listening".to_owned(),
        Action::ClosePassive(Side::Backend) => "stop listening inside".to_owned(),
        Action::OpenData(plan) => {
            let protection = match (plan.client, plan.backend) {
                (Protection::Private, Protection::Private) => String::new(),
                other => format!(" {other:?}"),
            };
            let targets = match (plan.client_target, plan.backend_target) {
                (Target::Awaited, Target::Port(_) | Target::Address(_)) => String::new(),
                other => format!(" {other:?}"),
            };
            format!("open{protection}{targets}")
        }
        Action::EndData(side, Close::Clean) => format!("end {} clean", leg(side)),
        Action::EndData(side, Close::Unfinished) => format!("end {} unfinished", leg(side)),
        Action::EndData(side, Close::Reset) => format!("end {} reset", leg(side)),
        Action::CloseData => "close data".to_owned(),
        Action::Note(note) => format!("{note:?}"),
        Action::Close => "close".to_owned(),
    }
}
