//! The real servers: vsftpd and ProFTPD, which demand session reuse as they do by default, pure-ftpd and pyftpdlib.
//!
//! TLS is required by all of them. Each runs in the foreground on ports of its own, with the scene's certificate and an empty home directory.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ports::Ports;
use super::process::{Server, run};
use super::{PASSWORD, Scene, USER};

/// Where `scripts/install-peers` unpacks the servers.
pub(crate) const PEERS: &str = "/opt/sluicegate-peers";

/// Where the authority of `Ways::certificates` is, within the scene.
const INSIDE_CA: &str = "certificates/inside/ca.pem";

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Vsftpd,
    Proftpd,
    /// As it comes; it never resumes TLS 1.3 sessions. Explicit TLS and private data only.
    PureFtpd,
    /// A server in Python, as its documentation sets it up. Explicit TLS and private data only.
    Pyftpdlib,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Vsftpd, Self::Proftpd, Self::PureFtpd, Self::Pyftpdlib];
    /// Those that take only data connections that resume their control connection's session.
    pub(crate) const DEMANDING: [Self; 2] = [Self::Vsftpd, Self::Proftpd];
}

/// What is unusual about a server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ways {
    /// TLS comes first, before the greeting.
    pub(crate) implicit: bool,
    /// Data connections may be clear; by default they must not.
    pub(crate) clear_data: bool,
    /// The control connection may be cleared (CCC); ProFTPD.
    pub(crate) may_clear: bool,
    /// Clients show a certificate of the scene's authority `inside`, on every connection.
    pub(crate) certificates: bool,
}

impl Ways {
    /// ProFTPD's word for what must be private.
    const fn tls_required(self) -> &'static str {
        match (self.clear_data, self.may_clear) {
            (true, _) => "ctrl",
            (false, true) => "auth+data",
            (false, false) => "on",
        }
    }
}

/// A running FTP server and the directory it serves.
pub(crate) struct FtpServer {
    address: SocketAddr,
    root: PathBuf,
    server: Server,
    ports: Ports,
}

impl FtpServer {
    pub(crate) fn start(kind: Kind, scene: &Scene) -> Self {
        Self::start_as(kind, scene, Ways::default())
    }

    pub(crate) fn start_as(kind: Kind, scene: &Scene, ways: Ways) -> Self {
        let ports = Ports::reserve();
        let root = scene.folder("home");
        give_to_account(&root);
        let mut server = match kind {
            Kind::Vsftpd => vsftpd(scene, &ports, &root, ways),
            Kind::Proftpd => proftpd(scene, &ports, &root, ways),
            Kind::PureFtpd => pure_ftpd(scene, &ports, &root),
            Kind::Pyftpdlib => pyftpdlib(scene, &ports, &root),
        };
        server.wait_until_listening(ports.control());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.control()));
        Self {
            address,
            root,
            server,
            ports,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The ports of its control and its data connections.
    pub(crate) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Puts a file into the served directory, for everybody to read.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }

    /// Makes a directory in the served directory.
    pub(crate) fn folder(&self, name: &str) {
        std::fs::create_dir_all(self.root.join(name)).unwrap();
        give_to_account(&self.root);
    }

    /// Takes a file out of the served directory, if it is there.
    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.root.join(name)).ok();
    }

    /// The content of a file in the served directory.
    pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.root.join(name)).ok()
    }

    /// Everything the server logged.
    pub(crate) fn log(&self) -> String {
        self.server.log()
    }
}

fn vsftpd(scene: &Scene, ports: &Ports, root: &Path, ways: Ways) -> Server {
    let yes = |is: bool| if is { "YES" } else { "NO" };
    let log = scene.path("vsftpd.log");
    let asked = yes(ways.certificates);
    // It reads the file even where it asks nobody.
    let trusted = match ways.certificates {
        true => scene.path(INSIDE_CA),
        false => scene.authority.ca_file().to_owned(),
    };
    let mut config = String::new();
    for (key, value) in [
        ("listen", "YES"),
        ("background", "NO"),
        ("listen_address", "127.0.0.1"),
        ("anonymous_enable", "NO"),
        ("local_enable", "YES"),
        ("write_enable", "YES"),
        ("pam_service_name", "sluicegate-e2e"),
        ("chroot_local_user", "YES"),
        ("allow_writeable_chroot", "YES"),
        ("secure_chroot_dir", scene.folder("empty").to_str().unwrap()),
        ("ssl_enable", "YES"),
        ("force_local_logins_ssl", "YES"),
        ("force_local_data_ssl", yes(!ways.clear_data)),
        ("implicit_ssl", yes(ways.implicit)),
        ("require_ssl_reuse", "YES"),
        ("require_cert", asked),
        ("validate_cert", asked),
        ("ca_certs_file", trusted.to_str().unwrap()),
        ("ssl_ciphers", "HIGH"),
        ("xferlog_enable", "YES"),
        ("log_ftp_protocol", "YES"),
        ("debug_ssl", "YES"),
        ("listen_port", &ports.control().to_string()),
        ("pasv_min_port", &ports.passive().start().to_string()),
        ("pasv_max_port", &ports.passive().end().to_string()),
        ("local_root", root.to_str().unwrap()),
        ("vsftpd_log_file", log.to_str().unwrap()),
        (
            "rsa_cert_file",
            scene.authority.certificate_file().to_str().unwrap(),
        ),
        (
            "rsa_private_key_file",
            scene.authority.key_file().to_str().unwrap(),
        ),
    ] {
        writeln!(config, "{key}={value}").unwrap();
    }
    let config = scene.file("vsftpd.conf", config);
    Server::start(
        "vsftpd",
        Command::new(format!("{PEERS}/usr/sbin/vsftpd")).arg(config),
        vec![log],
    )
}

fn proftpd(scene: &Scene, ports: &Ports, root: &Path, ways: Ways) -> Server {
    let users = proftpd_users(scene);
    let state = scene.folder("proftpd");
    let tls_log = scene.path("proftpd-tls.log");
    let config = format!(
        r#"
ModulePath {PEERS}/usr/lib/proftpd
LoadModule mod_tls.c
ServerType standalone
ServerName sluicegate-test
DefaultAddress 127.0.0.1
Port {port}
UseIPv6 off
UseReverseDNS off
PassivePorts {first} {last}
User {USER}
Group {USER}
PidFile {state}/pid
ScoreboardFile {state}/scoreboard
DelayEngine off
WtmpLog off
TransferLog none
SystemLog {state}/log
AuthOrder mod_auth_file.c
AuthUserFile {users}
RequireValidShell off
DefaultRoot {root}
AllowStoreRestart on
AllowRetrieveRestart on
AllowOverwrite on
MaxInstances 100
TLSEngine on
TLSRequired {required}
TLSOptions {options}
TLSLog {tls_log}
TLSECCertificateFile {certificate}
TLSECCertificateKeyFile {key}
{asked}
"#,
        asked = if ways.certificates {
            let inside = scene.path(INSIDE_CA);
            format!(
                "TLSVerifyClient on\nTLSCACertificateFile {}",
                inside.display()
            )
        } else {
            String::new()
        },
        required = ways.tls_required(),
        options = if ways.implicit {
            "UseImplicitSSL"
        } else {
            "NoEmptyFragments"
        },
        port = ports.control(),
        first = ports.passive().start(),
        last = ports.passive().end(),
        state = state.display(),
        users = users.display(),
        root = root.display(),
        tls_log = tls_log.display(),
        certificate = scene.authority.certificate_file().display(),
        key = scene.authority.key_file().display(),
    );
    let config = scene.file("proftpd.conf", config);
    let mut command = Command::new(format!("{PEERS}/usr/sbin/proftpd"));
    command
        .args(["--nodaemon", "--quiet", "--config"])
        .arg(config);
    Server::start("proftpd", &mut command, vec![state.join("log"), tls_log])
}

/// ProFTPD's file of accounts.
fn proftpd_users(scene: &Scene) -> PathBuf {
    let users = format!(
        "{USER}:{}:{}::/nonexistent:/usr/sbin/nologin\n",
        password_hash(),
        account_ids()
    );
    let users = scene.file("proftpd.users", users);
    std::os::unix::fs::chown(&users, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&users, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    users
}

fn pure_ftpd(scene: &Scene, ports: &Ports, root: &Path) -> Server {
    let account = format!(
        "{USER}:{}:{}::{}/./::::::::::::\n",
        password_hash(),
        account_ids(),
        root.display()
    );
    let (account, users) = (
        scene.file("pure-ftpd.passwd", account),
        scene.path("pure-ftpd.pdb"),
    );
    let mut made = Command::new(format!("{PEERS}/usr/bin/pure-pw"));
    run(made.arg("mkdb").arg(&users).arg("-f").arg(account)).ok();
    let certificate = format!(
        "{},{}",
        scene.authority.certificate_file().display(),
        scene.authority.key_file().display()
    );
    let log = scene.path("pure-ftpd.log");
    let mut command = Command::new(format!("{PEERS}/usr/sbin/pure-ftpd"));
    command
        .args(["-4", "-A", "-E", "-H", "-Y", "3", "-f", "none"])
        .args(["-S", &format!("127.0.0.1,{}", ports.control())])
        .args(["-p", &passive(ports, ":")])
        .args(["-l", &format!("puredb:{}", users.display())])
        .args(["-2", &certificate])
        .args(["-O", &format!("clf:{}", log.display())])
        .arg("-g")
        .arg(scene.path("pure-ftpd.pid"));
    Server::start("pure-ftpd", &mut command, vec![log])
}

fn pyftpdlib(scene: &Scene, ports: &Ports, root: &Path) -> Server {
    // The system's Python has the library, whichever one is first in the path.
    let mut command = Command::new("/usr/bin/python3");
    command
        .args(["-c", include_str!("pyftpdlib.py")])
        .args([&ports.control().to_string(), &passive(ports, "-")])
        .arg(root)
        .arg(scene.authority.certificate_file())
        .arg(scene.authority.key_file())
        .args([USER, PASSWORD]);
    Server::start("pyftpdlib", &mut command, Vec::new())
}

fn passive(ports: &Ports, between: &str) -> String {
    format!(
        "{}{between}{}",
        ports.passive().start(),
        ports.passive().end()
    )
}

fn password_hash() -> String {
    let hash = run(Command::new("openssl").args(["passwd", "-6", PASSWORD]));
    hash.ok().text().trim().to_owned()
}

/// The account's numbers, as a line of passwd has them.
fn account_ids() -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with(&format!("{USER}:")))
        .unwrap();
    line.split(':')
        .skip(2)
        .take(2)
        .collect::<Vec<_>>()
        .join(":")
}

fn give_to_account(directory: &Path) {
    run(Command::new("chown").arg("-R").arg(USER).arg(directory)).ok();
}
