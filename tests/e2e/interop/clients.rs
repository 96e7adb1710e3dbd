//! The clients of the table: how each is told to do the agenda, and what it cannot do at all.

use std::process::Command;

use super::agenda::{Task, hollows, prefix};
use crate::support::clients::Target;
use crate::support::process::{Ran, run};
use crate::support::{PASSWORD, USER};

/// One column of the table.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// It insists on TLS; the others know none.
    pub(crate) is_private: bool,
    /// What it cannot do, and why.
    pub(crate) cannot: &'static [(Task, &'static str)],
    /// Does the rest of the agenda, in as many runs as it takes.
    pub(crate) run: fn(&Target) -> Vec<Ran>,
}

const WGET_ONLY_GETS: &[(Task, &str)] = &[
    (Task::Put, "it only downloads"),
    (Task::ResumePut, "it only downloads"),
    (Task::Rename, "it changes nothing at the server"),
    (Task::Delete, "it changes nothing at the server"),
];

/// All of them.
pub(crate) const CLIENTS: &[Client] = &[
    Client {
        name: "curl",
        is_private: true,
        cannot: &[],
        run: curl,
    },
    Client {
        name: "lftp",
        is_private: true,
        cannot: &[],
        run: lftp,
    },
    Client {
        name: "ftplib",
        is_private: true,
        cannot: &[],
        run: |target| vec![target.ftplib(include_str!("ftplib.py"))],
    },
    Client {
        name: "basic-ftp",
        is_private: true,
        cannot: &[],
        run: basic_ftp,
    },
    Client {
        name: "commons-net",
        is_private: true,
        cannot: &[],
        run: commons_net,
    },
    Client {
        name: "Net::FTP",
        is_private: true,
        cannot: &[],
        run: net_ftp,
    },
    Client {
        name: "wget",
        is_private: true,
        cannot: WGET_ONLY_GETS,
        run: |target| wget(target, "ftps"),
    },
    Client {
        name: "wget, clear",
        is_private: false,
        cannot: WGET_ONLY_GETS,
        run: |target| wget(target, "ftp"),
    },
    Client {
        name: "tnftp, clear",
        is_private: false,
        cannot: &[],
        run: tnftp,
    },
];

fn curl(target: &Target) -> Vec<Ran> {
    let rename = ["--quote", "RNFR /old", "--quote", "RNTO /new"];
    let remove = ["--quote", "DELE /doomed", "--head"];
    vec![
        target.curl("big", &["--output", "big"]),
        target.curl("up", &["--upload-file", "up"]),
        target.curl("many/", &["--list-only", "--output", "listing"]),
        // Without asking for sizes first: a file of size 0 would not be transferred at all. Several at once, as curl
        // sleeps for a second where the 229 is there as soon as it has said EPSV, without the gate even more often.
        target.curl(
            "many/hollow-[000-199]",
            &[
                "--parallel",
                "--parallel-max",
                "5",
                "--ignore-content-length",
                "--output",
                "got/hollow-#1",
            ],
        ),
        target.curl("rest", &["--continue-at", "-", "--output", "rest"]),
        target.curl("more", &["--continue-at", "-", "--upload-file", "more"]),
        target.curl("", &[rename.as_slice(), remove.as_slice()].concat()),
    ]
}

fn lftp(target: &Target) -> Vec<Ran> {
    let commands = "get big; put up; nlist many > listing; mget -O got many/*; get -c rest; put -c more; \
                    mv old new; rm doomed";
    vec![target.lftp(commands)]
}

/// Host, port, authority, user, password and how much of resumed files is there: what the scripts take.
fn told<'c>(command: &'c mut Command, target: &Target) -> &'c mut Command {
    command
        .arg(target.address().ip().to_string())
        .arg(target.address().port().to_string())
        .args([target.ca_file(), USER, PASSWORD, &prefix()])
        .current_dir(target.path(""))
}

fn basic_ftp(target: &Target) -> Vec<Ran> {
    let mut command = Command::new("node");
    command
        .arg(target.write("basic_ftp.js", include_bytes!("basic_ftp.js")))
        .env("NODE_PATH", "/opt/sluicegate-peers/node/node_modules");
    vec![run(told(&mut command, target))]
}

fn commons_net(target: &Target) -> Vec<Ran> {
    let mut command = Command::new("java");
    command
        .args(["-cp", "/usr/share/java/commons-net.jar"])
        .arg(target.write("CommonsNet.java", include_bytes!("CommonsNet.java")));
    vec![run(told(&mut command, target))]
}

fn net_ftp(target: &Target) -> Vec<Ran> {
    let mut command = Command::new("perl");
    command.arg(target.write("net_ftp.pl", include_bytes!("net_ftp.pl")));
    vec![run(told(&mut command, target))]
}

fn wget(target: &Target, scheme: &str) -> Vec<Ran> {
    let get = |path: &str, options: &[&str]| {
        let mut command = Command::new("wget");
        command
            .args(["--no-config", "--tries=1", "--timeout=20", "--no-hsts"])
            .args(["--ca-certificate", target.ca_file()])
            .args(["--user", USER, "--password", PASSWORD])
            .args(options)
            .arg(format!("{scheme}://{}/{path}", target.address()))
            .current_dir(target.path(""));
        run(&mut command)
    };
    let ran = vec![
        get("big", &[]),
        get("many/hollow-*", &["--no-remove-listing", "-P", "got"]),
        get("rest", &["--continue"]),
    ];
    std::fs::rename(target.path("got/.listing"), target.path("listing")).ok();
    ran
}

fn tnftp(target: &Target) -> Vec<Ran> {
    // NLST with a pattern is known to two of the servers only: the names are given, as many as a line can hold.
    let mget: String = hollows()
        .collect::<Vec<_>>()
        .chunks(20)
        .map(|names| format!("mget {}\n", names.join(" ")))
        .collect();
    let script = format!(
        "user {USER} {PASSWORD}\nbinary\nget big\nput up\nnlist many listing\n\
         cd many\nlcd got\nglob\n{mget}cd ..\nlcd ..\n\
         reget rest\nrestart {prefix}\nput more\nrename old new\ndelete doomed\nquit\n",
        prefix = prefix(),
    );
    let script = target.write("script", script.as_bytes());
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "exec tnftp -n -i -v -q 20 \"$1\" \"$2\" < \"$3\"",
            "sh",
        ])
        .arg(target.address().ip().to_string())
        .arg(target.address().port().to_string())
        .arg(script)
        .env("HOME", target.path(""))
        .current_dir(target.path(""));
    vec![run(&mut command)]
}
