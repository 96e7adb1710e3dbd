//! One client's life: wait for one thing, let the dialog decide, perform what it says, leave.
//! A shard runs one [`Session`] for each control connection, under a panic guard.
//! It never decides anything about FTP, and never holds anything that outlives it.

mod bell;
mod card;
mod chronicle;
mod ending;
mod inputs;
mod introduce;
mod notes;
mod outbox;
mod perform;
mod reach;
mod stream;
mod transfer;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::data::Passive;
use crate::dialog::{Actions, Dialog, Ending, Input};
use crate::ftp::Telnet;
use crate::leg::{ControlLeg, Leg};
use crate::limits::COMMAND_LINE_BYTES_MAX;
use crate::metrics::{Phase, Recorder};
use crate::net::{Alarm, Ends, PortRange, Stream};
use crate::policy::{Advertise, DataPeer, Networks, PeerIdentity, SendProxy, SiteRules};
use crate::pool::{Hold, MemberId, Pool};
use crate::relay::{Budget, Closing};
use crate::sys::clock;
use crate::tls::setup::{ListenerTls, PoolTls};
use crate::tls::{ClientResume, ServerResume};
use crate::upstream::Reach;
use chronicle::Chronicle;
use notes::Stamps;
use transfer::Transfer;

pub use bell::Bell;
pub use card::{Card, Cards, Running};
pub use outbox::{Letter, Outbox, Tally};
pub use stream::{Passage, Streams};

/// What the sessions of one listener share on one core.
pub struct Site {
    /// The listener's name in the configuration.
    pub name: String,
    /// How sessions are led.
    pub rules: Arc<SiteRules>,
    /// TLS towards clients, if there may be any.
    pub tls: Option<ListenerTls>,
    /// What all its connections share, where they are not FTP.
    pub streams: Option<Streams>,
    /// Where sessions lead that name no host.
    pub inside: Inside,
    /// Where its hosts lead, in their order.
    pub hosts: Vec<Inside>,
    /// This core's slice of the passive ports.
    pub ports: Rc<PortRange>,
    /// The addresses for PASV replies; the gate sends new ones when a name has moved. A listener that is configured anew
    /// goes on with the same cell: where the gate is reached is no matter of when a session has begun.
    pub advertise: Rc<RefCell<Arc<Advertise>>>,
    /// Who passes connections on with a PROXY header, where all come so.
    pub proxies: Option<Arc<Networks>>,
    /// Whether data connections come so too.
    pub proxied_data: bool,
    /// Whose data connections are taken.
    pub data_peer: DataPeer,
    /// Bounds of a running stream.
    pub budget: Budget,
    /// How long what is still to be sent at the end of a leg may take.
    pub completion: Duration,
    /// How long a peer may take for its own end after ours.
    pub linger: Duration,
}

/// A pool and the way to it.
pub struct Inside {
    /// Its members, as this core sees them.
    pub pool: Rc<Pool>,
    /// TLS towards them, where it may be needed.
    pub tls: Option<PoolTls>,
    /// Whether control connections to them begin with a PROXY header.
    pub send_proxy: SendProxy,
    /// Whether data connections to them do.
    pub send_proxy_data: bool,
}

/// What all sessions of one core share.
pub struct Core {
    /// The CPU it is pinned to, for the log.
    pub cpu: usize,
    /// The core's counters and histograms.
    pub recorder: RefCell<Recorder>,
    /// Rings when the process is told to stop.
    pub bell: Bell,
    /// What can be seen of its sessions.
    pub cards: Cards,
    /// Where records go, if a journal is kept.
    pub journal: Option<Outbox>,
    /// Whether the kernel takes over the TLS of long transfers.
    pub kernel_tls: bool,
}

impl Core {
    /// A core that has counted nothing yet.
    #[must_use]
    pub fn new(cpu: usize, journal: Option<Outbox>, kernel_tls: bool) -> Self {
        Self {
            cpu,
            recorder: RefCell::default(),
            bell: Bell::default(),
            cards: Cards::default(),
            journal,
            kernel_tls,
        }
    }
}

/// One client's session.
pub struct Session {
    id: u64,
    card: Rc<Card>,
    site: Rc<Site>,
    core: Rc<Core>,
    dialog: Dialog,
    client: ControlLeg,
    /// The client's connection as the client has it: what the sockets say, unless somebody passes it on.
    ends: Ends,
    /// AUTH has been answered and the handshake is not complete.
    securing: bool,
    /// Made at AUTH: a session in the clear needs none.
    client_tls: Option<ServerResume>,
    /// Which of the listener's hosts the client has chosen.
    host: Option<usize>,
    /// Who the client has proven to be with TLS, if it has.
    identity: Option<Arc<PeerIdentity>>,
    backend: Backend,
    /// Where the client's data connection is awaited.
    passive: Option<Passive>,
    /// Where the backend's is.
    passive_inside: Option<Passive>,
    transfer: Option<Box<Transfer>>,
    /// Data legs that have ended for the transfer and are still being read to their end.
    lingering: Vec<Closing>,
    /// What performing an action has brought about.
    pending: VecDeque<Input>,
    alarm: Alarm,
    /// How often the bell has been heard.
    rings: u32,
    stamps: Stamps,
    chronicle: Chronicle,
}

/// The backend's control connection.
enum Backend {
    Absent,
    Reaching(Box<Reach>),
    There(Box<There>),
}

struct There {
    member: MemberId,
    /// The session's place with it.
    _hold: Hold,
    leg: ControlLeg,
    /// The way to the other members, until this one is ready for a login.
    reach: Option<Box<Reach>>,
    securing: bool,
    /// Its end has been told, once: a transfer may still be under way.
    lost: bool,
    /// Made at AUTH, with the name expected of it; its data connections resume it.
    tls: Option<(ClientResume, ServerName<'static>)>,
}

impl Session {
    /// A session for a client that has just connected, itself or through somebody who has told its `ends`; `id` is for the
    /// log. In a box, as each future that it was handed through would have room for it for good.
    #[must_use]
    pub fn new(
        id: u64,
        stream: Stream,
        ends: Ends,
        site: Rc<Site>,
        core: Rc<Core>,
    ) -> (Box<Self>, Actions) {
        let (peer, now) = (ends.client.ip(), clock::now());
        let (dialog, greeting) = Dialog::open(Arc::clone(&site.rules), peer, now);
        let (client, listener, cpu) = (ends.client, &site.name, core.cpu);
        let via = site
            .proxies
            .as_ref()
            .map(|_| tracing::field::display(stream.peer()));
        tracing::debug!(session = id, %client, via, listener, cpu, "session opened");
        let client = ControlLeg::new(Leg::new(stream), COMMAND_LINE_BYTES_MAX, Telnet::Strip);
        let card = Rc::new(Card::new(id, Rc::clone(&site), ends.client, now));
        core.cards.put(Rc::clone(&card));
        let mut stamps = Stamps::default();
        stamps.began(Phase::Banner, now);
        let session = Box::new(Self {
            id,
            card,
            site,
            core,
            dialog,
            client,
            ends,
            securing: false,
            client_tls: None,
            host: None,
            identity: None,
            backend: Backend::Absent,
            passive: None,
            passive_inside: None,
            transfer: None,
            lingering: Vec::new(),
            pending: VecDeque::new(),
            alarm: Alarm::new(),
            rings: 0,
            stamps,
            chronicle: Chronicle::default(),
        });
        session.tell_opened();
        (session, greeting)
    }

    /// Lives it to its end; says why it ended.
    pub async fn run(&mut self, greeting: Actions) -> Ending {
        self.perform(greeting);
        loop {
            let input = self.next_input().await;
            #[cfg(debug_assertions)]
            panic_on_demand(&input);
            let now = clock::now();
            self.stamps.taken = Some(now);
            let actions = self.dialog.step(now, input);
            self.perform(actions);
            if let Some(ending) = self.dialog.ending() {
                self.tell_ending(ending);
                // In a box: it has its own room only while it is needed.
                Box::pin(self.close()).await;
                return ending;
            }
        }
    }
}

/// The guard around sessions is tested with a real panic: `SITE PANIC`, where the environment asks for it. Not in releases.
#[cfg(debug_assertions)]
#[allow(clippy::panic, reason = "this is what it is for")]
fn panic_on_demand(input: &Input) {
    use crate::dialog::FromClient;

    if matches!(input, Input::Client(FromClient::Line(line)) if line == b"SITE PANIC")
        && std::env::var_os("SLUICEGATE_TEST_PANIC").is_some()
    {
        panic!("on demand");
    }
}
