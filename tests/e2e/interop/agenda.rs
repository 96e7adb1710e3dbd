//! What every client is asked to do, and how it is seen afterwards that it was done.

use crate::support::clients::Target;
use crate::support::noise;
use crate::support::servers::FtpServer;

/// Empty files in one directory.
const HOLLOWS: usize = 200;
/// What a resumed transfer finds at its destination. It is not how the file begins: so it shows who left it alone.
const PREFIX: usize = 1000;
/// Length of the other files: many records, and no round number of them.
const LENGTH: usize = (3 << 20) + 17;

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// `big`, as it is.
    Get,
    /// `up`, as it is.
    Put,
    /// The names in `many`, into the file `listing`.
    List,
    /// All files of `many`, into `got`.
    Mget,
    /// `rest`, behind what is there of it.
    ResumeGet,
    /// `more`, behind what is there of it.
    ResumePut,
    /// `old` to `new`.
    Rename,
    /// `doomed`.
    Delete,
}

impl Task {
    pub(crate) const ALL: [Self; 8] = [
        Self::Get,
        Self::Put,
        Self::List,
        Self::Mget,
        Self::ResumeGet,
        Self::ResumePut,
        Self::Rename,
        Self::Delete,
    ];

    /// Whether it was done.
    pub(crate) fn is_done(self, server: &FtpServer, target: &Target) -> bool {
        let received = |name: &str| std::fs::read(target.path(name)).ok();
        match self {
            Self::Get => received("big") == Some(noise(LENGTH)),
            Self::Put => server.get("up") == Some(noise(LENGTH)),
            Self::List => received("listing").is_some_and(|text| {
                let text = String::from_utf8_lossy(&text).into_owned();
                text.lines().filter(|line| line.contains("hollow-")).count() == HOLLOWS
            }),
            Self::Mget => {
                hollows().all(|name| received(&format!("got/{name}")) == Some(Vec::new()))
            }
            Self::ResumeGet => received("rest") == Some(resumed()),
            Self::ResumePut => server.get("more") == Some(resumed()),
            Self::Rename => server.get("new") == Some(b"old".into()) && server.get("old").is_none(),
            Self::Delete => server.get("doomed").is_none(),
        }
    }
}

/// Files for the agenda on both sides; nothing of it done yet.
pub(crate) fn prepare(server: &FtpServer, target: &Target) {
    for name in ["up", "new"] {
        server.remove(name);
    }
    for (name, bytes) in [
        ("big", noise(LENGTH)),
        ("rest", noise(LENGTH)),
        ("more", b"X".repeat(PREFIX)),
        ("old", b"old".into()),
        ("doomed", b"doomed".into()),
    ] {
        server.remove(name);
        server.put(name, &bytes);
    }
    for name in hollows() {
        server.put(&format!("many/{name}"), b"");
    }
    // Clients may also write and remove what the test has put there.
    server.folder("many");

    std::fs::create_dir(target.path("got")).unwrap();
    for (name, bytes) in [
        ("up", noise(LENGTH)),
        ("more", noise(LENGTH)),
        ("rest", b"X".repeat(PREFIX)),
    ] {
        target.write(name, &bytes);
    }
}

/// The names of the empty files.
pub(crate) fn hollows() -> impl Iterator<Item = String> {
    (0..HOLLOWS).map(|n| format!("hollow-{n:03}"))
}

fn resumed() -> Vec<u8> {
    let mut bytes = noise(LENGTH);
    bytes[..PREFIX].fill(b'X');
    bytes
}

/// How many bytes are there already, as clients are told on their command lines.
pub(crate) fn prefix() -> String {
    PREFIX.to_string()
}
