//! What the end-to-end tests stand on: real servers and clients as child processes, and peers of our own.
//!
//! The tests in `tests/e2e` use it. Everything here blocks and is bounded by a deadline, everything started is
//! ended when its value is dropped, and nothing here knows the gate's insides: it speaks FTP over sockets.

pub(crate) mod admin;
pub(crate) mod balancer;
pub(crate) mod browser;
pub(crate) mod certs;
pub(crate) mod clients;
pub(crate) mod door;
pub(crate) mod gate;
pub(crate) mod partners;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod rude;
pub(crate) mod servers;
pub(crate) mod strict;
pub(crate) mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use certs::Authority;
use gate::{Gate, Setup};
use rude::{Rude, Script};

/// The account of the tests; `scripts/install-peers` makes it known to vsftpd's PAM service.
pub(crate) const USER: &str = "sluicetest";
/// Its password, unusual enough to be looked for in logs.
pub(crate) const PASSWORD: &str = "Sesame+open-17";
/// No single exchange of a test may take longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The moment at which the exchange that begins now has failed.
pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// The directory and the certificates of one test; gone when the test is.
pub(crate) struct Scene {
    dir: tempfile::TempDir,
    /// Signs every certificate of the test, and is what its clients trust.
    pub(crate) authority: Authority,
}

impl Scene {
    /// Sets a new scene, and on first use makes sure that the peers are installed.
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        install_peers();
        let dir = tempfile::Builder::new()
            .prefix("sluicegate-e2e-")
            .tempdir()
            .unwrap();
        // The servers give up root and must still get through to their files.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let authority = Authority::new(dir.path());
        Self { dir, authority }
    }

    /// A path in the scene's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into the scene's directory.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Makes a directory in the scene's directory.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }
}

/// A gate before a rude backend, in a scene of their own.
pub(crate) fn start(script: Script, setup: Setup) -> (Scene, Rude, Gate) {
    let scene = Scene::new();
    let rude = Rude::start(&scene, script);
    let gate = Gate::start(&scene, rude.address(), setup);
    (scene, rude, gate)
}

/// Bytes that look random and are the same in every run.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Asks again and again until the answer is yes, for what cannot be waited for by a blocking call. Nothing but a test that
/// fails waits for the deadline, and a server may need half a minute to start where many others want to run.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + 4 * PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a test for all of these at once: its clients spend most of their time waiting, for servers and for themselves.
pub(crate) fn at_once<T: Send>(all: impl IntoIterator<Item = T>, test: impl Fn(T) + Sync) {
    let test = &test;
    std::thread::scope(|scope| {
        for one in all {
            scope.spawn(move || test(one));
        }
    });
}

/// A test whose server is missing would prove nothing by passing: bring it.
fn install_peers() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install-peers");
        // Two test processes at once must not run the package manager at once.
        let ran = Command::new("flock")
            .arg("/tmp/sluicegate-install-peers.lock")
            .arg(script)
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "scripts/install-peers failed: {ran:?}"
        );
    });
}
