//! The real clients: curl, lftp, Python's ftplib and one in Java, each told to insist on TLS and to check the certificate.
//!
//! A client is a command line built for one target and run to its end; what it printed is for the test to judge.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{Ran, run};
use super::{PASSWORD, Scene, USER};

/// Whom the clients talk to, and where they keep their files.
pub(crate) struct Target {
    address: SocketAddr,
    scheme: &'static str,
    /// By which name curl calls it; it has no other way to find out.
    name: Option<&'static str>,
    ca_file: PathBuf,
    dir: PathBuf,
}

impl Target {
    pub(crate) fn new(scene: &Scene, address: SocketAddr) -> Self {
        Self {
            address,
            scheme: "ftp",
            name: None,
            ca_file: scene.authority.ca_file().to_owned(),
            dir: scene.folder("client"),
        }
    }

    /// The same, its files in a folder of its own.
    pub(crate) fn within(scene: &Scene, address: SocketAddr, folder: &str) -> Self {
        Self {
            dir: scene.folder(folder),
            ..Self::new(scene, address)
        }
    }

    /// The same for a port where TLS comes first; for curl and lftp.
    pub(crate) fn implicit(scene: &Scene, address: SocketAddr) -> Self {
        Self {
            scheme: "ftps",
            ..Self::new(scene, address)
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the clients are to trust, as they take it on their command lines.
    pub(crate) fn ca_file(&self) -> &str {
        as_str(&self.ca_file)
    }

    /// The same by a name that only this client knows; for curl.
    pub(crate) fn named(scene: &Scene, address: SocketAddr, name: &'static str) -> Self {
        Self {
            name: Some(name),
            ..Self::new(scene, address)
        }
    }

    /// A file in the clients' directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a file for a client to send.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Reads a file that a client received.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Runs curl on a path of the target.
    pub(crate) fn curl(&self, path: &str, options: &[&str]) -> Ran {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--verbose",
            "--max-time",
            "50",
            "--disable",
        ]);
        // Of the two that demand TLS the stricter one would win.
        if !options.contains(&"--ftp-ssl-control") {
            command.arg("--ssl-reqd");
        }
        command.arg("--cacert").arg(&self.ca_file);
        command
            .args(["--user", &format!("{USER}:{PASSWORD}")])
            .args(options);
        let host = match self.name {
            Some(name) => {
                let (port, ip) = (self.address.port(), self.address.ip());
                command.args(["--resolve", &format!("{name}:{port}:{ip}")]);
                format!("{name}:{port}")
            }
            None => self.address.to_string(),
        };
        command
            .arg(format!("{}://{host}/{path}", self.scheme))
            .current_dir(&self.dir);
        run(&mut command)
    }

    /// Runs commands of lftp in one session.
    pub(crate) fn lftp(&self, commands: &str) -> Ran {
        let script = format!(
            "set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 15; set ftp:ssl-force yes; \
             set ftp:ssl-protect-data yes; set ftp:ssl-protect-list yes; set ssl:verify-certificate yes; \
             set ssl:ca-file {ca}; debug 5; open -u {USER},{PASSWORD} {scheme}://{address}; {commands}",
            ca = self.ca_file.display(),
            scheme = self.scheme,
            address = self.address,
        );
        let mut command = Command::new("lftp");
        command
            .args(["--norc", "-c", &script])
            .env("HOME", &self.dir)
            .env("LFTP_HOME", self.dir.join("lftp"));
        run(command.current_dir(&self.dir))
    }

    /// Runs a client in Java that gets a file so many times in one session, and resumes in its own way.
    pub(crate) fn java(&self, protocol: &str, times: usize) -> Ran {
        let source = self.write("Resume.java", include_bytes!("Resume.java"));
        let mut command = Command::new("java");
        command
            .args(["--add-opens", "java.base/sun.security.ssl=ALL-UNNAMED"])
            .args(["--add-opens", "java.base/sun.security.util=ALL-UNNAMED"])
            .arg(source)
            .arg(self.address.ip().to_string())
            .arg(self.address.port().to_string())
            .args([as_str(&self.ca_file), USER, PASSWORD, protocol])
            .arg(times.to_string());
        run(command.current_dir(&self.dir))
    }

    /// Runs Python with `ftp` being logged in and its data connections private.
    pub(crate) fn ftplib(&self, script: &str) -> Ran {
        let whole = format!("{}\n{script}\nftp.quit()\n", include_str!("ftplib.py"));
        let mut command = Command::new("python3");
        command
            .args(["-I", "-c", &whole])
            .arg(self.address.ip().to_string())
            .arg(self.address.port().to_string());
        command
            .arg(as_str(&self.ca_file))
            .args([USER, PASSWORD])
            .current_dir(&self.dir);
        run(&mut command)
    }
}

fn as_str(path: &Path) -> &str {
    path.to_str().unwrap()
}
