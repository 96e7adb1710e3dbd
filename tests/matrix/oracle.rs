//! What the contract demands of a cell: a pure function, written from the rules and not from the gate.
//!
//! First each side is looked at alone: what the client does to the stream, what the backend makes of it. Then the rules
//! are laid over both. Where the contract leaves room, as with a peer that lies about what it has received, more than
//! one outcome is right; which ones, and why, stands here and in the table.

use super::cells::{Arrival, Cell, Empty, Ending, Manner, Prot, Size, Unfinished, Verb};

/// How a data connection ended, as the peer at its other end saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There was none.
    Never,
    /// Before the handshake was done.
    Bare,
    /// close_notify and FIN; FIN where data is clear.
    Clean,
    /// FIN without close_notify.
    Unfinished,
    /// RST, or anything that TLS does not allow.
    Reset,
}

/// How much of the file must have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    Nothing,
    Half,
    Whole,
    /// What has arrived must be the beginning of the file.
    Some,
}

/// What becomes of the session behind the transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Its next transfer is right.
    GoesOn,
    /// It ends, by 421.
    Ends,
    /// One or the other: a backend that is told to abort may not come to where it is lost.
    MayEnd,
}

/// What the contract demands.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// Final replies that are right.
    pub(crate) replies: Vec<u16>,
    /// Ends of the data connection at the client that are right with a 2xx.
    pub(crate) client_on_success: Vec<End>,
    /// And with any other reply.
    pub(crate) client_on_failure: Vec<End>,
    /// What a client that looks must have received with a 2xx.
    pub(crate) amount: Amount,
    /// And with any other reply.
    pub(crate) amount_on_failure: Amount,
    /// Ends of the data connection at the backend that are right; empty: the contract says nothing.
    pub(crate) backend: Vec<End>,
    /// Whether the backend must have the file, or must not; nothing: it is its own matter.
    pub(crate) stored: Option<bool>,
    pub(crate) session: After,
    /// The rules that decide, by their numbers.
    pub(crate) rules: &'static [u8],
    /// The same in words.
    pub(crate) why: &'static str,
}

/// What one side alone makes of the transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// It calls it a success, and rightly: so much has passed, and its data leg ended so.
    Done(u16, Amount, End),
    /// The backend refuses with this reply of its own behind so much.
    Own(u16, Amount),
    /// It fails, whatever is said of it.
    Fails(&'static str),
    /// A success that the gate may, but need not, know to be none.
    Either(&'static str),
    /// The control connection of the backend is lost.
    Lost,
}

const FAILED: [u16; 3] = [425, 426, 451];

/// Who receives or sends so much cannot have it all in the kernel's buffers.
const BUFFERS_HOLD_LESS: usize = 4 << 20;

/// What is right for a cell.
pub(crate) fn expected(cell: &Cell) -> Expected {
    if cell.verb.is_upload() {
        upload(cell)
    } else {
        download(cell)
    }
}

fn is_private(prot: Prot) -> bool {
    prot == Prot::P
}

/// What is left of half a file: nothing where it has one byte or none.
fn half(size: Size) -> Amount {
    if size.bytes() < 2 {
        Amount::Nothing
    } else {
        Amount::Half
    }
}

fn whole(size: Size) -> Amount {
    if size == Size::Empty {
        Amount::Nothing
    } else {
        Amount::Whole
    }
}

fn bytes(amount: Amount, size: Size) -> usize {
    match amount {
        Amount::Nothing => 0,
        Amount::Half => size.bytes() / 2,
        Amount::Whole | Amount::Some => size.bytes(),
    }
}

/// What a manner does that is the same in both directions.
fn common(cell: &Cell) -> Option<Story> {
    Some(match cell.manner {
        Manner::HangBefore150 => Story::Fails("no reply to the command is bounded"),
        Manner::HangAfter150 => Story::Fails("a data connection that does not come is bounded"),
        Manner::HangHandshake => Story::Fails("a handshake that does not come is bounded"),
        Manner::HangMidStream => Story::Fails("a stream that stands still is bounded"),
        Manner::HangBefore226 => Story::Fails("a final reply that does not come is bounded"),
        Manner::BrokenPasv => Story::Fails("nobody can connect to what a reply does not say"),
        Manner::Refused | Manner::RefusedOpen => Story::Own(550, Amount::Nothing),
        Manner::LostBefore150 | Manner::LostMidStream => Story::Lost,
        Manner::Partial426 | Manner::Truncated426 => Story::Own(426, half(cell.size)),
        Manner::Partial451 => Story::Own(451, half(cell.size)),
        // What a reset takes away with it, nobody can deliver.
        Manner::Reset426 => Story::Own(426, Amount::Some),
        Manner::Whole426 => Story::Own(426, whole(cell.size)),
        _ => return None,
    })
}

/// The backend's side of a download.
fn sends(cell: &Cell) -> Story {
    let private = is_private(cell.backend.prot);
    let well = |code| Story::Done(code, whole(cell.size), End::Clean);
    let nothing = |end| Story::Done(226, Amount::Nothing, end);
    let waits_for_each_other = cell.arrival == Arrival::AfterPreliminary && cell.size == Size::Big;
    if let Some(story) = common(cell) {
        return story;
    }
    match cell.manner {
        Manner::DataFirst | Manner::NoPreliminary if waits_for_each_other => {
            Story::Either("client and backend wait for each other: bounded")
        }
        Manner::Long => well(250),
        Manner::Careless if private => Story::Done(226, whole(cell.size), End::Unfinished),
        Manner::Truncated226 if private => Story::Done(226, half(cell.size), End::Unfinished),
        Manner::Truncated226 => Story::Done(226, half(cell.size), End::Clean),
        Manner::BareClose if private => nothing(End::Bare),
        Manner::BareClose => nothing(End::Clean),
        Manner::BareReset if private => nothing(End::Bare),
        Manner::BareReset => Story::Fails("a reset of a clear stream is no end of it"),
        Manner::NeverTake if private || cell.backend.mode.is_active() => nothing(End::Bare),
        Manner::NeverTake => Story::Fails("a stream that stands still is bounded"),
        Manner::ClosedPort if private || cell.backend.mode.is_active() => nothing(End::Bare),
        Manner::ClosedPort => Story::Either("the kernel refuses the connection, or resets it"),
        Manner::Reset226 | Manner::CutRecord => Story::Fails("a broken stream is never a file"),
        _ => well(226),
    }
}

/// The backend's side of an upload.
fn takes(cell: &Cell) -> Story {
    let private = is_private(cell.backend.prot);
    let is_big = cell.size.bytes() >= BUFFERS_HOLD_LESS;
    let lie = "the backend may lie about bytes that its kernel has taken";
    let never = "an upload that was never taken is no success";
    let well = |code| Story::Done(code, whole(cell.size), End::Clean);
    if let Some(story) = common(cell) {
        return story;
    }
    match cell.manner {
        Manner::NoPreliminary if cell.arrival == Arrival::AfterPreliminary => {
            Story::Fails("client and backend wait for each other: bounded")
        }
        Manner::Long => well(250),
        Manner::BareClose | Manner::BareReset | Manner::NeverTake | Manner::ClosedPort
            if private =>
        {
            Story::Fails(never)
        }
        Manner::NeverTake | Manner::ClosedPort if cell.backend.mode.is_active() => {
            Story::Fails(never)
        }
        Manner::BareReset | Manner::NeverTake | Manner::ClosedPort if is_big => Story::Fails(never),
        Manner::Truncated226 | Manner::Reset226 if is_big => {
            Story::Fails("what was not taken is no success")
        }
        Manner::BareClose
        | Manner::BareReset
        | Manner::NeverTake
        | Manner::ClosedPort
        | Manner::Truncated226
        | Manner::Reset226 => Story::Either(lie),
        _ => well(226),
    }
}

/// What a client does to a download of which so much comes.
fn reads(cell: &Cell, comes: Amount) -> Story {
    let fits = bytes(comes, cell.size) < BUFFERS_HOLD_LESS;
    match (cell.arrival, cell.ending) {
        (Arrival::Never, _) => Story::Fails("the client never connected"),
        (_, Ending::Bare) => Story::Fails("the client left without a handshake"),
        (_, Ending::Reset | Ending::Stops) if !fits => {
            Story::Fails("the client did not take what it asked for")
        }
        (_, Ending::Reset) => Story::Either("the client left with what it may have taken"),
        _ => Story::Done(226, comes, End::Clean),
    }
}

/// What a client makes of an upload.
fn writes(cell: &Cell) -> Story {
    match (cell.arrival, cell.ending) {
        (Arrival::Never, _) => Story::Fails("the client never connected: no false empty file"),
        (_, Ending::Bare) if cell.policy.bare_uploads => {
            Story::Done(226, Amount::Nothing, End::Clean)
        }
        (_, Ending::Bare) => Story::Fails("a bare close is no empty file"),
        (_, Ending::Reset) => Story::Fails("a reset stream is never a file"),
        (_, Ending::Stops) => Story::Fails("a stream that stands still is bounded"),
        (_, Ending::Unfinished) => Story::Done(226, whole(cell.size), End::Unfinished),
        _ => Story::Done(226, whole(cell.size), End::Clean),
    }
}

fn download(cell: &Cell) -> Expected {
    let private = is_private(cell.client.prot);
    let backend = pooled(cell, sends(cell));
    let comes = match backend {
        Story::Done(_, amount, _) | Story::Own(_, amount) => amount,
        _ => Amount::Some,
    };
    let client = reads(cell, comes);
    let mut expected = Expected::of(backend, client);
    expected.client_on_success = match backend {
        // Mirrored; a clear leg has nothing but FIN.
        Story::Done(_, _, End::Unfinished) if private => vec![End::Unfinished],
        _ => vec![End::Clean],
    };
    expected.client_on_failure = if private {
        vec![End::Never, End::Bare, End::Unfinished, End::Reset]
    } else {
        // A clear stream that had begun is reset; see the judge for one that had not.
        vec![End::Never, End::Reset]
    };
    expected.amount = comes;
    expected.amount_on_failure = match backend {
        // What was received is delivered, where the end of it does not take it away again.
        Story::Own(_, amount) if private && matches!(client, Story::Done(..)) => amount,
        _ => Amount::Some,
    };
    let polite = !matches!(
        cell.manner,
        Manner::Careless | Manner::Truncated226 | Manner::EarlyFinal
    );
    if let (Story::Done(_, Amount::Whole, _), Story::Done(..), true) = (backend, client, polite) {
        // A close_notify is answered at once.
        expected.backend = vec![End::Clean];
    }
    if cell.size == Size::Empty || comes == Amount::Nothing {
        expected.rules = match expected.rules {
            [1, 7] => &[1, 2, 7],
            rules => rules,
        };
    }
    expected
}

/// What the pool's policy makes of the backend's story.
fn pooled(cell: &Cell, story: Story) -> Story {
    match story {
        Story::Done(code, Amount::Nothing, end) => match cell.policy.empty {
            Empty::Complete => Story::Done(code, Amount::Nothing, End::Clean),
            // SIZE speaks only of what is asked for with RETR.
            Empty::Verify if cell.verb == Verb::Retr && cell.size != Size::Empty => {
                Story::Fails("SIZE says more than nothing")
            }
            Empty::Verify => Story::Done(code, Amount::Nothing, End::Clean),
            Empty::Reject if end == End::Clean => story,
            Empty::Reject => Story::Fails("an empty stream must end clean where the pool says so"),
        },
        Story::Done(code, amount, End::Unfinished) => match cell.policy.backend_unfinished {
            Unfinished::Mirror => story,
            Unfinished::Repair => Story::Done(code, amount, End::Clean),
            Unfinished::Reject => Story::Fails("the pool rejects unfinished streams"),
        },
        story => story,
    }
}

fn upload(cell: &Cell) -> Expected {
    let private = is_private(cell.backend.prot);
    let backend = takes(cell);
    let client = match (writes(cell), cell.policy.client_unfinished) {
        (Story::Done(code, amount, End::Unfinished), Unfinished::Repair) => {
            Story::Done(code, amount, End::Clean)
        }
        (Story::Done(_, _, End::Unfinished), Unfinished::Reject) => {
            Story::Fails("the listener rejects unfinished streams")
        }
        (story, _) => story,
    };
    let mut expected = Expected::of(backend, client);
    let broken = if private {
        vec![End::Never, End::Bare, End::Unfinished, End::Reset]
    } else {
        vec![End::Never, End::Reset]
    };
    match client {
        Story::Done(_, _, End::Unfinished) => {
            // Mirrored, where the leg can say so; then the backend judges.
            if private {
                expected.backend = broken;
                expected.rules = &[5, 7];
                expected.why = "unfinished stays unfinished; the backend judges";
                let lenient = matches!(cell.manner, Manner::Careless | Manner::EarlyFinal);
                if matches!(backend, Story::Done(..)) && !lenient {
                    expected.replies = vec![426];
                    expected.stored = Some(false);
                }
            } else if let Story::Done(..) = backend {
                expected.backend = vec![End::Clean];
                expected.stored = Some(true);
            }
        }
        Story::Done(..) if matches!(backend, Story::Done(..)) => {
            expected.backend = vec![End::Clean];
            expected.stored = Some(true);
        }
        Story::Done(..) => {
            expected.stored = Some(false).filter(|_| !matches!(backend, Story::Either(_)))
        }
        _ => {
            expected.backend = broken;
            expected.stored = Some(false);
        }
    }
    expected.client_on_success = Vec::new();
    expected.client_on_failure = Vec::new();
    expected
}

impl Expected {
    /// The replies, and the rules behind them; the ends are the callers'.
    fn of(backend: Story, client: Story) -> Self {
        let client_fails = match client {
            Story::Fails(why) => Some(why),
            _ => None,
        };
        let own = |code| match client {
            Story::Done(..) => vec![code],
            _ => with_failed(&[code]),
        };
        let (replies, rules, why): (Vec<u16>, &'static [u8], &'static str) = match (backend, client)
        {
            (Story::Lost, _) => (
                with_failed(&[421]),
                &[13],
                "a lost backend is told, never silence",
            ),
            (Story::Own(code, _), _) => {
                (own(code), &[5, 7], "the backend's own reply is passed on")
            }
            (Story::Fails(why), _) => (FAILED.to_vec(), &[4, 5], why),
            (_, Story::Fails(why)) => (FAILED.to_vec(), &[3, 5, 7], why),
            (Story::Either(why), _) => (with_failed(&[226]), &[4, 7], why),
            (Story::Done(code, ..), Story::Either(why)) => (with_failed(&[code]), &[5, 7], why),
            (Story::Done(code, _, End::Unfinished), _) => (
                vec![code],
                &[5, 7],
                "unfinished stays unfinished; the backend's reply stands",
            ),
            (Story::Done(code, ..), _) => (
                vec![code],
                &[1, 7],
                "a success is completed before its reply",
            ),
        };
        Self {
            replies,
            client_on_success: Vec::new(),
            client_on_failure: Vec::new(),
            amount: Amount::Some,
            amount_on_failure: Amount::Some,
            backend: Vec::new(),
            stored: None,
            session: match (backend, client) {
                (Story::Lost, Story::Done(..)) => After::Ends,
                (Story::Lost, _) => After::MayEnd,
                _ => After::GoesOn,
            },
            rules,
            why: client_fails
                .filter(|_| backend != Story::Lost)
                .unwrap_or(why),
        }
    }
}

fn with_failed(codes: &[u16]) -> Vec<u16> {
    [codes, &FAILED].concat()
}

#[cfg(test)]
fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for forbidden in [super::one_side, super::both_sides] {
        let found = super::cover::cover(super::cover::Strength::Pairs, 3, forbidden);
        cells.extend(found.rows.into_iter().map(Cell::from_levels));
    }
    cells
}

/// An oracle that lets everything pass proves nothing: most cells have one right outcome, and each outcome has cells.
#[test]
fn little_is_left_open() {
    let cells = all();
    let is_either = |cell: &&Cell| {
        let replies = expected(cell).replies;
        replies.iter().any(|code| *code < 300) && replies.iter().any(|code| *code >= 400)
    };
    let open = cells.iter().filter(is_either).count();
    assert!(open * 12 < cells.len(), "{open} of {}", cells.len());
    for code in [226, 250, 421, 425, 426, 451, 550] {
        let cells = cells
            .iter()
            .filter(|cell| expected(cell).replies.contains(&code));
        assert!(cells.count() > 3, "{code}");
    }
}

/// What may never be, said once more and in another way than above: success needs a client that was there and whole.
#[test]
fn no_success_without_a_client() {
    let lost = |cell: &&Cell| cell.arrival == Arrival::Never || cell.ending == Ending::Bare;
    let mut count = 0;
    for cell in all().iter().filter(lost) {
        let expected = expected(cell);
        assert!(expected.replies.iter().all(|code| *code >= 400), "{cell:?}");
        assert_ne!(expected.stored, Some(true), "{cell:?}");
        count += 1;
    }
    assert!(count > 50, "{count}");
}
